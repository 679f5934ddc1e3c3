"""Scores of what was decoded, by the kind of the label; errors in the label's own unit."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from grevy.data import TAU, Array, IntArray, Label
from grevy.evaluation.decoding.angles import angular_error, circular_correlation
from grevy.evaluation.decoding.layout import Layout

MAX_CONFUSED = 100
"""Of more classes no confusion matrix is made; nobody could read it."""


@dataclass(frozen=True)
class ContinuousScores:
    """How well a continuous label was decoded.

    Attributes
    ----------
    train_r2, test_r2 : float
        Coefficient of determination, the plain mean over the label's L dimensions, as by
        `sklearn.metrics.r2_score`. Below 0 is worse than the mean of the label.
    per_dimension_test_r2 : tuple of L floats
    variance_weighted_r2 : float
        On the test steps, each dimension weighted by its variance there: 1 minus the summed
        squared error over the summed variance. The right mean where the dimensions share a unit.
    mean_absolute_error, median_absolute_error : float
        On the test steps, in the label's unit; the mean over dimensions of each one's mean or
        median.
    per_dimension_mean_absolute_error, per_dimension_median_absolute_error : tuple of L floats
    """

    train_r2: float
    test_r2: float
    per_dimension_test_r2: tuple[float, ...]
    variance_weighted_r2: float
    mean_absolute_error: float
    median_absolute_error: float
    per_dimension_mean_absolute_error: tuple[float, ...]
    per_dimension_median_absolute_error: tuple[float, ...]


@dataclass(frozen=True)
class CircularScores:
    """How well a circular label was decoded.

    Attributes
    ----------
    train_mean_error, mean_error, median_error : float
        The shorter way round between true and decoded, in the label's unit: from 0 to half a
        period; a decoder that knows nothing has a mean error of a quarter. The last two are on
        the test steps.
    correlation : float
        See `circular_correlation`; on the test steps.
    """

    train_mean_error: float
    mean_error: float
    median_error: float
    correlation: float


@dataclass(frozen=True)
class DiscreteScores:
    """How well the classes of a discrete label were decoded.

    Attributes
    ----------
    train_accuracy, accuracy : float
        The fraction of steps whose class is decoded rightly, in training and in the test.
    balanced_accuracy : float
        The mean over the classes of the test of the fraction decoded rightly (their recall).
    f1 : float
        The mean over the classes, true or decoded, of the test of the harmonic mean of precision
        and recall ("macro"); 0 for a class that is never decoded rightly.
    chance : float
        The accuracy of always answering the commonest class of the training; where several are
        equally common, the mean over them.
    balanced_chance : float
        The balanced accuracy of any constant answer among the classes of the test: 1 over their
        number.
    classes : tuple
        What the user called the classes that occur in training, test or both, sorted.
    confusion : tuple of tuples of int
        How many test steps of each class (row) were decoded as each class (column), in the order
        of `classes`. Empty if there are more than `MAX_CONFUSED` of them.
    """

    train_accuracy: float
    accuracy: float
    balanced_accuracy: float
    f1: float
    chance: float
    balanced_chance: float
    classes: tuple[Any, ...]
    confusion: tuple[tuple[int, ...], ...]


Scores = ContinuousScores | CircularScores | DiscreteScores


@dataclass(frozen=True)
class Measure:
    """One of the scores on test steps: where it stands, what readers call it, how it is read.

    Attributes
    ----------
    key : str
        The attribute of the scores, and the key in the metrics.
    name : str
        For readers.
    statistic : str
        What `statistic` is called where it is made from this score; empty for all others.
    in_unit : bool
        Whether it is in the label's unit; all others end at 1.
    larger_is_better : bool
    at_chance : str
        The key of the score of knowing nothing that is archived beside it; empty if none is.
    in_brief : bool
        Whether it is shown where a line is all there is.
    """

    key: str
    name: str
    statistic: str = ""
    in_unit: bool = False
    larger_is_better: bool = True
    at_chance: str = ""
    in_brief: bool = True

    @property
    def sign(self) -> int:
        """What turns a value into one that is better when larger, and back."""
        return 1 if self.larger_is_better else -1

    def better(self, one: float, other: float) -> bool:
        """Tell whether the first value is strictly better."""
        return self.sign * one > self.sign * other


def _error(key: str, name: str, statistic: str = "", in_brief: bool = True) -> Measure:
    return Measure(key, name, statistic, True, larger_is_better=False, in_brief=in_brief)


MEASURES: dict[str, tuple[Measure, ...]] = {
    "continuous": (
        Measure("test_r2", "R²", "mean R2"),
        Measure("variance_weighted_r2", "variance-weighted R²", in_brief=False),
        _error("median_absolute_error", "median absolute error"),
        _error("mean_absolute_error", "mean absolute error", in_brief=False),
    ),
    "circular": (
        _error("mean_error", "mean angular error", "minus mean angular error"),
        _error("median_error", "median angular error"),
        Measure("correlation", "circular correlation"),
    ),
    "discrete": (
        Measure(
            "balanced_accuracy", "balanced accuracy", "balanced accuracy",
            at_chance="balanced_chance",
        ),
        Measure("accuracy", "accuracy", at_chance="chance"),
        Measure("f1", "macro F1"),
    ),
}  # fmt: skip
"""By the kind of the label; the first decides: `statistic` is made from it."""


def statistic(label: Label, true: Array, decoded: Array) -> float:
    """Say in one number how well a label was decoded: larger is better.

    Parameters
    ----------
    label : Label
        Decides the statistic by its kind, and the unit.
    true, decoded : ndarray of shape (n, L) or (n,)
        As in `Label.values`: numbers, radians, or codes.

    Returns
    -------
    float
        Continuous: R2, the mean over dimensions. Circular: minus the mean angular error, in the
        label's unit. Discrete: the balanced accuracy.
    """
    if label.kind == "continuous":
        return float(_r2(true, decoded).mean())
    if label.kind == "circular":
        return -label.period / TAU * float(angular_error(true, decoded).mean())
    hits = np.bincount(true[true == decoded], minlength=len(label.classes))
    counts = np.bincount(true, minlength=len(label.classes))
    return float((hits[counts > 0] / counts[counts > 0]).mean())


def score(label: Label, layout: Layout, decoded: Array, sampled: Array) -> Scores:
    """Score what was decoded on the test steps, and on the sample of the training.

    Parameters
    ----------
    label : Label
    layout : Layout
    decoded, sampled : ndarray
        At `layout.test` and at `layout.sample`; as in `Label.values`: numbers (n, L), radians (n,),
        or codes (n,).

    Returns
    -------
    ContinuousScores, CircularScores or DiscreteScores
        By the kind of the label.
    """
    true, train_true = label.values[layout.test], label.values[layout.sample]
    if label.kind == "continuous":
        return _continuous(train_true, sampled, true, decoded)
    if label.kind == "circular":
        in_unit = label.period / TAU
        errors = in_unit * angular_error(true, decoded)
        return CircularScores(
            train_mean_error=float(in_unit * angular_error(train_true, sampled).mean()),
            mean_error=float(errors.mean()),
            median_error=float(np.median(errors)),
            correlation=circular_correlation(true, decoded),
        )
    train_accuracy = float((train_true == sampled).mean())
    return _discrete(label, label.values[layout.train], train_accuracy, true, decoded)


def _r2(true: Array, decoded: Array) -> Array:
    """Coefficient of determination of each dimension, by scikit-learn's rule for constants."""
    residual = ((true - decoded) ** 2).sum(axis=0)
    total = ((true - true.mean(axis=0)) ** 2).sum(axis=0)
    varies = total > 0
    constant = np.where(residual > 0, 0.0, 1.0)
    return np.where(varies, 1 - residual / np.where(varies, total, 1.0), constant)


