"""`grevy evaluate` and `grevy report`: scores and pages of what exists already."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from grevy import archive
from grevy.archive.folder import RunFolder
from grevy.cli.commands import app
from grevy.config import make_config
from grevy.data.labels import continuous
from grevy.data.recording import make_recording
from grevy.data.segments import segments_from_identifiers
from grevy.data.splits import blocked_split
from grevy.errors import GrevyError
from grevy.evaluation.scoring import evaluate
from grevy.report.summary import describe_metrics
from grevy.runs.experiment import run_experiment
from grevy.runs.rescoring import EvaluationRequest, evaluate_target
from logged import logged


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data file, a finished run on it, and an embedding that something else has made."""
    folder = tmp_path_factory.mktemp("again")
    rng = np.random.default_rng(0)
    phase = np.cumsum(rng.normal(0.6, 0.2, 600))
    latent = np.stack([np.cos(phase), np.sin(phase)], axis=1)
    neural = (latent @ rng.normal(size=(2, 8)) + 0.3 * rng.normal(size=(600, 8))).astype("f4")
    np.savez(folder / "data.npz", neural=neural, place=latent)
    np.save(folder / "embedding.npy", neural[:, :3])
    settings = {
        "data": str(folder / "data.npz"), "neural": "neural", "label": "place",
        "max_iterations": 40, "batch_size": 64, "device": "cpu", "seed": 1, "nulls": 25,
        "output_dir": str(folder / "run"),
    }  # fmt: skip
    return folder, run_experiment(make_config(settings), verbose=False)


def request(target, **settings):
    given = dict.fromkeys(("data", "neural", "segments", "holdout", "split", "nulls"))
    given |= {"labels": (), "trust": False, "gap": 0, "window": 1, "umap": False, "seed": 0}
    return EvaluationRequest(target=target, **{**given, **settings})


def changed_run(root, target, old, new):
    """A copy of a run, with other words in its settings."""
    shutil.copytree(root, target)
    text = (target / "config.yaml").read_text()
    assert old in text
    (target / "config.yaml").write_text(text.replace(old, new))
    return target


def test_a_run_scores_as_it_did(made):
    folder, done = made
    metrics = evaluate_target(request(folder / "run", seed=1))
    for name in ("test_r2", "chance_nats", "goodness_of_fit_bits", "holdout", "scores"):
        assert metrics[name] == done.metrics[name], name


@pytest.mark.parametrize("asked", [{}, {"nulls": 40}, {"seed": 9}])
def test_the_p_of_a_run_by_folds_is_kept(made, asked):
    """It takes encoders that are gone; no other number of nulls makes another."""
    folder, done = made
    null = done.metrics["scores"]["place"]["null"]
    assert (null["method"], null["folds"], null["n"], null["p"]) == ("folds", 5, 25, 1 / 26)
    metrics = evaluate_target(request(folder / "run", **asked))
    assert metrics["scores"]["place"]["null"] == null
    assert metrics["folds"] == done.metrics["folds"]
    without = evaluate_target(request(folder / "run", **{**asked, "nulls": 0}))
    assert "null" not in without["scores"]["place"]


def test_the_p_of_a_run_without_folds_is_computed_again(made, tmp_path):
    _, done = made
    settings = {**done.config.model_dump(), "folds": 0, "output_dir": str(tmp_path / "run")}
    done = run_experiment(make_config(settings), verbose=False)
    null = done.metrics["scores"]["place"]["null"]
    assert null["method"] == "held-out"
    again = evaluate_target(request(tmp_path / "run", seed=1))
    assert again["scores"]["place"]["null"] == null
    other = evaluate_target(request(tmp_path / "run", seed=1, nulls=40))
    assert other["scores"]["place"]["null"]["n"] == 40


def test_a_label_without_p_is_named_where_another_keeps_its_own(made, tmp_path):
    folder, done = made
    with np.load(folder / "data.npz") as arrays:
        np.savez(tmp_path / "data.npz", **arrays, drift=np.linspace(0.0, 1.0, 600))
    done = run_experiment(
        make_config(
            {
                **done.config.model_dump(), "data": str(tmp_path / "data.npz"),
                "label": ("place", "drift"), "output_dir": str(tmp_path / "run"),
            }
        ),
        verbose=False,
    )  # fmt: skip
    metrics = evaluate_target(request(tmp_path / "run", seed=1))
    assert "null" in metrics["scores"]["place"]
    assert "null" not in metrics["scores"]["drift"]
    assert metrics["scores"]["drift"]["no_p"] == done.metrics["scores"]["drift"]["no_p"]
    assert "No p for 'drift': null test: label 'drift' needs" in metrics["note"]


