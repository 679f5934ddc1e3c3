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
from enum import Enum
from functools import partial
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

Gradients = dict[nn.Parameter, Tensor]
Operation = Callable[[], Any]
Backward = Callable[[Tensor], tuple[Tensor, list[Operation]]]

# Outputs with fewer columns lie transposed in memory: products with few rows run several times
# faster than with few columns.
NARROW = 16


class Arena:
    """Buffers handed out in the same order to every plan; plans share them, for one runs at a time.

    Fresh memory has to be mapped page by page by the operating system, which at these sizes takes
    longer than the arithmetic.

    Parameters
    ----------
    like : Tensor
        Of the device and dtype of the buffers.
    """

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._buffers: list[Tensor] = []
        self._next = 0

    def reset(self) -> None:
        """Start a new plan."""
        self._next = 0

    @property
    def dtype(self) -> torch.dtype:
        """Return the precision in which plans compute."""
        return self._like.dtype

    def take(self, rows: int, columns: int) -> Tensor:
        """Return an uninitialised (rows, columns); a narrow one lies transposed."""
        size = rows * columns
        if self._next == len(self._buffers):
            self._buffers.append(self._like.new_empty(size))
        elif self._buffers[self._next].numel() < size:
            # Older plans keep the smaller buffer alive, and stay right.
            self._buffers[self._next] = self._like.new_empty(size)
        buffer = self._buffers[self._next]
        self._next += 1
        if 1 < columns < NARROW:
            return buffer[:size].view(columns, rows).T
        return buffer[:size].view(rows, columns)


class Need(Enum):
    """What is wanted of the gradient of a layer's input."""

    NONE = "nothing"
    FRESH = "in memory of its own"
    REUSE = "in the memory of the input, which nobody needs any more"


