"""Confidence intervals of the scores on the test steps, by block bootstrap.

Each score is a smooth function of sums over the test steps, so a resample needs those sums only.
R2 moves with its denominator too, the variance of the label in the test, which is the less certain
half where a label changes slowly: both are resampled together, and the blocks are long enough for
either. The decoder is fixed; how much another training would change it is not part of the interval.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from grevy.data import TAU, Array, Float64Array, IntArray, Label
from grevy.evaluation.decoding.angles import angular_error
from grevy.evaluation.decoding.bootstrap import (
    CORRELATION,
    ERROR,
    FRACTION,
    R2,
    Bend,
    cut_blocks,
    interval,
)

Interval = tuple[float, float]

N_BINS = 100
"""Between so many quantiles of the errors their median is found; even: one is the median."""


@dataclass(frozen=True, eq=False)
class Resampled:
    """Scores to resample, which are functions of the same sums over steps.

    Attributes
    ----------
    names : tuple of K str
    bend : Bend
    summands : ndarray or sparse array of shape (n, M)
    compute : callable
        From sums (R, M) to scores (R, K).
    series : ndarray of shape (n, S)
        Whose autocorrelation decides the length of the blocks.
    """

    names: tuple[str, ...]
    bend: Bend
    summands: Any
    compute: Callable[[Array], Array]
    series: Array


def intervals(
    label: Label, true: Array, decoded: Array, n_resamples: int, rng: np.random.Generator
) -> dict[str, Interval]:
    """Make 95 % confidence intervals of what `score` computes on the test steps.

    In 200 simulated recordings of many lengths and time constants the interval of R2 held the R2 of
    a long independent stretch 191 times (`benchmarks/intervals.py`). A stretch that holds only a
    handful of its slowest events makes intervals that are somewhat too narrow.

    Parameters
    ----------
    label : Label
    true, decoded : ndarray of shape (n, L) or (n,)
        Of the test steps, in order of time; as in `Label.values`.
    n_resamples : int
    rng : numpy.random.Generator

    Returns
    -------
    dict
        (low, high) by the name of the score. A score that most resamples leave undefined (the R2
        of a label that is constant but for a few steps) has none.
    """
    if label.kind == "continuous":
        errors = np.abs(true - decoded)
        measures = [
            explained(true, decoded),
            mean_of("mean_absolute_error", errors),
            _median_of("median_absolute_error", errors),
        ]
    elif label.kind == "circular":
        errors = label.period / TAU * angular_error(true, decoded)[:, None]
        measures = [
            mean_of("mean_error", errors),
            _median_of("median_error", errors),
            _correlated(true, decoded),
        ]
    else:
        measures = [classified(true, decoded, len(label.classes))]
    found = {}
    for measure in measures:
        found.update(bootstrapped(measure, n_resamples, rng))
    return found


def bootstrapped(
    measure: Resampled, n_resamples: int, rng: np.random.Generator
) -> dict[str, Interval]:
    """Make the intervals of some scores; one that most resamples leave undefined has none."""
    blocks = cut_blocks(measure.series)
    sums = blocks.sums(measure.summands)
    estimates = measure.compute(sums.sum(axis=0)[None])[0]
    drawn = np.concatenate(
        [
            measure.compute(weights @ sums)
            for weights in blocks.weights(n_resamples, sums.shape[1], rng)
        ]
    )
    found = {}
    for name, estimate, values in zip(measure.names, estimates.tolist(), drawn.T, strict=True):
        ends = interval(estimate, values, measure.bend, blocks.n_blocks)
        if ends is not None:
            found[name] = ends
    return found


def mean_of(name: str, errors: Float64Array) -> Resampled:
    """The mean error: each column's, then over columns."""
    summands = np.stack([errors.mean(axis=1), np.ones(len(errors))], axis=1)
    return Resampled((name,), ERROR, summands, lambda sums: sums[:, :1] / sums[:, 1:], errors)


def _median_of(name: str, errors: Float64Array) -> Resampled:
    """The median error: each column's, then over columns; from counts between its quantiles."""
    from scipy.sparse import csr_array

    n, n_columns = errors.shape
    edges = np.quantile(errors, np.linspace(0, 1, N_BINS + 1), axis=0).T
    bins = [
        column * N_BINS + np.searchsorted(inner, values)
        for column, (inner, values) in enumerate(zip(edges[:, 1:-1], errors.T, strict=True))
    ]
    rows = np.tile(np.arange(n), n_columns)
    shape = (n, n_columns * N_BINS)
    counts = csr_array((np.ones(len(rows)), (rows, np.concatenate(bins))), shape)
    return Resampled((name,), ERROR, counts, partial(_median_of_counts, edges=edges), errors)


def _median_of_counts(sums: Array, edges: Float64Array) -> Array:
    """Find where half of the counts is reached, on a straight line inside a bin."""
    medians = []
    for counts, ends in zip(np.split(sums, len(edges), axis=1), edges, strict=True):
        below = np.cumsum(counts, axis=1)
        half = below[:, -1:] / 2
        crossed = (below >= half).argmax(axis=1)[:, None]
        inside, until = (np.take_along_axis(each, crossed, axis=1) for each in (counts, below))
        low, high = ends[crossed], ends[crossed + 1]
        medians.append(high - (until - half) / inside * (high - low))
    return np.mean(medians, axis=0)


