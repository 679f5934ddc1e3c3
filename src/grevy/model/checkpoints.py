"""Model files in `cebra`'s format: read without running anybody's code, kept during training."""

import io
import pickle
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grevy.atomic import whole_file
from grevy.errors import GrevyError


@dataclass(frozen=True)
class Checkpoints:
    """Where and how often a training is kept, so that it can go on after it was cut off.

    Attributes
    ----------
    folder : Path
        The last two checkpoints are kept in it; each is a model file like any other.
    minutes : float or None
        Write one whenever so many have passed; None for never by the clock.
    steps : int or None
        Write one after every so many steps; None for never by steps.
    """

    folder: Path
    minutes: float | None = 1.0
    steps: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))  # a string will do
        if self.minutes is not None and not self.minutes > 0:
            raise GrevyError(
                f"checkpoints every {self.minutes} minutes; expected a positive number, or None."
            )
        if self.steps is not None and not self.steps >= 1:
            raise GrevyError(
                f"checkpoints every {self.steps} steps; expected a whole number of at least 1, or "
                f"None."
            )

    def path(self, step: int) -> Path:
        """Return the place of the checkpoint after `step` steps."""
        return self.folder / f"step_{step:09d}.pt"

    def newest(self) -> list[Path]:
        """List the checkpoints, newest first."""
        return sorted(self.folder.glob("step_*.pt"), reverse=True)

    def refuse_unfinished(self, place: object) -> None:
        """Keep a training that was cut off from being replaced unasked.

        Raises
        ------
        GrevyError
            If a checkpoint has any steps; `place` is what the user knows the folder by.
        """
        for path in self.newest()[:1]:
            if step := int(path.stem.removeprefix("step_")):
                raise GrevyError(
                    f"{place} holds a training at step {step}: give --resume to go on, or "
                    f"--overwrite to start anew."
                )

    def prune(self, keep: int = 2) -> None:
        """Remove all but the newest; the folder too if nothing is left."""
        for path in self.newest()[keep:]:
            path.unlink(missing_ok=True)
        if not keep and self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


def write_checkpoint(contents: dict[str, Any], path: Path) -> None:
    """Write a checkpoint, whole or not at all.

    Raises
    ------
    WriteError
        If the place cannot be written to.
    """
    # torch hides what the disk says behind an error of its own, so it writes to memory.
    buffer = io.BytesIO()
    torch.save(contents, buffer)
    with whole_file(path) as stream:
        stream.write(buffer.getbuffer())


def read_checkpoint(path: Path, device: str | None, trust: bool) -> Any:
    """Read a checkpoint of `cebra` or of Grevy.

    Parameters
    ----------
    path : Path
    device : str or None
        Where its tensors go; where they were if None.
    trust : bool
        Allow pickled code to run. Only for files from people you trust.

    Raises
    ------
    GrevyError
        If the file is missing, unreadable, no checkpoint, or holds pickled code without `trust`.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise GrevyError(f"model file {path} {what}. Give the path of a .pt file.")
    try:
        with torch.serialization.safe_globals(_harmless()), warnings.catch_warnings():
            # torch wonders at the protocol of a pickle before it refuses it; one message is enough.
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            return torch.load(path, map_location=device, weights_only=not trust)
    except PermissionError as error:
        raise GrevyError(f"model file {path} cannot be read: {error.strerror}.") from error
    except pickle.UnpicklingError as error:
        if trust or not _is_archive(path):
            raise _broken(path, error) from error
        raise GrevyError(
            f"model file {path} holds pickled Python objects, which can run any code when opened. "
            f"If you trust whoever made it, open it with trust (--trust on the command line, "
            f"weights_only=False in Python)."
        ) from error
    except Exception as error:  # damaged bytes may break torch's reader anywhere, in any way
        raise _broken(path, error) from error


def _is_archive(path: Path) -> bool:
    """Tell a torch archive or an old-style pickle from plain garbage."""
    with path.open("rb") as stream:
        return zipfile.is_zipfile(path) or stream.read(1) == b"\x80"


def _broken(path: Path, error: Exception) -> GrevyError:
    reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else "it is empty"
    return GrevyError(
        f"{path} is no complete model file ({reason}). It may be truncated or something else; "
        f"copy or train it again."
    )


def _harmless() -> list[type | Callable[..., Any] | tuple[Any, str]]:
    """List what a checkpoint may hold beside tensors: plain data of numpy and `cebra`."""
    from cebra.integrations.sklearn.cebra import CEBRA_LOAD_SAFE_GLOBALS

    dtypes = [getattr(np.dtypes, name) for name in dir(np.dtypes) if name.endswith("DType")]
    scalar = np.float64(0).__reduce__()[0]
    return [*CEBRA_LOAD_SAFE_GLOBALS, *dtypes, scalar]
