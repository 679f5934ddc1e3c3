"""Segments too short for a window, padded: copies of them behind the end of a recording."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from grevy.data import Array, IntArray, steps_inside


@dataclass(frozen=True, eq=False)
class Padding:
    """Where the windows of short segments lie.

    Attributes
    ----------
    runs : ndarray of shape (S, 2), int64
        The short segments, sorted, on the time axis of their recording.
    shift : ndarray of shape (S,), int64
        By how much windows in each are moved, into its padded copy.
    """

    runs: IntArray
    shift: IntArray

    def moved(self, positions: IntArray) -> IntArray:
        """Return by how much the window at each position is moved; 0 outside short segments."""
        run = np.searchsorted(self.runs[:, 0], positions, side="right") - 1
        inside = (run >= 0) & (positions < self.runs[run, 1])
        return np.where(inside, self.shift[run], 0)


def pad_segments(neural: Any, runs: IntArray, left: int, right: int) -> tuple[Array, Padding]:
    """Lay padded copies of segments behind a recording, as `embed` pads every segment.

    Parameters
    ----------
    neural : array of shape (T, N)
    runs : ndarray of shape (S, 2), int64
        The segments, sorted and disjoint; at least one.
    left, right : int
        A window at t spans [t - left, t + right).

    Returns
    -------
    neural : ndarray of shape (T + P, N)
        Each copy begins with `left` times the first step of its segment, and ends with
        ``right - 1`` times the last one.
    padding : Padding
    """
    wide = runs + np.array([-left, right - 1])
    size = wide[:, 1] - wide[:, 0]
    low, high = (np.repeat(bound, size) for bound in runs.T)
    rows = np.clip(steps_inside(wide), low, high - 1)
    begin = len(neural) + np.cumsum(size) - size
    padded = np.concatenate([np.asarray(neural[:]), np.asarray(neural[rows])])
    return padded, Padding(runs, begin - wide[:, 0])
