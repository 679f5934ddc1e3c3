"""Recordings that stay on the disk: the steps of a batch alone are brought to the device."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grevy.data import Array, IntArray, Stored, opened_flat
from grevy.engine.kernels.calls import read_stretches
from grevy.engine.kernels.library import load
from grevy.engine.threads import thread_count


@dataclass(frozen=True, eq=False)
class OnDemand:
    """A recording of which only the steps that lie in the windows of a batch are read.

    Attributes
    ----------
    stored : Stored
    buffer : Tensor of shape (K, N)
        Where those steps go, packed side by side; on the device and of the type in which the
        model computes. What was read before is left behind them.
    raw : ndarray of shape (K, N)
        The same as they lie in the file.
    library : CDLL or None
        Compiled loops, which read many windows from a file in two thirds of the time.
    """

    stored: Stored
    buffer: Tensor
    raw: Array
    library: Any

    @staticmethod
    def made(stored: Stored, room: int, device: str, dtype: torch.dtype) -> "OnDemand":
        """Make room for `room` steps."""
        shape = (room, stored.shape[1])
        buffer = torch.zeros(shape, dtype=dtype, device=device)
        return OnDemand(stored, buffer, np.empty(shape, stored.array.dtype), load())

    @property
    def device(self) -> torch.device:
        """Of the model."""
        return self.buffer.device

    @property
    def is_cuda(self) -> bool:
        """Whether that is a GPU."""
        return self.buffer.is_cuda

    def __len__(self) -> int:
        return len(self.stored)

    def around(self, start: IntArray, width: int) -> tuple[Tensor, IntArray]:
        """Read the steps of windows.

        Parameters
        ----------
        start : ndarray of shape (Q,), int64
            First step of each window, inside the recording.
        width : int
            W.

        Returns
        -------
        neural : Tensor of shape (K, N)
            The buffer.
        start : ndarray of shape (Q,), int64
            First step of each window in it.
        """
        start, kept = covered(start, width)
        # In the type of the file, which is smaller; it becomes another as it is copied.
        rows = self._rows(kept)
        if self.buffer.device.type == "cpu" and self.buffer.dtype == torch.float32:
            self.buffer.numpy()[: len(kept)] = rows
        else:
            self.buffer[: len(kept)].copy_(torch.from_numpy(rows.astype(np.float32)))
        return self.buffer, start

    def _rows(self, steps: IntArray) -> Array:
        """Read steps, in order, in the type in which they are stored."""
        with opened_flat(self.stored.array) as flat:
            if flat is None or self.library is None:
                return self.stored.rows(steps)
            stretches = flat.stretches(steps)
            with flat.guarded():
                read_stretches(
                    self.library, flat.stream.fileno(), *stretches, self.raw, thread_count()
                )
        return self.raw[: len(steps)]


def covered(start: IntArray, width: int) -> tuple[IntArray, IntArray]:
    """Find the steps that lie in windows, and where each window starts among them.

    The time that it takes grows with the windows, not with the recording.

    Parameters
    ----------
    start : ndarray of shape (Q,), int64
        First step of each window.
    width : int
        W.

    Returns
    -------
    start : ndarray of shape (Q,), int64
        First step of each window, counted among those that lie in any.
    kept : ndarray of shape (K,), int64
        Those, in order; at most Q W.
    """
    order = np.argsort(start, kind="stable")
    ordered = start[order]
    # What each window adds to those before it ends where it does.
    begin = ordered.copy()
    begin[1:] = np.maximum(begin[1:], ordered[:-1] + width)
    count = ordered + width - begin
    upto = np.cumsum(count)
    kept = np.repeat(begin - (upto - count), count) + np.arange(upto[-1])
    first = np.empty_like(start)
    first[order] = upto - width
    return first, kept