def test_a_run_whose_data_are_gone_has_no_baselines(made, tmp_path):
    folder, _ = made
    moved = changed_run(folder / "run", tmp_path / "run", str(folder / "data.npz"), "gone.npz")
    with logged() as said:
        metrics = evaluate_target(request(moved, nulls=0))
    assert set(metrics["scores"]["place"]["blocked"]) == {"embedding", "chance"}
    assert "no baselines" in said[0]


def test_a_run_whose_data_have_changed_has_no_baselines(made, tmp_path):
    folder, _ = made
    with np.load(folder / "data.npz") as arrays:
        other = {**arrays, "neural": arrays["neural"] + np.float32(1)}
    moved = changed_run(folder / "run", tmp_path / "run", str(folder), str(tmp_path))
    np.savez(tmp_path / "data.npz", **other)
    with logged() as said:
        metrics = evaluate_target(request(moved, nulls=0))
    assert set(metrics["scores"]["place"]["blocked"]) == {"embedding", "chance"}
    assert "no baselines: the data have changed" in said[0]


def test_umap_that_is_missing(made, monkeypatch):
    folder, _ = made
    monkeypatch.setattr("grevy.evaluation.baselines.find_spec", lambda name: None)
    with pytest.raises(GrevyError, match="pip install"):
        evaluate_target(request(folder / "run", umap=True))
    real = make_config
    monkeypatch.setattr(
        "grevy.runs.rescoring.make_config", lambda given: real({**given, "umap": True})
    )
    with logged() as said:
        metrics = evaluate_target(request(folder / "run", nulls=0))
    assert "no baseline of UMAP" in said[0]
    assert "umap" not in metrics["scores"]["place"]["blocked"]


@pytest.mark.parametrize(
    ("error", "said"),
    [(1.25e30, "1.25e+30"), (2.5e-8, "2.50e-08"), (12.3456, "12.346"), (0, "0.000")],
)
def test_numbers_of_any_size_are_short(error, said):
    scores = {"test_r2": -4e40, "median_absolute_error": error, "intervals": {}}
    scores["intervals"]["median_absolute_error"] = [error, error]
    metrics = {"scores": {"place": {"kind": "continuous", "random": scores}}}
    line = describe_metrics(metrics)[1].strip()
    expected = f"R2 -4.00e+40, median absolute error {said} [{said}, {said}]"
    assert line == f"random split: {expected}"


@pytest.mark.parametrize("nulls", [None, 0, 30])
def test_an_embedding_made_by_anything_else(made, nulls):
    folder, _ = made
    asked = request(
        folder / "embedding.npy", data=str(folder / "data.npz"), neural="neural",
        labels=("place",), nulls=nulls, gap=5,
    )  # fmt: skip
    metrics = evaluate_target(asked)
    scores = metrics["scores"]["place"]
    assert scores["blocked"]["embedding"]["test_r2"] > 0.7
    assert scores["blocked"]["raw"]["test_r2"] > 0.7
    # Of the 1000 that are usual there are 591: shifts by at least the gap, forward or back.
    assert scores.get("null", {"n": 0})["n"] == (591 if nulls is None else nulls)


