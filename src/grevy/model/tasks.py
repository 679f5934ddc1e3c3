"""What a call of `fit` or `partial_fit` has to do."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grevy.data import Recording, data_checksum
from grevy.engine import receptive_field
from grevy.errors import GrevyError
from grevy.model.checkpoints import Checkpoints, Saver
from grevy.model.fitted import Fitted
from grevy.model.inputs import gather_recordings, prepared_alike
from grevy.model.parameters import Parameters
from grevy.model.states import ModelState, adapted_state, continued_state, fresh_state
from grevy.model.validation import Validation

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
    parameters : Parameters
    state : ModelState
    recordings : tuple of Recording
    y : sequence
        The labels as they were given.
    first : int
        Steps trained before.
    n_steps : int
    hook : Hook
    saver : Saver or None
    validation : Validation or None
    seen : sequence of (int, float)
        Steps and losses on the validation segments before.
    """

    parameters: Parameters
    state: ModelState
    recordings: tuple[Recording, ...]
    y: Sequence[Any]
    first: int
    n_steps: int
    hook: Hook = Hook(None, None)
    saver: Saver | None = None
    validation: Validation | None = None
    seen: Sequence[tuple[int, float]] = ()


def task_of_fit(
    parameters: Parameters,
    recordings: tuple[Recording, ...],
    several: bool,
    y: Sequence[Any],
    hook: Hook,
    *,
    checkpoints: Checkpoints | None,
    resume: bool,
    validation: Validation | None,
) -> Task:
    """Begin with a new model or a checkpoint.

    Parameters and errors as in `CEBRA.fit`; `recordings` and `several` as by `gather_recordings`.
    """
    if resume and checkpoints is None:
        raise GrevyError("resume was given without checkpoints. Give both, or drop resume.")
    saver = None
    if checkpoints is not None:
        saver = Saver(checkpoints, data_checksum(recordings), resume)
    saved = saver.newest(parameters) if resume and saver is not None else None
    if saved is not None:
        state, first, seen = saved.fitted.state, saved.fitted.n_steps, saved.fitted.validation
    else:
        seed = secrets.randbits(32) if parameters.seed is None else int(parameters.seed)
        state, first, seen = fresh_state(parameters, recordings, several, seed), 0, []
    n_steps = parameters.max_iterations - first
    return Task(parameters, state, recordings, y, first, n_steps, hook, saver, validation, seen)


def task_of_adapting(
    parameters: Parameters,
    fitted: Fitted,
    recordings: tuple[Recording, ...],
    several: bool,
    y: Sequence[Any],
    hook: Hook,
) -> Task:
    """Begin with the fitted model for other neurons; errors as in ``CEBRA.fit(adapt=True)``."""
    if (fitted.preparations is None) != all(each.preparation is None for each in recordings):
        before = "as they were recorded" if fitted.preparations is None else "prepared"
        raise GrevyError(
            f"fit(adapt=True): the model was trained on data {before}, these are not. Give the new "
            f"ones alike; grevy.prepare prepares them."
        )
    state = adapted_state(parameters, fitted.state, recordings, several)
    return Task(parameters, state, recordings, y, 0, parameters.max_adapt_iterations, hook)


def task_of_partial_fit(
    parameters: Parameters,
    fitted: Fitted,
    X: Any,
    y: Sequence[Any],
    hook: Hook,
    segments: Any,
) -> Task:
    """Go on with the model and optimiser at hand; errors as in `CEBRA.partial_fit`."""
    recordings, several = gather_recordings(X, y, segments)
    if len(recordings) == len(fitted.encoders):
        recordings = prepared_alike(fitted, recordings)
    if fitted.receptive_field != receptive_field(fitted.encoders[0], parameters.causal):
        raise GrevyError(
            "partial_fit: `causal`, which says where windows lie, was changed after fit. Set it "
            "back, or call fit."
        )
    state = continued_state(parameters, fitted.state, recordings, several)
    first, n_steps = fitted.n_steps, parameters.max_iterations
    return Task(parameters, state, recordings, y, first, n_steps, hook)
