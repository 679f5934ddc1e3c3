"""Logistic regression of classes: a few strengths of penalty, every class having the same say.

Columns are standardised on the steps that a fit trains on, and a class counts by the inverse of its
number (`class_weight="balanced"` of scikit-learn), so that a rare class is not simply never
answered. With n steps the penalty of a fit is `penalty` n |w|^2 / 2 beside the summed loss
(scikit-learn's C is 1 over n `penalty`). A fit to compare candidates takes at most `MAX_COMPARED`
steps, the last one at most `MAX_TRAINED`, one at random from each of as many equal runs of the
training.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from grevy.data import Array, Float64Array, FloatArray, IntArray
from grevy.evaluation.checks import parts
from grevy.evaluation.decoding.layout import Layout, thin

PENALTIES = (0.1, 1e-3)
"""The candidates, the smoothest first."""

UNCHOSEN = PENALTIES.index(1e-3)
"""The candidate where the training is too short to choose one."""

MAX_COMPARED = 2_000
MAX_TRAINED = 20_000
MAX_NUMBERS = 2**24
"""The most steps a fit takes, and the most numbers that its inputs or its classes fill."""


@dataclass(frozen=True, eq=False)
class LogisticRows:
    """The inputs that logistic regressions need.

    Attributes
    ----------
    inputs : ndarray of shape (T, N)
        As they came; never copied whole.
    layout : Layout
    compared : tuple of ndarray
        For each inner fold, the time steps that a candidate is fitted on.
    trained : ndarray
        The time steps that the last fit takes.
    """

    inputs: Array
    layout: Layout
    compared: tuple[IntArray, ...]
    trained: IntArray

    def compare(self, codes: IntArray) -> IntArray:
        """Decode each inner fold's tested steps by fits that have not seen them: (P, n) codes."""
        decoded = [np.empty((len(PENALTIES), 0), dtype=np.int64)]
        for rows, fold in zip(self.compared, self.layout.folds, strict=True):
            tested = self.layout.sample[fold.tested]
            fits = [self._fit(rows, codes, penalty) for penalty in PENALTIES]
            decoded.append(np.stack([self._apply(fit, tested) for fit in fits]))
        return np.concatenate(decoded, axis=1)

    def decode(self, codes: IntArray, penalty: float, rows: IntArray) -> IntArray:
        """Decode any time steps by the fit to the whole training: (len(rows),) codes."""
        return self._apply(self._fit(self.trained, codes, penalty), rows)

    def _fit(self, rows: IntArray, codes: IntArray, penalty: float) -> "_Classifier":
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        answers = codes[rows]
        mean, scale = _column_scales(self.inputs, rows)
        if (answers == answers[0]).all():  # logistic regression needs two classes
            return _Classifier(mean, scale, None, int(answers[0]))
        model = LogisticRegression(
            C=1 / (penalty * len(rows)), class_weight="balanced", tol=1e-3, max_iter=200
        )
        with warnings.catch_warnings():
            # Classes that can be told apart perfectly are answered rightly long before the last
            # digit of the weights stands still.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(_standardised(self.inputs, rows, mean, scale), answers)
        return _Classifier(mean, scale, model, -1)

    def _apply(self, fit: "_Classifier", rows: IntArray) -> IntArray:
        decoded = np.full(len(rows), fit.only, dtype=np.int64)
        if fit.model is None:
            return decoded
        filled, width = 0, max(self.inputs.shape[1], len(fit.model.classes_))
        for part in parts(rows, width):
            values = _standardised(self.inputs, part, fit.mean, fit.scale)
            decoded[filled : filled + len(part)] = fit.model.predict(values)
            filled += len(part)
        return decoded


@dataclass(frozen=True, eq=False)
class _Classifier:
    """A fit and the scales of its inputs; without a model it knows one class only."""

    mean: Float64Array
    scale: Float64Array
    model: Any
    only: int


def choose_rows(
    inputs: Array, layout: Layout, n_classes: int, rng: np.random.Generator
) -> LogisticRows:
    """Choose the steps that logistic regressions are fitted on.

    Parameters
    ----------
    inputs : ndarray of shape (T, N)
    layout : Layout
    n_classes : int
        More of them leave room for fewer steps.
    rng : numpy.random.Generator
        Thins the steps.
    """
    room = max(2, MAX_NUMBERS // max(inputs.shape[1], n_classes))
    few, many = min(MAX_COMPARED, room), min(MAX_TRAINED, room)
    compared = tuple(thin(fold.train, few, rng) for fold in layout.folds)
    return LogisticRows(inputs, layout, compared, thin(layout.train, many, rng))


def _column_scales(inputs: Array, rows: IntArray) -> tuple[Float64Array, Float64Array]:
    n_columns = inputs.shape[1]
    mean, square = np.zeros(n_columns), np.zeros(n_columns)
    for part in parts(rows, n_columns):
        mean += inputs[part].sum(axis=0, dtype=np.float64) / len(rows)
    for part in parts(rows, n_columns):
        square += ((np.asarray(inputs[part], dtype=np.float64) - mean) ** 2).sum(axis=0)
    deviation = np.sqrt(square / len(rows))
    # What rounding leaves of a constant column is no variation.
    return mean, np.where(deviation > 1e-12 * np.abs(mean), deviation, np.inf)


def _standardised(
    inputs: Array, rows: IntArray, mean: Float64Array, scale: Float64Array
) -> FloatArray:
    return (np.asarray(inputs[rows], dtype=np.float64) - mean) / scale
