"""A table of trials beside a recording: where each starts and stops, in seconds or in steps."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from grevy.data.arrays import Array, Float64Array, IntArray
from grevy.data.clocks import ROUNDING
from grevy.data.files.arrays import describe, open_arrays, read_array
from grevy.data.intervals import checked_rows
from grevy.errors import GrevyError

_LOG = logging.getLogger(__name__)

SUFFIXES = (".csv", ".tsv", ".parquet")
IN_SECONDS, IN_STEPS = ("start_time", "stop_time"), ("start", "stop")


@dataclass(frozen=True, eq=False)
class Trials:
    """Stretches of time.

    Attributes
    ----------
    where : str
        Of which table, for a message.
    rows : ndarray of shape (S, 2), float64
        Sorted; they do not overlap.
    in_seconds : bool
        Or else in steps.
    """

    where: str
    rows: Float64Array
    in_seconds: bool


def names_a_table(segments: str, is_key: Callable[[str], bool]) -> bool:
    """Tell whether `segments` is a file with a table of trials, not a key."""
    return Path(segments).suffix.lower() in SUFFIXES and not is_key(segments)


def read_trials(path: str | Path, max_bytes: int | None = None) -> Trials:
    """Read a table with the columns ``start_time`` and ``stop_time``, or ``start`` and ``stop``.

    Raises
    ------
    GrevyError
        If the file cannot be read, has no such columns, or rows that are no stretches of time.
    """
    where = f"{path}: the table of trials"
    entries = open_arrays(path, max_bytes=max_bytes)
    for names in (IN_SECONDS, IN_STEPS):
        if all(name in entries for name in names):
            break
    else:
        raise GrevyError(
            f"{where} has no columns start_time and stop_time (in seconds), or start and stop (in "
            f"steps). It holds {describe(entries)}."
        )
    columns: list[Array] = [read_array(path, name, max_bytes=max_bytes) for name in names]
    for name, column in zip(names, columns, strict=True):
        if column.dtype.kind not in "fiu":
            raise GrevyError(f"{where}: the column {name!r} holds {column.dtype}, not numbers.")
    in_seconds = names == IN_SECONDS
    rows = checked_rows(columns[0], columns[1], where, " s" if in_seconds else "")
    if not in_seconds and (rows != np.floor(rows)).any():
        raise GrevyError(
            f"{where} has fractions in start or stop, which are whole steps. Call the columns "
            f"start_time and stop_time if they are seconds."
        )
    return Trials(where, rows, in_seconds)


def runs_of_trials(trials: Trials, length: int, sampling_rate: float | None) -> IntArray:
    """Return the steps of each trial as runs [start, stop).

    A step in time t, of a recording that begins at 0 s, is in the trial with
    start_time <= t < stop_time. Trials outside the recording are left out, with a warning.

    Parameters
    ----------
    trials : Trials
    length : int
        T.
    sampling_rate : float or None
        In Hz; for trials in seconds.

    Returns
    -------
    ndarray of shape (S, 2), int64

    Raises
    ------
    GrevyError
        If trials are in seconds and there is no sampling rate, or no trial holds a step.
    """
    edges = trials.rows
    if trials.in_seconds:
        if sampling_rate is None:
            raise GrevyError(
                f"{trials.where} is in seconds, and the sampling rate of the recording is not "
                f"known. Give `sampling_rate=HZ`, or a table with start and stop in steps."
            )
        edges = np.ceil(edges * sampling_rate - ROUNDING)
    runs = np.clip(edges, 0, length).astype(np.int64)
    there = runs[:, 0] < runs[:, 1]
    if not there.any():
        raise GrevyError(
            f"{trials.where}: none of its {len(runs)} rows holds one of the {length} steps of the "
            f"recording. Check that they count from its start."
        )
    cut = int((there & (runs != edges).any(axis=1)).sum())
    if cut or not there.all():
        _LOG.warning(
            f"{trials.where}: {int((~there).sum())} of {len(runs)} trials hold no step of the "
            f"recording and are left out; {cut} reach beyond it and are cut."
        )
    return runs[there]
