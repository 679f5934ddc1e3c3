"""One array of a file, known by shape and dtype before it is read."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grevy.data.files.limits import Limit
from grevy.errors import GrevyError

Array = np.ndarray[Any, Any]

SINGLE = "data"  # the key of a file that holds one array without a name
# Of an array that is only looked at: its first rows, in so much memory.
SAMPLE_ROWS, SAMPLE_BYTES = 20_000, 2**25
DEEPEST = 32  # levels of structs within structs; more can only be a loop


@dataclass(frozen=True)
class Entry:
    """One array of a file.

    Attributes
    ----------
    shape : tuple of int
    dtype : str
        As numpy writes it.
    read : callable
        Takes nothing, returns the array.
    unpacked : int
        The bytes of memory that reading it will take; 0 where it is in memory, or mapped.
    sample : callable or None
        Takes nothing, returns the first rows alone; None where that saves nothing, or cannot be.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Array]
    unpacked: int = 0
    sample: Callable[[], Array] | None = None


Entries = dict[str, Entry]


def sample_rows(shape: tuple[int, ...], itemsize: int) -> int:
    """Return how many of the first rows of an array are a sample of it."""
    row = math.prod(shape[1:]) * itemsize
    return min(SAMPLE_ROWS, SAMPLE_BYTES // max(row, 1), shape[0] if shape else 1)


def sampled(entry: Entry) -> Array | None:
    """Read the first rows of an array; None if it is too large to be read for that."""
    if entry.sample is not None:
        return entry.sample()
    if entry.unpacked > SAMPLE_BYTES:
        return None
    array = entry.read()
    return array[: sample_rows(array.shape, array.dtype.itemsize)] if array.ndim else array


def held(array: Array, limit: Limit) -> Entry:
    """Make the entry of an array that is in memory already."""
    array = as_text(array, limit)
    return Entry(array.shape, str(array.dtype), lambda: array)


def as_text(array: Array, limit: Limit) -> Array:
    """Turn bytes, and objects that are all strings, into a numpy array of strings."""
    if array.dtype.kind == "S":
        _check_text(array.dtype.itemsize, array.size, limit)
        return np.char.decode(array, "utf-8", "replace")
    if array.dtype.kind == "O" and array.size:
        values = [
            value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            for value in array.ravel()
        ]
        if all(isinstance(value, str) for value in values):
            return texts(values, array.shape, limit)
    return array


def texts(values: list[str], shape: tuple[int, ...], limit: Limit) -> Array:
    """Make an array of strings, each of which takes as much memory as the longest."""
    _check_text(max(map(len, values)), len(values), limit)
    return np.array(values).reshape(shape)


def _check_text(longest: int, count: int, limit: Limit) -> None:
    limit.check(4 * longest * count, f"an array of {count} texts, the longest of {longest} letters")


def refused_kind(path: Path, key: str, dtype: Any) -> GrevyError:
    """Make the error for an array of what no recording is made of."""
    return GrevyError(
        f"{path}: the array {key!r} has dtype {dtype}; expected numbers, booleans or strings."
    )
