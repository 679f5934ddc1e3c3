"""One step of training: a batch in, its loss and gradient, weights a little better."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grevy.data import IntArray, seeded
from grevy.engine.copies import joined
from grevy.engine.cuda_graph import Graph
from grevy.engine.encoding.encoder import Encoded, Encoder, encode
from grevy.engine.layers.network import apply_network
from grevy.engine.loss import Distance, Loss, infonce_gradient
from grevy.engine.masks import Mask, hide
from grevy.engine.sampling.plan import Batches, Sampler

# Dimensions of the embedding that the label shapes in hybrid training; `cebra`'s number.
HYBRID_DIMENSIONS = 3
# Steps taken before one is recorded on a GPU; `torch.cuda.graph` asks for about as many.
WARM_UP = 3


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

    def drawing(self, seed: int) -> AbstractContextManager[None]:
        """Return the time in which models run: torch's own generators are seeded for it.

        Dropout and users' models draw from them; compiled networks do not, and leave them alone.
        """
        if None in self.encoder.networks:
            return seeded(seed, self.encoder.neural[0].device)
        return nullcontext()


def chance_loss(n_negatives: int, hybrid: bool) -> float:
    """Return the loss, in nats, of an embedding that tells nothing: log M for each objective."""
    return math.log(n_negatives) * (2 if hybrid else 1)


def trained_parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """List the tensors that an optimiser changes."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


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
    parameters = trained_parameters(training.optimizer)
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
    held = isinstance(encoder.neural[0], Tensor)
    return compiled and held and encoder.neural[0].is_cuda and not training.masks


def _replaying(training: Training, graph: Graph, update: Callable[[Encoded], Tensor]) -> Stepper:
    encoder, taken = training.encoder, 0
    network, neural, depth = encoder.networks[0], encoder.neural[0], encoder.layouts[0].depth
    first: Tensor | None = None

    def body() -> Tensor:
        if network is None or first is None or not isinstance(neural, Tensor):
            raise RuntimeError("only compiled networks can be recorded")
        width = encoder.left + encoder.right
        return update(Encoded(*apply_network(network, neural, first, depth, width)))

    def take(batch: Batches, _noise: int) -> Tensor:
        nonlocal first, taken
        windows = torch.from_numpy(encoder.first_steps(0, np.concatenate(_parts(batch))))
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
    """Return 1 / tau of a `cebra` criterion, with a gradient where it is learnt.

    The exponential is taken in double precision, and so rounds to the same float on all processors.
    """
    if hasattr(criterion, "log_inverse_temperature"):
        scale = torch.exp(criterion.log_inverse_temperature.double())
        return torch.clamp(scale, max=criterion.max_inverse_temperature).to(like.dtype)
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
        return loss, joined(gradient[:3]), gradient.scale
    reference, positive, negative, later = torch.split(embedded, [n, n, m, n])
    some = slice(0, HYBRID_DIMENSIONS)
    label, by_label = infonce_gradient(
        reference[:, some], positive[:, some], negative[:, some], scale, distance
    )
    time, in_time = infonce_gradient(reference, later, negative, scale, distance)
    parts = [in_time.reference, torch.zeros_like(positive), in_time.negative]
    for part, more in zip(parts, by_label[:3], strict=True):
        part[:, some] += more
    grad = joined([*parts, in_time.positive])
    return Loss(*map(torch.add, label, time)), grad, by_label.scale + in_time.scale
