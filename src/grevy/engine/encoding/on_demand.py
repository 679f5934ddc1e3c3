"""Recordings that stay on the disk: the steps of a batch alone are brought to the device."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grevy.data import IntArray, Stored


@dataclass(frozen=True, eq=False)
class OnDemand:
    """A recording of which only the steps that lie in the windows of a batch are read.

    Attributes
    ----------
    stored : Stored
    buffer : Tensor of shape (K, N)
        Where those steps go, packed side by side; on the device and of the type in which the
        model computes. What was read before is left behind them.
    """

    stored: Stored
    buffer: Tensor

    @staticmethod
    def made(stored: Stored, room: int, device: str, dtype: torch.dtype) -> "OnDemand":
        """Make room for `room` steps."""
        shape = (room, stored.shape[1])
        return OnDemand(stored, torch.zeros(shape, dtype=dtype, device=device))

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
        rows = self.stored.rows(kept)
        if self.buffer.device.type == "cpu" and self.buffer.dtype == torch.float32:
            self.buffer.numpy()[: len(kept)] = rows
        else:
            self.buffer[: len(kept)].copy_(torch.from_numpy(rows.astype(np.float32)))
        return self.buffer, start


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
