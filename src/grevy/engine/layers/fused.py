"""Layers that compiled loops run: a convolution, its activation and its shortcut in one pass."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from grevy.engine import kernels
from grevy.engine.kernels.calls import Call
from grevy.engine.kernels.library import threads_for
from grevy.engine.kernels.structures import matrix
from grevy.engine.layers.base import Arena, Backward, Gradients, Layer, Need, Operation
from grevy.engine.layers.kinds import Convolution, Gelu, Normalise, Skip, room_for_gradient

# Multiplications that take as long as a number copied.
_COPY = 25

# ruff: noqa: ARG002, D102 -- all layers share the signatures that `Layer` documents


@dataclass(frozen=True, eq=False)
class Fused:
    """A convolution with what may follow it: out = act(conv(x)) + x, cropped.

    Attributes
    ----------
    convolution : Convolution
    activated : bool
        Whether act is GELU; the identity if not.
    before : int
        Steps cut off the start of x where it is added; -1 if it is not.
    library : CDLL
    index : Tensor of shape (R,), int64, optional
        Row r of its input is row ``index[r]`` of what it is given; row r if not given.
    """

    keeps_output: ClassVar[bool] = False

    convolution: Convolution
    activated: bool
    before: int
    library: Any
    index: Tensor | None = None

    def plan(
        self, rows: Tensor, batch: int, need: Need, arena: Arena, gradients: Gradients
    ) -> tuple[Tensor, list[Operation], Backward]:
        weight, bias, taps = (getattr(self.convolution, x) for x in ("weight", "bias", "taps"))
        n_out, n_in = weight.shape[:2]
        n = len(rows if self.index is None else self.index) - (taps - 1) * batch
        self._check(rows, n, need)
        output = arena.take(n, n_out)
        slope = arena.take(n * n_out, 1) if self.activated else None
        argument = kernels.Convolution(
            rows=n,
            batch=batch,
            taps=taps,
            n_in=n_in,
            n_out=n_out,
            before=self.before,
            threads=threads_for(n * weight.numel()),
            weight=weight.data_ptr(),
            bias=kernels.address(bias),
            input=matrix(rows),
            output=matrix(output),
            index=kernels.address(self.index),
            slope=kernels.address(slope),
        )
        scratch = rows.new_empty(self.library.convolution_scratch(ctypes.byref(argument)))
        argument.scratch = scratch.data_ptr()
        held = [weight, bias, rows, output, self.index, slope, scratch]

        def backward(grad: Tensor) -> tuple[Tensor, list[Operation]]:
            for parameter in (weight, bias):
                if parameter is not None and parameter.requires_grad:
                    gradients[parameter] = torch.empty_like(parameter, requires_grad=False)
            argument.weight_grad = kernels.address(gradients.get(weight))
            argument.bias_grad = kernels.address(gradients.get(bias))
            argument.grad = matrix(grad)
            input_grad = None if need is Need.NONE else room_for_gradient(rows, need, arena)
            argument.input_grad = matrix(input_grad)
            held.extend([grad, input_grad, *map(gradients.get, (weight, bias))])
            operation = Call(self.library, "convolution_backward", argument, held)
            return grad if input_grad is None else input_grad, [operation]

        return output, [Call(self.library, "convolution_forward", argument, held)], backward

    def _check(self, rows: Tensor, n: int, need: Need) -> None:
        """C looks at none of this."""
        weight, taps = self.convolution.weight, self.convolution.taps
        if n < 1:
            raise ValueError(f"{len(rows)} rows are fewer than {taps} taps reach over")
        if rows.shape[1] != weight.shape[1]:
            raise ValueError(f"{rows.shape[1]} columns, for weights of shape {tuple(weight.shape)}")
        if self.before >= taps or (self.before >= 0 and len(weight) != weight.shape[1]):
            raise ValueError("a shortcut needs as many columns out as in, and to be within reach")
        if self.index is not None and (need is not Need.NONE or self.before >= 0):
            raise ValueError("rows that are read in place get no gradient, and no shortcut")


@dataclass(frozen=True, eq=False)
class FusedNormalise:
    """x / |x|."""

    keeps_output: ClassVar[bool] = True

    library: Any

    def plan(
        self, rows: Tensor, batch: int, need: Need, arena: Arena, gradients: Gradients
    ) -> tuple[Tensor, list[Operation], Backward]:
        output, lengths = arena.take(*rows.shape), arena.take(len(rows), 1)
        argument = kernels.Lengths(
            rows=len(rows),
            columns=rows.shape[1],
            threads=threads_for(rows.numel() * _COPY),
            input=matrix(rows),
            output=matrix(output),
            lengths=lengths.data_ptr(),
        )
        held = [rows, output, lengths]

        def backward(grad: Tensor) -> tuple[Tensor, list[Operation]]:
            target = room_for_gradient(rows, need, arena)
            argument.grad, argument.input_grad = matrix(grad), matrix(target)
            held.extend([grad, target])
            return target, [Call(self.library, "lengths_backward", argument, held)]

        return output, [Call(self.library, "lengths_forward", argument, held)], backward


def fuse(layers: Sequence[Layer], library: Any) -> tuple[Layer, ...]:
    """Replace layers by those that compiled loops run.

    Parameters
    ----------
    layers : sequence of Layer
    library : CDLL
    """
    fused: list[Layer] = []
    for layer in layers:
        last = fused[-1] if fused else None
        if isinstance(layer, Convolution):
            fused.append(Fused(layer, False, -1, library))
        elif isinstance(layer, Gelu) and isinstance(last, Fused) and _is_bare(last):
            fused[-1] = Fused(last.convolution, True, -1, library)
        elif isinstance(layer, Normalise):
            fused.append(FusedNormalise(library))
        elif isinstance(layer, Skip):
            fused.append(_fuse_skip(layer, library))
        else:
            fused.append(layer)
    return tuple(fused)


def _is_bare(layer: Fused) -> bool:
    return not layer.activated and layer.before < 0


def _fuse_skip(skip: Skip, library: Any) -> Layer:
    inside = fuse(skip.layers, library)
    if len(inside) == 1 and isinstance(inside[0], Fused) and _fits(skip, inside[0].convolution):
        return Fused(inside[0].convolution, inside[0].activated, skip.before, library)
    return Skip(inside, skip.before, skip.after)


def reading(layer: Layer, source: Tensor, index: Tensor) -> Layer | None:
    """Return the layer as it reads rows ``source[index]`` in place; None if it cannot."""
    if isinstance(layer, Fused) and layer.before < 0 and source.is_contiguous():
        return replace(layer, index=index)
    return None


def _fits(skip: Skip, convolution: Convolution) -> bool:
    """Tell whether what a shortcut cuts off is what the convolution does."""
    n_out, n_in = convolution.weight.shape[:2]
    return n_out == n_in and skip.before + skip.after == convolution.taps - 1


def gather(library: Any, source: Tensor, index: Tensor, out: Tensor) -> Call:
    """Copy rows ``source[index]`` into `out`; `index` is contiguous, of int64."""
    return _rows("rows_gather", library, source, index, out)


def scatter(library: Any, source: Tensor, index: Tensor, out: Tensor) -> Call:
    """Set ``out[j]`` to the sum of ``source[i]`` over all i with ``index[i] == j``."""
    return _rows("rows_sum", library, source, index, out)


def _rows(function: str, library: Any, source: Tensor, index: Tensor, out: Tensor) -> Call:
    argument = kernels.Rows(
        n=len(index),
        columns=out.shape[1],
        rows=len(out),
        threads=threads_for(len(index) * out.shape[1] * _COPY),
        source=matrix(source),
        output=matrix(out),
        index=index.data_ptr(),
    )
    return Call(library, function, argument, [source, index, out])
