"""An archived run, read back: what a report or a comparison needs, and nothing that runs code.

Labels and decoded values are kept as plain arrays beside the embedding. Names and classes are JSON
text inside the same files, so that no name, however hostile, becomes a path or a pickle.
"""

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grevy.archive.folder import CONFIG, DECODED, EMBEDDING, HISTORY, LABELS, METRICS, RunFolder
from grevy.archive.manifest import read_manifest
from grevy.config import read_config
from grevy.data import Array, FloatArray, IntArray, Label, require_file
from grevy.errors import GrevyError
from grevy.evaluation import Decoded

# A larger JSON or CSV file is none of ours, and is not read into memory.
TEXT_BYTES = 2**30


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
        Each of length T; empty for a run that was archived before labels were.
    segments : ndarray of shape (S, 2)
        Half-open runs [start, stop).
    sampling_rate : float or None
        In Hz.
    decoded : dict of str to Decoded
        By the name of the label.
    history : dict of str to ndarray of shape (steps,)
        The columns of ``logs/history.csv``: step, loss, positive, negative, temperature.
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


def read_run(folder: RunFolder) -> ArchivedRun:
    """Read a finished run back.

    Raises
    ------
    GrevyError
        If the folder holds no finished run, or one of its files is missing or damaged.
    """
    manifest = read_manifest(folder)
    config = read_config(folder / CONFIG, trust=True)  # nothing is done with it here
    metrics = _read_metrics(folder / METRICS)
    with _whole(folder / EMBEDDING) as path:
        embedding = np.load(path, allow_pickle=False)
        if embedding.ndim != 2 or embedding.dtype.kind != "f":
            raise ValueError(f"{embedding.dtype} of shape {embedding.shape}")
    labels, segments, rate = _read_labels(folder / LABELS, len(embedding))
    return ArchivedRun(
        folder, config, metrics, manifest, embedding, labels, segments, rate,
        decoded=_read_decoded(folder / DECODED, labels),
        history=_read_history(folder / HISTORY),
    )  # fmt: skip


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Say which file it was that could not be read."""
    require_file(path)
    try:
        yield path
    except FileNotFoundError as error:
        raise GrevyError(f"{path} is missing. Restore it, or make the run again.") from error
    except (
        OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError,
        zipfile.BadZipFile, EOFError,
    ) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:200]
        raise GrevyError(
            f"{path} is damaged ({reason}). Restore it, or make the run again."
        ) from error


def _read_metrics(path: Path) -> dict[str, Any]:
    with _whole(path):
        if path.stat().st_size > TEXT_BYTES:
            raise ValueError("too large")
        return dict(json.loads(path.read_text(encoding="utf-8")))


def _read_labels(path: Path, length: int) -> tuple[tuple[Label, ...], IntArray, float | None]:
    if not path.exists():  # archived before labels were
        return (), np.array([[0, length]], dtype=np.int64), None
    with _whole(path), np.load(path, allow_pickle=False) as arrays:
        about = json.loads(arrays["about"].tobytes())
        segments = arrays["segments"].astype(np.int64).reshape(-1, 2)
        labels = tuple(
            Label(
                str(each["name"]), each["kind"], _values(arrays[f"values_{i}"], each, length),
                period=float(each["period"]), classes=tuple(each["classes"]),
            )
            for i, each in enumerate(about["labels"])
        )  # fmt: skip
        rate = about["sampling_rate"]
        return labels, segments, None if rate is None else float(rate)


def _values(values: Array, about: Mapping[str, Any], length: int) -> Array:
    """Check what `Label` promises, for a file that may come from anywhere."""
    kind = about["kind"]
    shapes = {"continuous": 2, "circular": 1, "discrete": 1}
    if not 0 < float(about["period"]) < np.inf:
        raise ValueError("a period that is none")
    if values.ndim != shapes[kind] or len(values) != length or not np.isfinite(values).all():
        raise ValueError(f"values of shape {values.shape} for a {kind} label of {length} steps")
    if kind == "discrete" and not _are_codes(values, len(about["classes"])):
        raise ValueError("codes without a class")
    return values


def _are_codes(values: Array, n_classes: int) -> bool:
    if not values.size:
        return True
    return values.dtype.kind in "iu" and 0 <= values.min() <= values.max() < n_classes


def _read_decoded(path: Path, labels: tuple[Label, ...]) -> dict[str, Decoded]:
    if not path.exists() or not labels:
        return {}
    known = {label.name: label for label in labels}
    with _whole(path), np.load(path, allow_pickle=False) as arrays:
        names = json.loads(arrays["about"].tobytes())["names"]
        found = {
            str(name): Decoded(*(arrays[f"{part}_{i}"] for part in ("steps", "true", "decoded")))
            for i, name in enumerate(names)
        }
        for name, each in found.items():
            _check_decoded(each, known[name])
    return found


def _check_decoded(each: Decoded, label: Label) -> None:
    shape = (len(each.steps), *label.values.shape[1:])
    if each.true.shape != shape or each.decoded.shape != shape:
        raise ValueError(f"decoded values of shape {each.decoded.shape} for {shape}")
    if len(each.steps) and not 0 <= each.steps.min() <= each.steps.max() < len(label):
        raise ValueError("decoded steps outside the recording")
    if label.kind == "discrete":
        for codes in (each.true, each.decoded):
            if not _are_codes(codes, len(label.classes)):
                raise ValueError("decoded codes without a class")


def _read_history(path: Path) -> dict[str, FloatArray]:
    import pandas as pd

    with _whole(path):
        if path.stat().st_size > TEXT_BYTES:
            raise ValueError("too large")
        table = pd.read_csv(path, dtype=np.float64)
        if "loss" not in table:
            raise ValueError("no column of the loss")
        return {str(name): table[name].to_numpy() for name in table}
