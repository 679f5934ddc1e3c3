"""An archived run, read back: what a report or a comparison needs, and nothing that runs code.

Labels and decoded values are kept as plain arrays beside the embedding. Names and classes are JSON
text inside the same files, so that no name, however hostile, becomes a path or a pickle.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grevy.archive.folder import (
    CONFIG,
    DECODED,
    EMBEDDING,
    HISTORY,
    LABELS,
    MANIFEST,
    METRICS,
    RunFolder,
)
from grevy.archive.manifest import read_manifest
from grevy.archive.schema import Metrics, checked, checked_settings
from grevy.config import read_config
from grevy.data import (
    LARGEST,
    TAU,
    Array,
    FloatArray,
    IntArray,
    Label,
    checked_runs,
    open_arrays,
    read_array,
    read_selection,
    require_file,
    steps_inside,
)
from grevy.errors import GrevyError, Problems
from grevy.evaluation import Decoded

# A larger JSON or CSV file is none of ours, and is not read into memory.
TEXT_BYTES, TABLE_BYTES = 2**26, 2**30


@dataclass(frozen=True, eq=False)
class ArchivedRun:
    """A finished run as its folder holds it.

    Attributes
    ----------
    folder : RunFolder
    config, metrics, manifest : dict
        As in ``config.yaml``, ``logs/metrics.json`` and ``manifest.json``.
    embedding : ndarray of shape (T, D), float32
        NaN at steps outside every segment.
    labels : tuple of Label
        Each of length T; empty for a run without labels.
    segments : ndarray of shape (S, 2)
        Half-open runs [start, stop).
    sampling_rate : float or None
        In Hz.
    decoded : dict of str to Decoded
        By the name of the label.
    history : dict of str to ndarray of shape (steps,)
        The columns of ``logs/history.csv``: step, loss, positive, negative, temperature.
    times : ndarray of shape (T,) or None
        Of each step, in seconds, where the data have a clock.
    """

    folder: RunFolder
    config: dict[str, Any]
    metrics: dict[str, Any]
    manifest: dict[str, Any]
    embedding: Array
    labels: tuple[Label, ...]
    segments: IntArray
    sampling_rate: float | None
    decoded: dict[str, Decoded]
    history: dict[str, FloatArray]
    times: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a finished run says of itself in words and numbers, without any array.

    Attributes
    ----------
    folder : RunFolder
    config, metrics, manifest : dict
        As in `ArchivedRun`.
    """

    folder: RunFolder
    config: dict[str, Any]
    metrics: dict[str, Any]
    manifest: dict[str, Any]


def read_outcome(folder: RunFolder) -> Outcome:
    """Read settings, metrics and manifest of a finished run, and leave its arrays where they are.

    Raises
    ------
    GrevyError
        If the folder holds no finished run, or one of the three files is missing or damaged.
    """
    manifest = read_manifest(folder)
    config = _read_config(folder / CONFIG)
    return Outcome(folder, config, _read_metrics(folder / METRICS), manifest)


def read_history(folder: RunFolder) -> dict[str, FloatArray]:
    """Read the losses of a run's training.

    Returns
    -------
    dict of str to ndarray of shape (steps,)
        ``step``, ``loss`` and its parts.

    Raises
    ------
    GrevyError
        If the file is missing or damaged.
    """
    return _read_history(folder / HISTORY)


def read_decoded(folder: RunFolder) -> tuple[dict[str, Label], dict[str, Decoded]]:
    """Read the labels of a finished run, and what was decoded of them on held-out steps.

    Returns
    -------
    tuple of dict
        Labels and decoded values, each by the name of the label; empty for a run of arrays that
        nobody named, and without decoded values if nothing was held out.

    Raises
    ------
    GrevyError
        If the folder holds no finished run, or one of the files is missing or damaged.
    """
    steps = sum(each["time_steps"] for each in read_manifest(folder)["data"])
    labels = _read_labels(folder / LABELS, steps)[0] if steps else ()
    return {label.name: label for label in labels}, _read_decoded(folder / DECODED, labels)


def read_label_notes(folder: RunFolder) -> dict[str, tuple[str, str, float]]:
    """Read kind, unit and period of each label of a finished run, and leave its values be.

    Raises
    ------
    GrevyError
        If the file is missing or damaged.
    """
    path = folder / LABELS
    with _whole(path):
        about = json.loads(read_selection(path, open_arrays(path), "about").tobytes())
        return {
            _text(each["name"]): (_text(each["kind"]), _text(each["unit"]), float(each["period"]))
            for each in about["labels"]
        }


