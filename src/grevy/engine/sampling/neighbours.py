"""The nearest label, exactly, with ties broken at random.

`cebra` computes xx + qq - 2xq in float32, which loses the answer once labels carry an offset, and
always takes the first of several equally near samples. Here distances are float64 differences in a
k-d tree, and a query that several samples answer equally well gets one of them, each equally
likely. The tree is a compiled one, or scipy's where there is none.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from grevy.data import TAU, Array, FloatArray, IntArray
from grevy.engine.kernels.library import load
from grevy.engine.kernels.points import Points, nearest_samples, plant
from grevy.errors import GrevyError

# Points in a leaf of the tree: as fast as fewer, in less memory.
LEAF = 32


@dataclass(frozen=True, eq=False)
class NeighbourIndex:
    """A k-d tree over distinct points, and the samples that sit at each of them.

    Attributes
    ----------
    tree : scipy.spatial.cKDTree
        Over the U distinct points.
    samples : ndarray of shape (P,), integer
        The samples, those at one point next to each other.
    starts : ndarray of shape (U,), int64, or None
        Samples of point u are ``samples[starts[u] : starts[u] + counts[u]]``; None where each point
        has one sample, at its own place.
    counts : ndarray of shape (U,), int64
    """

    tree: Any
    samples: IntArray
    starts: IntArray | None
    counts: IntArray

    def pick(self, point: IntArray, rank: IntArray) -> IntArray:
        """Return the samples number `rank` of the given points."""
        return self.samples[(point if self.starts is None else self.starts[point]) + rank]


def build_index(
    points: FloatArray, samples: IntArray, turn: Array, compiled: bool = True
) -> NeighbourIndex | Points:
    """Index `samples` by where they are.

    Parameters
    ----------
    points : ndarray of shape (P, d)
        Finite; angles in [0, 2 pi).
    samples : ndarray of shape (P,), integer
        What `nearest` shall return for each point.
    turn : ndarray of shape (d,), bool
        True for dimensions that are angles, whose distance is measured around the circle.
    compiled : bool
        Whether to use the compiled tree, if there is one.
    """
    points = np.asarray(points, np.float64)
    library = load() if compiled and samples.max() < 2**31 else None
    box = np.where(turn, TAU, 0.0)
    if _all_distinct(points):  # the tree takes them as they lie, uncopied
        if library is not None:
            return plant(library, points, box, samples, None)
        ones = np.broadcast_to(np.int64(1), len(points))
        return NeighbourIndex(cKDTree(points, LEAF, boxsize=box), samples, None, ones)
    distinct, samples, bounds = _parted(points, samples)
    if library is not None:
        return plant(library, distinct, box, samples, bounds)
    return NeighbourIndex(
        cKDTree(distinct, LEAF, boxsize=box), samples, bounds[:-1], np.diff(bounds)
    )


def _parted(points: FloatArray, samples: IntArray) -> tuple[FloatArray, IntArray, IntArray]:
    """Return distinct points, the samples at each side by side, and their bounds (U + 1,)."""
    order = np.lexsort(points.T[::-1])
    samples = samples[order]
    ordered = points[order]
    del order  # of millions of points each of these is as large as the labels
    first = np.ones(len(points) + 1, bool)
    first[1:-1] = (ordered[1:] != ordered[:-1]).any(axis=1)
    distinct = ordered[first[:-1]]
    del ordered
    return distinct, samples, np.flatnonzero(first)


def _all_distinct(points: FloatArray) -> bool:
    """Tell whether no two points are alike; may miss it, once in millions of cases.

    Sorting one hash of each point takes less time and memory than sorting the points.
    """
    hashes = np.zeros(len(points), np.uint64)
    for column in points.T:
        hashes ^= (column + 0.0).view(np.uint64)  # -0.0 + 0.0 is 0.0
        hashes *= np.uint64(0x9E3779B97F4A7C15)  # odd: no two hashes become one
        hashes ^= hashes >> np.uint64(32)
    hashes.sort()
    return not (hashes[1:] == hashes[:-1]).any()


def nearest(
    index: NeighbourIndex | Points, queries: FloatArray, rng: np.random.Generator
) -> IntArray:
    """Return, for each query, a sample whose label is nearest, uniformly among all such samples.

    Parameters
    ----------
    index : NeighbourIndex or Points
    queries : ndarray of shape (Q, d)
        Angles may be any real number of radians; the tree wraps them.
    rng : numpy.random.Generator
        Decides among ties.

    Returns
    -------
    ndarray of shape (Q,), int64
    """
    queries = np.asarray(queries, np.float64)
    if not np.isfinite(queries).all():
        raise GrevyError(
            "a label plus its change is too large a number. Use a smaller delta, or smaller labels."
        )
    if isinstance(index, Points):
        return nearest_samples(index, queries, rng.random(len(queries)))
    n_points = len(index.counts)
    distance, point = index.tree.query(queries, k=range(1, min(2, n_points) + 1), workers=-1)
    draws = rng.random(len(queries))
    chosen = point[:, 0]
    found = index.pick(chosen, _scaled(draws, index.counts[chosen])).astype(np.int64)
    if n_points > 1:
        tied = np.flatnonzero(distance[:, 0] == distance[:, 1])
        found[tied] = _among_ties(index, queries[tied], draws[tied])
    return found


def _scaled(draws: FloatArray, counts: IntArray) -> IntArray:
    """Turn uniform draws in [0, 1) into integers in [0, counts)."""
    return np.minimum((draws * counts).astype(np.int64), counts - 1)


def _among_ties(index: NeighbourIndex, queries: FloatArray, draws: FloatArray) -> IntArray:
    """Choose among the samples of all distinct points at the same, smallest distance."""
    found = np.empty(len(queries), np.int64)
    open_ = np.arange(len(queries))
    n_points = len(index.counts)
    k = min(8, n_points)
    while len(open_):
        distance, point = index.tree.query(queries[open_], k=range(1, k + 1))
        tied = distance == distance[:, :1]
        settled = ~tied[:, -1] | (k == n_points)
        counts = np.where(tied[settled], index.counts[point[settled]], 0)
        upto = np.cumsum(counts, axis=1)
        rank = _scaled(draws[open_[settled]], upto[:, -1])
        column = (rank[:, None] >= upto).sum(axis=1)
        rows = np.arange(len(column))
        within = rank - (upto[rows, column] - counts[rows, column])
        chosen = point[settled][rows, column]
        found[open_[settled]] = index.pick(chosen, within)
        open_ = open_[~settled]
        k = min(4 * k, n_points)
    return found
