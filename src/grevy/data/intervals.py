"""Stretches of time in seconds: checked, and which steps lie in them."""

import numpy as np
import numpy.typing as npt

from grevy.data.arrays import Float64Array, IntArray
from grevy.errors import GrevyError


def checked_rows(
    starts: npt.ArrayLike, stops: npt.ArrayLike, where: str, unit: str = " s"
) -> Float64Array:
    """Return stretches of time as (I, 2), sorted.

    Parameters
    ----------
    starts, stops : array_like of shape (I,)
    where : str
        What they are the rows of, for the message.
    unit : str
        Of the numbers, for the message.

    Raises
    ------
    GrevyError
        If there are none, one does not end after it starts, or two of them overlap.
    """
    rows = np.stack([np.asarray(starts, np.float64), np.asarray(stops, np.float64)], axis=1)
    if not len(rows):
        raise GrevyError(f"{where} has no rows with a start and a stop.")
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    wrong = np.flatnonzero(~(rows[:, 0] < rows[:, 1]) | ~np.isfinite(rows).all(axis=1))
    if len(wrong):
        start, stop = rows[wrong[0]]
        raise GrevyError(
            f"{where} has a row from {start:.6g}{unit} to {stop:.6g}{unit}. Mend the table."
        )
    overlapping = np.flatnonzero(rows[1:, 0] < rows[:-1, 1])
    if len(overlapping):
        raise GrevyError(
            f"{where} has rows that overlap, at {rows[overlapping[0] + 1, 0]:.6g}{unit}; segments "
            f"cannot. Give another table."
        )
    return rows


def row_of(
    starts: Float64Array, stops: Float64Array, rows: Float64Array, tolerance: float
) -> IntArray:
    """Return for each step the row that it lies in from start to stop; -1 for none."""
    row = np.searchsorted(rows[:, 0], starts + tolerance, side="right") - 1
    inside = (row >= 0) & (stops <= rows[np.maximum(row, 0), 1] + tolerance)
    return np.where(inside, row, -1).astype(np.int64)
