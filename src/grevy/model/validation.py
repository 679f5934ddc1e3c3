"""The loss on segments kept from training: watched while it goes on, and reason to stop early."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from grevy.data import Recording, make_recording
from grevy.engine import (
    Training,
    batch_gradient,
    draw,
    encode_batch,
    inverse_temperature,
    make_sampler,
)
from grevy.errors import GrevyError

# Batches over whose losses the mean is taken; the same ones every time, so that only the encoder
# makes it change.
BATCHES = 8


@dataclass(frozen=True, eq=False)
class Validation:
    """What to watch while training.

    Attributes
    ----------
    segments : array_like of shape (S, 2)
        Half-open runs [start, stop) of the recording that the training segments leave out; a list
        of them for several recordings. Nothing checks that they are left out.
    every : int
        Steps between two looks; the last step is looked at in any case.
    patience : int, optional
        Stop once so many looks in a row found no loss below the least so far. The weights stay
        those of the last step.
    seen : callable, optional
        Called after each look with the steps trained and the goodness of fit, in bits. What it
        raises ends the training.
    """

    segments: Any
    every: int = 100
    patience: int | None = None
    seen: Callable[[int, float], object] | None = None

    def __post_init__(self) -> None:
        for name in ("every", "patience"):
            value = getattr(self, name)
            optional = name == "patience" and value is None
            if not optional and not (isinstance(value, (int, np.integer)) and value >= 1):
                raise GrevyError(
                    f"validation: {name} is {value!r}; expected a whole number of at least 1."
                )


class Watch:
    """Looks at the validation loss of one training.

    Parameters
    ----------
    training : Training
    recordings : sequence of Recording
    validation : Validation or None
    last : int
        The steps that the training will have.
    seen : sequence of (int, float)
        What was seen before the training was cut off.

    Raises
    ------
    GrevyError
        If the validation segments do not fit the recordings, or are too short.
    """

    def __init__(
        self,
        training: Training,
        recordings: Sequence[Recording],
        validation: Validation | None,
        last: int,
        seen: Sequence[tuple[int, float]] = (),
    ) -> None:
        self._training, self._validation, self._last = training, validation, last
        # What was the last step of a shorter training is none to look at.
        self.losses = [(int(step), float(loss)) for step, loss in seen if self._is_due(step)]
        if validation is None:
            return
        given = [validation.segments] if len(recordings) == 1 else list(validation.segments)
        if len(given) != len(recordings):
            raise GrevyError(
                f"validation: {len(recordings)} recordings but {len(given)} entries of segments."
            )
        apart = [
            replace(recording, segments=make_recording(recording.neural, segments=runs).segments)
            for recording, runs in zip(recordings, given, strict=True)
        ]
        encoder = training.encoder
        try:
            # The encoder has padded copies of short segments of the training alone.
            plan = replace(training.sampler.plan, pad_short=False)
            sampler = make_sampler(apart, encoder.left, encoder.right, plan)
        except GrevyError as error:
            raise GrevyError(f"validation: {error}") from error
        block = draw(sampler, BATCHES, np.random.default_rng(training.seed))
        self._batches = [block.at(number) for number in range(BATCHES)]

    def after(self, done: int) -> bool:
        """Look, if it is time to, after `done` steps; tell whether training should stop."""
        validation = self._validation
        if validation is None or not self._is_due(done):
            return False
        loss = validation_loss(self._training, self._batches)
        self.losses.append((done, loss))
        if validation.seen is not None:
            validation.seen(done, (self._training.chance - loss) / math.log(2))
        return self.stalled

    def _is_due(self, done: int) -> bool:
        every = 1 if self._validation is None else self._validation.every
        return done % every == 0 or done == self._last

    @property
    def stalled(self) -> bool:
        """Whether it is time to stop."""
        patience = None if self._validation is None else self._validation.patience
        return patience is not None and has_stalled([loss for _, loss in self.losses], patience)


@torch.no_grad()
def validation_loss(training: Training, batches: Sequence[Any]) -> float:
    """Return the mean loss of batches, in nats; nothing is dropped or masked."""
    plain = replace(training, masks=())
    modes = [model.training for model in training.encoder.models]
    try:
        for model in training.encoder.models:
            model.eval()
        losses = []
        for batch in batches:
            with training.drawing(training.seed):
                embedded = encode_batch(plain, batch).values
            scale = inverse_temperature(training.criterion, embedded)
            sizes = (len(batch.reference), len(batch.negative))
            loss, _, _ = batch_gradient(embedded, sizes, scale, training.distance)
            losses.append(float(loss.total))
    finally:
        for model, mode in zip(training.encoder.models, modes, strict=True):
            model.train(mode)
    return float(np.mean(losses))


def has_stalled(losses: Sequence[float], patience: int) -> bool:
    """Tell whether none of the last `patience` losses is below all before them."""
    return len(losses) > patience and min(losses[-patience:]) >= min(losses[:-patience])
