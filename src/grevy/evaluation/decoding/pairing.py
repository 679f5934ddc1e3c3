"""How much better one decoding is than another of the same steps, with a paired interval.

Both are resampled by the same blocks, so that what makes a stretch of time easy or hard for both
does not count as a difference (Künsch, Annals of Statistics 1989, for the blocks; Efron and
Tibshirani, An Introduction to the Bootstrap, 1993, chapter 8, for pairs).
"""

from dataclasses import dataclass

import numpy as np

from grevy.data import TAU, Array, Float64Array, Label
from grevy.evaluation.decoding.angles import angular_error
from grevy.evaluation.decoding.bootstrap import AS_IT_IS
from grevy.evaluation.decoding.intervals import (
    Interval,
    Resampled,
    bootstrapped,
    classified,
    explained,
    mean_of,
)
from grevy.evaluation.decoding.result import PAIRED
from grevy.evaluation.decoding.scores import MEASURES, statistic


@dataclass(frozen=True)
class Gain:
    """By how much one decoding is better than another.

    Attributes
    ----------
    score : str
        The key of the score that decides for this kind of label.
    value : float
        The difference of that score, positive where the first is better: of two errors, the
        second less the first. In the label's unit where the score is.
    interval : tuple of float or None
        (low, high) of the 95 % confidence interval; None if it was not asked for, or most resamples
        leave a score undefined.
    """

    score: str
    value: float
    interval: Interval | None


def gain(label: Label, true: Array, one: Array, other: Array, n_resamples: int, seed: int) -> Gain:
    """Compare two decodings of the same test steps.

    Parameters
    ----------
    label : Label
    true, one, other : ndarray of shape (n, L) or (n,)
        In order of time; as in `Label.values`.
    n_resamples : int
        0 for no interval.
    seed : int
        Decides the resamples.

    Returns
    -------
    Gain
    """
    key = MEASURES[label.kind][0].key
    value = statistic(label, true, one) - statistic(label, true, other)
    if not n_resamples:
        return Gain(key, value, None)
    rng = np.random.default_rng([seed, PAIRED])
    found = bootstrapped(_difference(label, true, one, other), n_resamples, rng)
    return Gain(key, value, found.get(key))


def _difference(label: Label, true: Array, one: Array, other: Array) -> Resampled:
    """Put the sums of both decodings side by side, and take the difference of what they give."""
    from scipy.sparse import hstack, issparse

    key, sign = MEASURES[label.kind][0].key, MEASURES[label.kind][0].sign
    first, second = (_resampled(label, true, decoded) for decoded in (one, other))
    place = first.names.index(key)
    both = [first.summands, second.summands]
    width = first.summands.shape[1]

    def compute(sums: Array) -> Array:
        scores = (first.compute(sums[:, :width]), second.compute(sums[:, width:]))
        difference: Float64Array = sign * (scores[0] - scores[1])[:, [place]]
        return difference

    summands = hstack(both, "csr") if issparse(both[0]) else np.concatenate(both, axis=1)
    series = _influence(label, true, one) - _influence(label, true, other)
    return Resampled((key,), AS_IT_IS, summands, compute, series)


def _resampled(label: Label, true: Array, decoded: Array) -> Resampled:
    if label.kind == "continuous":
        return explained(true, decoded)
    if label.kind == "circular":
        errors = label.period / TAU * angular_error(true, decoded)[:, None]
        return mean_of("mean_error", errors)
    return classified(true, decoded, len(label.classes))


def _influence(label: Label, true: Array, decoded: Array) -> Float64Array:
    """How much each step moves the score, to first order: (n, S), but for factors."""
    if label.kind == "circular":
        return angular_error(true, decoded)[:, None]
    if label.kind == "continuous":
        squared, spread = (true - decoded) ** 2, (true - true.mean(axis=0)) ** 2
        variance = np.where(spread.any(axis=0), spread.mean(axis=0), 1.0)
        lost = squared.mean(axis=0) / variance
        influence: Float64Array = (squared - lost * spread) / variance
        return influence
    hit = (true == decoded).astype(np.float64)
    counts = np.bincount(true)
    recall = np.bincount(true, hit) / np.maximum(counts, 1)
    return ((hit - recall[true]) / counts[true])[:, None]
