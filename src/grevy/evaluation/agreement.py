"""How well embeddings map onto each other by a linear fit: between seeds, or across recordings."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

from grevy.data import TAU, Array, FloatArray, IntArray, Label, make_label
from grevy.errors import GrevyError, Problems
from grevy.evaluation.checks import checked_embedding

N_BINS = 100
"""Bins of a continuous or circular label, over all its dimensions; the field's number."""
MIN_VALUES = 3
"""The fewest label values that a linear fit between recordings can be judged from."""
MAX_BINS = 10_000
"""The most bins that a label may have."""
N_SHIFTS = 20
"""Circular shifts, of an embedding or of a label, that show what chance reaches."""
_ROWS = 65536  # time steps held in double precision at once


@dataclass(frozen=True, eq=False)
class Consistency:
    """Pairwise linear agreement of K embeddings.

    Attributes
    ----------
    names : tuple of K str
    r2 : ndarray of shape (K, K), float64
        ``r2[i, j]``: coefficient of determination of the linear fit (with intercept) from
        embedding i to embedding j, the mean over the dimensions of j that vary; 1 on the diagonal.
        From 0 to 1, for the fit is scored where it was made.
    mean : float
        Over all pairs of different embeddings.
    chance : float
        What embeddings with nothing in common reach on average, 0 to 1: the mean R2 over circular
        shifts in time, for slow series resemble each other by accident. Of the same time steps,
        one embedding is shifted against the other; of different recordings, the label of one of
        the two against its own embedding, and the means at each label value are taken anew. By
        `N_SHIFTS` lags from a tenth to nine tenths of the length, fewer if there are not as many;
        each pair counts alike.
    n_points : int
        P: the time steps, or label values, that were compared.
    """

    names: tuple[str, ...]
    r2: npt.NDArray[np.float64]
    mean: float
    chance: float
    n_points: int


def consistency(
    embeddings: Sequence[FloatArray],
    names: Sequence[str] | None = None,
    *,
    labels: Sequence[Label | npt.ArrayLike] | None = None,
    n_bins: int = N_BINS,
) -> Consistency:
    """Compare embeddings pair by pair through linear fits.

    As in Schneider, Lee & Mathis, Nature 617, 360-368 (2023), Methods, "Consistency": embeddings of
    the same time steps (runs with other seeds, say) are compared step by step; embeddings of
    different recordings through a label that both have, by the mean of each embedding at each
    label value. A continuous label is cut into bins of equal width over the range of all
    recordings, a circular one into bins around the circle, a discrete one into its classes.

    Label values that do not occur in every recording are left out. Where few are left, a linear
    fit through all D dimensions would meet any points; it is then made from the leading principal
    components of the means, at most one for two points.

    For chance with labels, the label of one of two recordings is moved in time, within its period
    if it repeats itself exactly (or it would come back the same). Where a moved label still tells
    the true one, chance of related recordings comes out too high: where the label stays the same
    for long runs, or keeps a steady rhythm (on a circle at constant speed a shift only turns the
    circle, and chance is the agreement itself). It comes out too low where labels and embeddings
    drift once from the beginning to the end: drifts resemble each other, and no shift tells.

    Parameters
    ----------
    embeddings : sequence of K arrays of shape (T, D)
        K at least 2; D may differ. Without labels they share T, and steps that are NaN in all of
        them (those outside every segment) are left out.
    names : sequence of K str, optional
        "0", "1", ... if not given.
    labels : sequence of K Label or array_like, optional
        One label for each embedding, of its length, all of one kind; arrays as in
        `grevy.data.make_label`.
    n_bins : int
        For continuous and circular labels: bins in all, so that each of L dimensions gets the L-th
        root of it; at least 3.

    Returns
    -------
    Consistency

    Raises
    ------
    GrevyError
        If embeddings, names or labels do not fit together, an embedding is constant, or the
        recordings share too few label values; the message says which value is missing where.
    """
    shown = _checked_names(embeddings, names)
    if labels is None:
        points = _same_steps(embeddings, shown)
        n_fitted = max(embedding.shape[1] for embedding in points)
    else:
        codes, n_values = _shared_codes(embeddings, shown, labels, n_bins)
        points = [
            _bin_means(np.asarray(embedding), own, n_values)
            for embedding, own in zip(embeddings, codes, strict=True)
        ]
        n_fitted = (n_values - 1) // 2
    widths = [embedding.shape[1] for embedding in points]
    starts = np.cumsum([0, *widths])
    columns = [slice(start, stop) for start, stop in pairwise(starts)]
    covariance = _covariance(points)
    for name, own in zip(shown, columns, strict=True):
        if not _varying(covariance[own, own]).any():
            raise GrevyError(
                f"consistency: embedding {name!r} is constant, so nothing can be mapped onto it. "
                f"Its training has collapsed: train it longer, or leave it out."
            )
    r2 = np.eye(len(points))
    for i, source in enumerate(columns):
        for j, target in enumerate(columns):
            if i != j:
                r2[i, j] = _linear_r2(covariance, source, target, n_fitted)
    others = ~np.eye(len(points), dtype=bool)
    if labels is None:
        chance = _shifted_r2(points, n_fitted)
    else:
        chance = _moved_label_r2(embeddings, codes, points, n_fitted)
    return Consistency(tuple(shown), r2, float(r2[others].mean()), chance, len(points[0]))


