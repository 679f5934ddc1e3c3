"""After training: the embedding of every time step, a chunk at a time."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from grevy.data import Array, IntArray, steps_inside, unmapped
from grevy.engine.encoding.models import (
    apply_sequence,
    apply_windows,
    is_convolutional,
    receptive_field,
)
from grevy.engine.forking import will_compute
from grevy.engine.layers.compilation import compile_network
from grevy.engine.layers.network import Network, lay_out_sequence, reach

# Steps embedded at once: bounded memory, and long enough to cost nothing. What compiled loops write
# of the first stays in a core's cache.
COMPILED_CHUNK, TORCH_CHUNK = 1 << 12, 1 << 14


@torch.no_grad()
def embed(
    model: nn.Module,
    neural: Array,
    segments: IntArray,
    device: str | torch.device,
    chunk: int | None = None,
    offset: tuple[int, int] | None = None,
) -> Array:
    """Embed every time step, edges of segments padded with their first or last step.

    Compiled loops do it where they can. Where they run all layers, a step's embedding follows from
    its window to the last bit, whatever the chunk.

    Parameters
    ----------
    model : Module
        In `cebra`'s sense: it has ``get_offset()``. Put into evaluation mode meanwhile.
    neural : ndarray of shape (T, N)
        May be a memory map; only a chunk of it is in memory at a time.
    segments : ndarray of shape (S, 2), int64
        Disjoint runs; steps outside all of them get NaN.
    device : str or torch.device
    chunk : int, optional
        Steps embedded at once, about; a few thousand if not given.
    offset : tuple of int, optional
        (left, right) as by `receptive_field`; the model's own if not given.

    Returns
    -------
    ndarray of shape (T, D), float32

    Raises
    ------
    ValueError
        If segments hold no step.
    """
    will_compute()
    neural = unmapped(neural)
    offset = offset or receptive_field(model)
    width = sum(offset)
    network = _compiled(model, width)
    size = int(np.diff(segments).sum())
    if not size:
        raise ValueError("`segments` hold no step: give at least one")
    widened = size + (width - 1) * len(segments)
    if network is None and not is_convolutional(model):
        widened = size * width
    chunk = chunk or (TORCH_CHUNK if network is None else COMPILED_CHUNK)
    n_chunks = -(-size // max(1, chunk * size // widened))
    per_chunk = -(-size // n_chunks)
    training = model.training
    model.eval()
    embedding = np.empty((0, 0), np.float32)
    try:
        embed_pieces = _way(model, network, neural, device, _chunks(segments, per_chunk), offset)
        for pieces, bounds in _chunks(segments, per_chunk):
            values = embed_pieces(pieces, bounds)
            if not embedding.size:
                embedding = np.full((len(neural), values.shape[1]), np.nan, np.float32)
            embedding[_steps(pieces)] = values
    finally:
        model.train(training)
    return embedding


def _compiled(model: nn.Module, width: int) -> Network | None:
    """Compile a model for this embedding alone, so that nothing of it is kept."""
    network = compile_network(model)
    if network is None or network.library is None or reach(network.layers) != width - 1:
        return None
    return network


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


def _steps(runs: IntArray) -> Any:
    """Return an index of the steps of runs; a slice, which is faster than a list, for one run."""
    return slice(*runs[0].tolist()) if len(runs) == 1 else steps_inside(runs)


def _way(
    model: nn.Module,
    network: Network | None,
    neural: Array,
    device: str | torch.device,
    chunks: Iterator[tuple[IntArray, IntArray]],
    offset: tuple[int, int],
) -> Callable[[IntArray, IntArray], Array]:
    """Return what embeds the steps of pieces, given their bounds; its result may be overwritten."""
    if network is None and not is_convolutional(model):
        return partial(_embed_windows, model, neural, offset, device)
    if network is None:

        def apply(rows: Any) -> Array:
            return apply_sequence(model, _load(neural, rows, device)).cpu().numpy()

        return partial(_embed_sequence, apply, offset)
    around = sum(offset) - 1
    room = max(int(np.diff(pieces).sum()) + around * len(pieces) for pieces, _ in chunks)
    return partial(_embed_sequence, _over_buffers(network, neural, room), offset)


def _over_buffers(network: Network, neural: Array, room: int) -> Callable[[Any], Array]:
    """Return what applies a network to rows of a recording, at most `room` of them."""
    run = _laid_out(network, room, neural.shape[1])
    return lambda rows: run(neural[rows])


def _laid_out(network: Network, room: int, n_neurons: int) -> Callable[[Array], Array]:
    """Return what applies a network to a sequence (K, N) of at most `room` steps."""
    # What shorter sequences leave at the end is computed too, and nobody looks at it. A single row
    # of output would lie in memory like a row of many columns, and be added up in another order.
    shape = (max(room, reach(network.layers) + 2), n_neurons)
    sequence = torch.zeros(shape, dtype=torch.float32, device="cpu")
    output, forward = lay_out_sequence(network, sequence)
    into, values = sequence.numpy(), output.numpy()

    def run(given: Array) -> Array:
        into[: len(given)] = given
        for operation in forward:
            operation()
        return values

    return run


@torch.no_grad()
def window_embedder(
    model: nn.Module, width: int, n_neurons: int, device: str | torch.device
) -> Callable[[Array], Array]:
    """Lay out a model for one window at a time.

    Parameters
    ----------
    model : Module
        In evaluation mode; its weights are read where they lie, at every call.
    width : int
        W, the steps of a window.
    n_neurons : int
        N.
    device : str or torch.device
        Of the model.

    Returns
    -------
    callable
        From a window (W, N) of float32 to its embedding (D,), the same to the last bit as of
        `embed` where compiled loops run all layers. Its memory may serve the next call.
    """
    will_compute()
    network = _compiled(model, width)
    if network is not None:
        run = _laid_out(network, width, n_neurons)
        return lambda window: run(window)[0]

    @torch.no_grad()
    def apply(window: Array) -> Array:
        rows = torch.tensor(window, dtype=torch.float32, device=device)
        return apply_windows(model, rows.T[None])[0].cpu().numpy()

    return apply


def _embed_sequence(
    apply: Callable[[Any], Array], offset: tuple[int, int], pieces: IntArray, bounds: IntArray
) -> Array:
    """Embed pieces in one pass: all end to end, each widened by its surroundings.

    The outputs whose window straddles two pieces are left out.
    """
    left, right = offset
    around = pieces + np.array([-left, right - 1])
    wide = around[:, 1] - around[:, 0]
    if (around == np.clip(around, bounds[:, :1], bounds[:, 1:])).all():
        rows = _steps(around)
    else:
        low, high = (np.repeat(bound, wide) for bound in bounds.T)
        rows = np.clip(steps_inside(around), low, high - 1)
    start = np.cumsum(wide) - wide
    kept = np.stack([start, start + pieces[:, 1] - pieces[:, 0]], axis=1)
    values: Array = apply(rows)[_steps(kept)]
    return values


def _embed_windows(
    model: nn.Module,
    neural: Array,
    offset: tuple[int, int],
    device: str | torch.device,
    pieces: IntArray,
    bounds: IntArray,
) -> Array:
    """Embed pieces window by window."""
    left, right = offset
    steps = steps_inside(pieces)
    low, high = (np.repeat(bound, np.diff(pieces)[:, 0])[:, None] for bound in bounds.T)
    rows = np.clip(steps[:, None] + np.arange(-left, right), low, high - 1)
    windows = _load(neural, rows.reshape(-1), device).view(len(steps), left + right, -1)
    return apply_windows(model, windows.transpose(1, 2)).cpu().numpy()


def _load(neural: Array, rows: Any, device: str | torch.device) -> Tensor:
    # A copy: the recording may be read-only, and layers may write into what they are given.
    return torch.tensor(np.asarray(neural[rows], np.float32), device=device)