@pytest.mark.parametrize(
    ("window", "causal", "before", "after"),
    [
        (1, False, 0, 1), (2, False, 1, 1), (5, False, 2, 3), (10, False, 5, 5),
        (1, True, 0, 1), (10, True, 9, 1),
    ],
)  # fmt: skip
def test_baselines_see_the_window_that_is_named(made, window, causal, before, after):
    """As wide before a step as after it, or up to it, as the models of that width see it."""
    folder, _ = made
    asked = request(
        folder / "embedding.npy", data=str(folder / "data.npz"), neural="neural",
        labels=("place",), nulls=0, gap=window, window=window,
        causal=causal,
    )  # fmt: skip
    metrics = evaluate_target(asked)
    with np.load(folder / "data.npz") as arrays:
        whole = make_recording(arrays["neural"], [continuous(arrays["place"], "place")])
    split = blocked_split(whole.segments, 0.2, window)
    expected = evaluate(
        np.load(folder / "embedding.npy"), whole, split, whole.neural,
        window=(before, after), nulls=0, gap=window,
    ).metrics  # fmt: skip
    assert metrics["scores"] == json.loads(json.dumps(expected["scores"]))
    assert metrics["window_steps"] == window
    assert ("raw_one_step" in metrics["scores"]["place"]["blocked"]) == (window > 1)


def test_what_an_embedding_from_a_file_does_not_tell(made):
    folder, _ = made
    asked = request(
        folder / "embedding.npy", data=str(folder / "data.npz"), neural="neural",
        labels=("place",), nulls=20,
    )  # fmt: skip
    metrics = evaluate_target(asked)
    assert metrics["encoder"] == "unknown"
    assert metrics["note"].count("held out only if it never saw the 120 steps tested") == 1
    assert "in 5 blocks, or their labels took no part" in metrics["note"]
    assert metrics["scores"]["place"]["null"]["method"] == "held-out"
    said = "\n".join(describe_metrics(metrics))
    assert metrics["note"] in said
    assert "`null_retrain`" not in said, "there is nothing to train"


