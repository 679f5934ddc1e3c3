"""The run folder: where each thing lies, written whole or not at all, sealed and verified.

A folder with a manifest is a finished run. The manifest is written last and holds the checksum of
every other file; `verify` compares.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from grevy.atomic import WriteError
from grevy.errors import GrevyError

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
        # Unlike Path.is_file, it has an answer for every path, too long or not to be searched.
        return os.path.isfile(self.root / MANIFEST)  # noqa: PTH113


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
            f"`output_dir={root}`: {error.filename} is a file, where a folder is needed. Choose "
            f"another place, or move the file away."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or error
        raise GrevyError(
            f"`output_dir={str(root)!r}` cannot be made: {reason}. Choose a place that you may "
            f"write to."
        ) from error
    if finished and not overwrite:
        raise GrevyError(
            f"{root} already holds a finished run. Choose another `output_dir`, or give "
            f"`overwrite=True` to replace it."
        )
    if not all(os.access(folder / name, os.W_OK) for name in (".", *FOLDERS)):
        raise GrevyError(f"`output_dir={root}` may not be written to. Choose another place.")
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
def guarded(folder: RunFolder) -> Iterator[None]:
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
