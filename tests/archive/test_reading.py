"""A run read back from its folder: all that went in comes out, and nothing runs code."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from archived_runs import HOSTILE, made_labels, write_run
from grevy import archive
from grevy.archive.folder import RunFolder
from grevy.archive.reading import read_run
from grevy.archive.writing import write_decoded, write_labels
from grevy.data.labels import continuous, discrete, make_label
from grevy.data.recording import make_recording
from grevy.errors import GrevyError
from grevy.evaluation.scoring import Decoded

NAMES = [
    "plain", HOSTILE, "../../etc/passwd", "a/b", "values_0", "about", "", "\N{GRINNING FACE}",
    "数据", "\ud800 a lone surrogate", "a\0b", "x" * 5000, "</script><!--", "  ", "'\"&",
]  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def copy(finished, tmp_path):
    return RunFolder(Path(shutil.copytree(finished.root, tmp_path / "copy")))


def test_all_that_went_in_comes_out(finished):
    run = read_run(finished)
    assert run.config["seed"] == 7
    assert run.metrics["holdout"]["test_steps"] == 60
    assert run.manifest["run_id"] == "0123456789ab"
    assert run.embedding.shape == (300, 3)
    assert run.sampling_rate == 20.0
    assert run.segments.tolist() == [[0, 300]]
    assert set(run.history) == {"step", "loss", "positive", "negative", "temperature"}
    assert run.history["loss"].shape == (200,)
    for mine, theirs in zip(run.labels, made_labels(300), strict=True):
        assert (mine.name, mine.kind, mine.period, mine.classes) == (
            theirs.name, theirs.kind, theirs.period, theirs.classes,
        )  # fmt: skip
        np.testing.assert_array_equal(mine.values, theirs.values)
        assert mine.values.dtype == theirs.values.dtype
    assert list(run.decoded) == ["velocity", "direction", "odour"]
    assert run.decoded["velocity"].true.shape == (60, 2)
    assert run.decoded["odour"].decoded.max() < 4


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:12]))
@pytest.mark.parametrize(
    "values",
    [[3, -1, 3], [True, False, True], ["b", "<b>", "é" * 300], [10**15, 2, 2]],
    ids=["codes", "booleans", "texts", "large codes"],
)
def test_any_name_and_any_classes(copy, name, values):
    label = discrete(np.resize(values, 300), name)
    other = continuous(np.arange(300.0), "other")
    before = sorted(copy.root.rglob("*"))
    write_labels(copy, make_recording(np.eye(300), [label, other]))
    write_decoded(copy, {name: Decoded(np.array([2]), np.array([0]), np.array([1]))})
    assert sorted(copy.root.rglob("*")) == before
    run = read_run(copy)
    assert run.labels[0].name == name
    assert run.labels[0].classes == label.classes
    assert [type(each) for each in run.labels[0].classes] == [type(each) for each in label.classes]
    assert run.segments.tolist() == [[0, 300]]
    assert run.sampling_rate is None
    assert run.decoded[name].steps.tolist() == [2]


def test_the_unit_of_a_label_comes_back(copy):
    labels = [make_label("x", np.arange(300.0), unit="mm"), continuous(np.arange(300.0), "y")]
    write_labels(copy, make_recording(np.eye(300), labels))
    (copy / archive.DECODED).unlink()
    assert [label.unit for label in read_run(copy).labels] == ["mm", ""]


def test_the_same_labels_give_the_same_bytes(tmp_path):
    folders = [write_run(tmp_path / name) for name in "ab"]
    for name in (archive.LABELS, archive.DECODED):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_a_run_of_which_nothing_was_held_out(copy):
    (copy / archive.DECODED).unlink()
    assert read_run(copy).decoded == {}


def test_a_run_without_labels(tmp_path):
    run = read_run(write_run(tmp_path / "run", labels=()))
    assert run.labels == ()
    assert run.decoded == {}


@pytest.mark.parametrize(
    "name",
    [archive.EMBEDDING, archive.LABELS, archive.METRICS, archive.HISTORY, archive.CONFIG],
)
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(GrevyError, match=name.split("/")[-1]):
        read_run(copy)


@pytest.mark.parametrize(
    "name",
    [archive.EMBEDDING, archive.METRICS, archive.HISTORY, archive.LABELS, archive.DECODED],
)
@pytest.mark.parametrize("damage", ["cut", "empty", "text", "zeros"])
def test_a_damaged_file_is_named(copy, name, damage):
    whole = (copy / name).read_bytes()
    broken = {
        "cut": whole[: len(whole) // 2], "empty": b"", "text": b"{'a': [", "zeros": bytes(100),
    }  # fmt: skip
    if (name, damage) == (archive.HISTORY, "cut"):
        broken["cut"] = whole[: whole.rindex(b",")] + b",x\n"  # half a table is still one
    (copy / name).write_bytes(broken[damage])
    with pytest.raises(GrevyError, match=rf"{name.split('/')[-1]} is damaged.*[Rr]estore it"):
        read_run(copy)


def of_velocity(metrics):
    return metrics["scores"]["velocity"]


def components(metrics):
    return of_velocity(metrics)["blocked"]["pca"]


def gain(metrics):
    return components(metrics)["gain"]


def null(metrics):
    return of_velocity(metrics)["null"]


def itself(metrics):
    return metrics


@pytest.mark.parametrize(
    ("where", "changes", "named"),
    [
        (itself, {"window_steps": 0}, "window_steps"),
        (itself, {"window_steps": "10"}, "window_steps"),
        (itself, {"window_steps": None}, "window_steps"),
        (itself, {"window_steps": 2.5}, "window_steps"),
        (components, {"columns": 0}, "columns"),
        (components, {"columns": True}, "columns"),
        (components, {"window": "both"}, "window"),
        (components, {"window": ["summed"]}, "window"),
        (components, {"by_window": {"one step": {"columns": 3}}}, "by_window"),
        (components, {"by_window": {"summed": {"test_r2": 0.5}}}, "by_window.summed.columns"),
        (components, {"by_window": {"lagged": {"columns": 3, "test_r2": "x"}}}, "lagged.test_r2"),
        (components, {"by_window": [1]}, "by_window"),
        (components, {"gain": 0.5}, "gain"),
        (gain, {"value": "0.5"}, "gain.value"),
        (gain, {"value": None}, "gain.value"),
        (gain, {"score": "mean_error"}, "a gain in a score that does not decide"),
        (gain, {"score": 3}, "gain.score"),
        (gain, {"interval": [0.1]}, "gain.interval"),
        (gain, {"interval": [0.1, 0.2, 0.3]}, "gain.interval"),
        (gain, {"interval": ["a", "b"]}, "gain.interval"),
        (null, {"method": "guessed"}, "null.method"),
        (null, {"method": None}, "null.method"),
        (null, {"folds": 1}, "null.folds"),
        (null, {"p": 1.5}, "null.p"),
        (null, {"p_adjusted": -0.1}, "null.p_adjusted"),
        (null, {"p_adjusted": "0.1"}, "null.p_adjusted"),
        (of_velocity, {"null": 0.05}, "velocity.null"),
    ],
)
def test_scores_that_break_their_promises(copy, where, changes, named):
    path = copy / archive.METRICS
    metrics = json.loads(path.read_text())
    where(metrics).update(changes)
    path.write_text(json.dumps(metrics))
    with pytest.raises(GrevyError, match=rf"metrics\.json is damaged \(.*{named}.*\)\. Restore"):
        read_run(copy)


@pytest.mark.parametrize(
    ("where", "key"),
    [
        (itself, "window_steps"), (components, "columns"), (components, "window"),
        (components, "by_window"), (components, "gain"), (gain, "interval"), (null, "folds"),
        (of_velocity, "null"),
    ],
)  # fmt: skip
def test_scores_that_may_be_missing(copy, where, key):
    path = copy / archive.METRICS
    metrics = json.loads(path.read_text())
    del where(metrics)[key]
    path.write_text(json.dumps(metrics))
    assert read_run(copy).metrics == metrics


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("code of a stranger's file was run",))


@pytest.mark.parametrize("name", [archive.LABELS, archive.DECODED, archive.EMBEDDING])
def test_no_code_of_a_file_is_run(copy, name):
    trap = np.array([Trap(), None], dtype=object)
    with (copy / name).open("wb") as stream:
        if name == archive.EMBEDDING:
            pickle.dump(Trap(), stream)
        else:
            np.savez(stream, about=trap, segments=trap, values_0=trap, steps_0=trap)
    with pytest.raises(GrevyError, match="is damaged"):
        read_run(copy)


def rewritten(path, **changes):
    """Change arrays, or entries of the description, of an `.npz` of ours."""
    with np.load(path) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    about = json.loads(found["about"].tobytes())
    if "about" in changes:
        changes.pop("about")(about)
    found["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    with path.open("wb") as stream:
        np.savez(stream, **{**found, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"values_0": np.zeros((299, 2))},
        {"values_0": np.zeros(300)},
        {"values_0": np.full((300, 2), np.nan)},
        {"values_0": np.full((300, 2), "x")},
        {"values_1": np.full(300, np.inf)},
        {"values_2": np.full(300, 4)},
        {"values_2": np.full(300, -1)},
        {"values_2": np.full(300, 0.5)},
        {"segments": np.zeros(3)},
        {"about": lambda about: about["labels"][0].update(kind="other")},
        {"about": lambda about: about["labels"][0].update(unit=3)},
        {"about": lambda about: about["labels"][1].update(period=0)},
        {"about": lambda about: about["labels"][1].update(period="x")},
        {"about": lambda about: about["labels"][2].update(classes=["a"])},
        {"about": lambda about: about.pop("labels")},
        {"about": lambda about: about.update(labels=[1])},
        {"about": lambda about: about.update(sampling_rate=[])},
    ],
)
def test_labels_that_break_their_promises(copy, changes):
    rewritten(copy / archive.LABELS, **changes)
    with pytest.raises(GrevyError, match=r"labels\.npz is damaged"):
        read_run(copy)


@pytest.mark.parametrize(
    "changes",
    [
        {"steps_0": np.arange(3)},
        {"steps_0": np.arange(60) + 241},
        {"steps_0": np.arange(60) - 1},
        {"true_0": np.zeros(60)},
        {"decoded_1": np.zeros((60, 2))},
        {"decoded_2": np.full(60, 4)},
        {"true_2": np.full(60, 0.5)},
        {"about": lambda about: about.update(names=["unknown", "direction", "odour"])},
        {"about": lambda about: about.pop("names")},
    ],
)
def test_decoded_values_that_do_not_fit_their_labels(copy, changes):
    rewritten(copy / archive.DECODED, **changes)
    with pytest.raises(GrevyError, match=r"decoded\.npz is damaged"):
        read_run(copy)


@pytest.mark.parametrize("left_open", ["time_offsets", "folds", "nulls", "seed", "conditional"])
def test_a_setting_that_was_left_open_is_read(tmp_path, left_open):
    folder = write_run(tmp_path / "run", config={left_open: None})
    assert read_run(folder).config[left_open] is None


@pytest.mark.parametrize("shape", [(300,), (300, 2, 2)])
def test_an_embedding_of_another_shape(copy, shape):
    np.save(copy / archive.EMBEDDING, np.zeros(shape, np.float32))
    with pytest.raises(GrevyError, match=r"embedding\.npy is damaged"):
        read_run(copy)


def test_what_is_no_run(tmp_path):
    with pytest.raises(GrevyError, match="holds no finished run"):
        read_run(RunFolder(tmp_path))