def test_a_run_that_held_out_whole_segments(made, tmp_path):
    folder, _ = made
    with np.load(folder / "data.npz") as arrays:
        np.savez(tmp_path / "data.npz", **arrays, trial=np.arange(600) // 40)
    source = {"data": str(tmp_path / "data.npz"), "neural": "neural", "segments": "trial"}
    settings = {
        **source, "label": "place", "split": "segments", "max_iterations": 20, "batch_size": 64,
        "device": "cpu", "nulls": 0, "folds": 0, "output_dir": str(tmp_path / "run"),
    }  # fmt: skip
    done = run_experiment(make_config(settings), verbose=False)
    assert done.config.seed is not None, "drawn, for it decides what is held out"
    again = evaluate_target(request(tmp_path / "run", seed=done.config.seed % 2**32))
    assert again["holdout"] == done.metrics["holdout"]
    assert again["scores"] == done.metrics["scores"]
    other = evaluate_target(request(tmp_path / "run", seed=1))
    # A constant answer depends on the split alone; the choice of decoders on the seed, too.
    ours, theirs = (m["scores"]["place"]["blocked"]["chance"]["test_r2"] for m in (again, other))
    assert ours == theirs, "the segments are the run's, whatever the seed of the nulls"
    asked = request(
        folder / "embedding.npy", **source, labels=("place",), split="segments", nulls=0
    )
    scored = evaluate_target(asked)
    assert scored["holdout"]["test_segments"] == 3
    assert "the 120 steps tested, in 3 segments" in scored["note"]


def test_what_a_run_has_trained_for_is_kept(made, tmp_path):
    _, done = made
    settings = {
        **done.config.model_dump(), "null_retrain": True, "max_iterations": 2, "batch_size": 16,
        "output_dir": str(tmp_path / "run"), "time_offsets": 1, "folds": 0,
        "model_architecture": "offset1-model",
    }  # fmt: skip
    done = run_experiment(make_config(settings), verbose=False)
    null = done.metrics["scores"]["place"]["null"]
    assert null["method"] == "retrained"
    validation = {"steps": [100], "loss": [1.5]}
    path = tmp_path / "run" / archive.METRICS
    path.write_text(json.dumps({**done.metrics, "validation": validation}))
    again = evaluate_target(request(tmp_path / "run", seed=7))
    assert again["scores"]["place"]["null"] == null
    assert again["validation"] == validation
    without = evaluate_target(request(tmp_path / "run", nulls=0))
    assert "null" not in without["scores"]["place"]


OWN_MODULE = """
import cebra.models

@cebra.models.register("own-model")
class Own(cebra.models.model.Offset0Model):
    pass
"""


def test_a_run_that_imported_a_model(made, tmp_path):
    folder, _ = made
    module = tmp_path / "own.py"
    module.write_text(OWN_MODULE)
    data = folder / "data.npz"
    run = ["run", "--data", data, "--neural", "neural", "--label", "place", "--import", module]
    quick = ["--max-iterations", 2, "--batch-size", 16, "--nulls", 0, "--device", "cpu", "--quiet"]
    quick += ["--folds", 0]
    chosen = ["--model-architecture", "own-model", "--output-dir", tmp_path / "run"]
    done = grevy(*run, *quick, *chosen)
    assert done.returncode == 0, done.stderr
    # In processes of their own, which have not imported the module yet.
    refused = grevy("evaluate", tmp_path / "run")
    assert refused.returncode == 2
    for words in (str(module), f"--import {module}", "--trust"):
        assert words in refused.stderr
    for allowing in (["--import", module], ["--trust"]):
        again = grevy("evaluate", tmp_path / "run", *allowing)
        assert again.returncode == 0, again.stderr


def test_an_embedding_of_angles_in_degrees(made, tmp_path):
    rng = np.random.default_rng(0)
    angle = np.cumsum(rng.normal(8, 5, 600)) % 360
    turns = np.deg2rad(angle)
    np.savez(tmp_path / "data.npz", neural=rng.normal(size=(600, 4)), angle=angle)
    circle = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    np.save(tmp_path / "embedding.npy", circle + 0.3 * rng.normal(size=(600, 2)))
    data = ["--data", tmp_path / "data.npz", "--label", "angle:circular"]
    asked = ["evaluate", tmp_path / "embedding.npy", *data, "--neural", "neural", "--json"]
    scored = grevy(*asked, "--nulls", 0, "--period", 360)
    assert scored.returncode == 0, scored.stderr
    error = json.loads(scored.stdout)["scores"]["angle"]["random"]["mean_error"]
    assert 4 < error < 60, "in degrees; of an angle in radians it is below pi"


OWN_DATA = """
import cebra.data
import cebra.datasets
import numpy as np
import torch

@cebra.datasets.register("own-data")
class Own(cebra.data.TensorDataset):
    def __init__(self):
        rng = np.random.default_rng(0)
        place = np.cumsum(rng.normal(size=(200, 1)), axis=0).astype("f4")
        super().__init__(
            torch.from_numpy(rng.normal(size=(200, 4)).astype("f4")),
            continuous=torch.from_numpy(place),
        )
"""


def test_an_embedding_of_an_imported_data_set(tmp_path):
    (tmp_path / "own_data.py").write_text(OWN_DATA)
    np.save(tmp_path / "embedding.npy", np.random.default_rng(0).normal(size=(200, 2)))
    asked = request(
        tmp_path / "embedding.npy", data="own-data", nulls=0,
        imports=(str(tmp_path / "own_data.py"),),
    )  # fmt: skip
    assert evaluate_target(asked)["holdout"]["test_steps"] == 40


@pytest.mark.parametrize("split", ["blocks", "segments"])
def test_two_recordings_keep_their_segments_apart(tmp_path, split):
    rng = np.random.default_rng(0)
    recordings = [
        make_recording(
            rng.normal(size=(length, 4)).astype("f4"),
            [continuous(rng.normal(size=length), "place")],
            segments=segments_from_identifiers(np.arange(length) // 30),
        )
        for length in (240, 180)
    ]
    settings = {
        "dataset": "two", "split": split, "max_iterations": 10, "batch_size": 32, "nulls": 0,
        "folds": 2, "device": "cpu", "seed": 2, "output_dir": str(tmp_path / "run"),
        "model_architecture": "offset1-model",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("grevy.runs.experiment.load_recordings", lambda *_: tuple(recordings))
        patch.setattr("grevy.runs.rescoring.load_recordings", lambda *_: tuple(recordings))
        done = run_experiment(make_config(settings), verbose=False)
        again = evaluate_target(request(tmp_path / "run", seed=2))
    assert again["scores"] == done.metrics["scores"]
    assert again["holdout"] == done.metrics["holdout"]
    assert again["folds"] == done.metrics["folds"]


FILE = {"data": "data.npz", "labels": ("place",)}


@pytest.mark.parametrize(
    ("target", "settings", "match"),
    [
        ("embedding.npy", {}, "say with `data`"),
        ("absent.npy", {"data": "data.npz"}, r"absent\.npy does not exist"),
        ("nosuch", {}, "nosuch does not exist"),
        ("run/models/cebra_model.pt", {}, r"is a model, .* `grevy embed"),
        ("embedding.npy", {"data": "data.npz", "neural": "neural"}, "`labels=KEY`"),
        ("data.npz", {"data": "data.npz"}, "holds several arrays"),
        ("", {}, "no finished run"),
        ("run", {"nulls": 19}, "`nulls` is 19: give at least 20"),
        ("run", {"holdout": 1.5}, "`holdout=1.5`"),
        ("run", {"holdout": 0.4}, "trained with"),
        ("run", {"split": "segments"}, "`split=segments`: the encoder of this run was trained"),
        ("run", {"split": "trials"}, "expected blocks or segments"),
        ("embedding.npy", {"data": "data.npz", "split": "trials"}, "expected blocks or segments"),
        (
            "embedding.npy",
            {"data": "data.npz", "split": "segments", "labels": ("place",)},
            "the data has 1 segment;",
        ),
        ("run", {"data": "data.npz"}, "knows its data"),
        ("run", {"period": 360.0}, "`period`"),
        ("run", {"window": 10}, "`gap`, `window` and `causal` out"),
        ("run", {"causal": True}, "`gap`, `window` and `causal` out"),
        ("embedding.npy", {**FILE, "window": 0}, "from 0 steps before to 0 after"),
        ("embedding.npy", {**FILE, "window": -3}, "from -2 steps before to -1 after"),
        ("embedding.npy", {**FILE, "window": 601}, "in a recording of 600.*receptive field"),
        ("run", {"imports": ("own.py",)}, "there is no file .*own.py"),
        (
            "embedding.npy",
            {"data": "data.npz", "labels": ("place",), "period": 0.0},
            "`period` is 0.0",
        ),
        ("short.npy", {"data": "data.npz", "labels": ("place",)}, "10 time steps"),
        ("flat.npy", {"data": "data.npz", "labels": ("place",)}, r"expected \(T, D\)"),
        ("text.npy", {"data": "data.npz", "labels": ("place",)}, "cannot be read"),
    ],
)
def test_bad_requests(made, target, settings, match):
    folder, _ = made
    np.save(folder / "short.npy", np.ones((10, 3)))
    np.save(folder / "flat.npy", np.ones(600))
    (folder / "text.npy").write_text("no array")
    if "data" in settings:
        settings = {**settings, "data": str(folder / settings["data"])}
    if "labels" in settings:
        settings = {**settings, "neural": "neural"}
    with pytest.raises(GrevyError, match=match):
        evaluate_target(request(folder / target, **settings))


def grevy(*arguments):
    command = [sys.executable, "-c", "from grevy.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_commands(made):
    folder, done = made
    (folder / "run" / archive.REPORT).unlink()
    written = grevy("report", folder / "run")
    assert written.returncode == 0, written.stderr
    assert written.stdout.strip() == str(folder / "run" / archive.REPORT)
    assert archive.verify(RunFolder(folder / "run")) == []
    scored = grevy("evaluate", folder / "run", "--json", "--seed", "1")
    assert scored.returncode == 0, scored.stderr
    assert json.loads(scored.stdout)["scores"] == done.metrics["scores"]
    embedding = ["evaluate", folder / "embedding.npy", "--data", folder / "data.npz"]
    embedding += ["--neural", "neural", "--label", "place", "--nulls", 0, "--window"]
    scored = grevy(*embedding, 5, "--causal", "--json")
    assert scored.returncode == 0, scored.stderr
    assert json.loads(scored.stdout)["window_steps"] == 5
    for window, words in ((0, "--window"), (700, "in a recording of 600")):
        refused = grevy(*embedding, window)
        assert refused.returncode == 2
        assert words in refused.stderr
    for command in ("report", "evaluate"):
        refused = grevy(command, folder)
        assert refused.returncode == 2
        assert refused.stderr.startswith("grevy: ")
        assert "Traceback" not in refused.stderr
    assert {c.name or c.callback.__name__ for c in app.registered_commands} >= {
        "run", "report", "evaluate",
    }  # fmt: skip