def read_run(folder: RunFolder) -> ArchivedRun:
    """Read a finished run back.

    Raises
    ------
    GrevyError
        If the folder holds no finished run, or one of its files is missing or damaged.
    """
    outcome = read_outcome(folder)
    config, metrics, manifest = outcome.config, outcome.metrics, outcome.manifest
    embedding = _read_embedding(folder / EMBEDDING)
    steps = len(embedding)
    labels: tuple[Label, ...] = ()
    segments, rate, times = np.array([[0, steps]], dtype=np.int64), None, None
    if manifest["data"]:  # else arrays that nobody named
        _check_length(folder / EMBEDDING, steps, manifest)
        labels, segments, rate, times = _read_labels(folder / LABELS, steps)
    with _whole(folder / EMBEDDING):
        if not np.isfinite(embedding[steps_inside(segments)]).all():
            raise ValueError("values within segments that are not finite")
    _check_names(folder / METRICS, metrics, labels)
    return ArchivedRun(
        folder, config, metrics, manifest, embedding, labels, segments, rate,
        decoded=_read_decoded(folder / DECODED, labels),
        history=_read_history(folder / HISTORY),
        times=times,
    )  # fmt: skip


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Say which file it was that could not be read."""
    require_file(path)
    if not path.exists():
        raise GrevyError(f"{path} is missing. Restore it, or make the run again.")
    try:
        yield path
    except (
        OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError,
        OverflowError, MemoryError,
    ) as error:  # fmt: skip
        reason = " ".join(str(error).replace(str(path), path.name).split())[:200]
        raise GrevyError(
            f"{path} is damaged ({reason}). Restore it, or make the run again."
        ) from error


def _read_config(path: Path) -> dict[str, Any]:
    """Read the settings of a run; a script of the user's may have named some of its own."""
    with _whole(path):
        return checked_settings(read_config(path, trust=True))  # nothing is done with it here


def _read_metrics(path: Path) -> dict[str, Any]:
    with _whole(path):
        if path.stat().st_size > TEXT_BYTES:
            raise ValueError("too large")
        return checked(Metrics, json.loads(path.read_text(encoding="utf-8")))


def read_metrics(folder: RunFolder) -> dict[str, Any]:
    """Read the metrics of a run alone.

    Raises
    ------
    GrevyError
        If the file is missing or damaged.
    """
    return _read_metrics(folder / METRICS)


def _check_names(path: Path, metrics: Mapping[str, Any], labels: tuple[Label, ...]) -> None:
    """Check that each label was scored as what it is."""
    kinds = {label.name: label.kind for label in labels}
    with _whole(path):
        for name, scores in metrics.get("scores", {}).items():
            if kinds.get(name, scores["kind"]) != scores["kind"]:
                raise ValueError(f"{scores['kind']} scores of a {kinds[name]} label")


def _check_length(path: Path, steps: int, manifest: Mapping[str, Any]) -> None:
    told = sum(each["time_steps"] for each in manifest["data"])
    with _whole(path):
        if steps != told:
            raise ValueError(f"{steps} time steps, where {MANIFEST} tells of {told}")


def _read_embedding(path: Path) -> Array:
    with _whole(path):
        embedding = np.array(read_array(path, "data"))
        if embedding.ndim != 2 or embedding.dtype.kind != "f" or 0 in embedding.shape:
            raise ValueError(f"{embedding.dtype} of shape {embedding.shape}")
    return embedding


