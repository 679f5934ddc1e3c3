"""`cebra`'s encoders as matrix products over rows, with their own gradient.

`torch.nn.Conv1d` spends most of a training step of these small networks on copies. Here a batch of
windows lies with time first, as rows (W * B, N) in which row l * B + b is step l of window b. The
steps l + j of all windows are then one contiguous slice, so that a convolution is a sum of k matrix
products of slices, with no copy in either direction. A sequence is the case B = 1.

A pass is laid out once, as a list of operations over fixed buffers, and run in every step: at these
sizes the interpreter would otherwise take as long as the arithmetic.

The mathematics is that of the modules of `cebra.models.model`, to which the tests hold this one.
Networks with other layers (dropout, strides, a user's own) are left to torch: `compile_network`
returns None for them.
"""

# ruff: noqa: ARG002, D102 -- all layers share the signatures that `Layer` documents

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Gradients = dict[nn.Parameter, Tensor]
Operation = Callable[[], Any]
Backward = Callable[[Tensor], tuple[Tensor, list[Operation]]]

# Lengths are rounded up to a multiple of this, so that few plans serve runs of varying length.
LENGTH_STEP = 256


class Arena:
    """Buffers handed out in the same order to every plan; plans share them, for one runs at a time.

    Fresh memory has to be mapped page by page by the operating system, which at these sizes takes
    longer than the arithmetic.
    """

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._buffers: list[Tensor] = []
        self._next = 0

    def reset(self) -> None:
        """Start a new plan."""
        self._next = 0

    def take(self, rows: int, columns: int) -> Tensor:
        """Return an uninitialised (rows, columns)."""
        size = rows * columns
        if self._next == len(self._buffers):
            self._buffers.append(self._like.new_empty(size))
        elif self._buffers[self._next].numel() < size:
            # Older plans keep the smaller buffer alive, and stay right.
            self._buffers[self._next] = self._like.new_empty(size)
        buffer = self._buffers[self._next]
        self._next += 1
        return buffer[:size].view(rows, columns)


class Layer(Protocol):
    """A step of a network over rows."""

    def plan(
        self, rows: Tensor, batch: int, inner: bool, arena: Arena, gradients: Gradients
    ) -> tuple[Tensor, list[Operation], Backward]:
        """Lay out one layer over fixed buffers.

        Parameters
        ----------
        rows : Tensor
            The input.
        batch : int
            B, the rows of one time step.
        inner : bool
            Whether the gradient of the input is needed.
        arena : Arena
        gradients : dict of Parameter to Tensor
            Gets the buffers into which the backward operations write.

        Returns
        -------
        output : Tensor
        forward : list of callable
            Fill `output`.
        backward : callable
            Turns the buffer of the output's gradient into that of the input's, and the
            operations that fill it. They may overwrite the former.
        """


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution over k steps."""

    weight: nn.Parameter
    bias: nn.Parameter | None
    taps: int

    def plan(
        self, rows: Tensor, batch: int, inner: bool, arena: Arena, gradients: Gradients
    ) -> tuple[Tensor, list[Operation], Backward]:
        weight = self.weight.detach().permute(2, 1, 0)  # k matrices (C, O)
        matrices = torch.empty_like(weight, memory_format=torch.contiguous_format)
        n = len(rows) - (self.taps - 1) * batch
        slices = [rows[tap * batch :][:n] for tap in range(self.taps)]
        output = arena.take(n, weight.shape[2])
        forward: list[Operation] = [
            partial(matrices.copy_, weight),
            _affine(slices[0], matrices[0], self.bias, output),
            *(partial(output.addmm_, slices[t], matrices[t]) for t in range(1, self.taps)),
        ]

        def backward(grad: Tensor) -> tuple[Tensor, list[Operation]]:
            operations: list[Operation] = []
            if self.weight.requires_grad:
                shares = torch.empty_like(matrices)
                gradients[self.weight] = torch.empty_like(self.weight)
                for tap in range(self.taps):
                    operations.append(partial(torch.mm, slices[tap].T, grad, out=shares[tap]))
                operations.append(partial(gradients[self.weight].copy_, shares.permute(2, 1, 0)))
            operations += _bias_gradient(self.bias, grad, gradients)
            if not inner:
                return grad, operations
            input_grad = arena.take(*rows.shape)
            operations.append(partial(torch.mm, grad, matrices[0].T, out=input_grad[:n]))
            if self.taps > 1:
                operations.append(input_grad[n:].zero_)
            for tap in range(1, self.taps):
                part = input_grad[tap * batch :][:n]
                operations.append(partial(part.addmm_, grad, matrices[tap].T))
            return input_grad, operations

        return output, forward, backward


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear map of each row."""

    weight: nn.Parameter
    bias: nn.Parameter | None

    def plan(
        self, rows: Tensor, batch: int, inner: bool, arena: Arena, gradients: Gradients
    ) -> tuple[Tensor, list[Operation], Backward]:
        weight = self.weight.detach()
        output = arena.take(len(rows), len(weight))

        def backward(grad: Tensor) -> tuple[Tensor, list[Operation]]:
            operations: list[Operation] = []
            if self.weight.requires_grad:
                gradients[self.weight] = torch.empty_like(self.weight)
                operations.append(partial(torch.mm, grad.T, rows, out=gradients[self.weight]))
            operations += _bias_gradient(self.bias, grad, gradients)
            if not inner:
                return grad, operations
            input_grad = arena.take(*rows.shape)
            operations.append(partial(torch.mm, grad, weight, out=input_grad))
            return input_grad, operations

        return output, [_affine(rows, weight.T, self.bias, output)], backward


