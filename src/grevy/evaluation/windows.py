"""What an encoder sees at a time step: the steps of its window, summed or side by side."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from grevy.data import Array, IntArray

Way = Literal["summed", "lagged"]


@dataclass(frozen=True, eq=False)
class Windowed:
    """An array (T, N x W) or (T, N) of windows that is never held whole: rows are made when read.

    Row t is of the steps t - before to t + after - 1. As in the encoder, a window that reaches
    beyond its segment repeats the first or the last step there, and so never crosses into another.
    It is read like an array, by a slice or by time steps.

    Attributes
    ----------
    neural : ndarray of shape (T, N)
    segments : ndarray of shape (S, 2)
        Half-open runs [start, stop), sorted and disjoint. Rows of other steps mean nothing.
    before, after : int
        The window; W is their sum.
    way : {"summed", "lagged"}
        The sum of the W steps (N columns), or the steps side by side (N x W columns).
    """

    neural: Array
    segments: IntArray
    before: int
    after: int
    way: Way

    @property
    def shape(self) -> tuple[int, int]:
        """(T, columns)."""
        length, n_neurons = self.neural.shape
        return length, n_neurons * (self.before + self.after if self.way == "lagged" else 1)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the rows: single precision, or double where the data has it."""
        return np.result_type(self.neural.dtype, np.float32)

    def __len__(self) -> int:
        return len(self.neural)

    def __getitem__(self, index: slice | IntArray) -> npt.NDArray[np.floating[Any]]:
        rows = np.arange(len(self))[index]
        owner = np.searchsorted(self.segments[:, 0], rows, side="right") - 1
        first, last = self.segments[owner, 0], self.segments[owner, 1] - 1
        made = np.zeros((len(rows), self.shape[1]), self.dtype)
        n_neurons = self.neural.shape[1]
        for place, lag in enumerate(range(-self.before, self.after)):
            start = place * n_neurons if self.way == "lagged" else 0
            made[:, start : start + n_neurons] += self.neural[np.clip(rows + lag, first, last)]
        return made
