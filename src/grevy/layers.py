"""`cebra`'s encoders as matrix products over rows, with their own gradient.

`torch.nn.Conv1d` spends most of a training step of these small networks on copies. Here a batch of
windows lies with time first, as rows (W * B, N) in which row l * B + b is step l of window b. The
steps l + j of all windows are then one contiguous slice, so that a convolution is a sum of k matrix
products of slices, with no copy in either direction. A sequence is the case B = 1.

Buffers are kept from step to step. Fresh memory has to be mapped page by page by the operating
system, which at these sizes takes longer than the arithmetic.

The mathematics is that of the modules of `cebra.models.model`, to which the tests hold this one.
Networks with other layers (dropout, strides, a user's own), and those without a convolution, in
which torch has nothing to copy, are left to torch: `compile_network` returns None for them.
"""

# ruff: noqa: ARG002, D102 -- all layers share the signatures that `Layer` documents

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Gradients = dict[nn.Parameter, Tensor]


class Arena:
    """Buffers handed out in the same order in every step; all are free again after `reset`."""

    def __init__(self) -> None:
        self._buffers: list[Tensor] = []
        self._next = 0

    def reset(self) -> None:
        """Start a new step: what was handed out before will be overwritten."""
        self._next = 0

    def take(self, like: Tensor, rows: int, columns: int) -> Tensor:
        """Return an uninitialised (rows, columns), of the dtype and on the device of `like`."""
        size = rows * columns
        if self._next == len(self._buffers):
            self._buffers.append(like.new_empty(size))
        elif self._buffers[self._next].numel() < size:
            self._buffers[self._next] = like.new_empty(size + size // 8)  # sizes vary a little
        buffer = self._buffers[self._next]
        self._next += 1
        return buffer[:size].view(rows, columns)


@dataclass(frozen=True, eq=False)
class Pass:
    """One pass through a network.

    Attributes
    ----------
    batch : int
        B, the rows of one time step.
    arena : Arena
    gradients : dict of Parameter to Tensor
        Filled by `backward`.
    """

    batch: int
    arena: Arena
    gradients: Gradients


class Layer(Protocol):
    """A step of a network over rows."""

    def forward(self, rows: Tensor, run: Pass) -> tuple[Tensor, Any]:
        """Return the output rows, and what `backward` needs."""

    def backward(self, grad: Tensor, kept: Any, run: Pass, inner: bool) -> Tensor:
        """Note gradients of parameters; return that of the input rows, if `inner`.

        It may overwrite `grad`.
        """


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution over k steps."""

    weight: nn.Parameter
    bias: nn.Parameter | None
    taps: int

    def _matrices(self) -> Tensor:
        """Return the weight as k matrices (C, O)."""
        return self.weight.detach().permute(2, 1, 0).contiguous()

    def forward(self, rows: Tensor, run: Pass) -> tuple[Tensor, Any]:
        matrices = self._matrices()
        n = len(rows) - (self.taps - 1) * run.batch
        output = run.arena.take(rows, n, matrices.shape[2])
        if self.bias is None:
            torch.mm(rows[:n], matrices[0], out=output)
        else:
            torch.addmm(self.bias.detach(), rows[:n], matrices[0], out=output)
        for tap in range(1, self.taps):
            output.addmm_(rows[tap * run.batch :][:n], matrices[tap])
        return output, (rows, matrices)

    def backward(self, grad: Tensor, kept: Any, run: Pass, inner: bool) -> Tensor:
        rows, matrices = kept
        n = len(grad)
        if self.weight.requires_grad:
            shares = torch.empty_like(matrices)
            for tap in range(self.taps):
                torch.mm(rows[tap * run.batch :][:n].T, grad, out=shares[tap])
            run.gradients[self.weight] = shares.permute(2, 1, 0)
        if self.bias is not None and self.bias.requires_grad:
            run.gradients[self.bias] = grad.sum(dim=0)
        if not inner:
            return grad
        input_grad = run.arena.take(rows, *rows.shape)
        torch.mm(grad, matrices[0].T, out=input_grad[:n])
        input_grad[n:].zero_()
        for tap in range(1, self.taps):
            input_grad[tap * run.batch :][:n].addmm_(grad, matrices[tap].T)
        return input_grad


@dataclass(frozen=True, eq=False)
class Gelu:
    """x Phi(x)."""

    def forward(self, rows: Tensor, run: Pass) -> tuple[Tensor, Any]:
        output = run.arena.take(rows, *rows.shape)
        torch.ops.aten.gelu.out(rows, out=output)
        return output, rows

    def backward(self, grad: Tensor, kept: Any, run: Pass, inner: bool) -> Tensor:
        # The input is not needed again, and makes room for its gradient.
        torch.ops.aten.gelu_backward.grad_input(grad, kept, grad_input=kept)
        return kept


@dataclass(frozen=True, eq=False)
class Tanh:
    """Hyperbolic tangent."""

    def forward(self, rows: Tensor, run: Pass) -> tuple[Tensor, Any]:
        output = rows.tanh()
        return output, output

    def backward(self, grad: Tensor, kept: Any, run: Pass, inner: bool) -> Tensor:
        return torch.ops.aten.tanh_backward(grad, kept)


@dataclass(frozen=True, eq=False)
class Normalise:
    """x / |x|."""

    def forward(self, rows: Tensor, run: Pass) -> tuple[Tensor, Any]:
        length = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        output = rows / length
        return output, (output, length)

    def backward(self, grad: Tensor, kept: Any, run: Pass, inner: bool) -> Tensor:
        output, length = kept
        along = (output * grad).sum(dim=1, keepdim=True)
        return torch.addcmul(grad, output, along, value=-1).div_(length)


@dataclass(frozen=True, eq=False)
class Skip:
    """Layers, plus their input with `before` steps cut off its start and `after` off its end."""

    layers: tuple[Layer, ...]
    before: int
    after: int

    def _shortcut(self, rows: Tensor, batch: int) -> Tensor:
        return rows[self.before * batch : len(rows) - self.after * batch]

    def forward(self, rows: Tensor, run: Pass) -> tuple[Tensor, Any]:
        output, kept = _forward(self.layers, rows, run)
        return output.add_(self._shortcut(rows, run.batch)), kept

    def backward(self, grad: Tensor, kept: Any, run: Pass, inner: bool) -> Tensor:
        input_grad = _backward(self.layers, grad, kept, run, inner)
        if inner:
            self._shortcut(input_grad, run.batch).add_(grad)
        return input_grad


@dataclass(frozen=True, eq=False)
class Network:
    """A compiled encoder.

    Attributes
    ----------
    layers : tuple of Layer
    parameters : tuple of Parameter
        In the order of the model.
    arena : Arena
    """

    layers: tuple[Layer, ...]
    parameters: tuple[nn.Parameter, ...]
    arena: Arena


def _forward(layers: Sequence[Layer], rows: Tensor, run: Pass) -> tuple[Tensor, list[Any]]:
    kept = []
    for layer in layers:
        rows, of_layer = layer.forward(rows, run)
        kept.append(of_layer)
    return rows, kept


def _backward(
    layers: Sequence[Layer], grad: Tensor, kept: Sequence[Any], run: Pass, inner: bool
) -> Tensor:
    for number in reversed(range(len(layers))):
        grad = layers[number].backward(grad, kept[number], run, inner or number > 0)
    return grad


def compile_network(model: nn.Module) -> Network | None:
    """Read a model's layers.

    Returns
    -------
    Network or None
        None if the model has no convolution, or a layer or a `forward` unknown here.
    """
    from cebra.models.model import _OffsetModel

    if type(model).forward is not _OffsetModel.forward:
        return None
    modules: Any = model.net
    if not any(isinstance(module, nn.Conv1d) for module in modules):
        return None
    layers = _compiled(modules)
    return None if layers is None else Network(layers, tuple(model.parameters()), Arena())


def _compiled(modules: Any) -> tuple[Layer, ...] | None:
    layers: list[Layer] = []
    for module in modules:
        compiled = _compile_module(module)
        if compiled is None:
            return None
        layers.extend(compiled)
    return tuple(layers)


def _compile_module(module: Any) -> list[Layer] | None:
    """Return the layers of one module: none for one that only reshapes; None if unknown."""
    from cebra.models.layers import Squeeze, _Norm, _Skip

    kind = type(module)
    if kind is nn.Conv1d and _is_plain(module):
        return [Convolution(module.weight, module.bias, module.kernel_size[0])]
    if kind is nn.GELU and module.approximate == "none":
        return [Gelu()]
    if kind is nn.Tanh:
        return [Tanh()]
    if kind is _Norm:
        return [Normalise()]
    if kind is Squeeze:
        return []
    if kind is _Skip:
        inside = _compiled(module.module)
        if inside is not None:
            return [Skip(inside, module.crop.start, -(module.crop.stop or 0))]
    return None


def _is_plain(module: nn.Conv1d) -> bool:
    plain = (module.stride, module.dilation, module.padding, module.groups)
    return plain == ((1,), (1,), (0,), 1)


class _Apply(torch.autograd.Function):
    """A network as one node of autograd's graph."""

    @staticmethod
    def forward(
        ctx: Any, source: Tensor, index: Tensor | None, batch: int, network: Network, *_: Tensor
    ) -> Tensor:
        run = Pass(batch, network.arena, {})
        run.arena.reset()
        rows = source
        if index is not None:
            rows = run.arena.take(source, len(index), source.shape[1])
            torch.index_select(source, 0, index, out=rows)
        output, ctx.kept = _forward(network.layers, rows, run)
        ctx.run, ctx.network = run, network
        return output.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        _backward(ctx.network.layers, grad.contiguous(), ctx.kept, ctx.run, inner=False)
        gradients = ctx.run.gradients
        return (None, None, None, None, *(gradients.get(p) for p in ctx.network.parameters))


def apply_network(
    network: Network, source: Tensor, index: Tensor | None = None, batch: int = 1
) -> Tensor:
    """Apply a network.

    Parameters
    ----------
    network : Network
        Its buffers serve one pass at a time: `backward` before the next `apply_network`.
    source : Tensor of shape (T, N)
    index : Tensor of shape (L * B,), int64, optional
        Rows of `source`, time first; all of them in order if not given.
    batch : int
        B.

    Returns
    -------
    Tensor of shape ((L - W + 1) * B, D)
    """
    output: Tensor = _Apply.apply(  # type: ignore[no-untyped-call]
        source, index, batch, network, *network.parameters
    )
    return output
