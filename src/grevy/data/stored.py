"""Neural data that stays where it is, on the disk or in a smaller type, and is read by rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from grevy.data.arrays import Array, IntArray
from grevy.data.flat import Flat, opened_flat, spooled

# What neural data may take as float32, in bytes, before it is read as needed and not held whole.
HELD = 2**30


@dataclass(frozen=True, eq=False)
class Stored:
    """An array (T, N) that is never held whole: rows become float32 when they are read.

    It is read like an array, by a slice or by time steps; `numpy.asarray` reads all of it.

    Attributes
    ----------
    array : ndarray or data set
        Of any real type: an array, a memory map, or a data set of h5py or zarr, whose file must
        stay open. Where rows lie one after the other in a file they are read from there, so that
        no pages stay mapped.
    """

    array: Any

    @property
    def shape(self) -> tuple[int, int]:
        """(T, N)."""
        length, n_neurons = self.array.shape
        return int(length), int(n_neurons)

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.array.shape)

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return self.shape[0] * self.shape[1]

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """Of the rows as they are read."""
        return np.dtype(np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | IntArray) -> npt.NDArray[np.float32]:
        with np.errstate(over="ignore"):  # what overflows is refused when a recording is made
            return self.rows(index).astype(np.float32, copy=False)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self[:].astype(dtype or np.float32, copy=bool(copy))

    def rows(self, index: slice | IntArray) -> Array:
        """Read rows in the type in which they are stored."""
        with opened_flat(self.array) as flat:
            if flat is not None:
                return _rows(flat, index)
        if isinstance(index, slice) or isinstance(self.array, np.ndarray):
            return np.asarray(self.array[index])
        # Data sets of a file are read fastest by slices, and take steps in order only.
        steps, place = np.unique(index, return_inverse=True)
        if not len(steps):
            return np.asarray(self.array[0:0])
        breaks = np.flatnonzero(np.diff(steps) > 1) + 1
        runs = zip(steps[[0, *breaks]], steps[[*(breaks - 1), -1]] + 1, strict=True)
        parts = [np.asarray(self.array[int(start) : int(stop)]) for start, stop in runs]
        return np.concatenate(parts)[place]

    def laid_flat(self) -> "Stored":
        """Return what reads single steps fast: of data in chunks, a copy in a temporary file.

        Raises
        ------
        GrevyError
            If there is no room for it.
        """
        with opened_flat(self.array) as flat:
            if flat is not None or isinstance(self.array, np.ndarray):
                return self
        return Stored(spooled(self.array))


def _rows(flat: Flat, index: slice | IntArray) -> Array:
    if isinstance(index, slice):
        start, stop, step = index.indices(flat.shape[0])
        if step == 1:
            return flat.slice(start, stop)
        index = np.arange(start, stop, step)
    if len(index) and (np.diff(index) > 0).all():
        return flat.steps(index)
    steps, place = np.unique(index, return_inverse=True)
    return flat.steps(steps)[place] if len(steps) else flat.slice(0, 0)


def unmapped(neural: Any) -> Any:
    """Return neural data so that reading a memory map by rows leaves no mapped pages."""
    return Stored(neural) if isinstance(neural, np.memmap) else neural


def stays_stored(values: Any) -> bool:
    """Tell whether neural data is to be read by rows, not turned into float32 at once."""
    if type(values).__module__.partition(".")[0] in ("h5py", "zarr"):
        return True
    if not isinstance(values, np.ndarray) or values.dtype == np.float32:
        return False
    return isinstance(values, np.memmap) or is_large(values)


def is_large(neural: Any) -> bool:
    """Tell whether neural data would take more than `HELD` bytes as float32."""
    return int(np.prod(neural.shape, dtype=np.int64)) * 4 > HELD
