"""How a model is applied: to gathered windows, over the whole sequence, or the one after the other.

A convolutional model gives the same embedding each way; what differs is the work. Q windows of W
steps cost Q x W steps at the first layer, though many of them overlap, and fewer at every layer,
for windows shrink. The sequence costs T steps at every layer, though some lie in no window. So the
first layers may be applied to the sequence, or to those of its steps that lie in windows, packed
side by side; windows are gathered from what they give, and the others applied to those.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from grevy.layers import Convolution, Network, Skip, apply_network
from grevy.recording import Array, IntArray

# Positions embedded at once by `embed`: bounded memory, and long enough to cost nothing.
EMBED_CHUNK = 1 << 14
# What it costs to gather a number, to scatter its gradient, and to pass it through an activation
# and back, in multiplications of a matrix product that take as long (measured on a CPU).
GATHER, SCATTER, ACTIVATE = 25, 50, 80
# The same for finding the steps that lie in windows: for each step of the recording, and of each
# window.
LOOK, MARK = 250, 400
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


@dataclass(frozen=True, eq=False)
class Encoder:
    """Models and the data that they are applied to, on one device.

    Attributes
    ----------
    models : tuple of Module
        One for each recording.
    networks : tuple of Network or None
        The same, compiled, where they could be.
    neural : tuple of Tensor of shape (T, N)
        One for each recording; float32, or of the dtype of the compiled network.
    starts : ndarray of shape (S + 1,), int64
        Where each recording begins on the common time axis.
    left, right : int
        Receptive field: a window at t spans [t - left, t + right).
    layouts : tuple of Layout
        One for each recording.
    """

    models: tuple[nn.Module, ...]
    networks: tuple[Network | None, ...]
    neural: tuple[Tensor, ...]
    starts: IntArray
    left: int
    right: int
    layouts: tuple[Layout, ...]


class Encoded(NamedTuple):
    """An embedding, and the way back.

    Attributes
    ----------
    values : Tensor of shape (Q, D)
        Outside autograd's graph; the memory may serve the next `encode`.
    pull_back : callable
        Takes the gradient of `values`, and leaves those of the parameters in their ``grad``.
    """

    values: Tensor
    pull_back: Callable[[Tensor], None]


def is_convolutional(model: nn.Module) -> bool:
    """Tell whether a model maps (1, N, T) to (1, D, T - W + 1), one output for each window."""
    from cebra.models import ConvolutionalModelMixin, ResampleModelMixin

    return isinstance(model, ConvolutionalModelMixin) and not isinstance(model, ResampleModelMixin)


def receptive_field(model: Any) -> tuple[int, int]:
    """Return (left, right): a window at t spans [t - left, t + right)."""
    offset = model.get_offset()
    return int(offset.left), int(offset.right)


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


def encode(
    encoder: Encoder, positions: Array, alter: Callable[[Tensor], Tensor] | None = None
) -> Encoded:
    """Embed the given positions of the common time axis.

    Parameters
    ----------
    encoder : Encoder
    positions : ndarray of shape (Q,), int64
        Each with its window inside its recording.
    alter : callable, optional
        Applied to the windows (B, N, W) before the model: a mask, say.
    """
    if len(encoder.models) == 1:
        return _encode_one(encoder, 0, positions, alter)
    session = np.searchsorted(encoder.starts, positions, side="right") - 1
    order = np.argsort(session, kind="stable")
    counts = np.bincount(session, minlength=len(encoder.models))
    parts = np.split(positions[order], np.cumsum(counts)[:-1])
    encoded = [
        _encode_one(encoder, number, part - encoder.starts[number], alter)
        for number, part in enumerate(parts)
        if len(part)
    ]
    values = torch.cat([each.values for each in encoded])
    sorted_by = torch.from_numpy(order).to(values.device)

    def pull_back(grad: Tensor) -> None:
        sizes = [len(each.values) for each in encoded]
        for each, part in zip(encoded, torch.split(grad[sorted_by], sizes), strict=True):
            each.pull_back(part)

    return Encoded(torch.empty_like(values).index_copy_(0, sorted_by, values), pull_back)


def _encode_one(
    encoder: Encoder, number: int, positions: Array, alter: Callable[[Tensor], Tensor] | None
) -> Encoded:
    model, network = encoder.models[number], encoder.networks[number]
    neural, layout = encoder.neural[number], encoder.layouts[number]
    width = encoder.left + encoder.right
    start = positions - encoder.left
    if network is not None and alter is None:
        kept = None
        if layout.steps < len(neural):
            start, kept = pack(start, width, len(neural), layout.steps)
        steps = None if kept is None else _on(neural, kept)
        return Encoded(
            *apply_network(network, neural, _on(neural, start), layout.depth, width, steps)
        )
    first = _on(neural, start)
    if layout.depth and alter is None:
        output = apply_sequence(model, neural).index_select(0, first)
    else:
        windows = gather_windows(neural, first, width)
        output = apply_windows(model, windows if alter is None else alter(windows))
    return Encoded(output.detach(), output.backward)


def pack(start: IntArray, width: int, length: int, room: int) -> tuple[IntArray, IntArray | None]:
    """Find the steps that lie in windows, and where each window starts among them.

    Parameters
    ----------
    start : ndarray of shape (Q,), int64
        First step of each window.
    width : int
        W.
    length : int
        T of the recording.
    room : int
        K, how many steps there is room for.

    Returns
    -------
    start : ndarray of shape (Q,), int64
        First step of each window, counted among those kept.
    kept : ndarray of shape (K,), int64, or None
        The steps in order, the last one repeated until the room is filled; None if they do not
        fit, and all are kept.
    """
    covered = np.zeros(length, bool)
    for lag in range(width):
        covered[start + lag] = True
    found = np.flatnonzero(covered)
    if len(found) > room:
        return start, None
    kept = np.full(room, found[-1])
    kept[: len(found)] = found
    return (np.cumsum(covered) - 1)[start], kept


def _on(neural: Tensor, index: IntArray) -> Tensor:
    return torch.from_numpy(index).to(neural.device, non_blocking=True)


def gather_windows(neural: Tensor, first: Tensor, width: int) -> Tensor:
    """Copy windows out of a recording.

    Parameters
    ----------
    neural : Tensor of shape (T, N), contiguous
    first : Tensor of shape (B,), int64
        First step of each window.
    width : int
        W.

    Returns
    -------
    Tensor of shape (B, N, W)
    """
    length, neurons = neural.shape
    # Overlapping rows of W * N numbers: one contiguous copy for each window.
    rows = neural.as_strided((length - width + 1, width * neurons), (neurons, 1))
    return rows.index_select(0, first).view(-1, width, neurons).transpose(1, 2)


def apply_windows(model: nn.Module, windows: Tensor) -> Tensor:
    """Embed windows (B, N, W), giving (B, D)."""
    output: Tensor = model(windows)
    return output.reshape(len(windows), -1)


def apply_sequence(model: nn.Module, neural: Tensor) -> Tensor:
    """Embed every window of a sequence (T, N) at once, giving (T - W + 1, D)."""
    output: Tensor = model(neural.T[None])
    return output.reshape(output.shape[1], -1).T


@torch.no_grad()
def embed(
    model: nn.Module,
    neural: Array,
    segments: IntArray,
    device: str | torch.device,
    chunk: int = EMBED_CHUNK,
) -> Array:
    """Embed every time step, edges of segments padded with their first or last step.

    Parameters
    ----------
    model : Module
        In `cebra`'s sense: it has ``get_offset()``. Put into evaluation mode meanwhile.
    neural : ndarray of shape (T, N)
        May be a memory map; only a chunk of it is in memory at a time.
    segments : ndarray of shape (S, 2), int64
        Disjoint runs; steps outside all of them get NaN.
    device : str or torch.device
    chunk : int
        Steps embedded at once.

    Returns
    -------
    ndarray of shape (T, D), float32
    """
    left, right = receptive_field(model)
    size = segments[:, 1] - segments[:, 0]
    widened = size.sum() + (left + right - 1) * len(segments)
    if not is_convolutional(model):
        widened = size.sum() * (left + right)
    per_chunk = max(1, int(chunk * size.sum() / widened))
    training = model.training
    model.eval()
    embedding = np.empty((0, 0), np.float32)
    try:
        for pieces, bounds in _chunks(segments, per_chunk):
            values = _embed_pieces(model, neural, pieces, bounds, (left, right), device)
            if not embedding.size:
                embedding = np.full((len(neural), values.shape[1]), np.nan, np.float32)
            embedding[_steps(pieces[:, 0], pieces[:, 1] - pieces[:, 0])] = values
    finally:
        model.train(training)
    return embedding


def _chunks(segments: IntArray, chunk: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Cut segments into pieces, about `chunk` steps of them at a time.

    Yields the pieces (P, 2) and, for each, the bounds (P, 2) of the segment that it comes from.
    """
    size = segments[:, 1] - segments[:, 0]
    upto = np.cumsum(size)
    for start in range(0, int(upto[-1]), chunk):
        stop = min(start + chunk, int(upto[-1]))
        first = int(np.searchsorted(upto, start, side="right"))
        last = int(np.searchsorted(upto, stop, side="left"))
        bounds = segments[first : last + 1]
        pieces = bounds.copy()
        pieces[0, 0] += start - (upto[first] - size[first])
        pieces[-1, 1] -= upto[last] - stop
        yield pieces, bounds