def _continuous(
    train_true: Array, train_decoded: Array, true: Array, decoded: Array
) -> ContinuousScores:
    per_dimension = _r2(true, decoded)
    spread = ((true - true.mean(axis=0)) ** 2).sum()
    squared = ((true - decoded) ** 2).sum()
    errors = np.abs(true - decoded)
    means, medians = errors.mean(axis=0), np.median(errors, axis=0)
    return ContinuousScores(
        train_r2=float(_r2(train_true, train_decoded).mean()),
        test_r2=float(per_dimension.mean()),
        per_dimension_test_r2=tuple(per_dimension.tolist()),
        variance_weighted_r2=float(1 - squared / spread if spread > 0 else squared == 0),
        mean_absolute_error=float(means.mean()),
        median_absolute_error=float(medians.mean()),
        per_dimension_mean_absolute_error=tuple(means.tolist()),
        per_dimension_median_absolute_error=tuple(medians.tolist()),
    )


def _discrete(
    label: Label, train: IntArray, train_accuracy: float, true: IntArray, decoded: IntArray
) -> DiscreteScores:
    n_classes = len(label.classes)
    in_test, answered, hits = (
        np.bincount(codes, minlength=n_classes) for codes in (true, decoded, true[true == decoded])
    )
    tested, named = in_test > 0, in_test + answered > 0
    occurring = np.flatnonzero(named | (np.bincount(train, minlength=n_classes) > 0))
    return DiscreteScores(
        train_accuracy=train_accuracy,
        accuracy=float(hits.sum() / len(true)),
        balanced_accuracy=float((hits[tested] / in_test[tested]).mean()),
        f1=float((2 * hits[named] / (in_test + answered)[named]).mean()),
        chance=_chance(train, true),
        balanced_chance=float(1 / tested.sum()),
        classes=tuple(label.classes[code] for code in occurring.tolist()),
        confusion=_confusion(occurring, true, decoded),
    )


def _confusion(
    occurring: IntArray, true: IntArray, decoded: IntArray
) -> tuple[tuple[int, ...], ...]:
    size = len(occurring)
    if size > MAX_CONFUSED:
        return ()
    row, column = np.searchsorted(occurring, true), np.searchsorted(occurring, decoded)
    counts = np.bincount(row * size + column, minlength=size * size).reshape(size, size)
    return tuple(tuple(each) for each in counts.tolist())


def _chance(train: IntArray, test: IntArray) -> float:
    """Score the constant answer; the mean over ties, so that no order of the classes matters."""
    counts = np.bincount(train)
    commonest = np.flatnonzero(counts == counts.max())
    return float(np.isin(test, commonest).mean() / len(commonest))
