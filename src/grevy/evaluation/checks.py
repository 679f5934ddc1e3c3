"""What a decoder is given: finite numbers, steps that exist; and how to read it in parts."""

from collections.abc import Iterator

import numpy as np

from grevy.data import LARGEST, MIN_STEPS, Array, FloatArray, IntArray
from grevy.errors import GrevyError


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
    bad = np.zeros(len(values), dtype=bool)
    for rows in parts(np.arange(len(values)), values.shape[1]):
        bad[rows] = ~np.isfinite(values[rows[0] : rows[-1] + 1]).all(axis=1)
    if bad.any():
        raise GrevyError(
            f"{what} is NaN or infinite at {int(bad.sum())} of {len(values)} time steps, the "
            f"first at {int(bad.argmax())}. If a training made it, that may have diverged: try a "
            f"smaller learning rate."
        )
    return values


def filled(embedding: FloatArray, inside: IntArray) -> FloatArray:
    """Return the embedding with 0 outside the segments, where nothing is read from it.

    Parameters
    ----------
    embedding : ndarray of shape (T, D)
    inside : ndarray
        The steps inside segments.

    Raises
    ------
    GrevyError
        If it is not finite there.
    """
    if len(inside) == len(embedding):
        return checked_embedding(embedding)
    filled = np.zeros_like(embedding)
    filled[inside] = checked_embedding(embedding[inside])
    return filled


def check_rows(train: IntArray, test: IntArray, length: int) -> None:
    """Refuse a split that is too small or was made for another recording.

    Raises
    ------
    GrevyError
        Naming the half of the split that does not fit.
    """
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


def check_magnitude(values: Array, what: str) -> None:
    """Refuse (T, N) numbers whose squares would not fit double precision.

    Raises
    ------
    GrevyError
        Naming `what` they are, and the largest.
    """
    if values.dtype.kind != "f" or values.dtype.itemsize < 8:
        return
    largest = max(
        float(np.abs(values[rows[0] : rows[-1] + 1]).max())
        for rows in parts(np.arange(len(values)), values.shape[1])
    )
    if largest > LARGEST:
        raise GrevyError(
            f"{what} holds values as large as {largest:.1e}; expected at most {LARGEST:.0e} in "
            f"size. Give it in another unit, or remove what is not data."
        )


def parts(index: IntArray, width: int) -> Iterator[IntArray]:
    """Cut an index into parts whose rows of `width` numbers take 4 MB in double precision."""
    size = max(1, 2**19 // width)
    for start in range(0, len(index), size):
        yield index[start : start + size]
