"""The layers of `cebra`'s encoders, each with its own gradient."""

# ruff: noqa: ARG002, D102 -- all layers share the signatures that `Layer` documents

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from grevy.engine.layers.base import NARROW, Arena, Backward, Gradients, Layer, Need, Operation


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution over k steps; a linear map of each row is the case k = 1."""

    keeps_output: ClassVar[bool] = False

    weight: nn.Parameter
    bias: nn.Parameter | None
    taps: int

    def plan(
        self, rows: Tensor, batch: int, need: Need, arena: Arena, gradients: Gradients
    ) -> tuple[Tensor, list[Operation], Backward]:
        weight = self.weight.detach()
        n_out, n_in = weight.shape[:2]
        taps = weight.view(n_out, n_in, self.taps)
        narrow = n_out < NARROW
        # k matrices (C, O): of a narrow output, with C the faster dimension in memory.
        order = (2, 0, 1) if narrow else (2, 1, 0)
        kept = torch.empty(taps.permute(order).shape, dtype=arena.dtype, device=weight.device)
        matrices = [m.T if narrow else m for m in kept]
        n = len(rows) - (self.taps - 1) * batch
        slices = [rows[tap * batch :][:n] for tap in range(self.taps)]
        output = arena.take(n, n_out)
        forward: list[Operation] = [
            partial(kept.copy_, taps.permute(order)),
            *_affine(slices[0], matrices[0], self.bias, output),
            *(partial(output.addmm_, slices[t], matrices[t]) for t in range(1, self.taps)),
        ]

        def backward(grad: Tensor) -> tuple[Tensor, list[Operation]]:
            operations: list[Operation] = []
            if self.weight.requires_grad:
                shares = torch.empty_like(kept)
                gradients[self.weight] = torch.empty_like(self.weight)
                in_taps = gradients[self.weight].view(n_out, n_in, self.taps)
                for tap, rows_of_tap in enumerate(slices):
                    pair = (grad.T, rows_of_tap) if narrow else (rows_of_tap.T, grad)
                    operations.append(partial(torch.mm, *pair, out=shares[tap]))
                operations.append(partial(in_taps.permute(order).copy_, shares))
            operations += _bias_gradient(self.bias, grad, gradients)
            if need is Need.NONE:
                return grad, operations
            # The gradient of the weights came first: it needs the input.
            input_grad = room_for_gradient(rows, need, arena)
            operations.append(partial(torch.mm, grad, matrices[0].T, out=input_grad[:n]))
            if self.taps > 1:
                operations.append(input_grad[n:].zero_)
            for tap in range(1, self.taps):
                part = input_grad[tap * batch :][:n]
                operations.append(partial(part.addmm_, grad, matrices[tap].T))
            return input_grad, operations

        return output, forward, backward


def room_for_gradient(rows: Tensor, need: Need, arena: Arena) -> Tensor:
    """Return where the gradient of a layer's input goes."""
    return rows if need is Need.REUSE else arena.take(*rows.shape)


def _affine(
    rows: Tensor, matrix: Tensor, bias: nn.Parameter | None, output: Tensor
) -> list[Operation]:
    if bias is None:
        return [partial(torch.mm, rows, matrix, out=output)]
    if bias.dtype == output.dtype:
        return [partial(torch.addmm, bias.detach(), rows, matrix, out=output)]
    kept = torch.empty_like(bias, dtype=output.dtype, requires_grad=False)
    affine = partial(torch.addmm, kept, rows, matrix, out=output)
    return [partial(kept.copy_, bias.detach()), affine]


def _bias_gradient(
    bias: nn.Parameter | None, grad: Tensor, gradients: Gradients
) -> list[Operation]:
    if bias is None or not bias.requires_grad:
        return []
    gradients[bias] = torch.empty_like(bias, requires_grad=False)
    return [partial(torch.sum, grad, dim=0, dtype=bias.dtype, out=gradients[bias])]


@dataclass(frozen=True, eq=False)
class Gelu:
    """x Phi(x)."""

    keeps_output: ClassVar[bool] = False

    def plan(
        self, rows: Tensor, batch: int, need: Need, arena: Arena, gradients: Gradients
    ) -> tuple[Tensor, list[Operation], Backward]:
        output = arena.take(*rows.shape)

        def backward(grad: Tensor) -> tuple[Tensor, list[Operation]]:
            target = room_for_gradient(rows, need, arena)
            gelu_backward = torch.ops.aten.gelu_backward.grad_input
            return target, [partial(gelu_backward, grad, rows, grad_input=target)]

        return output, [partial(torch.ops.aten.gelu.out, rows, out=output)], backward


