"""Calling the compiled loops."""

import ctypes
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from grevy.data import Array, IntArray
from grevy.engine.kernels.structures import Adam, Moments, Step


@dataclass(frozen=True, eq=False)
class Call:
    """A call laid out once and made in every training step.

    Attributes
    ----------
    library : CDLL
    function : str
    argument : Structure
        May be filled in until the first call.
    held : list
        Owns the memory to which `argument` points.
    """

    library: Any
    function: str
    argument: ctypes.Structure
    held: list[Any]

    def __call__(self) -> None:
        """Make the call."""
        getattr(self.library, self.function)(ctypes.byref(self.argument))


@dataclass(frozen=True, eq=False)
class _Program:
    """Calls that follow each other, made by one.

    The interpreter is slow to get from one to the next after a loop that has filled the caches.
    """

    run: Any
    steps: Any
    size: ctypes.c_int64
    calls: Sequence[Call]

    def __call__(self) -> None:
        self.run(self.steps, self.size)


def join_calls(operations: Iterable[Callable[[], Any]]) -> tuple[Callable[[], Any], ...]:
    """Return the same operations, those in C that follow each other as one."""
    joined: list[Callable[[], Any]] = []
    for are_calls, group in groupby(operations, lambda operation: isinstance(operation, Call)):
        members: list[Any] = list(group)
        joined += [_program(members)] if are_calls else members
    return tuple(joined)


def _program(calls: Sequence[Call]) -> _Program:
    steps = (Step * len(calls))()
    for step, call in zip(steps, calls, strict=True):
        function = getattr(call.library, call.function)
        step.function = ctypes.cast(function, ctypes.c_void_p).value
        step.argument = ctypes.addressof(call.argument)
    return _Program(calls[0].library.run_steps, steps, ctypes.c_int64(len(calls)), calls)


def call_adam(library: Any, moments: ctypes.Array[Moments], settings: Adam) -> None:
    """Update parameters."""
    library.adam_update(moments, ctypes.c_int64(len(moments)), ctypes.byref(settings))


def cover_windows(
    library: Any, start: IntArray, width: int, length: int, room: int
) -> tuple[IntArray, IntArray] | None:
    """Find the steps that lie in windows; parameters as of `grevy.engine.encoding.pack`.

    Returns
    -------
    tuple of ndarray, or None
        Where windows start, and the steps kept; None where there is no room.
    """
    start = np.ascontiguousarray(start, np.int64)
    first, kept = np.empty_like(start), np.empty(room, np.int64)
    place = np.empty(length, np.int32)
    sizes = [ctypes.c_int64(size) for size in (len(start), width, length)]
    found = library.windows_cover(
        _at(start), *sizes, _at(place), ctypes.c_int64(room), _at(kept), _at(first)
    )
    return None if found < 0 else (first, kept)


def read_stretches(
    library: Any, descriptor: int, places: IntArray, sizes: IntArray, into: Array, threads: int
) -> None:
    """Read stretches of a file, one after the other, to the beginning of an array.

    Parameters
    ----------
    library : CDLL
    descriptor : int
        Of the open file.
    places, sizes : ndarray of shape (n,), int64
        Where each stretch begins in the file, and how long it is, in bytes.
    into : ndarray, contiguous
    threads : int
        How many may read at once.

    Raises
    ------
    OSError
        As the system says it, or without a number if the file is over before.
    ValueError
        If there is no room for them, or a stretch lies before the file or has no length.
    """
    ends = np.cumsum(sizes)
    fits = not len(sizes) or (ends[-1] <= into.nbytes and sizes.min() > 0 and places.min() >= 0)
    if not (fits and into.flags.c_contiguous and into.flags.writeable):  # C does not look
        raise ValueError("stretches do not fit the array that they are read into")
    given = [np.ascontiguousarray(each, np.int64) for each in (places, sizes, ends - sizes)]
    fault = library.stretches_read(
        ctypes.c_int64(descriptor), ctypes.c_int64(len(sizes)), *map(_at, given), _at(into),
        ctypes.c_int64(threads),
    )  # fmt: skip
    if fault > 0:
        raise OSError(fault, os.strerror(fault))
    if fault:
        raise OSError("the file is over before")


def _at(array: Any) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
