"""The compiled search for nearest points."""

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np

from grevy.data import Array, FloatArray, IntArray
from grevy.engine.kernels.structures import Queries, Tree
from grevy.engine.threads import thread_count

# Points for which a leaf has room, about; they are scanned together.
LEAF = 32
# Doubles in the longest vector: leaves have room for whole vectors.
_VECTOR = 8


@dataclass(frozen=True, eq=False)
class Points:
    """Points in a tree, and the samples that sit at each of them.

    Attributes
    ----------
    library : CDLL
    tree : Tree
    samples : ndarray of shape (P,), int32
    starts : ndarray of shape (U + 1,), int64, or None
        Samples of point u are ``samples[starts[u] : starts[u + 1]]``; None where each point has
        one sample, at its own place.
    held : tuple of ndarray
        The memory of the tree.
    """

    library: Any
    tree: Tree
    samples: IntArray
    starts: IntArray | None
    held: tuple[Array, ...]


def plant(
    library: Any,
    points: FloatArray,
    period: FloatArray,
    samples: IntArray,
    starts: IntArray | None,
) -> Points:
    """Build the tree.

    Parameters
    ----------
    library : CDLL
    points : ndarray of shape (U, d), float64
        Finite, and distinct.
    period : ndarray of shape (d,)
        0, or the length of a circle, on which points are in [0, period).
    samples, starts : ndarray
        As in `Points`.
    """
    points = np.ascontiguousarray(points, np.float64)
    size, dims = points.shape
    levels = max(0, -(-size // LEAF) - 1).bit_length()
    largest = -(-size // 2**levels)
    slots = -(-largest // _VECTOR) * _VECTOR
    period = np.ascontiguousarray(period, np.float64)
    values = np.empty((2**levels, dims, slots))
    boxes = np.empty((2 ** (levels + 1) - 1, dims, 2))
    order = np.empty(size, np.int32)
    places = [array.ctypes.data for array in (points, period, values, boxes, order)]
    tree = Tree(size, dims, levels, slots, *places)
    library.tree_build(ctypes.byref(tree))
    tree.source = None
    samples = np.ascontiguousarray(samples, np.int32)
    return Points(library, tree, samples, starts, (period, values, boxes, order))


def nearest_samples(points: Points, queries: FloatArray, draws: FloatArray) -> IntArray:
    """Return a sample nearest to each query.

    Parameters
    ----------
    points : Points
    queries : ndarray of shape (Q, d)
        Finite.
    draws : ndarray of shape (Q,)
        In [0, 1): which of those that are equally near.

    Returns
    -------
    ndarray of shape (Q,), int64
    """
    queries = np.ascontiguousarray(queries, np.float64)
    draws = np.ascontiguousarray(draws, np.float64)
    found = np.empty(len(queries), np.int64)
    places = [
        None if array is None else array.ctypes.data
        for array in (queries, draws, points.samples, points.starts, found)
    ]
    asked = Queries(len(queries), thread_count(), *places)
    if points.library.tree_nearest(ctypes.byref(points.tree), ctypes.byref(asked)):
        raise MemoryError("no memory to look for the nearest labels.")
    return found