def _checked_names(embeddings: Sequence[FloatArray], names: Sequence[str] | None) -> list[str]:
    problems = Problems("consistency")
    if len(embeddings) < 2:
        problems.add(f"{len(embeddings)} embedding(s); expected at least 2 to compare.")
    shown = [str(name) for name in (range(len(embeddings)) if names is None else names)]
    if len(shown) != len(embeddings):
        problems.add(f"{len(shown)} names for {len(embeddings)} embeddings; give one for each.")
    if len(set(shown)) < len(shown):
        problems.add(f"the names {shown} are not distinct.")
    problems.raise_if_any()
    return shown


def _same_steps(embeddings: Sequence[FloatArray], names: Sequence[str]) -> list[FloatArray]:
    """Return the embeddings at the steps that all of them have."""
    lengths = [len(embedding) for embedding in embeddings]
    if len(set(lengths)) > 1:
        raise GrevyError(
            f"consistency: the embeddings have {lengths} time steps. Give embeddings of the same "
            f"steps, or a label for each to compare them by."
        )
    absent = [_all_nan(np.asarray(embedding)) for embedding in embeddings]
    everywhere = np.logical_and.reduce(absent)
    if everywhere.any() and not everywhere.all():
        embeddings = [embedding[~everywhere] for embedding in embeddings]
    return [
        checked_embedding(np.asarray(embedding), f"embedding {name!r}")
        for name, embedding in zip(names, embeddings, strict=True)
    ]


def _all_nan(embedding: Array) -> npt.NDArray[np.bool_]:
    if embedding.ndim != 2 or embedding.dtype.kind != "f":
        return np.zeros(len(embedding), dtype=bool)
    return np.asarray(np.isnan(embedding).all(axis=1))


def _covariance(points: Sequence[FloatArray]) -> npt.NDArray[np.float64]:
    """Covariance of all columns side by side, in double precision and in parts."""
    length = len(points[0])
    parts = [slice(start, start + _ROWS) for start in range(0, length, _ROWS)]
    centre = np.concatenate([values.mean(axis=0, dtype=np.float64) for values in points])
    total = np.zeros((len(centre), len(centre)))
    for rows in parts:
        centred = np.concatenate([values[rows] for values in points], axis=1) - centre
        total += centred.T @ centred
    return total / length


def _shifted_r2(points: Sequence[FloatArray], n_fitted: int) -> float:
    """Mean R2 of embeddings shifted circularly against each other, over pairs and shifts."""
    found = [
        _both_ways(first, np.roll(second, shift, axis=0), n_fitted)
        for first, second in combinations(points, 2)
        for shift in _shifts(len(first))
    ]
    return float(np.mean(found))


