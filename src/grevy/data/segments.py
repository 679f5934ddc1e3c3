"""Segments, given as runs or as one identifier for each time step, as runs [start, stop)."""

import numpy as np
import numpy.typing as npt

from grevy.data.arrays import Array, IntArray
from grevy.errors import Problems


def checked_segments(values: npt.ArrayLike | None, length: int, problems: Problems) -> IntArray:
    """Return segments as sorted, disjoint runs.

    Parameters
    ----------
    values : array_like or None
        (S, 2) runs [start, stop), (T,) identifiers, or None for one run of everything.
    length : int
        T.
    problems : Problems
        Gathers what is wrong with them.

    Returns
    -------
    ndarray of shape (S, 2), int64
        Of use only if there were no problems.
    """
    whole = np.array([[0, length]], dtype=np.int64)
    if values is None or not length:
        return whole
    try:
        array = np.asarray(values)
    except ValueError as error:
        problems.add(f"segments of different lengths ({error}); expected runs of shape (S, 2).")
        return whole
    if array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1):
        if array.dtype.kind == "f" and np.isnan(array).any():
            problems.add(
                f"{int(np.isnan(array).sum())} segment identifiers are NaN; give the steps between "
                f"segments a number of their own, or give (S, 2) runs [start, stop)."
            )
            return whole
        if len(array) != length:
            problems.add(
                f"{len(array)} segment identifiers for {length} time steps; expected one for each "
                f"time step, or (S, 2) runs [start, stop)."
            )
            return whole
        return segments_from_identifiers(array.reshape(-1))
    return checked_runs(array, length, problems)


def checked_runs(array: Array, length: int, problems: Problems) -> IntArray:
    """Return (S, 2) runs [start, stop) as int64; `problems` gathers what is wrong with them."""
    if array.ndim != 2 or array.shape[1] != 2 or not len(array) or array.dtype.kind not in "iu":
        problems.add(
            f"segments of shape {array.shape} and dtype {array.dtype}; expected integer runs "
            f"[start, stop) of shape (S, 2), or for a recording one identifier for each time step."
        )
        return np.array([[0, length]], dtype=np.int64)
    runs = array.astype(np.int64)
    starts, stops = runs[:, 0], runs[:, 1]
    if (starts < 0).any() or (stops > length).any() or (starts >= stops).any():
        problems.add(f"segments must satisfy 0 <= start < stop <= {length}.")
    elif (starts[1:] < stops[:-1]).any():
        problems.add("segments must be sorted and must not overlap.")
    return runs


def segments_from_identifiers(identifiers: Array) -> IntArray:
    """Turn one identifier per time step into runs: every change starts a new segment.

    Parameters
    ----------
    identifiers : ndarray of shape (T,)
        Trial numbers, block names, and so on.

    Returns
    -------
    ndarray of shape (S, 2), int64
    """
    edges = np.flatnonzero(identifiers[1:] != identifiers[:-1]) + 1
    starts = np.concatenate([[0], edges])
    stops = np.concatenate([edges, [len(identifiers)]])
    return np.stack([starts, stops], axis=1).astype(np.int64)


def cut_runs(owner: IntArray, breaks: Array, there: Array) -> IntArray:
    """Find the unbroken runs of steps that are there, none of them over two owners.

    Parameters
    ----------
    owner : ndarray of shape (T,), int64
        The stretch (a trial, say) that each step lies in; -1 for none.
    breaks : ndarray of shape (T - 1,), bool
        Whether time is broken after a step.
    there : ndarray of shape (T,), bool

    Returns
    -------
    ndarray of shape (S, 2), int64
        May be empty.
    """
    broken = np.concatenate([[0], np.cumsum(breaks)])
    stretch = np.where(there & (owner >= 0), owner * (broken[-1] + 1) + broken, -1)
    runs = segments_from_identifiers(stretch)
    return runs[stretch[runs[:, 0]] >= 0]


def steps_inside(runs: IntArray) -> IntArray:
    """List the time steps of runs, one run after the other.

    Parameters
    ----------
    runs : ndarray of shape (S, 2)
        Half-open, [start, stop); they may overlap.

    Returns
    -------
    ndarray of shape (P,), int64
    """
    sizes = runs[:, 1] - runs[:, 0]
    before = np.cumsum(sizes) - sizes
    return np.arange(sizes.sum(), dtype=np.int64) + np.repeat(runs[:, 0] - before, sizes)


def between(runs: IntArray, length: int) -> IntArray:
    """Return the stretches of time that lie outside of all runs.

    Parameters
    ----------
    runs : ndarray of shape (S, 2)
        Sorted and disjoint.
    length : int
        T.

    Returns
    -------
    ndarray of shape (G, 2), int64
    """
    starts, stops = np.append(0, runs[:, 1]), np.append(runs[:, 0], length)
    return np.stack([starts, stops], axis=1)[starts < stops].astype(np.int64)
