"""The training loop: draw, encode, loss, step, record.

What a step draws depends on the seed and the number of the step alone: the steps of one block
share one generator, seeded by both. A training that stops after any step and goes on from there
therefore meets the same batches as one that never stopped, and no generator has to be saved.
"""

import copy
import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grevy.capture import CudaGraph, Graph
from grevy.encoding import Encoded, Encoder, encode
from grevy.errors import GrevyError
from grevy.infonce import Distance, Loss, infonce_gradient
from grevy.layers import apply_network
from grevy.masking import Mask, hide
from grevy.recording import IntArray
from grevy.sampling import Batches, Sampler, draw

# Steps whose indices are drawn together: few enough to start at once, many enough to amortise.
BLOCK = 64
# Dimensions of the embedding that the label shapes in hybrid training; `cebra`'s number.
HYBRID_DIMENSIONS = 3
# Steps taken before one is recorded on a GPU; `torch.cuda.graph` asks for about as many.
WARM_UP = 3
# Streams of random numbers that one seed gives.
_WEIGHTS, _BATCHES, _STEPS = range(3)


@dataclass(frozen=True, eq=False)
class Training:
    """All that a step needs.

    Attributes
    ----------
    encoder : Encoder
    sampler : Sampler
    criterion : Module
        One of `cebra`'s InfoNCE criteria; it holds the temperature.
    optimizer : Optimizer
    distance : {"cosine", "euclidean"}
    seed : int
    masks : tuple of Mask
        One of them hides part of every window; none if empty.
    """

    encoder: Encoder
    sampler: Sampler
    criterion: Any
    optimizer: torch.optim.Optimizer
    distance: Distance
    seed: int
    masks: tuple[Mask, ...] = ()

    @property
    def chance(self) -> float:
        """Loss, in nats, of an embedding in which all samples lie on one point."""
        return chance_loss(self.sampler.n_negatives, self.sampler.plan.hybrid)


def chance_loss(n_negatives: int, hybrid: bool) -> float:
    """Return the loss, in nats, of an embedding that tells nothing: log M for each objective."""
    return math.log(n_negatives) * (2 if hybrid else 1)


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
        parameters = _parameters(optimizer)
        weights = tuple(parameter.detach().clone() for parameter in parameters)
        states = tuple(copy.deepcopy(optimizer.state.get(p, {})) for p in parameters)
        return Snapshot(step, weights, states)

    def put_back(self, optimizer: torch.optim.Optimizer) -> None:
        """Undo everything since the snapshot, which is then used up."""
        optimizer.state.clear()
        with torch.no_grad():
            for number, parameter in enumerate(_parameters(optimizer)):
                parameter.copy_(self.weights[number])
                if self.states[number]:
                    optimizer.state[parameter] = self.states[number]


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def weights_seed(seed: int) -> int:
    """Return the seed of the initial weights."""
    return _derived(seed, _WEIGHTS)


def _derived(seed: int, stream: int) -> int:
    return int(np.random.SeedSequence(seed, spawn_key=(stream,)).generate_state(1)[0])


def run(training: Training, first: int, last: int) -> Iterator[tuple[int, Tensor]]:
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
    noise = _derived(training.seed, _STEPS)
    device = training.encoder.neural[0].device
    step_with = stepper(training, CudaGraph() if can_be_captured(training) else None)
    snapshot = Snapshot.take(first, training.optimizer)
    for step, batch in batches(training.sampler, training.seed, first, last):
        seed_torch(noise + step, device)
        # To look at the loss makes a GPU wait: there only now and then, and at the end.
        looked = step % BLOCK == 0 or step == last - 1 or device.type != "cuda"
        before = Snapshot.take(step, training.optimizer) if step % BLOCK == 0 else snapshot
        record = step_with(batch, noise + step)
        if looked:
            if not math.isfinite(record[0].item()):
                snapshot.put_back(training.optimizer)
                raise DivergedError(step, snapshot.step, training)
            snapshot = before
        yield step, record


Stepper = Callable[[Batches, int], Tensor]


def stepper(training: Training, graph: Graph | None) -> Stepper:
    """Return what takes a step with a batch and the seed of its noise, and returns the record.

    Parameters
    ----------
    training : Training
    graph : Graph or None
        Records the step and replays it, after a few steps without: they are what libraries need
        before they can be recorded.
    """
    parameters = _parameters(training.optimizer)
    learnt = any(True for _ in training.criterion.parameters())
    fixed = None if learnt else inverse_temperature(training.criterion, parameters[0])

    def update(encoded: Encoded) -> Tensor:
        scale = fixed
        if scale is None:
            scale = inverse_temperature(training.criterion, encoded.values)
        sizes = (training.sampler.n_references, training.sampler.n_negatives)
        found = batch_gradient(encoded.values, sizes, scale, training.distance)
        loss, grad, scale_grad = found
        for parameter in parameters:
            parameter.grad = None
        encoded.pull_back(grad)
        if learnt:
            scale.backward(scale_grad)  # type: ignore[no-untyped-call]
        training.optimizer.step()
        return torch.stack([*loss, 1 / scale.detach()])

    def take(batch: Batches, noise: int) -> Tensor:
        return update(encode_batch(training, batch, noise))

    return take if graph is None else _replaying(training, graph, update)


