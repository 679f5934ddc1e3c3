"""How well a label can be read from an embedding: arrays in, scores out, by kind of label.

Every decoder is linear and is fitted on the training steps alone. Errors are in the label's own
unit. The same functions score an embedding, principal components or the raw data, whoever made
them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from grevy.errors import GrevyError
from grevy.recording import TAU, Array, FloatArray, IntArray, Label
from grevy.splits import MIN_STEPS, Split

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ContinuousScores:
    """Ridge regression of a continuous label.

    Attributes
    ----------
    train_r2, test_r2 : float
        Coefficient of determination, the plain mean over the label's L dimensions, as by
        `sklearn.linear_model.Ridge.score`. Below 0 is worse than the mean of the label.
    per_dimension_test_r2 : tuple of L floats
    median_absolute_error : float
        On the test steps, in the label's unit; the mean over dimensions of each one's median.
    """

    train_r2: float
    test_r2: float
    per_dimension_test_r2: tuple[float, ...]
    median_absolute_error: float


@dataclass(frozen=True)
class CircularScores:
    """Ridge regression of the cosine and sine of a circular label, turned back into an angle.

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
    """Logistic regression of the classes of a discrete label.

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
    """

    train_accuracy: float
    accuracy: float
    balanced_accuracy: float
    f1: float
    chance: float


Scores = ContinuousScores | CircularScores | DiscreteScores


def decode(embedding: FloatArray, label: Label, split: Split) -> Scores:
    """Read a label from an embedding with a linear decoder fitted on the training steps.

    Continuous labels by ridge regression with a penalty of 1, as in the manual; circular ones by
    the same on their cosine and sine; discrete ones by logistic regression on standardised
    columns.

    Parameters
    ----------
    embedding : ndarray of shape (T, D)
        An embedding, principal components or raw data.
    label : Label
        Of length T.
    split : Split
        No test step moves anything that the decoder learns.

    Returns
    -------
    ContinuousScores, CircularScores or DiscreteScores
        By the kind of the label.

    Raises
    ------
    GrevyError
        If the embedding is not (T, D) finite real numbers, the lengths differ, or the split does
        not fit them.
    """
    checked_embedding(embedding)
    if len(label) != len(embedding):
        raise GrevyError(
            f"label {label.name!r} has {len(label)} time steps, the embedding has "
            f"{len(embedding)}. Give the label of the same recording, at the same time steps."
        )
    _check_rows(split.train, split.test, len(embedding))
    if label.kind == "continuous":
        return _continuous(embedding, label, split)
    if label.kind == "circular":
        return _circular(embedding, label, split)
    return _discrete(embedding, label, split)


def _continuous(embedding: FloatArray, label: Label, split: Split) -> ContinuousScores:
    from sklearn.metrics import median_absolute_error, r2_score

    train, test = label.values[split.train], label.values[split.test]
    train_decoded, decoded = _ridge(embedding, train, split)
    per_dimension = r2_score(test, decoded, multioutput="raw_values")
    return ContinuousScores(
        train_r2=float(r2_score(train, train_decoded)),
        test_r2=float(per_dimension.mean()),
        per_dimension_test_r2=tuple(per_dimension.tolist()),
        median_absolute_error=float(median_absolute_error(test, decoded)),
    )


def _circular(embedding: FloatArray, label: Label, split: Split) -> CircularScores:
    train, test = label.values[split.train], label.values[split.test]
    decoded = _ridge(embedding, np.stack([np.cos(train), np.sin(train)], axis=1), split)
    train_angles, angles = (np.arctan2(xy[:, 1], xy[:, 0]) for xy in decoded)
    in_unit = label.period / TAU
    errors = in_unit * angular_error(test, angles)
    return CircularScores(
        train_mean_error=float(in_unit * angular_error(train, train_angles).mean()),
        mean_error=float(errors.mean()),
        median_error=float(np.median(errors)),
        correlation=circular_correlation(test, angles),
    )


def _discrete(embedding: FloatArray, label: Label, split: Split) -> DiscreteScores:
    from sklearn.metrics import f1_score, recall_score

    train, test = label.values[split.train], label.values[split.test]
    train_decoded, decoded = _classify(embedding, train, split)
    # Recall over the classes that the test holds is the balanced accuracy, without its warning
    # about decoded classes that the test does not hold.
    recall = recall_score(test, decoded, labels=np.unique(test), average="macro", zero_division=0.0)
    return DiscreteScores(
        train_accuracy=float((train == train_decoded).mean()),
        accuracy=float((test == decoded).mean()),
        balanced_accuracy=float(recall),
        f1=float(f1_score(test, decoded, average="macro", zero_division=0.0)),
        chance=_chance(train, test),
    )


def _chance(train: IntArray, test: IntArray) -> float:
    """Score the constant answer; the mean over ties, so that no order of the classes matters."""
    counts = np.bincount(train)
    commonest = np.flatnonzero(counts == counts.max())
    return float(np.isin(test, commonest).mean() / len(commonest))


