"""The run folder: where each thing lies, written whole or not at all, sealed and verified.

A folder with a manifest is a finished run. The manifest is written last and holds the checksum of
every other file; `verify` compares.
"""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grevy.atomic import WriteError, whole_file
from grevy.errors import GrevyError
from grevy.recording import Array, Recording, data_checksum

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODEL = "models/cebra_model.pt"
CHECKPOINTS = "checkpoints"
EMBEDDING = "embeddings/embedding.npy"
LABELS = "embeddings/labels.npz"
DECODED = "embeddings/decoded.npz"
FIGURE = "figures/embedding_visualization.png"
RESULTS = "logs/experiment_results.jl"
METRICS = "logs/metrics.json"
SUMMARY = "logs/summary.txt"
HISTORY = "logs/history.csv"
CONFIG = "config.yaml"
REPORT = "report.html"
MANIFEST = "manifest.json"
FOLDERS = ("models", "embeddings", "figures", "logs")
# A larger one is none of ours, and is not read into memory.
MANIFEST_BYTES = 2**24


@dataclass(frozen=True)
class RunFolder:
    """A folder that holds, or will hold, one run.

    Attributes
    ----------
    root : Path
    """

    root: Path

    def __truediv__(self, name: str) -> Path:
        return self.root / name

    @property
    def finished(self) -> bool:
        """Whether the folder holds a finished run."""
        return (self.root / MANIFEST).is_file()


