"""Everything that is written into a run folder, each file whole or not at all."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grevy.atomic import whole_file
from grevy.data import Array, Recording

if TYPE_CHECKING:
    from matplotlib.figure import Figure

from grevy.archive.folder import DECODED, LABELS, METRICS, RESULTS, RunFolder
from grevy.evaluation import Decoded


def write_bytes(path: Path, contents: bytes) -> None:
    """Write a file, whole or not at all."""
    with whole_file(path) as stream:
        stream.write(contents)


def write_array(path: Path, array: Array) -> None:
    """Write an array as `.npy`."""
    with whole_file(path) as stream:
        np.save(stream, array, allow_pickle=False)


def write_figure(path: Path, figure: "Figure") -> None:
    """Draw a figure into a PNG or SVG file, as the name says."""
    from matplotlib import rc_context

    # No date or software version, no random identifiers: the same run gives the same bytes.
    settings: dict[str, Any] = {"metadata": {"Date": None, "Creator": None}}
    if path.suffix == ".png":
        # Packed in two thirds of the time, and up to a fifth larger, than at the usual level.
        settings = {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 3}}
    with rc_context({"svg.hashsalt": "grevy"}), whole_file(path) as stream:
        figure.savefig(stream, format=path.suffix[1:], **settings)


def write_results(
    folder: RunFolder,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    embedding_shape: Sequence[int],
) -> None:
    """Write the manual's joblib dictionary, and the metrics again as JSON."""
    import joblib

    results = {
        "config": dict(config),
        "metrics": dict(metrics),
        "embedding_shape": tuple(embedding_shape),
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with whole_file(folder / RESULTS) as stream:
        joblib.dump(results, stream)
    write_bytes(folder / METRICS, (json.dumps(metrics, indent=2) + "\n").encode())


def write_history(path: Path, log: Mapping[str, Sequence[float]]) -> None:
    """Write `cebra`'s training log as CSV: step, loss, positive, negative, temperature."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["step", "loss", "positive", "negative", "temperature"])
    columns = (log["total"], log["pos"], log["neg"], log["temperature"])
    rows.writerows([step, *row] for step, row in enumerate(zip(*columns, strict=True)))
    write_bytes(path, text.getvalue().encode())


def write_labels(folder: RunFolder, recording: Recording) -> None:
    """Write labels, segments, sampling rate and times, as ``embeddings/labels.npz``."""
    about = {
        "sampling_rate": recording.sampling_rate,
        "labels": [
            {
                "name": label.name,
                "kind": label.kind,
                "period": label.period,
                "classes": list(label.classes),
                "unit": label.unit,
            }
            for label in recording.labels
        ],
    }
    values = {f"values_{i}": label.values for i, label in enumerate(recording.labels)}
    times = {} if recording.times is None else {"times": recording.times}
    _write(folder / LABELS, about, {"segments": recording.segments, **times, **values})


def write_decoded(folder: RunFolder, decoded: Mapping[str, Decoded]) -> None:
    """Write what was decoded on held-out steps, as ``embeddings/decoded.npz``.

    Parameters
    ----------
    folder : RunFolder
    decoded : mapping of str to Decoded
        By the name of the label. May be empty.
    """
    arrays = {}
    for i, each in enumerate(decoded.values()):
        arrays[f"steps_{i}"] = np.asarray(each.steps, dtype=np.int64)
        arrays[f"true_{i}"] = np.asarray(each.true)
        arrays[f"decoded_{i}"] = np.asarray(each.decoded)
    _write(folder / DECODED, {"names": list(decoded)}, arrays)


def _write(path: Path, about: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    text = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    with whole_file(path) as stream:
        np.savez_compressed(stream, about=text, **arrays)  # type: ignore[arg-type]
