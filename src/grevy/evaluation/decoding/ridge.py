"""Ridge regression for one input and many targets: factorised once, then cheap for each target.

Columns are standardised on the steps that a fit trains on. With n such steps, standardised inputs
x, and targets y, a fit minimises

    1/n sum_t |y_t - y_mean - x_t w|^2 + penalty |w|^2

so that a penalty means the same for a long and a short recording (`sklearn.linear_model.Ridge`
calls n times this number `alpha`). Its solution is w = V (S + penalty)^-1 V' X'y / n with the
correlation matrix X'X / n = V S V' (Hoerl and Kennard, Technometrics 1970): one decomposition
serves every penalty and every target.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from grevy.data import Array, Float64Array, FloatArray, IntArray
from grevy.evaluation.checks import parts
from grevy.evaluation.decoding.layout import Layout

PENALTIES = (10.0, 1.0, 0.1, 0.01, 1e-3, 1e-4)
"""The candidates, the smoothest first."""

UNCHOSEN = PENALTIES.index(0.01)
"""The candidate where the training is too short to choose one."""


@dataclass(frozen=True, eq=False)
class Moments:
    """The inputs that one fit trains on: where they lie and how they vary.

    Attributes
    ----------
    n : int
        Training steps.
    mean, scale : ndarray of shape (N,)
        Of the columns; the scale of a constant column is infinite.
    values, vectors : ndarray of shape (N,) and (N, N)
        Eigenvalues and eigenvectors (columns) of the correlation matrix.
    """

    n: int
    mean: Float64Array
    scale: Float64Array
    values: Float64Array
    vectors: Float64Array


@dataclass(frozen=True, eq=False)
class Group:
    """Training steps that the same fits train on.

    Attributes
    ----------
    rows : ndarray
        Time steps.
    trains : ndarray, bool
        For each fit, whether it trains on them.
    mean : ndarray of shape (N,)
        Of the columns. Sums are taken about it and moved to the mean of each fit afterwards, so
        that neither a large offset nor absurd values elsewhere cost any digits.
    """

    rows: IntArray
    trains: npt.NDArray[np.bool_]
    mean: Float64Array


@dataclass(frozen=True, eq=False)
class Projection:
    """A target as one fit sees it: its mean (L,) and its part along each eigenvector (N, L)."""

    mean: Float64Array
    along: Float64Array


@dataclass(frozen=True, eq=False)
class RidgeFits:
    """Everything about the inputs that ridge regressions need: one fit per inner fold, and all.

    Attributes
    ----------
    inputs : ndarray of shape (T, N)
        As they came; never copied whole.
    layout : Layout
    groups : tuple of Group
        Together all of the training.
    moments : tuple of Moments
        One for each inner fold, then the one of the whole training.
    """

    inputs: Array
    layout: Layout
    groups: tuple[Group, ...]
    moments: tuple[Moments, ...]

    def project(self, target: FloatArray) -> tuple[Projection, ...]:
        """Find what each fit needs to know of a target.

        Parameters
        ----------
        target : ndarray of shape (T, L), float64

        Returns
        -------
        tuple of Projection
            In the order of `moments`.
        """
        offset = target[self.layout.train].mean(axis=0)
        shape = (len(self.moments), self.inputs.shape[1], target.shape[1])
        products, total = np.zeros(shape), np.zeros((len(self.moments), target.shape[1]))
        for group in self.groups:
            product, summed = np.zeros(shape[1:]), np.zeros(target.shape[1])
            for part in parts(group.rows, self.inputs.shape[1]):
                values = target[part] - offset
                product += _centred(self.inputs, part, group.mean).T @ values
                summed += values.sum(axis=0)
            for fit in np.flatnonzero(group.trains):
                moved = np.outer(group.mean - self.moments[fit].mean, summed)
                products[fit] += product + moved
                total[fit] += summed
        found = []
        for moments, product, summed in zip(self.moments, products, total, strict=True):
            along = moments.vectors.T @ (product / moments.n / moments.scale[:, None])
            found.append(Projection(offset + summed / moments.n, along))
        return tuple(found)

    def compare(self, target: FloatArray) -> Float64Array:
        """Decode each inner fold's tested steps by the fit that has not seen them.

        Returns
        -------
        ndarray of shape (P, n, L)
            For each penalty, and for the steps of `Layout.compared`.
        """
        width = target.shape[1]
        decoded = [np.empty((0, len(PENALTIES) * width))]
        projections = self.project(target)[:-1]
        for fold, moments, seen in zip(
            self.layout.folds, self.moments[:-1], projections, strict=True
        ):
            weights = np.concatenate([_weights(moments, seen, p) for p in PENALTIES], axis=1)
            rows = self.layout.sample[fold.tested]
            mean = np.tile(seen.mean, len(PENALTIES))
            decoded.append(self._apply(rows, moments, weights, mean))
        together = np.concatenate(decoded).reshape(-1, len(PENALTIES), width)
        return together.transpose(1, 0, 2)

    def decode(self, target: FloatArray, penalty: float, rows: IntArray) -> Float64Array:
        """Decode any time steps by the fit to the whole training: (len(rows), L)."""
        moments, seen = self.moments[-1], self.project(target)[-1]
        return self._apply(rows, moments, _weights(moments, seen, penalty), seen.mean)

    def _apply(
        self, rows: IntArray, moments: Moments, weights: Float64Array, mean: Float64Array
    ) -> Float64Array:
        decoded = np.empty((len(rows), weights.shape[1]))
        filled = 0
        for part in parts(rows, self.inputs.shape[1]):
            values = _centred(self.inputs, part, moments.mean)
            decoded[filled : filled + len(part)] = values @ weights
            filled += len(part)
        return decoded + mean


def factorise(inputs: Array, layout: Layout) -> RidgeFits:
    """Decompose the training inputs of every inner fold, and of the whole training.

    The inputs are read in parts, twice; memory is that of a few (N, N) matrices for each fold.

    Parameters
    ----------
    inputs : ndarray of shape (T, N)
    layout : Layout
    """
    n_columns = inputs.shape[1]
    groups = tuple(_groups(inputs, layout))
    n = np.zeros(len(layout.folds) + 1)
    means = np.zeros((len(n), n_columns))
    for group in groups:
        n += len(group.rows) * group.trains
        means[group.trains] += len(group.rows) * group.mean
    means /= n[:, None]
    scatter = np.zeros((len(n), n_columns, n_columns))
    for group in groups:
        product = np.zeros((n_columns, n_columns))
        for part in parts(group.rows, n_columns):
            values = _centred(inputs, part, group.mean)
            product += values.T @ values
        for fit in np.flatnonzero(group.trains):
            moved = group.mean - means[fit]
            scatter[fit] += product + len(group.rows) * np.outer(moved, moved)
    moments = [
        _decompose(int(count), mean, square / count)
        for count, mean, square in zip(n, means, scatter, strict=True)
    ]
    return RidgeFits(inputs, layout, groups, tuple(moments))


def _groups(inputs: Array, layout: Layout) -> Iterator[Group]:
    """Group the training steps by the fits that train on them, so that each is read once."""
    fits = [fold.train for fold in layout.folds] + [layout.train]
    pattern = sum(np.isin(layout.train, train) << fit for fit, train in enumerate(fits))
    for number in np.flatnonzero(np.bincount(pattern)):
        rows = layout.train[pattern == number]
        trains = (number >> np.arange(len(fits)) & 1).astype(bool)
        total = np.zeros(inputs.shape[1])
        for part in parts(rows, inputs.shape[1]):
            total += inputs[part].sum(axis=0, dtype=np.float64)
        yield Group(rows, trains, total / len(rows))


def _decompose(n: int, mean: Float64Array, covariance: Float64Array) -> Moments:
    from scipy.linalg import eigh

    deviation = np.sqrt(covariance.diagonal())
    # What rounding leaves of a constant column is no variation.
    scale = np.where(deviation > 1e-12 * np.abs(mean), deviation, np.inf)
    values, vectors = eigh(covariance / scale / scale[:, None])
    return Moments(n, mean, scale, np.maximum(values, 0.0), vectors)


def _weights(moments: Moments, seen: Projection, penalty: float) -> Float64Array:
    shrunk = seen.along / (moments.values + penalty)[:, None]
    return (moments.vectors @ shrunk) / moments.scale[:, None]


def _centred(inputs: Array, rows: IntArray, centre: Float64Array) -> Float64Array:
    return np.asarray(inputs[rows], dtype=np.float64) - centre
