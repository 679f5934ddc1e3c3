"""After training: the embedding of every time step, a chunk at a time."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from grevy.data import Array, IntArray, steps_inside
from grevy.engine.encoding.models import (
    apply_sequence,
    apply_windows,
    is_convolutional,
    receptive_field,
)
from grevy.engine.forking import will_compute

# Positions embedded at once by `embed`: bounded memory, and long enough to cost nothing.
EMBED_CHUNK = 1 << 14


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
    will_compute()
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
            embedding[steps_inside(pieces)] = values
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
        rows = steps_inside(pieces + np.array([-left, right - 1]))
        low, high = (np.repeat(bound, wide) for bound in bounds.T)
        sequence = _load(neural, np.clip(rows, low, high - 1), device)
        start = np.cumsum(wide) - wide
        kept = steps_inside(np.stack([start, start + size], axis=1))
        return apply_sequence(model, sequence).cpu().numpy()[kept]
    steps = steps_inside(pieces)
    low, high = (np.repeat(bound, size)[:, None] for bound in bounds.T)
    rows = np.clip(steps[:, None] + np.arange(-left, right), low, high - 1)
    windows = _load(neural, rows.reshape(-1), device).view(len(steps), left + right, -1)
    return apply_windows(model, windows.transpose(1, 2)).cpu().numpy()


def _load(neural: Array, rows: IntArray, device: str | torch.device) -> Tensor:
    return torch.from_numpy(np.asarray(neural[rows], np.float32)).to(device)