class Layer(Protocol):
    """A step of a network over rows.

    Attributes
    ----------
    keeps_output : bool
        Whether its way back needs its output.
    """

    keeps_output: ClassVar[bool]

    def plan(
        self, rows: Tensor, batch: int, need: Need, arena: Arena, gradients: Gradients
    ) -> tuple[Tensor, list[Operation], Backward]:
        """Lay out one layer over fixed buffers.

        Parameters
        ----------
        rows : Tensor
            The input.
        batch : int
            B, the rows of one time step.
        need : Need
            What is wanted of the input's gradient.
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
            # The input has served: the gradient of the weights came first.
            input_grad = rows if need is Need.REUSE else arena.take(*rows.shape)
            operations.append(partial(torch.mm, grad, matrices[0].T, out=input_grad[:n]))
            if self.taps > 1:
                operations.append(input_grad[n:].zero_)
            for tap in range(1, self.taps):
                part = input_grad[tap * batch :][:n]
                operations.append(partial(part.addmm_, grad, matrices[tap].T))
            return input_grad, operations

        return output, forward, backward


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
            # The input is not needed again, and makes room for its gradient.
            gelu_backward = torch.ops.aten.gelu_backward.grad_input
            return rows, [partial(gelu_backward, grad, rows, grad_input=rows)]

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
            tanh_backward = torch.ops.aten.tanh_backward.grad_input
            return rows, [partial(tanh_backward, grad, output, grad_input=rows)]

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

    keeps_output: ClassVar[bool] = False

    layers: tuple[Layer, ...]
    before: int
    after: int

    def plan(
        self, rows: Tensor, batch: int, need: Need, arena: Arena, gradients: Gradients
    ) -> tuple[Tensor, list[Operation], Backward]:
        def shortcut(of: Tensor) -> Tensor:
            return of[self.before * batch : len(of) - self.after * batch]

        output, forward, back = _chain(self.layers, rows, batch, need, arena, gradients)

        def backward(grad: Tensor) -> tuple[Tensor, list[Operation]]:
            input_grad, operations = back(grad)
            if need is not Need.NONE:
                operations.append(partial(shortcut(input_grad).add_, grad))
            return input_grad, operations

        return output, [*forward, partial(output.add_, shortcut(rows))], backward


def _chain(
    layers: Sequence[Layer],
    rows: Tensor,
    batch: int,
    need: Need,
    arena: Arena,
    gradients: Gradients,
) -> tuple[Tensor, list[Operation], Backward]:
    """Lay out layers one after the other."""
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


@dataclass(frozen=True, eq=False)
class Plan:
    """A pass through a network over fixed buffers, laid out once and run in every step.

    Attributes
    ----------
    index : Tensor of shape (L * B,), int64
        Buffer of the rows at which windows are gathered, time first.
    output, grad : Tensor of shape (R, D)
        Buffers of the output and of its gradient.
    forward, backward : tuple of callable
        In order.
    gradients : tuple of (Parameter, Tensor)
        The buffers that `backward` fills.
    """

    index: Tensor
    output: Tensor
    grad: Tensor
    forward: tuple[Operation, ...]
    backward: tuple[Operation, ...]
    gradients: tuple[tuple[nn.Parameter, Tensor], ...]


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

    def plan(self, source: Tensor, depth: int, width: int, batch: int) -> Plan:
        """Return the plan of a pass over `source`, which has to stay where it is.

        Parameters
        ----------
        source : Tensor of shape (T, N)
        depth : int
            Layers that are applied to the whole sequence, before windows are gathered.
        width : int
            Rows of each window at that depth.
        batch : int
            Windows.
        """
        key = (source.data_ptr(), len(source), depth, width, batch)
        if key not in self.plans:
            self.plans[key] = self._laid_out(source, depth, width, batch)
        return self.plans[key]

    def _laid_out(self, source: Tensor, depth: int, width: int, batch: int) -> Plan:
        arena, gradients = self.arena, Gradients()
        arena.reset()
        below, above = self.layers[:depth], self.layers[depth:]
        wide, forward, back_below = _chain(below, source, 1, Need.NONE, arena, gradients)
        index = torch.empty(width * batch, dtype=torch.int64, device=source.device)
        rows = arena.take(len(index), wide.shape[1])
        forward.append(partial(torch.index_select, wide, 0, index, out=rows))
        need = Need.REUSE if below else Need.NONE
        output, more, back_above = _chain(above, rows, batch, need, arena, gradients)
        grad = arena.take(*output.shape)
        rows_grad, backward = back_above(grad)
        if below:
            wide_grad = arena.take(*wide.shape) if below[-1].keeps_output else wide
            backward += [wide_grad.zero_, partial(wide_grad.index_add_, 0, index, rows_grad)]
            backward += back_below(wide_grad)[1]
        return Plan(
            index,
            output,
            grad,
            (*forward, *more),
            tuple(backward),
            tuple(gradients.items()),
        )


def compile_network(model: Any, dtype: torch.dtype | None = None) -> Network | None:
    """Read a model's layers.

    Parameters
    ----------
    model : Module
    dtype : torch.dtype, optional
        In which passes compute; that of the parameters if not given.

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
    if layers and not isinstance(layers[0], Convolution):  # others write into their input's memory
        return None
    parameters = tuple(model.parameters())
    like = parameters[0].detach()
    arena = Arena(like.to(dtype or like.dtype))
    return None if layers is None else Network(layers, parameters, arena)


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
        return [Convolution(module.weight, module.bias, 1)]
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


def apply_network(
    network: Network, source: Tensor, first: Tensor, depth: int, width: int
) -> tuple[Tensor, Callable[[Tensor], None]]:
    """Apply a network to windows.

    Parameters
    ----------
    network : Network
        Its buffers serve one pass at a time: pull back before the next `apply_network`.
    source : Tensor of shape (T, N)
        Of the network's dtype.
    first : Tensor of shape (B,), int64
        First step of each window.
    depth : int
        Layers applied to the whole sequence, before windows are gathered; from 0 to all.
    width : int
        Steps of each window as it enters the network.

    Returns
    -------
    output : Tensor of shape (B, D)
        Of the parameters' dtype; its memory may serve the next pass.
    pull_back : callable
        Takes the gradient of `output`, and sets (not: adds to) those of the parameters.
    """
    width -= reach(network.layers[:depth])
    plan = network.plan(source, depth, width, len(first))
    torch.add(first, torch.arange(width)[:, None], out=plan.index.view(width, -1))
    for operation in plan.forward:
        operation()

    def pull_back(grad: Tensor) -> None:
        plan.grad.copy_(grad)
        for operation in plan.backward:
            operation()
        for parameter, value in plan.gradients:
            parameter.grad = value

    return plan.output.to(network.parameters[0].dtype), pull_back


def reach(layers: Sequence[Layer]) -> int:
    """Count the steps by which layers shorten a sequence."""
    inner = [each for x in layers for each in (x.layers if isinstance(x, Skip) else (x,))]
    return sum(each.taps - 1 for each in inner if isinstance(each, Convolution))
