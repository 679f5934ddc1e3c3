"""The manual's scores, PCA and UMAP as baselines, and the linear map to a known latent."""

from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

from grevy.data import Array, FloatArray, IntArray
from grevy.errors import GrevyError
from grevy.evaluation.checks import check_rows, checked_embedding, parts

# Fewer training steps than this have no neighbourhoods to speak of (UMAP takes 15 neighbours).
MIN_UMAP = 20


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
    check_rows(train, train, len(neural))
    total = np.zeros(n_neurons)
    for rows in parts(train, n_neurons):
        total += neural[rows].sum(axis=0, dtype=np.float64)
    mean = total / len(train)
    scatter = np.zeros((n_neurons, n_neurons))
    for rows in parts(train, n_neurons):
        centred = neural[rows] - mean
        scatter += centred.T @ centred
    # Eigenvalues come in ascending order; the first component has the largest.
    _, vectors = eigh(scatter, subset_by_index=[n_neurons - dimension, n_neurons - 1])
    components = vectors[:, ::-1]
    largest = components[np.abs(components).argmax(axis=0), np.arange(dimension)]
    components = components * np.where(largest < 0, -1.0, 1.0)
    projected = np.empty((len(neural), dimension), dtype=np.float32)
    for rows in parts(np.arange(len(neural)), n_neurons):
        projected[rows] = (neural[rows] - mean) @ components
    return projected


def require_umap() -> None:
    """Check that umap-learn is installed, before anything that takes long.

    Raises
    ------
    GrevyError
        If it is not.
    """
    if find_spec("umap") is None:
        raise GrevyError(
            "UMAP is not installed. Get it by `pip install 'grevy[umap]'`, or leave `umap` out."
        )


def umap_components(
    neural: Array, train: IntArray, test: IntArray, dimension: int, seed: int
) -> npt.NDArray[np.float32]:
    """Embed the data by UMAP, which has seen the training steps only: a baseline.

    UMAP (McInnes et al., arXiv 1802.03426) with its own default settings. Test steps are
    placed among the training steps afterwards, each by itself.

    Parameters
    ----------
    neural : ndarray of shape (T, N)
    train, test : ndarray
        The time steps that it is fitted on, and those that it is applied to.
    dimension : int
        D, the number of dimensions.
    seed : int
        Decides what UMAP does by chance; one thread then does all of it.

    Returns
    -------
    ndarray of shape (T, D), float32
        0 at all other steps.

    Raises
    ------
    GrevyError
        If umap-learn is not installed, or there are too few training steps.
    """
    require_umap()
    check_rows(train, test, len(neural))
    # It refuses fewer, with a message of its own about eigenvectors.
    if len(train) < dimension + 2 or len(train) < MIN_UMAP:
        raise GrevyError(
            f"UMAP in {dimension} dimensions: {len(train)} training steps; expected at least "
            f"{max(MIN_UMAP, dimension + 2)}. Give a longer recording, or leave `umap` out."
        )
    from umap import UMAP

    model = UMAP(n_components=dimension, random_state=seed, n_jobs=1)
    embedded = np.zeros((len(neural), dimension), dtype=np.float32)
    embedded[train] = model.fit_transform(np.asarray(neural[train], dtype=np.float32))
    embedded[test] = model.transform(np.asarray(neural[test], dtype=np.float32))
    return embedded


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
    check_rows(train, test, len(embedding))
    rows = embedding.astype(np.float64)
    model = LinearRegression().fit(rows[train], latent[train])
    return float(model.score(rows[test], latent[test]))