def _moved_label_r2(
    embeddings: Sequence[FloatArray],
    codes: Sequence[IntArray],
    points: Sequence[FloatArray],
    n_fitted: int,
) -> float:
    """Mean R2 with the label of one of two recordings shifted circularly, over pairs and shifts."""
    found = []
    for moved, (embedding, own) in enumerate(zip(embeddings, codes, strict=True)):
        columns = np.asfortranarray(embedding, dtype=np.float64)  # read often, column by column
        others = [means for other, means in enumerate(points) if other != moved]
        r2 = []
        for shift in _shifts(_period(own)):
            means = _bin_means(columns, np.roll(own, shift), len(points[0]))
            r2 += [_both_ways(means, other, n_fitted) for other in others]
        found.append(np.mean(r2))  # each recording counts alike, though a short one has few shifts
    return float(np.mean(found))


def _shifts(length: int) -> list[int]:
    """Spread shifts evenly from a tenth to nine tenths of a circle; fewer on a small one."""
    least = -(-length // 10)
    shifts: list[int] = np.unique(np.linspace(least, length - least, N_SHIFTS).astype(int)).tolist()
    return shifts


def _period(codes: IntArray) -> int:
    """Return the smallest circular shift that gives the codes back; T if none shorter does."""
    length = len(codes)
    parts = np.flatnonzero(length % np.arange(1, length + 1) == 0) + 1
    return next(int(part) for part in parts if (codes.reshape(-1, part) == codes[:part]).all())


def _both_ways(first: FloatArray, second: FloatArray, n_fitted: int) -> tuple[float, float]:
    covariance = _covariance([first, second])
    width = first.shape[1]
    one, other = slice(0, width), slice(width, width + second.shape[1])
    return (
        _linear_r2(covariance, one, other, n_fitted),
        _linear_r2(covariance, other, one, n_fitted),
    )


def _varying(covariance: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Tell which columns vary by more than rounding."""
    variance = np.diagonal(covariance)
    return np.asarray(variance > 1e-12 * max(float(variance.max()), np.finfo(np.float64).tiny))


def _linear_r2(
    covariance: npt.NDArray[np.float64], source: slice, target: slice, n_fitted: int
) -> float:
    """R2 of the least-squares map, from covariances alone.

    With C_xx = V diag(w) V', the fit explains C_yx V diag(1/w) V' C_xy of the covariance of y;
    only the `n_fitted` largest w that are not rounding take part.
    """
    from scipy.linalg import eigh

    eigenvalues, vectors = eigh(covariance[source, source])
    kept = np.arange(len(eigenvalues)) >= len(eigenvalues) - n_fitted
    kept &= eigenvalues > 1e-12 * eigenvalues[-1]
    loadings = vectors[:, kept].T @ covariance[source, target]
    explained = (loadings**2 / eigenvalues[kept, None]).sum(axis=0)
    variance = np.diag(covariance[target, target])
    varying = _varying(covariance[target, target])
    if not varying.any():  # a moved label may level all means: there is nothing to explain
        return 0.0
    return float(np.clip(explained[varying] / variance[varying], 0.0, 1.0).mean())


def _shared_codes(
    embeddings: Sequence[FloatArray],
    names: Sequence[str],
    labels: Sequence[Label | npt.ArrayLike],
    n_bins: int,
) -> tuple[list[IntArray], int]:
    """Number the P label values that all recordings hold; all others get the number P."""
    made = _checked_labels(embeddings, names, labels)
    if n_bins < MIN_VALUES:
        raise GrevyError(f"consistency: {n_bins} bins; expected at least {MIN_VALUES}.")
    codes, values = _discretise(made, n_bins)
    counts = np.stack([np.bincount(each, minlength=len(values)) for each in codes])
    shared = np.flatnonzero((counts > 0).all(axis=0))
    if len(shared) < MIN_VALUES:
        raise _too_few_values(counts, values, names)
    number = np.full(len(values), len(shared))
    number[shared] = np.arange(len(shared))
    return [number[each] for each in codes], len(shared)


def _checked_labels(
    embeddings: Sequence[FloatArray], names: Sequence[str], labels: Sequence[Label | npt.ArrayLike]
) -> list[Label]:
    problems = Problems("consistency")
    if len(labels) != len(embeddings):
        problems.add(f"{len(labels)} labels for {len(embeddings)} embeddings; give one for each.")
        problems.raise_if_any()
    made = [
        each if isinstance(each, Label) else make_label(f"label of {name}", each)
        for name, each in zip(names, labels, strict=True)
    ]
    for name, embedding, label in zip(names, embeddings, made, strict=True):
        checked_embedding(np.asarray(embedding), f"embedding {name!r}")
        if len(label) != len(embedding):
            problems.add(
                f"embedding {name!r} has {len(embedding)} time steps, its label {len(label)}; they "
                f"must match."
            )
    kinds = {(label.kind, label.values[:1].size) for label in made}
    if len(kinds) > 1:
        found = ", ".join(f"{kind} of {n} dimension(s)" for kind, n in sorted(kinds))
        problems.add(f"the labels differ in kind: {found}. Give the same label of each recording.")
    problems.raise_if_any()
    return made


def _discretise(labels: Sequence[Label], n_bins: int) -> tuple[list[IntArray], list[str]]:
    """Turn labels into codes that mean the same in all recordings, and name each code."""
    if labels[0].kind == "discrete":
        classes = sorted({value for label in labels for value in label.classes}, key=_class_order)
        code_of = {value: code for code, value in enumerate(classes)}
        moved = [np.array([code_of[value] for value in label.classes]) for label in labels]
        codes = [new[label.values] for label, new in zip(labels, moved, strict=True)]
        return codes, [repr(value) for value in classes]
    n_columns = labels[0].values[:1].size
    columns = [label.values.reshape(len(label), n_columns) for label in labels]
    low, high = np.zeros(n_columns), np.full(n_columns, TAU)
    if labels[0].kind == "continuous":
        low = np.min([values.min(axis=0) for values in columns], axis=0)
        high = np.max([values.max(axis=0) for values in columns], axis=0)
    each = max(2, round(n_bins ** (1 / n_columns)))
    if each**n_columns > MAX_BINS:
        raise GrevyError(
            f"consistency: a label of {n_columns} dimensions has {each**n_columns} bins, most of "
            f"them empty. Give a few of its dimensions as the label."
        )
    width = np.where(high > low, (high - low) / each, 1.0)
    places = np.full(n_columns, each) ** np.arange(n_columns)
    codes = [
        (np.clip(np.floor((values - low) / width), 0, each - 1).astype(np.int64) @ places)
        for values in columns
    ]
    to_unit = labels[0].period / TAU if labels[0].kind == "circular" else 1.0
    named = []
    for code in range(each**n_columns):
        left = (low + width * (code // places % each)) * to_unit
        sides = [f"{a:.4g} to {a + w:.4g}" for a, w in zip(left, width * to_unit, strict=True)]
        named.append(" x ".join(sides))
    return codes, named


def _class_order(value: object) -> tuple[bool, object]:
    return isinstance(value, str), value


def _bin_means(embedding: Array, codes: IntArray, n_values: int) -> npt.NDArray[np.float64]:
    """Mean of the rows of each code below `n_values`, which all occur."""
    counts = np.bincount(codes)[:n_values]
    sums = [np.bincount(codes, weights=column)[:n_values] for column in embedding.T]
    return np.stack(sums, axis=1) / counts[:, None]


def _too_few_values(counts: IntArray, values: Sequence[str], names: Sequence[str]) -> GrevyError:
    """Say which label values are missing in which recording."""
    occurring = counts.any(axis=0)
    missing = []
    for name, own in zip(names, counts, strict=True):
        absent = [values[code] for code in np.flatnonzero(occurring & (own == 0)).tolist()]
        if absent:
            rest = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
            missing.append(f"{name!r} lacks {', '.join(absent[:5])}{rest}")
    shared = int((counts > 0).all(axis=0).sum())
    where = "; ".join(missing) or f"each holds the same {shared}"
    return GrevyError(
        f"consistency: the recordings share {shared} label value(s) or bin(s); expected at least "
        f"{MIN_VALUES} ({where}). Give a label that takes the same values in all recordings, or "
        f"fewer bins."
    )
