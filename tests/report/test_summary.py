"""A run in words: names from files act on no terminal and say no line of their own."""

import numpy as np
import pytest

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
    metrics["scores"][name]["null"] = {"n": 20, "how": name, "p": 0.5, "note": name}
    lines = describe_metrics(metrics)
    text = summarise({"data": name, "label": [name]}, metrics, (200, 4), name)
    for each in (line, *lines, *text.rstrip("\n").split("\n")):
        assert shown_line(each) == each
    assert f"{said} (continuous)" in lines
    assert f"note: {said}" in lines
    assert text.count("\n") == len(lines) + 10, "each thing on its own line"
    assert f"\n  data: {said}\n" in text
    assert text.encode()