def _affine(rows: Tensor, matrix: Tensor, bias: nn.Parameter | None, output: Tensor) -> Operation:
    if bias is None:
        return partial(torch.mm, rows, matrix, out=output)
    return partial(torch.addmm, bias.detach(), rows, matrix, out=output)


def _bias_gradient(
    bias: nn.Parameter | None, grad: Tensor, gradients: Gradients
) -> list[Operation]:
    if bias is None or not bias.requires_grad:
        return []
    gradients[bias] = torch.empty_like(bias)
    return [partial(torch.sum, grad, dim=0, out=gradients[bias])]


@dataclass(frozen=True, eq=False)
class Gelu:
    """x Phi(x)."""

    def plan(
        self, rows: Tensor, batch: int, inner: bool, arena: Arena, gradients: Gradients
    ) -> tuple[Tensor, list[Operation], Backward]:
        output = arena.take(*rows.shape)

        def backward(grad: Tensor) -> tuple[Tensor, list[Operation]]:
            # The input is not needed again, and makes room for its gradient.
            gelu_backward = torch.ops.aten.gelu_backward.grad_input
            return rows, [partial(gelu_backward, grad, rows, grad_input=rows)]

        return output, [partial(torch.ops.aten.gelu.out, rows, out=output)], backward


@dataclass(frozen=True, eq=False)
class Tanh:
    """Hyperbolic tangent."""

    def plan(
        self, rows: Tensor, batch: int, inner: bool, arena: Arena, gradients: Gradients
    ) -> tuple[Tensor, list[Operation], Backward]:
        output = arena.take(*rows.shape)

        def backward(grad: Tensor) -> tuple[Tensor, list[Operation]]:
            tanh_backward = torch.ops.aten.tanh_backward.grad_input
            return rows, [partial(tanh_backward, grad, output, grad_input=rows)]

        return output, [partial(torch.tanh, rows, out=output)], backward


