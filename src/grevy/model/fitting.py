"""What a call of `fit` or `partial_fit` has to do, and how it is done."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cebra.integrations.sklearn.utils as cebra_checks
import numpy as np
import torch
from torch import Tensor

from grevy.data import Recording, data_checksum
from grevy.engine import DivergedError, interruptible, run
from grevy.errors import GrevyError
from grevy.model.assembly import make_training
from grevy.model.checkpoints import Checkpoints, Saver
from grevy.model.history import cut_history, fitted_attributes, keep_history, loss_of
from grevy.model.inputs import gather_recordings
from grevy.model.progress import training_progress
from grevy.model.states import ModelState, adapted_state, continued_state, fresh_state
from grevy.model.validation import Validation, Watch

Callback = Callable[[int, Any], None]


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


@dataclass(frozen=True, eq=False)
class Task:
    """Steps to train, on what, from where on.

    Attributes
    ----------
    state : ModelState
    recordings : tuple of Recording
    y : sequence
        The labels as they were given.
    hook : Hook
    first : int
        Steps trained before.
    n_steps : int
    saver : Saver or None
    validation : Validation or None
    seen : sequence of (int, float)
        Steps and losses on the validation segments before.
    """

    state: ModelState
    recordings: tuple[Recording, ...]
    y: Sequence[Any]
    hook: Hook
    first: int
    n_steps: int
    saver: Saver | None = None
    validation: Validation | None = None
    seen: Sequence[tuple[int, float]] = ()


def task_of_fit(
    estimator: Any,
    X: Any,
    y: Sequence[Any],
    hook: Hook,
    *,
    adapt: bool,
    segments: Any,
    checkpoints: Checkpoints | None,
    resume: bool,
    validation: Validation | None,
) -> Task:
    """Begin with a new model, a checkpoint, or the fitted model for other neurons.

    Parameters and errors as in `CEBRA.fit`; the estimator is not changed.
    """
    if resume and checkpoints is None:
        raise GrevyError("resume was given without checkpoints. Give both, or drop resume.")
    recordings, several = gather_recordings(X, y, segments)
    if adapt and cebra_checks.check_fitted(estimator):
        if checkpoints is not None or validation is not None:
            raise GrevyError("adapt takes neither checkpoints nor validation. Drop them.")
        state = adapted_state(estimator, recordings, several)
        return Task(state, recordings, y, hook, 0, estimator.max_adapt_iterations)
    saver = None
    if checkpoints is not None:
        saver = Saver(checkpoints, data_checksum(recordings), resume)
    loaded = saver.newest(estimator) if resume and saver is not None else None
    first, seen = 0, ()
    if loaded is not None:
        state = ModelState(loaded.model_, loaded.solver_, several, loaded.device_, loaded.seed_)
        first, seen = loaded.n_steps_, loaded.validation_
    else:
        seed = secrets.randbits(32) if estimator.seed is None else int(estimator.seed)
        state = fresh_state(estimator, recordings, several, seed)
    n_steps = estimator.max_iterations - first
    return Task(state, recordings, y, hook, first, n_steps, saver, validation, seen)


def task_of_partial_fit(
    estimator: Any, X: Any, y: Sequence[Any], hook: Hook, segments: Any
) -> Task:
    """Go on with the model and optimiser of a fitted estimator.

    Parameters and errors as in `CEBRA.partial_fit`.
    """
    recordings, several = gather_recordings(X, y, segments)
    state = continued_state(estimator, recordings, several)
    return Task(state, recordings, y, hook, estimator.n_steps_, estimator.max_iterations)


def train(estimator: Any, task: Task, take_up: Callable[[dict[str, Any]], None]) -> None:
    """Train, and keep the result however training ends.

    Parameters
    ----------
    estimator : CEBRA
        Saved in checkpoints.
    task : Task
    take_up : callable
        Gives the estimator fitted attributes: before each checkpoint, and at the end.
    """
    state, recordings, hook, saver = task.state, task.recordings, task.hook, task.saver
    first, n_steps = task.first, task.n_steps
    training = make_training(estimator, state, recordings)
    watch = Watch(training, recordings, task.validation, task.seen)
    pending: list[Tensor] = []
    done, last = first, first if watch.stalled else first + n_steps

    def keep() -> None:
        keep_history(state.solver, pending)
        cut_history(state.solver, done)
        take_up(
            {
                **fitted_attributes(state, recordings, task.y, done),
                "chance_": training.chance,
                "data_checksum_": saver.data_checksum if saver else None,
                "validation_": [entry for entry in watch.losses if entry[0] <= done],
            }
        )

    state.model.train()
    try:
        with (
            interruptible() as interruption,
            torch.random.fork_rng(),
            training_progress(n_steps, training.chance, bool(estimator.verbose)) as progress,
        ):
            for step, record in run(training, first, last):
                pending.append(record)
                done = step + 1
                progress(done - first, partial(loss_of, record))
                if hook.is_due(step - first):
                    keep_history(state.solver, pending)
                    hook.call(step - first, state.solver)
                stop = watch.after(done)
                if saver is not None and saver.is_due(done):
                    keep()
                    saver.save(estimator)
                interruption.raise_if_requested()
                if stop:
                    break
    except DivergedError as error:
        done = error.step
        raise
    finally:
        keep()
        if saver is not None:
            saver.save_last(estimator)
        for parameter in state.model.parameters():
            parameter.requires_grad_(True)  # `adapt` had frozen some
