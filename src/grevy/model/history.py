"""Beside the steps of a training: callback, checkpoints, history, and the attributes it leaves."""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grevy.checkpoint import Checkpoints
from grevy.errors import GrevyError
from grevy.fitting import ModelState, resolve_device, time_offsets
from grevy.recording import Label, Recording

Callback = Callable[[int, Any], None]

# Parameters in which a training may differ from the one that it goes on with.
_FREE = frozenset({"device", "verbose", "max_iterations", "max_adapt_iterations"})


@dataclass(frozen=True)
class Hook:
    """A user's callback and how often it is called."""

    callback: Callback | None
    frequency: int | None

    def __post_init__(self) -> None:
        if (self.callback is None) != (self.frequency is None):
            given, missing = "callback", "callback_frequency"
            if self.callback is None:
                given, missing = missing, given
            raise GrevyError(f"{given} was given without {missing}. Give both or neither.")
        whole = isinstance(self.frequency, (int, np.integer))
        if self.frequency is not None and not (whole and self.frequency >= 1):
            raise GrevyError(
                f"callback_frequency is {self.frequency!r}; expected a whole number of at least 1."
            )

    def is_due(self, step: int) -> bool:
        """Tell whether the callback is to be called after `step`."""
        return self.frequency is not None and step % self.frequency == 0

    def call(self, step: int, solver: Any) -> None:
        """Call it."""
        if self.callback is not None:
            self.callback(step, solver)


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

    def save(self, estimator: Any) -> None:
        """Write one."""
        if not self._goes_on:  # what is left of a training that is now started over
            self.checkpoints.prune(keep=0)
            self._goes_on = True
        estimator.save(self.checkpoints.path(estimator.n_steps_))
        self.checkpoints.prune()
        self._written = time.monotonic()

    def save_last(self, estimator: Any) -> None:
        """Save as the training ends, for whatever reason: a failure must not hide the reason."""
        try:
            self.save(estimator)
        except GrevyError as error:
            warnings.warn(f"no checkpoint could be kept: {error}", stacklevel=2)

    def newest(self, estimator: Any) -> Any:
        """Load the newest whole checkpoint, if there is one.

        Raises
        ------
        GrevyError
            If it is of another training than the one that `estimator` is about to do, or beyond it.
        """
        for path in self.checkpoints.newest():
            try:
                loaded = type(estimator).load(path, map_location=resolve_device(estimator.device))
            except GrevyError:
                continue  # cut off while it was written elsewhere, or damaged: take the one before
            other = _differing(estimator, loaded)
            if other or loaded.data_checksum_ != self.data_checksum:
                what = ", ".join(other) or "the data"
                raise GrevyError(
                    f"the checkpoint {path} is of another training: it differs in {what}. Resume "
                    f"with the same settings and data, or start without resume."
                )
            if loaded.n_steps_ > estimator.max_iterations:
                raise GrevyError(
                    f"the checkpoint {path} has {loaded.n_steps_} steps already, more than "
                    f"max_iterations={estimator.max_iterations}. Ask for as many or more, or start "
                    f"without resume."
                )
            return loaded
        return None


def _differing(estimator: Any, loaded: Any) -> list[str]:
    """List the parameters that matter and are not the same."""
    mine, theirs = estimator.get_params(), loaded.get_params()
    for parameters in (mine, theirs):  # one offset alone, a list and an array are all the same
        parameters["time_offsets"] = time_offsets(parameters["time_offsets"])
    free = _FREE | ({"seed"} if estimator.seed is None else set())
    return [name for name in mine if name not in free and mine[name] != theirs[name]]


def loss_of(record: Tensor) -> float:
    """Return the total loss of a step's record."""
    return float(record[0])


def keep_history(solver: Any, pending: list[Tensor]) -> None:
    """Move records into the solver's history, where `cebra`'s plots look; empties `pending`."""
    if not pending:
        return
    rows = torch.stack(pending).cpu().tolist()
    pending.clear()
    solver.history.extend(row[0] for row in rows)
    for column, name in enumerate(("total", "pos", "neg", "temperature")):
        solver.log[name].extend(row[column] for row in rows)


def cut_history(solver: Any, steps: int) -> None:
    """Forget what was recorded after `steps` steps, if the model was put back."""
    del solver.history[steps:]
    for values in solver.log.values():
        del values[steps:]


def fitted_attributes(
    state: ModelState, recordings: Sequence[Recording], y: Sequence[Any], n_steps: int
) -> dict[str, Any]:
    """Return the attributes that `cebra` sets after training; the solver learns its sizes."""
    neurons = [recording.n_neurons for recording in recordings]
    solver = state.solver
    solver.n_features = neurons if state.several else neurons[0]
    if state.several:
        solver.num_sessions = len(recordings)
    return {
        "model_": state.model,
        "solver_": solver,
        "solver_name_": solver._variant_name,
        "device_": state.device,
        "offset_": (state.model[0] if state.several else state.model).get_offset(),
        "n_features_": solver.n_features,
        "n_features_in_": solver.n_features,
        "num_sessions_": len(recordings) if state.several else None,
        "label_types_": label_types(recordings, y, state.several),
        "seed_": state.seed,
        "n_steps_": n_steps,
    }


def label_types(recordings: Sequence[Recording], y: Sequence[Any], several: bool) -> list[Any]:
    """Describe labels as `cebra` keeps them: (dtype, shape), for each label, for each recording."""

    def describe(values: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
        array = values.values if isinstance(values, Label) else np.asarray(values)
        plain = array.dtype if array.dtype.kind in "fi" else np.dtype(np.int64)
        return plain, tuple(array.shape)

    if several:
        given = y or list(zip(*(recording.labels for recording in recordings), strict=True))
        return [[describe(values) for values in label] for label in given]
    return [describe(values) for values in (y or recordings[0].labels)]
