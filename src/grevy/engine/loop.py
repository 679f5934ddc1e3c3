"""The training loop: draw, encode, loss, step, record.

What a step draws depends on the seed and the number of the step alone: the steps of one block
share one generator, seeded by both. A training that stops after any step and goes on from there
therefore meets the same batches as one that never stopped, and no generator has to be saved.
"""

import copy
import math
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grevy.engine.cuda_graph import CudaGraph
from grevy.engine.forking import will_compute
from grevy.engine.kernels.library import warn_if_absent
from grevy.engine.sampling.drawing import draw
from grevy.engine.sampling.plan import Batches, Sampler
from grevy.engine.step import Training, can_be_captured, stepper, trained_parameters
from grevy.errors import GrevyError

# Steps whose indices are drawn together: few enough to start at once, many enough to amortise.
BLOCK = 64
# Streams of random numbers that one seed gives.
_WEIGHTS, _BATCHES, _STEPS = range(3)


class DivergedError(GrevyError):
    """The loss is no longer a finite number; the model has been put back to `step`.

    Attributes
    ----------
    step : int
        Steps that the model has after it was put back.
    """

    def __init__(self, at: int, step: int, training: Training) -> None:
        rate = training.optimizer.param_groups[0]["lr"]
        super().__init__(
            f"the loss is not a finite number at step {at}. The likely cause is a learning rate "
            f"that is too high ({rate:g}), a temperature that is too low "
            f"({training.criterion.temperature:g}), or neural data of very large values. The model "
            f"is put back to step {step}."
        )
        self.step = step


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Weights that were seen to give a finite loss, and the optimiser's state with them."""

    step: int
    weights: tuple[Tensor, ...]
    states: tuple[dict[str, Any], ...]

    @staticmethod
    def take(step: int, optimizer: torch.optim.Optimizer) -> "Snapshot":
        """Copy the state before the update of `step`."""
        parameters = trained_parameters(optimizer)
        weights = tuple(parameter.detach().clone() for parameter in parameters)
        states = tuple(copy.deepcopy(optimizer.state.get(p, {})) for p in parameters)
        return Snapshot(step, weights, states)

    def put_back(self, optimizer: torch.optim.Optimizer) -> None:
        """Undo everything since the snapshot, which is then used up."""
        optimizer.state.clear()
        with torch.no_grad():
            for number, parameter in enumerate(trained_parameters(optimizer)):
                parameter.copy_(self.weights[number])
                if self.states[number]:
                    optimizer.state[parameter] = self.states[number]


def weights_seed(seed: int) -> int:
    """Return the seed of the initial weights."""
    return _derived(seed, _WEIGHTS)


def _derived(seed: int, stream: int) -> int:
    return int(np.random.SeedSequence(seed, spawn_key=(stream,)).generate_state(1)[0])


def run(training: Training, first: int, last: int) -> Generator[tuple[int, Tensor], None, None]:
    """Train from step `first` up to step `last`.

    Parameters
    ----------
    training : Training
    first, last : int
        Counted over the whole life of the model.

    Yields
    ------
    step : int
    record : Tensor of shape (4,)
        Total loss, its positive and its negative part, and the temperature; on the training's
        device, so that nothing waits for it.

    Raises
    ------
    DivergedError
        If the loss is no longer finite.
    """
    will_compute()
    noise = _derived(training.seed, _STEPS)
    device = training.encoder.neural[0].device
    if device.type == "cpu":
        warn_if_absent()
    step_with = stepper(training, CudaGraph(device) if can_be_captured(training) else None)
    snapshot = Snapshot.take(first, training.optimizer)
    # Steps on a CPU keep all its cores busy; those on a GPU leave them time to draw the next.
    ahead = device.type != "cpu"
    with closing(batches(training.sampler, training.seed, first, last, ahead)) as drawn:
        for step, batch in drawn:
            # To look at the loss makes a GPU wait: there only now and then, and at the end.
            looked = step % BLOCK == 0 or step == last - 1 or device.type != "cuda"
            before = Snapshot.take(step, training.optimizer) if step % BLOCK == 0 else snapshot
            with training.drawing(noise + step):
                record = step_with(batch, noise + step)
            if looked:
                if not math.isfinite(record[0].item()):
                    snapshot.put_back(training.optimizer)
                    raise DivergedError(step, snapshot.step, training)
                snapshot = before
            yield step, record


def batches(
    sampler: Sampler, seed: int, first: int, last: int, ahead: bool = False
) -> Generator[tuple[int, Batches], None, None]:
    """Yield (step, its batch) for steps `first` to `last`, drawn block by block.

    With `ahead`, a block is drawn in another thread while the steps of the one before run.
    """
    # Whole-data training has large batches: each step is a block of its own.
    length = 1 if sampler.plan.batch_size is None else BLOCK
    numbers = range(first // length, -(-last // length))
    make = partial(_draw_block, sampler, seed, length)
    with closing(made_ahead(make, numbers) if ahead else (make(n) for n in numbers)) as blocks:
        for number, block in zip(numbers, blocks, strict=True):
            for step in range(max(first, number * length), min(last, (number + 1) * length)):
                yield step, block.at(step - number * length)


def _draw_block(sampler: Sampler, seed: int, length: int, number: int) -> Batches:
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_BATCHES, number)))
    return draw(sampler, length, rng)


def made_ahead(
    make: Callable[[int], Batches], numbers: Iterable[int]
) -> Generator[Batches, None, None]:
    """Yield ``make(number)`` for each number; another thread makes the next one meanwhile.

    The thread ends with the generator, however that ends: after what is just being made.
    """
    pending: Future[Batches] | None = None
    thread = ThreadPoolExecutor(1, "grevy-draws-ahead")
    try:
        for number in numbers:
            ready, pending = pending, thread.submit(make, number)
            if ready is not None:
                yield ready.result()
        if pending is not None:
            yield pending.result()
    finally:
        thread.shutdown(cancel_futures=True)
