"""Steps without a value: filled with what is never looked at, and left out of every segment."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from grevy.data.arrays import Array
from grevy.data.recording import Recording
from grevy.data.splits import training_segments
from grevy.errors import GrevyError

_LOG = logging.getLogger(__name__)

# Rows that are looked at together; neural data may be a large memory map.
_ROWS = 65_536


def filled(name: str, values: Any) -> tuple[Any, Array]:
    """Fill the steps that hold NaN, or nothing, with the last whole step before, or the first one.

    Parameters
    ----------
    name : str
        What the values are, for the message.
    values : array_like
        (T,) or (T, N), of any type; an array without NaN is handed back as it is.

    Returns
    -------
    tuple
        The values, and (T,) bool: which steps were filled.

    Raises
    ------
    GrevyError
        If no step is whole.
    """
    if isinstance(values, (list, tuple)):
        values = np.asarray(values)
    kind = getattr(getattr(values, "dtype", None), "kind", "")
    if kind not in "fO" or getattr(values, "ndim", 0) not in (1, 2) or not len(values):
        return values, np.zeros(len(values) if np.ndim(values) else 0, bool)
    parts = range(0, len(values), _ROWS)
    missing = np.concatenate([_is_missing(np.asarray(values[i : i + _ROWS])) for i in parts])
    if not missing.any():
        return values, missing
    whole = np.flatnonzero(~missing)
    if not len(whole):
        raise GrevyError(f"{name} has NaN at every one of its {len(missing)} steps; expected data.")
    before = whole[np.maximum(np.searchsorted(whole, np.arange(len(values)), side="right") - 1, 0)]
    array = np.asarray(values)[before]
    if kind == "O":
        array = np.array(array.tolist())
    return array, missing


def _is_missing(rows: Array) -> Array:
    """Tell which rows hold NaN; among objects None too."""
    flat = rows.reshape(len(rows), -1)
    if rows.dtype.kind == "f":
        return np.asarray(np.isnan(flat).any(axis=1))
    found = [any(each is None or each != each for each in row) for row in flat.tolist()]  # noqa: PLR0124
    return np.array(found, bool)


def without_steps(recording: Recording, missing: Sequence[Array]) -> Recording:
    """Leave steps out of every segment: a segment ends where one is missing.

    Parameters
    ----------
    recording : Recording
    missing : sequence of ndarray of shape (T,), bool

    Raises
    ------
    GrevyError
        If no step in a segment is left.
    """
    gone = np.logical_or.reduce([np.zeros(len(recording), bool), *missing])
    if not gone.any():
        return recording
    kept = np.flatnonzero(~gone)
    _LOG.info(
        f"{recording.source}: {int(gone.sum())} of {len(gone)} steps hold NaN and are left out; "
        f"segments end there"
    )
    try:
        runs = training_segments(recording.segments, kept)
    except GrevyError as error:
        raise GrevyError(
            f"{recording.source}: every step in a segment has NaN in the neural data or a label. "
            f"Leave out the label, or the neurons, that are NaN throughout."
        ) from error
    return replace(recording, segments=runs)
