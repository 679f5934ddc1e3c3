"""What was decoded on held-out time, laid out for drawing: stretches, lines, bins, counts."""

from itertools import pairwise

import numpy as np

from grevy.data import TAU, Array, FloatArray, IntArray, Label
from grevy.evaluation import angular_error

MAX_STRETCHES = 12
# Angles of one degree are one angle.
DEGREES = 360


def stretches(steps: IntArray) -> list[slice]:
    """Cut held-out steps into stretches to look at one by one: at the longest breaks between them.

    Breaks at least a quarter as long as the longest count, the twelve longest stretches at most;
    blocks of time then stay whole, also where short trials are apart from each other.
    """
    jumps = np.diff(steps)
    if not len(jumps) or jumps.max() == 1:
        return [slice(0, len(steps))]
    wide = np.flatnonzero(jumps >= max(2, jumps.max() / 4))
    longest = wide[np.argsort(-jumps[wide], kind="stable")][: MAX_STRETCHES - 1]
    cuts = [0, *sorted((longest + 1).tolist()), len(steps)]
    return [slice(start, stop) for start, stop in pairwise(cuts)]


def middle(part: slice, longest: int) -> slice:
    """Keep the middle of a stretch, if it is longer than `longest`."""
    spare = max(0, part.stop - part.start - longest)
    return slice(part.start + spare // 2, part.stop - (spare - spare // 2))


def unbroken(
    steps: IntArray, time: FloatArray, values: Array, label: Label
) -> tuple[FloatArray, FloatArray]:
    """Part a line where time breaks, and where an angle passes a full turn: a line there lies."""
    apart = np.diff(steps) > 1
    if label.kind == "circular":
        apart |= np.abs(np.diff(values)) > label.period / 2
    after = np.flatnonzero(apart) + 1
    return np.insert(time, after, np.nan), np.insert(values.astype(np.float64), after, np.nan)


def class_bands(steps: IntArray, codes: IntArray) -> tuple[FloatArray, FloatArray, IntArray]:
    """Find the stretches of time in which one class lasts.

    Returns
    -------
    start, stop : ndarray of shape (bands,)
        In steps, half a step further at each end, so that a single step is seen.
    code : ndarray of shape (bands,)
    """
    ends = np.flatnonzero((np.diff(steps) > 1) | (np.diff(codes) != 0))
    first, last = np.concatenate([[0], ends + 1]), np.concatenate([ends, [len(steps) - 1]])
    return steps[first] - 0.5, steps[last] + 0.5, codes[first]


def best_constant(label: Label, true: Array) -> float:
    """Find the one answer that errs least in the mean: what a decoder that sees nothing could say.

    Parameters
    ----------
    label : Label
        Continuous or circular.
    true : ndarray of shape (n,)
        In the label's unit.

    Returns
    -------
    float
        The median; for angles that with the least mean angular error, to a degree. Of angles that
        cover the circle evenly any is as good as another.
    """
    if label.kind != "circular":
        return float(np.median(true))
    turn = label.period
    counts = np.bincount((true / turn * DEGREES).astype(int) % DEGREES, minlength=DEGREES)
    centres = (np.arange(DEGREES) + 0.5) * turn / DEGREES
    means = _angular_error(centres[:, None], centres, turn) @ counts
    return float(centres[means.argmin()])


def _angular_error(one: Array, other: Array | float, turn: float) -> FloatArray:
    errors: FloatArray = (
        turn / TAU * angular_error(one * TAU / turn, np.multiply(other, TAU / turn))
    )
    return errors


def error_by_value(
    label: Label, true: Array, decoded: Array
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sort held-out steps into bins of the true value; measure the errors in each.

    Bins are of equal width for angles and hold equally many steps otherwise.

    Parameters
    ----------
    label : Label
        Continuous or circular.
    true, decoded : ndarray of shape (n,)
        In the label's unit.

    Returns
    -------
    centre : ndarray of shape (bins,)
    quartiles : ndarray of shape (3, bins)
        Lower quartile, median and upper quartile of the absolute (angular) error.
    blind : ndarray of shape (bins,)
        The median error of always answering `best_constant`.
    """
    turn = label.period
    n_bins = int(np.clip(len(true) // 40, 3, 12))
    if label.kind == "circular":
        errors = _angular_error(true, decoded, turn)
        blind_errors = _angular_error(true, best_constant(label, true), turn)
        edges = np.linspace(0, turn, n_bins + 1)
    else:
        errors = np.abs(decoded - true)
        edges = np.unique(np.quantile(true, np.linspace(0, 1, n_bins + 1)))
        blind_errors = np.abs(true - best_constant(label, true))
    bins = np.clip(np.searchsorted(edges, true, side="right") - 1, 0, max(len(edges) - 2, 0))
    present = np.unique(bins)
    groups = [bins == each for each in present]
    centre = np.array([np.median(true[group]) for group in groups])
    quartiles = np.array([np.quantile(errors[group], [0.25, 0.5, 0.75]) for group in groups]).T
    return centre, quartiles, np.array([np.median(blind_errors[group]) for group in groups])


def confusion(label: Label, true: Array, decoded: Array) -> IntArray:
    """Count held-out steps by true class (row) and decoded class (column): (K, K)."""
    count = len(label.classes)
    cells = true * count + decoded
    return np.bincount(cells, minlength=count * count).reshape(count, count).astype(np.int64)


def row_shares(counts: IntArray) -> FloatArray:
    """Divide each row of a confusion matrix by its sum; NaN where that is 0: nothing was tested."""
    sums = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, sums, out=np.full(counts.shape, np.nan), where=sums > 0)
