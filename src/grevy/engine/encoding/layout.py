"""Where in a model windows are gathered, and from which steps: the cheapest way is chosen."""

import math
from dataclasses import dataclass

from torch import nn

from grevy.engine.encoding.models import is_convolutional
from grevy.engine.layers.kinds import Convolution, Skip
from grevy.engine.layers.network import Network

# What it costs to gather a number, to scatter its gradient, and to pass it through an activation
# and back, in multiplications of a matrix product that take as long (measured on a CPU).
GATHER, SCATTER, ACTIVATE = 25, 50, 45
# The same for finding the steps that lie in windows: for each step of the recording, and of each
# window.
LOOK, MARK = 60, 60
# How many more steps are packed than lie in windows on average, so that nearly all batches fit.
ROOM = 1.03


@dataclass(frozen=True)
class Layout:
    """How a model is applied in training.

    Attributes
    ----------
    depth : int
        How many layers are applied before windows are gathered; for a model that is not compiled
        0, or 1 for all.
    steps : int
        How many steps those are applied to: all T of the recording, or fewer, packed.
    """

    depth: int
    steps: int


def choose_layout(
    shape: tuple[int, int],
    n_windows: int,
    width: int,
    model: nn.Module,
    network: Network | None,
    may_pack: bool,
) -> Layout:
    """Choose the cheapest way to apply a model in training.

    Parameters
    ----------
    shape : tuple of int
        (T, N) of the recording.
    n_windows : int
        Q, the windows that one step needs.
    width : int
        W, the receptive field.
    model : Module
    network : Network or None
        The model, compiled.
    may_pack : bool
        Whether steps that lie in windows may be looked for, which the CPU does.

    Returns
    -------
    Layout
        Always of depth 0 for a model with dropout, which must drop other units in every window,
        and for one that is not convolutional.
    """
    length = shape[0]
    dropout = any(isinstance(m, nn.modules.dropout._DropoutNd) for m in model.modules())
    if not is_convolutional(model) or dropout:
        return Layout(0, length)
    if network is None:
        # A window shrinks to one step on its way through the layers: half of it on average.
        return Layout(int(length < 0.5 * n_windows * width), length)
    depths = range(len(network.layers) + 1)
    layouts = [Layout(depth, length) for depth in depths]
    packed = min(length, int(ROOM * expected_cover(length, n_windows, width)))
    if may_pack and packed < length:
        layouts += [Layout(depth, packed) for depth in depths[1:]]
    return min(layouts, key=lambda layout: _work(network, layout, shape, n_windows, width))


def expected_cover(length: int, n_windows: int, width: int) -> float:
    """Return how many of `length` steps lie in windows, on average, if they start anywhere."""
    return length * -math.expm1(-n_windows * width / length)


def _work(
    network: Network, layout: Layout, shape: tuple[int, int], n_windows: int, width: int
) -> float:
    """Estimate one forward and backward pass, in multiplications."""
    work, rows, lost, first = 0.0, float(layout.steps), 0, True
    length, columns = shape
    if layout.steps < length:
        work += rows * columns * GATHER + length * LOOK + n_windows * width * MARK
    for number, layer in enumerate((*network.layers, None)):
        if number == layout.depth:
            rows = n_windows * (width - lost)
            work += rows * columns * (GATHER + SCATTER * (layout.depth > 0))
        for each in layer.layers if isinstance(layer, Skip) else (layer,):
            if isinstance(each, Convolution):
                lost += each.taps - 1
                rows -= (each.taps - 1) * (1 if number < layout.depth else n_windows)
                columns = len(each.weight)
                # Output, weight gradient, and (but for the first layer) input gradient.
                work += rows * each.weight.numel() * (2 if first else 3)
                first = False
            elif each is not None:
                work += rows * columns * ACTIVATE
    return work