@dataclass(frozen=True, eq=False)
class Normalise:
    """x / |x|."""

    def plan(
        self, rows: Tensor, batch: int, inner: bool, arena: Arena, gradients: Gradients
    ) -> tuple[Tensor, list[Operation], Backward]:
        output, length = arena.take(*rows.shape), arena.take(len(rows), 1)
        along = arena.take(len(rows), 1)
        norm = torch.linalg.vector_norm
        forward: list[Operation] = [
            partial(norm, rows, dim=1, keepdim=True, out=length),
            partial(torch.div, rows, length, out=output),
        ]

        def backward(grad: Tensor) -> tuple[Tensor, list[Operation]]:
            # (g - y (y . g)) / |x|
            return rows, [
                partial(torch.mul, output, grad, out=rows),
                partial(torch.sum, rows, dim=1, keepdim=True, out=along),
                partial(torch.addcmul, grad, output, along, value=-1, out=rows),
                partial(rows.div_, length),
            ]

        return output, forward, backward


@dataclass(frozen=True, eq=False)
class Skip:
    """Layers, plus their input with `before` steps cut off its start and `after` off its end."""

    layers: tuple[Layer, ...]
    before: int
    after: int

    def plan(
        self, rows: Tensor, batch: int, inner: bool, arena: Arena, gradients: Gradients
    ) -> tuple[Tensor, list[Operation], Backward]:
        def shortcut(of: Tensor) -> Tensor:
            return of[self.before * batch : len(of) - self.after * batch]

        output, forward, back = _chain(self.layers, rows, batch, inner, arena, gradients)

        def backward(grad: Tensor) -> tuple[Tensor, list[Operation]]:
            input_grad, operations = back(grad)
            if inner:
                operations.append(partial(shortcut(input_grad).add_, grad))
            return input_grad, operations

        return output, [*forward, partial(output.add_, shortcut(rows))], backward


def _chain(
    layers: Sequence[Layer],
    rows: Tensor,
    batch: int,
    inner: bool,
    arena: Arena,
    gradients: Gradients,
) -> tuple[Tensor, list[Operation], Backward]:
    """Lay out layers one after the other."""
    forward: list[Operation] = []
    backs: list[Backward] = []
    for number, layer in enumerate(layers):
        rows, operations, back = layer.plan(rows, batch, inner or number > 0, arena, gradients)
        forward += operations
        backs.append(back)

    def backward(grad: Tensor) -> tuple[Tensor, list[Operation]]:
        operations: list[Operation] = []
        for back in reversed(backs):
            grad, more = back(grad)
            operations += more
        return grad, operations

    return rows, forward, backward


@dataclass(frozen=True, eq=False)
class Plan:
    """A pass through a network over fixed buffers, laid out once and run in every step.

    Attributes
    ----------
    rows, output, grad : Tensor
        Buffers of the input, the output, and the output's gradient.
    forward, backward : tuple of callable
        In order.
    gradients : tuple of Tensor or None
        Buffers of the parameters' gradients, in the order of the network's parameters.
    """

    rows: Tensor
    output: Tensor
    grad: Tensor
    forward: tuple[Operation, ...]
    backward: tuple[Operation, ...]
    gradients: tuple[Tensor | None, ...]


@dataclass(frozen=True, eq=False)
class Network:
    """A compiled encoder.

    Attributes
    ----------
    layers : tuple of Layer
    parameters : tuple of Parameter
        In the order of the model; their memory must stay where it is.
    arena : Arena
    plans : dict
        Those laid out so far, by what they run over.
    """

    layers: tuple[Layer, ...]
    parameters: tuple[nn.Parameter, ...]
    arena: Arena
    plans: dict[Any, Plan] = field(default_factory=dict)

    def plan(self, n_rows: int, n_columns: int, batch: int, source: Tensor | None) -> Plan:
        """Return the plan for so many rows, or for all rows of `source` where they lie."""
        key = (n_rows, batch, None if source is None else source.data_ptr())
        if key not in self.plans:
            self.arena.reset()
            rows = self.arena.take(n_rows, n_columns) if source is None else source
            gradients: Gradients = {}
            output, forward, back = _chain(self.layers, rows, batch, False, self.arena, gradients)
            grad = self.arena.take(*output.shape)
            _, backward = back(grad)
            in_order = tuple(gradients.get(parameter) for parameter in self.parameters)
            self.plans[key] = Plan(rows, output, grad, tuple(forward), tuple(backward), in_order)
        return self.plans[key]


