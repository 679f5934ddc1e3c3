"""A training kept on the disk while it goes on, and found again."""

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grevy.engine import resolve_device
from grevy.errors import GrevyError
from grevy.model.files import Saved, pack, read_saved, write_checkpoint
from grevy.model.fitted import Fitted
from grevy.model.parameters import Parameters, time_offsets


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
                f"checkpoints every {self.minutes:g} minutes; expected a positive number."
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
        return sorted(self.folder.glob(f"step_{'[0-9]' * 9}.pt"), reverse=True)

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
                    f"{place} holds a training at step {step}: give `resume=True` to go on, or "
                    f"`overwrite=True` to start anew."
                )

    def prune(self, keep: int = 2) -> None:
        """Remove all but the newest; the folder too if nothing is left."""
        for path in self.newest()[keep:]:
            path.unlink(missing_ok=True)
        if not keep and self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


# Parameters in which a training may differ from the one that it goes on with.
_FREE = frozenset({"device", "verbose", "max_iterations", "max_adapt_iterations"})


class Saver:
    """Writes and finds the checkpoints of one training.

    Parameters
    ----------
    checkpoints : Checkpoints
    data_checksum : str
        Of the data trained on.
    resume : bool
        Keep what an earlier training left there; else it goes once the first one is written.
    """

    def __init__(self, checkpoints: Checkpoints, data_checksum: str, resume: bool) -> None:
        self.checkpoints = checkpoints
        self.data_checksum = data_checksum
        self._written = time.monotonic()
        self._goes_on = resume

    def is_due(self, done: int) -> bool:
        """Tell whether one is to be written after `done` steps."""
        steps, minutes = self.checkpoints.steps, self.checkpoints.minutes
        by_steps = steps is not None and done % steps == 0
        return by_steps or (
            minutes is not None and time.monotonic() - self._written >= 60 * minutes
        )

    def save(self, parameters: Parameters, fitted: Fitted) -> None:
        """Write one."""
        if not self._goes_on:  # what is left of a training that is now started over
            self.checkpoints.prune(keep=0)
            self._goes_on = True
        contents = pack(parameters.given, fitted)
        write_checkpoint(contents, self.checkpoints.path(fitted.n_steps))
        self.checkpoints.prune()
        self._written = time.monotonic()

    def save_last(self, parameters: Parameters, fitted: Fitted) -> None:
        """Save as the training ends, for whatever reason: a failure must not hide the reason."""
        try:
            self.save(parameters, fitted)
        except GrevyError as error:
            warnings.warn(f"no checkpoint could be kept: {error}", stacklevel=2)

    def newest(self, parameters: Parameters) -> Saved | None:
        """Load the newest whole checkpoint, if there is one.

        Raises
        ------
        GrevyError
            If it is of another training than the one that is about to be done, or beyond it.
        """
        for path in self.checkpoints.newest():
            try:
                saved = read_saved(path, resolve_device(parameters.device))
            except GrevyError:
                continue  # cut off while it was written elsewhere, or damaged: take the one before
            other = _differing(parameters, saved.parameters)
            if other or saved.fitted.data_checksum != self.data_checksum:
                what = ", ".join(other) or "the data"
                raise GrevyError(
                    f"the checkpoint {path} is of another training: it differs in {what}. Resume "
                    f"with the same settings and data, or start without resume."
                )
            if saved.fitted.n_steps > parameters.max_iterations:
                raise GrevyError(
                    f"the checkpoint {path} has {saved.fitted.n_steps} steps already, more than "
                    f"max_iterations={parameters.max_iterations}. Ask for as many or more, or "
                    f"start without resume."
                )
            return saved
        return None


def _differing(parameters: Parameters, saved: Mapping[str, Any]) -> list[str]:
    """List the parameters that matter and are not the same."""
    mine, theirs = dict(parameters.given), dict(saved)
    for each in (mine, theirs):  # one offset alone, a list and an array are all the same
        each["time_offsets"] = time_offsets(each["time_offsets"])
    free = _FREE | ({"seed"} if parameters.seed is None else set())
    return [name for name in mine if name not in free and mine[name] != theirs[name]]