def can_be_captured(training: Training) -> bool:
    """Tell whether a step does the same on the device whatever its batch."""
    encoder = training.encoder
    compiled = len(encoder.models) == 1 and encoder.networks[0] is not None
    return compiled and encoder.neural[0].is_cuda and not training.masks


def _replaying(training: Training, graph: Graph, update: Callable[[Encoded], Tensor]) -> Stepper:
    encoder, taken = training.encoder, 0
    network, neural, depth = encoder.networks[0], encoder.neural[0], encoder.layouts[0].depth
    first: Tensor | None = None

    def body() -> Tensor:
        if network is None or first is None:
            raise RuntimeError("only compiled networks can be recorded")
        width = encoder.left + encoder.right
        return update(Encoded(*apply_network(network, neural, first, depth, width)))

    def take(batch: Batches, _noise: int) -> Tensor:
        nonlocal first, taken
        windows = torch.from_numpy(np.concatenate(_parts(batch)) - encoder.left)
        if first is None:
            first = windows.to(neural.device)
        first.copy_(windows, non_blocking=True)
        taken += 1
        if taken <= WARM_UP:
            return graph.warm_up(body)
        if taken == WARM_UP + 1:
            graph.record(body)
        return graph.replay().clone()

    return take


def seed_torch(seed: int, device: torch.device) -> None:
    """Seed torch's own generators, from which dropout and users' models draw.

    `torch.manual_seed` does it too, but formats a stack trace in every call where CUDA is idle.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def batches(sampler: Sampler, seed: int, first: int, last: int) -> Iterator[tuple[int, Batches]]:
    """Yield (step, its batch) for steps `first` to `last`, drawn block by block."""
    # Whole-data training has large batches: each step is a block of its own.
    length = 1 if sampler.plan.batch_size is None else BLOCK
    for number in range(first // length, -(-last // length)):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_BATCHES, number)))
        block = draw(sampler, length, rng)
        for step in range(max(first, number * length), min(last, (number + 1) * length)):
            yield step, block.at(step - number * length)


def encode_batch(training: Training, batch: Batches, noise: int = 0) -> Encoded:
    """Embed reference, positive, negative (and the positive in time) in one pass."""
    alter = None
    if training.masks:
        generator = torch.Generator(training.encoder.neural[0].device).manual_seed(noise)
        alter = partial(hide, masks=training.masks, generator=generator)
    return encode(training.encoder, np.concatenate(_parts(batch)), alter)


def _parts(batch: Batches) -> list[IntArray]:
    later = [] if batch.time_positive is None else [batch.time_positive]
    return [batch.reference, batch.positive, batch.negative, *later]


def inverse_temperature(criterion: Any, like: Tensor) -> Tensor:
    """Return 1 / tau of a `cebra` criterion, with a gradient where it is learnt."""
    if hasattr(criterion, "_prepare_inverse_temperature"):
        scale: Tensor = criterion._prepare_inverse_temperature()
        return scale
    return torch.tensor(1.0 / criterion.temperature, dtype=like.dtype, device=like.device)


def batch_gradient(
    embedded: Tensor, sizes: tuple[int, int], scale: Tensor, distance: Distance
) -> tuple[Loss, Tensor, Tensor]:
    """Compute the loss of a batch, and its gradient by the embedding and by the scale.

    Hybrid training adds two losses: the label's over the first `HYBRID_DIMENSIONS` dimensions, and
    that in time over all of them (`cebra.solver.base.MultiobjectiveSolver`, "overlapping").

    Parameters
    ----------
    embedded : Tensor of shape (Q, D)
        As by `encode_batch`.
    sizes : tuple of int
        (R, M), references and negatives. There are R positives in time where Q is 3 R + M.
    scale : Tensor of shape ()
        1 / tau.
    distance : {"cosine", "euclidean"}
    """
    n, m = sizes
    if len(embedded) == 2 * n + m:
        reference, positive, negative = torch.split(embedded, [n, n, m])
        loss, gradient = infonce_gradient(reference, positive, negative, scale, distance)
        return loss, torch.cat(gradient[:3]), gradient.scale
    reference, positive, negative, later = torch.split(embedded, [n, n, m, n])
    some = slice(0, HYBRID_DIMENSIONS)
    label, by_label = infonce_gradient(
        reference[:, some], positive[:, some], negative[:, some], scale, distance
    )
    time, in_time = infonce_gradient(reference, later, negative, scale, distance)
    grad = torch.cat(
        [in_time.reference, torch.zeros_like(positive), in_time.negative, in_time.positive]
    )
    grad[: 2 * n + m, some] += torch.cat(by_label[:3])
    return Loss(*map(torch.add, label, time)), grad, by_label.scale + in_time.scale


class Interruption:
    """Whether somebody has asked to stop, and how that ends the program.

    Attributes
    ----------
    signal : int
        Of the request; 0 if there was none.
    """

    def __init__(self) -> None:
        self.signal = 0

    def raise_if_requested(self) -> None:
        """End as Python ends on these signals; `finally` blocks and context managers still run."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal:
            raise SystemExit(128 + self.signal)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Turn Ctrl-C, and a batch system's SIGTERM, into a request met between two steps.

    Interrupting inside a step could leave weights, optimiser and record at different steps. A
    second signal interrupts at once. Outside the main thread nothing is changed.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, _frame: FrameType | None) -> None:
        interruption.signal = number
        signal.signal(number, previous[signal.Signals(number)])

    for number in previous:
        signal.signal(number, ask)
    try:
        yield interruption
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