def compile_network(model: Any) -> Network | None:
    """Read a model's layers.

    Returns
    -------
    Network or None
        None if the model has a layer, or a `forward`, that is unknown here.
    """
    from cebra.models.model import _OffsetModel

    if type(model).forward is not _OffsetModel.forward:
        return None
    modules: Any = model.net
    flattens = any(isinstance(module, nn.Flatten) for module in modules)
    if flattens and len(model.get_offset()) != 1:  # its linear layers see whole windows, not rows
        return None
    layers = _compiled(modules)
    parameters = tuple(model.parameters())
    return None if layers is None else Network(layers, parameters, Arena(parameters[0].detach()))


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
    if kind is nn.Linear:
        return [Linear(module.weight, module.bias)]
    if kind is nn.GELU and module.approximate == "none":
        return [Gelu()]
    if kind is nn.Tanh:
        return [Tanh()]
    if kind is _Norm:
        return [Normalise()]
    if kind in (Squeeze, nn.Flatten):
        return []
    if kind is _Skip:
        inside = _compiled(module.module)
        before, after = module.crop.start, -(module.crop.stop or 0)
        over_time = any(isinstance(layer, Convolution) for layer in inside or ())
        # Around linear layers a crop would cut features, not steps.
        if inside is not None and (over_time or (before, after) == (0, 0)):
            return [Skip(inside, before, after)]
    return None


def _is_plain(module: nn.Conv1d) -> bool:
    plain = (module.stride, module.dilation, module.padding, module.groups)
    return plain == ((1,), (1,), (0,), 1)


class _Apply(torch.autograd.Function):
    """A network as one node of autograd's graph."""

    @staticmethod
    def forward(
        ctx: Any,
        source: Tensor,
        plan: Plan,
        index: Tensor | None,
        wanted: Tensor | None,
        *_: Tensor,
    ) -> Tensor:
        if index is not None:
            torch.index_select(source, 0, index, out=plan.rows)
        for operation in plan.forward:
            operation()
        ctx.plan, ctx.wanted = plan, wanted
        return plan.output.clone() if wanted is None else plan.output.index_select(0, wanted)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        plan: Plan = ctx.plan
        if ctx.wanted is None:
            plan.grad.copy_(grad)
        else:
            plan.grad.zero_().index_add_(0, ctx.wanted, grad)
        for operation in plan.backward:
            operation()
        # Copies: autograd hands these on, and the buffers serve the next step.
        return (None, None, None, None, *(g if g is None else g.clone() for g in plan.gradients))


def apply_network(
    network: Network, source: Tensor, index: Tensor | None, batch: int, wanted: Tensor | None
) -> Tensor:
    """Apply a network.

    Parameters
    ----------
    network : Network
        Its buffers serve one pass at a time: `backward` before the next `apply_network`.
    source : Tensor of shape (T, N)
    index : Tensor of shape (L * B,), int64, or None
        Rows of `source`, time first; all of them in order if None. Where `wanted` is given they are
        filled up with the last one to a multiple of `LENGTH_STEP`.
    batch : int
        B.
    wanted : Tensor of shape (Q,), int64, or None
        Rows of the ((L - W + 1) * B, D) output to return; all of them if None.

    Returns
    -------
    Tensor of shape (Q, D)
    """
    if index is None:
        plan = network.plan(len(source), source.shape[1], batch, source)
    else:
        short = -len(index) % LENGTH_STEP if wanted is not None else 0
        if short:
            index = torch.cat([index, index[-1:].expand(short)])
        plan = network.plan(len(index), source.shape[1], batch, None)
    output: Tensor = _Apply.apply(  # type: ignore[no-untyped-call]
        source, plan, index, wanted, *network.parameters
    )
    return output
