"""Rows of a file that lie one after the other, read where they are.

Pages of a mapped file count as memory of the process, and the system maps many more than are
looked at. What is read here leaves none behind.
"""

import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from grevy.data.arrays import Array, IntArray
from grevy.errors import GrevyError

# Bytes copied at once.
BLOCK = 2**24
# Bytes asked for in one call: the system gives less than 2 GiB.
MOST = 2**30


@dataclass(frozen=True, eq=False)
class Flat:
    """An array (T, N) in an open file.

    Attributes
    ----------
    stream : file
    offset : int
        Where it begins, in bytes.
    shape : tuple of int
    dtype : dtype
    """

    stream: BinaryIO
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def slice(self, start: int, stop: int) -> Array:
        """Read the rows from `start` to `stop`."""
        stop, most = max(start, stop), max(1, MOST // max(1, self.shape[1] * self.dtype.itemsize))
        starts = np.arange(start, max(stop, start + 1), most)
        return self._read(starts, np.minimum(starts + most, stop))

    def steps(self, steps: IntArray) -> Array:
        """Read rows by their number, which must grow from one to the next."""
        return self._read(*_runs(steps))

    def _read(self, starts: IntArray, stops: IntArray) -> Array:
        places, sizes = self._stretches(starts, stops)
        descriptor = [self.stream.fileno()] * len(sizes)
        with self.guarded():
            parts = list(map(os.pread, descriptor, sizes.tolist(), places.tolist()))
            content = parts[0] if len(parts) == 1 else b"".join(parts)
            if len(content) < sizes.sum():
                raise OSError("the file is over before")
        return np.frombuffer(content, self.dtype).reshape(-1, self.shape[1])

    def stretches(self, steps: IntArray) -> tuple[IntArray, IntArray]:
        """Find where rows lie, of which those that follow each other are one stretch.

        Parameters
        ----------
        steps : ndarray of shape (K,), int64
            Their numbers, which must grow from one to the next; at least one.

        Returns
        -------
        places, sizes : ndarray of shape (n,), int64
            Where each stretch begins in the file, and how long it is, in bytes.
        """
        return self._stretches(*_runs(steps))

    def _stretches(self, starts: IntArray, stops: IntArray) -> tuple[IntArray, IntArray]:
        row = self.shape[1] * self.dtype.itemsize
        return self.offset + starts * row, (stops - starts) * row

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Say what the system says of reading so that it can be mended.

        Raises
        ------
        GrevyError
            In the place of an `OSError`.
        """
        try:
            yield
        except OSError as error:
            raise _unreadable(self.stream.name, error) from error


def _runs(steps: IntArray) -> tuple[IntArray, IntArray]:
    """Return where runs of steps that follow each other start, and stop."""
    breaks = np.flatnonzero(np.diff(steps) > 1) + 1
    first = np.concatenate([[0], breaks])
    last = np.concatenate([breaks - 1, [len(steps) - 1]])
    return steps[first], steps[last] + 1


def _unreadable(name: object, error: OSError) -> GrevyError:
    return GrevyError(
        f"{name} was open and can no longer be read: {error.strerror or error}. What is "
        f"larger than memory is read when it is needed: leave the file as it is until all is done, "
        f"and start again."
    )


@contextmanager
def opened_flat(array: Any) -> Iterator[Flat | None]:
    """Open the file in which an array lies; None if its rows do not lie one after the other.

    Parameters
    ----------
    array : ndarray, data set, or Flat

    Raises
    ------
    GrevyError
        If the file is there no more.
    """
    found = _place(array)
    if isinstance(array, Flat) or found is None or not hasattr(os, "pread"):
        yield array if isinstance(array, Flat) else None
        return
    path, offset = found
    try:
        opened = open(path, "rb", buffering=0)  # noqa: PTH123, SIM115
    except OSError as error:
        raise _unreadable(path, error) from error
    with opened as stream:
        yield Flat(stream, offset, tuple(array.shape), np.dtype(array.dtype))


def _place(array: Any) -> tuple[str, int] | None:
    """Return the file of a whole memory map, or of a data set in one piece, and where it begins."""
    if type(array) is np.memmap:  # one that derives from it may read otherwise
        whole = isinstance(array.base, mmap.mmap) and array.flags.c_contiguous
        whole &= array.mode != "c"  # what was changed in memory is not in the file
        return (str(array.filename), array.offset) if whole and array.filename else None
    if type(array).__module__.partition(".")[0] != "h5py" or array.chunks is not None:
        return None
    file = array.file
    in_place = not (array.external or array.is_virtual) and array.id.get_storage_size()
    if not in_place or file.mode != "r" or file.driver not in ("sec2", "stdio"):
        return None
    return file.filename, int(array.id.get_offset())


def spooled(array: Any) -> Flat:
    """Copy an array (T, N) into a temporary file, which is gone when nobody reads it any more.

    Raises
    ------
    GrevyError
        If there is no room for it.
    """
    dtype, folder = np.dtype(array.dtype), tempfile.gettempdir()
    needed = int(np.prod(array.shape, dtype=object)) * dtype.itemsize
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise GrevyError(
            f"{needed} bytes of neural data are copied to {folder} for training, and {free} are "
            f"free there. Set TMPDIR to a folder with more room, or store the data as .npy."
        )
    stream: Any = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
    rows = max(1, BLOCK // max(1, array.shape[1] * dtype.itemsize))
    chunk = (getattr(array, "chunks", None) or (1,))[0]
    rows = -(-rows // chunk) * chunk  # a chunk is unpacked whole, so that each is needed once
    for start in range(0, array.shape[0], rows):
        stream.write(np.ascontiguousarray(array[start : start + rows]))
    return Flat(stream, 0, tuple(array.shape), dtype)