def open_folder(root: str | Path, overwrite: bool = False) -> RunFolder:
    """Make the folder of a run and its four subfolders.

    Parameters
    ----------
    root : str or Path
    overwrite : bool
        Whether a finished run in it may be replaced. Its files stay until new ones are written.

    Raises
    ------
    GrevyError
        If the place is a file, cannot be written to, or holds a finished run.
    """
    folder = RunFolder(Path(root))
    try:
        finished = folder.finished
        if overwrite or not finished:
            for name in FOLDERS:
                (folder / name).mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise GrevyError(
            f"--output-dir {root}: {error.filename} is a file, where a folder is needed. Choose "
            f"another place, or move the file away."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or error
        raise GrevyError(
            f"--output-dir {str(root)!r} cannot be made: {reason}. Choose a place that you may "
            f"write to."
        ) from error
    if finished and not overwrite:
        raise GrevyError(
            f"{root} already holds a finished run. Choose another --output-dir, or pass "
            f"--overwrite to replace it."
        )
    if not all(os.access(folder / name, os.W_OK) for name in (".", *FOLDERS)):
        raise GrevyError(f"--output-dir {root} may not be written to. Choose another place.")
    return folder


@contextmanager
def opened(root: str | Path, overwrite: bool = False) -> Iterator[RunFolder]:
    """Open a folder as `open_folder` does; if the block fails, leave no empty folders behind."""
    place = Path(root)
    inside = [place / name for name in FOLDERS]
    made = [path for path in (*inside, place, *place.parents) if not os.path.lexists(path)]
    try:
        yield open_folder(root, overwrite)
    except BaseException:
        for path in made:
            with suppress(OSError, ValueError):  # it holds something, or was never made
                path.rmdir()
        raise


@contextmanager
def writing(folder: RunFolder) -> Iterator[None]:
    """Say what a failed write leaves behind."""
    try:
        yield
    except (WriteError, OSError) as error:
        left = "but it has no manifest and does not count as a finished run; run again."
        if folder.finished:
            left = "and it is a finished run; `grevy report` writes its page."
        raise GrevyError(
            f"{error} Files of {folder.root} written before are intact, {left}"
        ) from error


def unseal(folder: RunFolder) -> None:
    """Remove the manifest of a run that is about to be replaced, and what is read by it alone."""
    for name in (MANIFEST, REPORT, LABELS, DECODED):
        (folder / name).unlink(missing_ok=True)


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
    svg = path.suffix == ".svg"
    metadata = {"Date": None, "Creator": None} if svg else {"Software": None}
    with rc_context({"svg.hashsalt": "grevy"}), whole_file(path) as stream:
        figure.savefig(stream, format=path.suffix[1:], metadata=metadata)


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


def seal(
    folder: RunFolder, recordings: Sequence[Recording], run_id: str, seconds: float | None
) -> None:
    """Write the manifest: checksums of all files and of the input data, versions, platform."""
    files = {name: file_checksum(folder / name) for name in _own_files(folder)}
    manifest = {
        "run_id": run_id,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": seconds,
        "files": files,
        "data": [
            {
                "source": without_home(recording.source),
                "time_steps": len(recording),
                "neurons": recording.n_neurons,
                "sha256": data_checksum([recording]),
            }
            for recording in recordings
        ],
        **environment(),
    }
    _write_manifest(folder, manifest)


def without_home(text: str) -> str:
    """Write paths below the home folder from `~` on: they would tell the user's name."""
    # Not Path.home(), which raises for a user who has none.
    home = os.path.expanduser("~") + os.sep  # noqa: PTH111
    return text.replace(home, f"~{os.sep}")


def add_to_manifest(folder: RunFolder, names: Sequence[str]) -> None:
    """Enter files that were written, or removed, after a run was sealed.

    The checksums of all other files stay as they were, so that a change to them still shows.

    Raises
    ------
    GrevyError
        If the folder holds no finished run.
    """
    manifest = read_manifest(folder)
    files = {name: each for name, each in manifest["files"].items() if name not in names}
    present = [name for name in names if (folder / name).is_file()]
    files |= {name: file_checksum(folder / name) for name in present}
    _write_manifest(folder, {**manifest, "files": files})


def _write_manifest(folder: RunFolder, manifest: Mapping[str, Any]) -> None:
    write_bytes(folder / MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())


def _own_files(folder: RunFolder) -> list[str]:
    """List the files of a run; what else lies in the folder is the user's own business."""
    inside = [path for name in FOLDERS for path in (folder / name).rglob("*")]
    paths = [folder / CONFIG, folder / REPORT, *sorted(inside)]
    return [
        path.relative_to(folder.root).as_posix()
        for path in paths
        if path.is_file() and not path.name.startswith(".")
    ]


def environment() -> dict[str, Any]:
    """Return versions of what computes, the platform, and what else decides about last bits.

    No name of machine or user.
    """
    import platform
    from importlib.metadata import version

    import torch

    from grevy.kernels import instructions

    names = ("grevy", "cebra", "torch", "numpy", "scipy", "scikit-learn", "matplotlib")
    return {
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in names},
        },
        "platform": {"system": platform.system(), "machine": platform.machine()},
        "computing": {"threads": torch.get_num_threads(), "compiled_loops": instructions()},
    }


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_manifest(folder: RunFolder) -> dict[str, Any]:
    """Read the manifest of a finished run.

    Raises
    ------
    GrevyError
        If there is none, or it is damaged.
    """
    if not folder.finished:
        raise GrevyError(
            f"{folder.root} holds no finished run: there is no {MANIFEST}. Give the folder that "
            f"was a run's --output-dir."
        )
    path = folder / MANIFEST
    with suppress(ValueError, KeyError, TypeError, OSError, RecursionError):
        if path.stat().st_size <= MANIFEST_BYTES:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(manifest["files"], dict):
                return dict(manifest)
    raise GrevyError(f"{path} is damaged. Restore it, or make the run again.")


def verify(folder: RunFolder) -> list[str]:
    """Compare a finished run with its manifest.

    Returns
    -------
    list of str
        One line for each file that is missing, changed or new; empty if all is as it was.

    Raises
    ------
    GrevyError
        If the folder holds no finished run.
    """
    files: dict[str, str] = read_manifest(folder)["files"]
    states = {name: _state(folder, name, checksum) for name, checksum in files.items()}
    states |= {name: "not in the manifest" for name in _own_files(folder) if name not in files}
    # A name from a stranger's file may hold codes that play tricks with a terminal.
    return [
        f"{name if name.isprintable() else repr(name)}: {state}"
        for name, state in states.items()
        if state
    ]


def _state(folder: RunFolder, name: str, checksum: str) -> str:
    """Say what has become of a file; nothing if it is as it was."""
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.root.resolve()):
            return "outside the folder, not read"
        if not path.is_file():
            return "missing"
        return "" if file_checksum(path) == checksum else "changed"
    except (OSError, ValueError, RuntimeError) as error:  # a name no file can have; links in a ring
        return f"cannot be read ({error})"