@dataclass(frozen=True, eq=False)
class Tanh:
    """Hyperbolic tangent."""

    keeps_output: ClassVar[bool] = True

    def plan(
        self, rows: Tensor, batch: int, need: Need, arena: Arena, gradients: Gradients
    ) -> tuple[Tensor, list[Operation], Backward]:
        output = arena.take(*rows.shape)

        def backward(grad: Tensor) -> tuple[Tensor, list[Operation]]:
            target = room_for_gradient(rows, need, arena)
            tanh_backward = torch.ops.aten.tanh_backward.grad_input
            return target, [partial(tanh_backward, grad, output, grad_input=target)]

        return output, [partial(torch.tanh, rows, out=output)], backward


@dataclass(frozen=True, eq=False)
class Normalise:
    """x / |x|."""

    keeps_output: ClassVar[bool] = True

    def plan(
        self, rows: Tensor, batch: int, need: Need, arena: Arena, gradients: Gradients
    ) -> tuple[Tensor, list[Operation], Backward]:
        output, length = arena.take(*rows.shape), arena.take(len(rows), 1)
        along = arena.take(len(rows), 1)
        forward: list[Operation] = [
            # Not `vector_norm`, which is slow over narrow rows.
            partial(torch.mul, rows, rows, out=output),
            partial(torch.sum, output, dim=1, keepdim=True, out=length),
            length.sqrt_,
            partial(torch.div, rows, length, out=output),
        ]

        def backward(grad: Tensor) -> tuple[Tensor, list[Operation]]:
            # (g - y (y . g)) / |x|
            target = room_for_gradient(rows, need, arena)
            return target, [
                partial(torch.mul, output, grad, out=target),
                partial(torch.sum, target, dim=1, keepdim=True, out=along),
                partial(torch.addcmul, grad, output, along, value=-1, out=target),
                partial(target.div_, length),
            ]

        return output, forward, backward


@dataclass(frozen=True, eq=False)
class Skip:
    """Layers, plus their input with `before` steps cut off its start and `after` off its end."""

    keeps_output: ClassVar[bool] = False

    layers: tuple[Layer, ...]
    before: int
    after: int

    def plan(
        self, rows: Tensor, batch: int, need: Need, arena: Arena, gradients: Gradients
    ) -> tuple[Tensor, list[Operation], Backward]:
        def shortcut(of: Tensor) -> Tensor:
            return of[self.before * batch : len(of) - self.after * batch]

        inside, forward, back = chain(self.layers, rows, batch, need, arena, gradients)
        # The sum takes the place of what was computed inside, unless the way back needs that.
        output = arena.take(*inside.shape) if self.layers[-1].keeps_output else inside

        def backward(grad: Tensor) -> tuple[Tensor, list[Operation]]:
            input_grad, operations = back(grad)
            if need is not Need.NONE:
                operations.append(partial(shortcut(input_grad).add_, grad))
            return input_grad, operations

        return output, [*forward, partial(torch.add, inside, shortcut(rows), out=output)], backward


def convolutions(layers: Sequence[Layer]) -> list[Convolution]:
    """Return all convolutions, those inside shortcuts included."""
    inner = [each for x in layers for each in (x.layers if isinstance(x, Skip) else (x,))]
    return [each for each in inner if isinstance(each, Convolution)]


def chain(
    layers: Sequence[Layer],
    rows: Tensor,
    batch: int,
    need: Need,
    arena: Arena,
    gradients: Gradients,
) -> tuple[Tensor, list[Operation], Backward]:
    """Lay out layers one after the other; parameters and results as of `Layer.plan`."""
    forward: list[Operation] = []
    backs: list[Backward] = []
    for number, layer in enumerate(layers):
        if number:
            need = Need.FRESH if layers[number - 1].keeps_output else Need.REUSE
        rows, operations, back = layer.plan(rows, batch, need, arena, gradients)
        forward += operations
        backs.append(back)

    def backward(grad: Tensor) -> tuple[Tensor, list[Operation]]:
        operations: list[Operation] = []
        for back in reversed(backs):
            grad, more = back(grad)
            operations += more
        return grad, operations

    return rows, forward, backward