def _read_arrays(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read an archive of arrays, and the description in it."""
    entries = open_arrays(path)
    arrays = {key: read_selection(path, entries, key) for key in entries}
    return dict(json.loads(arrays.pop("about").tobytes())), arrays


def _read_labels(
    path: Path, length: int
) -> tuple[tuple[Label, ...], IntArray, float | None, FloatArray | None]:
    with _whole(path):
        about, arrays = _read_arrays(path)
        problems = Problems("segments")
        segments = checked_runs(arrays["segments"], length, problems)
        problems.raise_if_any()
        labels = tuple(
            Label(
                str(each["name"]), each["kind"], _values(arrays[f"values_{i}"], each, length),
                period=float(each["period"]), classes=_classes(each["classes"]),
                unit=_text(each["unit"]),
            )
            for i, each in enumerate(about["labels"])
        )  # fmt: skip
        if len({label.name for label in labels}) < len(labels):
            raise ValueError("two labels of one name")
        rate = about["sampling_rate"]
        if rate is not None and not 0 < float(rate) < np.inf:
            raise ValueError("a sampling rate that is none")
        times = arrays.get("times")
        if times is not None and (
            times.shape != (length,) or times.dtype.kind != "f" or not np.isfinite(times).all()
        ):
            raise ValueError("times that are none")
        return labels, segments, None if rate is None else float(rate), times


def _text(found: Any) -> str:
    if not isinstance(found, str):
        raise ValueError(f"{type(found).__name__} in the place of text")
    return found


def _classes(found: Any) -> tuple[Any, ...]:
    """Check that classes differ and are all of one kind: numbers, or texts."""
    classes = tuple(found)
    kinds = {type(each) for each in classes}
    if len(kinds) > 1 or not kinds <= {int, bool, str} or list(classes) != sorted(set(classes)):
        raise ValueError("classes that are none")
    return classes


def _values(values: Array, about: Mapping[str, Any], length: int) -> Array:
    """Check what `Label` promises, for a file that may come from anywhere."""
    kind = about["kind"]
    shapes = {"continuous": 2, "circular": 1, "discrete": 1}
    if not 0 < float(about["period"]) < np.inf:
        raise ValueError("a period that is none")
    if values.ndim != shapes[kind] or len(values) != length or 0 in values.shape:
        raise ValueError(f"values of shape {values.shape} for a {kind} label of {length} steps")
    if kind != "discrete" and (values.dtype.kind != "f" or not np.isfinite(values).all()):
        raise ValueError(f"values of a {kind} label that are no numbers")
    if kind == "continuous" and np.abs(values).max() > LARGEST:
        raise ValueError("values too large")
    if kind == "circular" and not 0 <= values.min() <= values.max() < TAU:
        raise ValueError("angles outside a turn")
    if kind == "discrete" and not _are_codes(values, len(about["classes"])):
        raise ValueError("codes without a class")
    return values


def _are_codes(values: Array, n_classes: int) -> bool:
    if not values.size:
        return True
    return values.dtype.kind in "iu" and 0 <= values.min() <= values.max() < n_classes


def _read_decoded(path: Path, labels: tuple[Label, ...]) -> dict[str, Decoded]:
    if not path.exists() or not labels:  # nothing was held out, or of arrays that nobody named
        return {}
    known = {label.name: label for label in labels}
    with _whole(path):
        about, arrays = _read_arrays(path)
        names = about["names"]
        found = {
            str(name): Decoded(*(arrays[f"{part}_{i}"] for part in ("steps", "true", "decoded")))
            for i, name in enumerate(names)
        }
        for name, each in found.items():
            _check_decoded(each, known[name])
    return found


def _check_decoded(each: Decoded, label: Label) -> None:
    if each.steps.ndim != 1 or each.steps.dtype.kind not in "iu":
        raise ValueError(f"decoded steps of {each.steps.dtype} and shape {each.steps.shape}")
    shape = (len(each.steps), *label.values.shape[1:])
    if each.true.shape != shape or each.decoded.shape != shape:
        raise ValueError(f"decoded values of shape {each.decoded.shape} for {shape}")
    if len(each.steps) and not 0 <= each.steps.min() <= each.steps.max() < len(label):
        raise ValueError("decoded steps outside the recording")
    if label.kind == "discrete":
        for codes in (each.true, each.decoded):
            if not _are_codes(codes, len(label.classes)):
                raise ValueError("decoded codes without a class")
    elif not all(values.dtype.kind == "f" for values in (each.true, each.decoded)):
        raise ValueError("decoded values that are no numbers")
    elif not all(np.isfinite(values).all() for values in (each.true, each.decoded)):
        raise ValueError("decoded values that are not finite")


def _read_history(path: Path) -> dict[str, FloatArray]:
    import pandas as pd

    with _whole(path):
        if path.stat().st_size > TABLE_BYTES:
            raise ValueError("too large")
        table = pd.read_csv(path, dtype=np.float64)
        if "loss" not in table:
            raise ValueError("no column of the loss")
        return {str(name): table[name].to_numpy() for name in table}
