"""A network laid out over fixed buffers, and applied to windows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from grevy.engine.copies import copy, write_rows_of_windows
from grevy.engine.kernels.calls import join_calls
from grevy.engine.layers.base import Arena, Gradients, Layer, Need, Operation
from grevy.engine.layers.fused import fuse, gather, reading, scatter
from grevy.engine.layers.kinds import chain, convolutions
from grevy.engine.threads import thread_count

# Plans kept. Where recordings share a step in ever other parts, each part needs its own; to lay one
# out takes about as long as a small step. A recorded step and its validation, which need two, must
# not lose them: a graph runs in the memory of its plan.
PLANS = 32


@dataclass(frozen=True, eq=False)
class Plan:
    """A pass through a network over fixed buffers, laid out once and run in every step.

    Attributes
    ----------
    kept : Tensor of shape (K,), int64
        Buffer of the steps of the recording to which the first layers are applied; empty if to all.
    index : Tensor of shape (L * B,), int64
        Buffer of the rows at which windows are gathered, time first.
    output, grad : Tensor of shape (R, D)
        Buffers of the output and of its gradient.
    forward, backward : tuple of callable
        In order.
    gradients : tuple of (Parameter, Tensor)
        The buffers that `backward` fills.
    """

    kept: Tensor
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
    library : CDLL or None
        Compiled loops for it; torch does all the work if None.
    plans : dict
        The latest ones, by what they run over, the one run last at the end.
    """

    layers: tuple[Layer, ...]
    parameters: tuple[nn.Parameter, ...]
    arena: Arena
    library: Any
    plans: dict[Any, Plan] = field(default_factory=dict)

    def plan(self, source: Tensor, kept: int, depth: int, width: int, batch: int) -> Plan:
        """Return the plan of a pass over `source`, which has to stay where it is.

        Parameters
        ----------
        source : Tensor of shape (T, N)
        kept : int
            How many steps of it the first layers are applied to; 0 for all, as they lie.
        depth : int
            Layers that are applied before windows are gathered.
        width : int
            Rows of each window at that depth.
        batch : int
            Windows.
        """
        key = (source.data_ptr(), len(source), kept, depth, width, batch, thread_count())
        found = self.plans.pop(key, None) or self._laid_out(source, kept, depth, width, batch)
        self.plans[key] = found
        if len(self.plans) > PLANS:
            del self.plans[next(iter(self.plans))]
        return found

    def _laid_out(self, source: Tensor, kept: int, depth: int, width: int, batch: int) -> Plan:
        arena, gradients = self.arena, Gradients()
        arena.reset()
        below, above = self.layers[:depth], self.layers[depth:]
        if self.library is not None:
            below, above = fuse(below, self.library), fuse(above, self.library)
        steps = torch.empty(kept, dtype=torch.int64, device=source.device)
        packing: list[Operation] = []
        if kept:
            packing, below, source = self._picked(source, steps, below, Need.NONE, arena)
        wide, forward, back_below = chain(below, source, 1, Need.NONE, arena, gradients)
        index = torch.empty(width * batch, dtype=torch.int64, device=source.device)
        need = Need.REUSE if below else Need.NONE
        gathering, above, rows = self._picked(wide, index, above, need, arena)
        forward += gathering
        output, more, back_above = chain(above, rows, batch, need, arena, gradients)
        grad = arena.take(*output.shape)
        rows_grad, backward = back_above(grad)
        if below:
            wide_grad = arena.take(*wide.shape) if below[-1].keeps_output else wide
            backward += self._scatter(rows_grad, index, wide_grad)
            backward += back_below(wide_grad)[1]
        return Plan(
            steps,
            index,
            output,
            grad,
            join_calls([*packing, *forward, *more]),
            join_calls(backward),
            tuple(gradients.items()),
        )

    def _picked(
        self,
        source: Tensor,
        index: Tensor,
        layers: tuple[Layer, ...],
        need: Need,
        arena: Arena,
    ) -> tuple[list[Operation], tuple[Layer, ...], Tensor]:
        """Give rows ``source[index]`` to layers: what copies them, the layers, and their input.

        Where no gradient of them is wanted and the first layer can read them in place, nothing
        is copied.
        """
        first = reading(layers[0], source, index) if layers and need is Need.NONE else None
        if first is not None:
            return [], (first, *layers[1:]), source
        rows = arena.take(len(index), source.shape[1])
        if self.library is not None:
            return [gather(self.library, source, index, rows)], layers, rows
        return [partial(torch.index_select, source, 0, index, out=rows)], layers, rows

    def _scatter(self, source: Tensor, index: Tensor, out: Tensor) -> list[Operation]:
        if self.library is not None:
            return [scatter(self.library, source, index, out)]
        return [out.zero_, partial(out.index_add_, 0, index, source)]


def apply_network(
    network: Network,
    source: Tensor,
    first: Tensor,
    depth: int,
    width: int,
    kept: Tensor | None = None,
) -> tuple[Tensor, Callable[[Tensor], None]]:
    """Apply a network to windows.

    Parameters
    ----------
    network : Network
        Its buffers serve one pass at a time: pull back before the next `apply_network`.
    source : Tensor of shape (T, N)
        Of the network's dtype.
    first : Tensor of shape (B,), int64
        First step of each window, counted among those kept.
    depth : int
        Layers applied before windows are gathered; from 0 to all.
    width : int
        Steps of each window as it enters the network.
    kept : Tensor of shape (K,), int64, optional
        Those layers are applied to these steps alone, as if they were a sequence; to all of
        `source` if not given. What straddles a jump in them belongs to no window.

    Returns
    -------
    output : Tensor of shape (B, D)
        Of the parameters' dtype; its memory may serve the next pass.
    pull_back : callable
        Takes the gradient of `output`, and sets (not: adds to) those of the parameters.
    """
    width -= reach(network.layers[:depth])
    plan = network.plan(source, 0 if kept is None else len(kept), depth, width, len(first))
    if kept is not None:
        copy(plan.kept, kept)
    write_rows_of_windows(plan.index.view(width, -1), first)
    for operation in plan.forward:
        operation()

    def pull_back(grad: Tensor) -> None:
        copy(plan.grad, grad)
        for operation in plan.backward:
            operation()
        for parameter, value in plan.gradients:
            parameter.grad = value

    return plan.output.to(network.parameters[0].dtype), pull_back


def lay_out_sequence(network: Network, rows: Tensor) -> tuple[Tensor, tuple[Operation, ...]]:
    """Lay out the way forward alone, over a sequence and in buffers of its own.

    Parameters
    ----------
    network : Network
        It keeps nothing of this.
    rows : Tensor of shape (K, N)
        Buffer of the sequence, of the network's dtype.

    Returns
    -------
    output : Tensor of shape (K - W + 1, D)
        Buffer of the output at every window of W steps.
    forward : tuple of callable
        Fill `output`, in order.
    """
    layers = network.layers
    if network.library is not None:
        layers = fuse(layers, network.library)
    output, forward, _ = chain(layers, rows, 1, Need.NONE, Arena(rows), {})
    return output, join_calls(forward)


def reach(layers: Sequence[Layer]) -> int:
    """Count the steps by which layers shorten a sequence."""
    return sum(each.taps - 1 for each in convolutions(layers))