def explained(true: Float64Array, decoded: Float64Array) -> Resampled:
    """R2: the mean over dimensions, and weighted by their variance."""
    squared, deviation = (true - decoded) ** 2, true - true.mean(axis=0)
    spread = deviation**2
    error, variance = squared.mean(axis=0), spread.mean(axis=0)
    influence = squared / np.where(error > 0, error, 1) - spread / np.where(
        variance > 0, variance, 1
    )
    return Resampled(
        names=("test_r2", "variance_weighted_r2"),
        bend=R2,
        summands=np.concatenate([squared, deviation, spread, np.ones((len(true), 1))], axis=1),
        compute=partial(_r2_of_sums, least=1e-12 * variance),
        series=np.concatenate([influence, squared, spread, deviation], axis=1),
    )


def _r2_of_sums(sums: Array, least: Float64Array) -> Array:
    """Compute both R2 from sums of squared errors, deviations, their squares, and ones.

    Where a dimension's variance is not above `least`, the resample holds one value: no R2.
    """
    n_dimensions = len(least)
    steps = sums[:, -1:]
    residual, offset, total = np.split(sums[:, :-1], [n_dimensions, 2 * n_dimensions], axis=1)
    total = total - offset**2 / steps
    total = np.where(total > least * steps, total, np.nan)
    each = 1 - residual / total
    weighted = 1 - residual.sum(axis=1) / total.sum(axis=1)
    return np.stack([each.mean(axis=1), weighted], axis=1)


def _correlated(true: Float64Array, decoded: Float64Array) -> Resampled:
    """The circular correlation, whose sums of products are sums of cosines."""
    angles = np.stack([true, true - decoded, true + decoded, 2 * true, 2 * decoded], axis=1)
    error = angular_error(true, decoded)
    return Resampled(
        names=("correlation",),
        bend=CORRELATION,
        summands=np.concatenate([np.cos(angles), np.sin(angles), np.ones((len(true), 1))], axis=1),
        compute=_correlation_of_sums,
        series=np.stack([error, np.cos(true), np.sin(true)], axis=1),
    )


def _correlation_of_sums(sums: Array) -> Array:
    """Compute `circular_correlation` from mean cosines and sines.

    With a = t - centre and b = d - centre - turn: sin a sin b = (cos(a - b) - cos(a + b)) / 2.
    """
    means = (sums[:, :5] + 1j * sums[:, 5:10]) / sums[:, 10:]
    of_true, of_difference, of_sum, of_twice_true, of_twice_decoded = means.T
    centre, turn = np.angle(of_true), -np.angle(of_difference)
    product = (of_difference * np.exp(1j * turn) - of_sum * np.exp(-1j * (2 * centre + turn))).real
    true_square = 1 - (of_twice_true * np.exp(-2j * centre)).real
    decoded_square = 1 - (of_twice_decoded * np.exp(-2j * (centre + turn))).real
    # As in `circular_correlation`: of what does not vary, 0.
    varies = np.minimum(true_square, decoded_square) > 2e-20
    scale = np.sqrt(np.where(varies, true_square * decoded_square, 1.0))
    return np.where(varies, product / scale, 0.0)[:, None]


def classified(true: IntArray, decoded: IntArray, n_classes: int) -> Resampled:
    """Accuracy, balanced accuracy and macro F1, from the steps of each class and the hits."""
    from scipy.sparse import csr_array

    n = len(true)
    hit = true == decoded
    rows = np.concatenate([np.flatnonzero(hit), np.arange(n), np.arange(n)])
    columns = np.concatenate([true[hit], n_classes + true, 2 * n_classes + decoded])
    summands = csr_array((np.ones(len(rows)), (rows, columns)), (n, 3 * n_classes))
    in_test = np.bincount(true, minlength=n_classes)
    recall = np.bincount(true[hit], minlength=n_classes) / np.maximum(in_test, 1)
    influence = (hit - recall[true]) / in_test[true]
    return Resampled(
        names=("accuracy", "balanced_accuracy", "f1"),
        bend=FRACTION,
        summands=summands,
        compute=partial(_fractions_of_sums, n_classes=n_classes),
        series=np.stack([hit.astype(np.float64), influence], axis=1),
    )


def _fractions_of_sums(sums: Array, n_classes: int) -> Array:
    hits, in_test, answered = np.split(sums, [n_classes, 2 * n_classes], axis=1)
    tested, named = in_test > 0, in_test + answered > 0
    recall = hits / np.maximum(in_test, 1)
    f1 = 2 * hits / np.maximum(in_test + answered, 1)
    return np.stack(
        [
            hits.sum(axis=1) / in_test.sum(axis=1),
            recall.sum(axis=1) / tested.sum(axis=1),
            f1.sum(axis=1) / named.sum(axis=1),
        ],
        axis=1,
    )
