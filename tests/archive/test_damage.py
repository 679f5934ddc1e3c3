"""Run folders damaged at random end in a message that names the file, or are read as ever."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from archived_runs import held_out, made_folds, made_labels, made_metrics, write_run
from grevy import archive
from grevy.archive import RunFolder, read_run
from grevy.errors import GrevyError
from grevy.report import describe_metrics, report_html
from grevy.runs import EvaluationRequest, evaluate_target

NAMES = [
    archive.CONFIG, archive.MANIFEST, archive.METRICS, archive.HISTORY, archive.EMBEDDING,
    archive.LABELS, archive.DECODED,
]  # fmt: skip
LENGTH = 120


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    labels = made_labels(LENGTH)
    metrics = made_metrics(labels, held_out(LENGTH), p_adjusted=2 / 51)
    without_p = list(metrics["scores"])[1]
    del metrics["scores"][without_p]["null"]
    metrics["scores"][without_p]["no_p"] = "it is too slow."
    umap = {**metrics["scores"]["odour"]["blocked"]["raw"], "columns": 3}
    metrics["scores"]["odour"]["blocked"]["umap"] = umap
    metrics["folds"] = {label.name: made_folds(label.kind, [0.5, 0.6]) for label in labels}
    root = tmp_path_factory.mktemp("runs") / "run"
    settings = {"nulls": 0, "model_architecture": "offset1-model", "time_offsets": [1]}
    return write_run(root, labels, length=LENGTH, steps=30, metrics=metrics, config=settings)


def flipped(whole, rng):
    """Change some bytes, cut the end off, or both."""
    content = bytearray(whole)
    if rng.random() < 0.2:
        del content[int(rng.integers(len(content))) :]
    for place in rng.integers(0, max(len(content), 1), int(rng.integers(1, 6))):
        if place < len(content):
            content[place] = int(rng.choice([0, 255, 48, 45, rng.integers(256)]))
    return bytes(content)


ODD = [None, True, "", "x", "1e999", -1, 0, 10**30, 0.5, [], {}, [[]], ["x"], {"x": 1}, [1, "x"]]
ODD += [float("nan"), float("inf"), -1e300, "\N{GRINNING FACE}" * 300, [None, None], [0.1, 0.2]]


def misfit(found, rng):
    """Put something of another kind in the place of one value, or take it away."""
    places = [(found, key) for key in (found if isinstance(found, dict) else range(len(found)))]
    for holder, key in places:
        inner = holder[key]
        if isinstance(inner, dict | list):
            keys = list(inner) if isinstance(inner, dict) else range(min(len(inner), 4))
            places += [(inner, each) for each in keys]
    holder, key = places[int(rng.integers(len(places)))]
    if rng.random() < 0.2:
        del holder[key]
    else:
        holder[key] = ODD[int(rng.integers(len(ODD)))]
    return found


def misfit_arrays(path, rng):
    """Change one array of an `.npz`, or the description in it."""
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    name = list(arrays)[int(rng.integers(len(arrays)))]
    if name == "about":
        about = misfit(json.loads(arrays["about"].tobytes()), rng)
        arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    else:
        other = arrays[name]
        choices = [
            other[:-1], other.reshape(-1), other[None], other.astype("U"), other.astype("f4"),
            other.astype("c16"), np.full_like(other, -1), other[:0], np.array(3), other * 1000,
            np.where(other == other.flat[0], np.nan, other), other.astype("i8"), other > 0,
            np.zeros((len(other), 0)), np.full(other.shape, 1e300),
        ]  # fmt: skip
        arrays[name] = choices[int(rng.integers(len(choices)))]
    np.savez(path, **arrays)


def damage(path, rng):
    if rng.random() < 0.4:
        path.write_bytes(flipped(path.read_bytes(), rng))
    elif path.suffix == ".json":
        path.write_text(json.dumps(misfit(json.loads(path.read_text()), rng)))
    elif path.suffix == ".npz":
        misfit_arrays(path, rng)
    elif path.suffix == ".npy":
        shapes = [(LENGTH,), (LENGTH, 0), (LENGTH + 1, 3), (LENGTH, 3, 1), (0, 3), (LENGTH, 1)]
        fill = rng.choice([0, np.nan, np.inf, 1e30])
        np.save(
            path, np.full(shapes[int(rng.integers(len(shapes)))], fill, rng.choice(["f4", "f8"]))
        )
    elif path.suffix == ".yaml":
        lines = path.read_text().splitlines()
        place = int(rng.integers(len(lines)))
        odd = json.dumps(ODD[int(rng.integers(len(ODD)))])
        lines[place] = f"{lines[place].split(':')[0]}: {odd}"
        path.write_text("\n".join(lines))
    else:
        rows = path.read_text().splitlines()
        rows[int(rng.integers(len(rows)))] = rng.choice(
            ["", "x", "1,2", "nan,inf,,,", "1,1,1,1,1,1"]
        )
        path.write_text("\n".join(rows))


def use(copy, evaluated):
    """Do what users do with a run folder; return what was said of it."""
    said = []

    def attempt(action):
        try:
            return action()
        except GrevyError as error:
            said.append(str(error))
            return None

    attempt(lambda: archive.verify(copy))
    run = attempt(lambda: read_run(copy))
    if run is not None:
        report_html(run)
        describe_metrics(run.metrics)
        if evaluated:
            request = EvaluationRequest(
                copy.root, None, None, (), None, False, None, None, 0, 0, False, 0
            )
            attempt(lambda: evaluate_target(request))
    return said


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("count", "evaluated", "seed"),
    [
        (350, False, 0),
        (20, True, 1),
        *[pytest.param(3000, False, seed, marks=pytest.mark.slow) for seed in (2, 3)],
        pytest.param(500, True, 4, marks=pytest.mark.slow),
    ],
)
def test_no_damage_makes_a_traceback(finished, tmp_path, count, evaluated, seed):
    assert use(finished, evaluated) == []
    rng = np.random.default_rng(seed)
    read = 0
    for number in range(count):
        copy = RunFolder(Path(shutil.copytree(finished.root, tmp_path / "copy")))
        name = NAMES[number % len(NAMES)]
        damage(copy / name, rng)
        try:
            said = use(copy, evaluated)
        except Exception as error:
            kept = shutil.copytree(copy.root, tmp_path / "kept")
            raise AssertionError(f"damage {number} to {name}: {error!r}; {kept}") from error
        known = (str(tmp_path), "setting", "cannot be made")  # a model of absurd size
        assert all(any(word in message for word in known) for message in said), said
        read += not said
        shutil.rmtree(copy.root)
    assert 0.05 * count < read < 0.95 * count
