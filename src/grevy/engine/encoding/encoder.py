"""In training: the embedding of the positions of a batch, and the way back to the weights."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from grevy.data import Array, IntArray
from grevy.engine.encoding.layout import Layout
from grevy.engine.encoding.models import apply_sequence, apply_windows
from grevy.engine.encoding.on_demand import OnDemand, covered
from grevy.engine.encoding.padding import Padding
from grevy.engine.kernels.calls import cover_windows
from grevy.engine.layers.network import Network, apply_network


@dataclass(frozen=True, eq=False)
class Encoder:
    """Models and the data that they are applied to, on one device.

    Attributes
    ----------
    models : tuple of Module
        One for each recording.
    networks : tuple of Network or None
        The same, compiled, where they could be.
    neural : tuple of Tensor of shape (T, N), or OnDemand
        One for each recording; float32, or of the dtype of the compiled network.
    starts : ndarray of shape (S + 1,), int64
        Where each recording begins on the common time axis.
    left, right : int
        Receptive field: a window at t spans [t - left, t + right).
    layouts : tuple of Layout
        One for each recording.
    padding : tuple of Padding or None
        One for each recording, whose padded copies of short segments lie behind it in `neural`;
        empty if there are none anywhere.
    """

    models: tuple[nn.Module, ...]
    networks: tuple[Network | None, ...]
    neural: tuple[Tensor | OnDemand, ...]
    starts: IntArray
    left: int
    right: int
    layouts: tuple[Layout, ...]
    padding: tuple[Padding | None, ...] = ()

    def first_steps(self, number: int, positions: IntArray) -> IntArray:
        """Find the first step of each window in `neural` of one recording, from its positions."""
        padding = self.padding[number] if self.padding else None
        start = positions - self.left
        return start if padding is None else start + padding.moved(positions)


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


def encode(
    encoder: Encoder, positions: Array, alter: Callable[[Tensor], Tensor] | None = None
) -> Encoded:
    """Embed the given positions of the common time axis.

    Parameters
    ----------
    encoder : Encoder
    positions : ndarray of shape (Q,), int64
        Each with its window inside its recording, or in a segment that is padded.
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
    source, layout = encoder.neural[number], encoder.layouts[number]
    width = encoder.left + encoder.right
    start = encoder.first_steps(number, positions)
    if start.min() < 0 or start.max() > len(source) - width:  # C does not look
        raise IndexError("a window leaves its recording.")
    if isinstance(source, OnDemand):  # packed already, whatever the layout
        neural, start = source.around(start, width)
        layout = replace(layout, steps=len(neural))
    else:
        neural = source
    if network is not None and alter is None:
        kept = None
        if layout.steps < len(neural):
            start, kept = pack(start, width, len(neural), layout.steps, network.library)
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


def pack(
    start: IntArray, width: int, length: int, room: int, library: Any = None
) -> tuple[IntArray, IntArray | None]:
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
    library : CDLL, optional
        Compiled loops.

    Returns
    -------
    start : ndarray of shape (Q,), int64
        First step of each window, counted among those kept.
    kept : ndarray of shape (K,), int64, or None
        The steps in order, the last one repeated until the room is filled; None if they do not
        fit, and all are kept.
    """
    if library is not None:
        return cover_windows(library, start, width, length, room) or (start, None)
    first, found = covered(start, width)
    if len(found) > room:
        return start, None
    return first, np.pad(found, (0, room - len(found)), mode="edge")


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