def _steps(starts: Array, sizes: Array) -> IntArray:
    """Concatenate the ranges [start, start + size)."""
    before = np.cumsum(sizes) - sizes
    return (np.arange(sizes.sum()) + np.repeat(starts - before, sizes)).astype(np.int64)


def _embed_pieces(
    model: nn.Module,
    neural: Array,
    pieces: IntArray,
    bounds: IntArray,
    offset: tuple[int, int],
    device: str | torch.device,
) -> Array:
    """Embed the steps of `pieces`, padding where a window leaves its segment."""
    left, right = offset
    size = pieces[:, 1] - pieces[:, 0]
    if is_convolutional(model):
        # All pieces end to end, each widened by its surroundings, in one pass; the outputs whose
        # window straddles two pieces are left out.
        wide = size + left + right - 1
        rows = _steps(pieces[:, 0] - left, wide)
        low, high = (np.repeat(bound, wide) for bound in bounds.T)
        sequence = _load(neural, np.clip(rows, low, high - 1), device)
        kept = _steps(np.cumsum(wide) - wide, size)
        return apply_sequence(model, sequence).cpu().numpy()[kept]
    steps = _steps(pieces[:, 0], size)
    low, high = (np.repeat(bound, size)[:, None] for bound in bounds.T)
    rows = np.clip(steps[:, None] + np.arange(-left, right), low, high - 1)
    windows = _load(neural, rows.reshape(-1), device).view(len(steps), left + right, -1)
    return apply_windows(model, windows.transpose(1, 2)).cpu().numpy()


def _load(neural: Array, rows: IntArray, device: str | torch.device) -> Tensor:
    return torch.from_numpy(np.asarray(neural[rows], np.float32)).to(device)
