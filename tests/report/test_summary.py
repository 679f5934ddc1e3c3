"""A run in words: names from files act on no terminal and say no line of their own."""

import numpy as np
import pytest

from archived_runs import made_folds, made_scores
from grevy.data.labels import continuous, discrete
from grevy.data.recording import make_recording
from grevy.data.splits import blocked_split
from grevy.errors import shown_line
from grevy.evaluation.scoring import evaluate
from grevy.report.summary import describe_data, describe_metrics, summarise

HOSTILE = [
    ("\x1b[31mred", r"\x1b[31mred"),
    ("\x9b2Jgone", r"\x9b2Jgone"),
    ("\u202eesrever", r"\u202eesrever"),
    ("place\nnote: all is well", r"place\nnote: all is well"),
    ("\ud800", r"\ud800"),
]


def recorded(name, source="file.npz"):
    rng = np.random.default_rng(0)
    labels = [
        continuous(rng.normal(size=200), name),
        discrete(np.arange(200) // 10 % 3, f"{name} again"),
    ]
    return make_recording(rng.normal(size=(200, 4)).astype(np.float32), labels, source=source)


@pytest.mark.parametrize(("name", "said"), HOSTILE)
def test_a_name_is_spelled_out_in_every_line(name, said):
    recording = recorded(name, source=name)
    (line,) = describe_data([recording]).split("\n")
    assert line.count(said) == 3
    split = blocked_split(recording.segments, 0.2, 5)
    metrics = evaluate(recording.neural, recording, split, recording.neural).metrics
    metrics["note"] = name
    metrics["scores"][name]["null"] = {"n": 20, "how": name, "p": 0.5, "method": name}
    lines = describe_metrics(metrics)
    text = summarise({"data": name, "label": [name]}, metrics, (200, 4), name)
    for each in (line, *lines, *text.rstrip("\n").split("\n")):
        assert shown_line(each) == each
    assert f"{said} (continuous)" in lines
    assert f"note: {said}" in lines
    assert text.count("\n") == len(lines) + 10, "each thing on its own line"
    assert f"\n  data: {said}\n" in text
    assert text.encode()


LINES = """\
time steps that the baselines see at once: 10
direction (circular)
  random split: mean angular error 24.000, median angular error 18.000, circular correlation 0.800
  held-out blocks, embedding: mean angular error 24.000 [20.000, 28.000], ...
  held-out blocks, pca (10 steps summed, 3 numbers): mean angular error 44.000 [42.000, 46.000], ...
    10 steps summed, 3 numbers: mean angular error 44.000, ...
    10 steps lagged, 3 numbers: mean angular error 48.000, ...
  held-out blocks, pca_one_step (one step, 3 numbers): mean angular error 54.000 [52.000, 56.000]...
  held-out blocks, raw (10 steps lagged, 50 numbers): mean angular error 22.000 [20.000, 24.000]...
    10 steps summed, 5 numbers: mean angular error 26.000, ...
    10 steps lagged, 50 numbers: mean angular error 22.000, ...
  held-out blocks, raw_one_step (one step, 5 numbers): mean angular error 32.000 [30.000, 34.000]...
  held-out blocks, chance: mean angular error 90.000
  gain over pca: mean angular error 20.000 [16.000, 24.000]
  gain over pca_one_step: mean angular error 30.000 [26.000, 34.000]
  gain over raw: mean angular error -2.000 [-8.000, 4.000]
  gain over raw_one_step: mean angular error 8.000 [4.000, 12.000]
  2 folds, an encoder each: mean angular error 20.000, 30.000; mean 25.000; all together ...
  50 nulls (shifted within segments; 5 folds): p = 0.020, adjusted (Holm) p = 0.039
"""


def told(window_steps, **scores):
    made = made_scores("circular", window_steps=window_steps, **scores)
    return {"scores": {"direction": made}, "window_steps": window_steps}


def test_everything_is_listed():
    metrics = {
        **told(10, p_adjusted=2 / 51),
        "folds": {"direction": made_folds("circular", (20, 30))},
    }
    lines = describe_metrics(metrics)
    assert all(line.isascii() for line in lines)
    expected = LINES.splitlines()
    assert len(lines) == len(expected)
    for line, start in zip(lines, expected, strict=True):
        whole = not start.endswith("...")
        assert line == start if whole else line.startswith(start.removesuffix("..."))


def test_of_one_step_there_is_less_to_say():
    lines = describe_metrics(told(1))
    assert "  held-out blocks, raw (one step, 5 numbers): mean" in "\n".join(lines)
    assert not any("lagged" in line or "one_step" in line for line in lines)
    assert lines[-1] == "  50 nulls (shifted within segments; 5 folds): p = 0.020"


def test_a_small_p_is_not_zero():
    assert describe_metrics(told(1, p=1 / 5001, n=5000))[-1].endswith("p < 0.001")


@pytest.mark.parametrize("gone", ["interval", "value"])
def test_a_difference_without_its_parts(gone):
    metrics = told(1)
    values = metrics["scores"]["direction"]["blocked"]["raw"]
    if gone == "interval":
        del values["gain"]["interval"]
    else:
        del values["gain"]
    lines = [line for line in describe_metrics(metrics) if "gain over raw" in line]
    said = ["  gain over raw: mean angular error -2.000"]
    assert lines == (said if gone == "interval" else [])