def _ridge(embedding: FloatArray, target: Array, split: Split) -> tuple[Array, Array]:
    """Fit a ridge regression on the training rows; return both halves' predictions."""
    from sklearn.linear_model import Ridge

    # In double precision: scikit-learn would lower the target to the embedding's float32, and
    # unix times would lose minutes.
    rows = embedding[split.train].astype(np.float64)
    model = Ridge(alpha=1.0).fit(rows, target)
    shape = (-1, target.shape[1])  # older releases flatten a single column
    test_rows = embedding[split.test].astype(np.float64)
    return model.predict(rows).reshape(shape), model.predict(test_rows).reshape(shape)


def _classify(embedding: FloatArray, codes: IntArray, split: Split) -> tuple[Array, Array]:
    """Fit a classifier on the training rows; return both halves' decoded codes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if (codes == codes[0]).all():  # logistic regression needs two classes; here is one answer
        return np.full(len(split.train), codes[0]), np.full(len(split.test), codes[0])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    rows = embedding[split.train].astype(np.float64)
    model.fit(rows, codes)
    return model.predict(rows), model.predict(embedding[split.test].astype(np.float64))


def angular_error(true: Array, decoded: Array) -> Float64Array:
    """Measure the shorter way round between angles.

    Parameters
    ----------
    true, decoded : ndarray of shape (n,)
        In radians, any number of turns.

    Returns
    -------
    ndarray of shape (n,)
        In radians, from 0 to pi.
    """
    return np.abs(np.mod(decoded - true + np.pi, TAU) - np.pi)


def circular_correlation(true: Array, decoded: Array) -> float:
    r"""Correlate true and decoded angles.

    The coefficient of Jammalamadaka and SenGupta (Topics in Circular Statistics, World Scientific
    2001, section 8.2), of angles a_i and b_i about the centres mu and nu:

    .. math:: r = \frac{\sum_i \sin(a_i - \mu) \sin(b_i - \nu)}
                       {\sqrt{\sum_i \sin^2(a_i - \mu) \sum_i \sin^2(b_i - \nu)}}

    It is 1 where they agree up to a turn, near 0 where they have nothing to do with each other,
    and -1 where one runs backwards.

    The book's centres are the two mean directions. Angles that cover the circle evenly, as head
    directions do, have none to speak of: two centres found from chance then make r anything from
    -1 to 1 for a good decoder. So mu is the mean direction of the true angles, and nu lies as far
    from it as the decoded angles lie from the true ones on (circular) average. Where both mean
    directions are well defined, that is the book's value.

    Parameters
    ----------
    true, decoded : ndarray of shape (n,)
        In radians.

    Returns
    -------
    float
        From -1 to 1; 0 if either does not vary.
    """
    centre = np.angle(np.exp(1j * true).mean())
    turn = np.angle(np.exp(1j * (decoded - true)).mean())
    a, b = np.sin(true - centre), np.sin(decoded - centre - turn)
    # Rounding leaves sines of 1e-16 where nothing varies; their ratio would mean nothing.
    if min(a @ a, b @ b) < 1e-20 * len(a):
        return 0.0
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def manual_scores(embedding: FloatArray, values: Array) -> dict[str, float]:
    """Compute the manual's linear decoding scores (its section 2.3), on its random split.

    A fifth of the steps is held out at random (seed 42). Leaky where the label changes slowly:
    show it next to a time-blocked score.

    Parameters
    ----------
    embedding : ndarray of shape (T, D)
    values : ndarray of shape (T,) or (T, L)
        Continuous label.

    Returns
    -------
    dict
        `train_r2`, `test_r2`: the score of the ridge regression on its training and held-out
        steps. `prediction_r2`: `r2_score` of its predictions on the held-out steps; equal to
        `test_r2`, kept because the manual reports both.

    Raises
    ------
    GrevyError
        If embedding or values are not finite real numbers of equal length, or too few.
    """
    from sklearn.linear_model import Ridge
    from sklearn.metrics import r2_score
    from sklearn.model_selection import train_test_split

    checked_embedding(embedding)
    targets = checked_embedding(np.asarray(values).reshape(len(values), -1), "label values")
    if len(targets) != len(embedding):
        raise GrevyError(
            f"{len(targets)} label values for an embedding of {len(embedding)} time steps; they "
            f"must match."
        )
    if len(embedding) < 6:
        raise GrevyError(
            f"{len(embedding)} time steps; the manual's split needs at least 6 to test on two."
        )
    rows_train, rows_test, train, test = train_test_split(
        embedding.astype(np.float64), targets, test_size=0.2, random_state=42
    )
    model = Ridge(alpha=1.0).fit(rows_train, train)
    decoded = model.predict(rows_test).reshape(test.shape)
    return {
        "train_r2": float(model.score(rows_train, train)),
        "test_r2": float(model.score(rows_test, test)),
        "prediction_r2": float(r2_score(test, decoded)),
    }


def principal_components(
    neural: npt.NDArray[np.floating], train: IntArray, dimension: int
) -> npt.NDArray[np.float32]:
    """Project the data onto the principal components of its training steps: a baseline.

    The data is read in parts, in double precision, so that a float32 memory map of a million
    steps is never copied whole. The sign of a component makes its largest loading positive.

    Parameters
    ----------
    neural : ndarray of shape (T, N)
    train : ndarray
        The time steps that decide mean and components.
    dimension : int
        D, the number of components.

    Returns
    -------
    ndarray of shape (T, D), float32

    Raises
    ------
    GrevyError
        If `dimension` is not between 1 and N, or there are too few training steps.
    """
    from scipy.linalg import eigh

    n_neurons = neural.shape[1]
    if not 1 <= dimension <= n_neurons:
        raise GrevyError(
            f"{dimension} principal components of {n_neurons} neurons; expected 1 to {n_neurons}."
        )
    _check_rows(train, train, len(neural))
    total = np.zeros(n_neurons)
    for rows in _parts(train, n_neurons):
        total += neural[rows].sum(axis=0, dtype=np.float64)
    mean = total / len(train)
    scatter = np.zeros((n_neurons, n_neurons))
    for rows in _parts(train, n_neurons):
        centred = neural[rows] - mean
        scatter += centred.T @ centred
    # Eigenvalues come in ascending order; the first component has the largest.
    _, vectors = eigh(scatter, subset_by_index=[n_neurons - dimension, n_neurons - 1])
    components = vectors[:, ::-1]
    largest = components[np.abs(components).argmax(axis=0), np.arange(dimension)]
    components = components * np.where(largest < 0, -1.0, 1.0)
    projected = np.empty((len(neural), dimension), dtype=np.float32)
    for rows in _parts(np.arange(len(neural)), n_neurons):
        projected[rows] = (neural[rows] - mean) @ components
    return projected


def _parts(index: IntArray, width: int) -> Iterator[IntArray]:
    """Cut an index into parts whose rows of `width` numbers take 4 MB in double precision."""
    size = max(1, 2**19 // width)
    for start in range(0, len(index), size):
        yield index[start : start + size]


def linear_map_r2(
    embedding: FloatArray, latent: FloatArray, train: IntArray, test: IntArray
) -> float:
    """Score the linear map (with intercept, no penalty) from an embedding to the true latent.

    Parameters
    ----------
    embedding : ndarray of shape (T, D)
    latent : ndarray of shape (T, d)
        Known for made data only.
    train, test : ndarray
        The time steps that the map is fitted on and scored on.

    Returns
    -------
    float
        R2 on the test steps, the plain mean over the d latent dimensions (scikit-learn's
        default, as in the published comparisons).

    Raises
    ------
    GrevyError
        If the arrays are not finite real numbers of equal length, or the steps do not fit them.
    """
    from sklearn.linear_model import LinearRegression

    checked_embedding(embedding)
    checked_embedding(latent, "latent")
    if len(latent) != len(embedding):
        raise GrevyError(
            f"the latent has {len(latent)} time steps, the embedding has {len(embedding)}; they "
            f"must match."
        )
    _check_rows(train, test, len(embedding))
    rows = embedding.astype(np.float64)
    model = LinearRegression().fit(rows[train], latent[train])
    return float(model.score(rows[test], latent[test]))


def checked_embedding(values: Array, what: str = "embedding") -> FloatArray:
    """Return `values` if they are (T, D) finite real numbers with at least two time steps.

    Raises
    ------
    GrevyError
        Naming what is wrong, and `what` it is wrong with.
    """
    if values.ndim != 2 or 0 in values.shape or values.dtype.kind not in "fiub":
        raise GrevyError(
            f"{what} of shape {values.shape} and dtype {values.dtype}; expected (T, D) real "
            f"numbers, time first."
        )
    if len(values) < MIN_STEPS:
        raise GrevyError(f"{what} has one time step; expected at least {MIN_STEPS}.")
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise GrevyError(
            f"{what} is NaN or infinite at {int(bad.sum())} of {len(values)} time steps, the "
            f"first at {int(bad.argmax())}. If a training made it, that may have diverged: try a "
            f"smaller learning rate."
        )
    return values


def _check_rows(train: IntArray, test: IntArray, length: int) -> None:
    """Refuse a split that is too small or was made for another recording."""
    for name, rows in (("training", train), ("test", test)):
        if len(rows) < MIN_STEPS:
            raise GrevyError(
                f"{len(rows)} {name} steps; expected at least {MIN_STEPS}. Give a longer "
                f"recording or another holdout."
            )
        if rows.min() < 0 or rows.max() >= length:
            raise GrevyError(
                f"the {name} steps run from {rows.min()} to {rows.max()}, outside the {length} "
                f"time steps given. Make the split for this recording."
            )
