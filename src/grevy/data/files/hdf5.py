"""HDF5 files, MATLAB's of version 7.3 among them: what they hold, each array read on demand."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grevy.data.files.cells import single, stacked
from grevy.data.files.chunks import check_chunks
from grevy.data.files.entries import (
    DEEPEST,
    SAMPLE_BYTES,
    Array,
    Entries,
    Entry,
    as_text,
    held,
    refused_kind,
    sample_rows,
)
from grevy.data.files.hdf5_texts import read_texts
from grevy.data.files.limits import Limit

# Every object takes some bytes of its own in a file; where links and references lead to the same
# ones over and over, far more are met than the file can hold.
SURELY_FEW, BYTES_EACH = 2_000, 16
# What Python takes for a reference or a text, beside its letters.
OBJECT_BYTES = 100


def read_hdf5(path: Path, trust: bool, limit: Limit) -> Entries:  # noqa: ARG001
    """Read an HDF5 file; arrays that MATLAB wrote are turned back as MATLAB has them."""
    import h5py

    with h5py.File(path, "r") as file:
        return dict(_Walk(path, limit).through("", file, frozenset()))


@dataclass
class _Walk:
    """A way through a file: what it has met so far, and how much it has read."""

    path: Path
    limit: Limit
    met: int = 0
    spent: int = 0

    def through(self, key: str, item: Any, above: frozenset[Any]) -> Iterator[tuple[str, Entry]]:
        """Walk through groups, structs and cells; `above` holds the addresses passed on the way."""
        import h5py

        self.met += 1
        if self.met > max(SURELY_FEW, self.limit.size // BYTES_EACH):
            raise ValueError("its links and references lead to the same objects over and over")
        # Asking for more than its address would have the library measure it, and crash on the way.
        address = h5py.h5g.get_objinfo(item.id).objno
        if address in above or len(above) > DEEPEST:
            return
        above = above | {address}
        if isinstance(item, h5py.Group):
            for name in item:
                is_hard = isinstance(item.get(name, getlink=True), h5py.HardLink)
                if is_hard and not name.startswith("#"):
                    yield from self.through(f"{key}.{name}" if key else name, item[name], above)
        elif isinstance(item, h5py.Dataset) and item.shape is not None:
            if h5py.check_ref_dtype(item.dtype) is not None:
                yield from self._references(key, item, above)
            elif _matlab_class(item) == b"char" or _is_empty(item):
                self._spend(_unpacked(item), key)
                yield key, held(read_dataset(item, self.limit), self.limit)
            else:
                shape = item.shape[::-1] if _matlab_class(item) else item.shape
                dtype = "bool" if _matlab_class(item) == b"logical" else str(item.dtype)
                read = _reader(self.path, item.name, self.limit)
                sample = _sampler(self.path, item, self.limit)
                yield key, Entry(shape, dtype, read, _unpacked(item), sample)

    def _references(
        self, key: str, item: Any, above: frozenset[Any]
    ) -> Iterator[tuple[str, Entry]]:
        """Follow a MATLAB cell, or one field of an array of structs."""
        if not (_matlab_class(item) or _matlab_class(item.parent)):
            return
        self._spend(_unpacked(item), key)
        references = np.asarray(_checked(item, self.limit)[()]).T.ravel()
        targets = [item.file[reference] for reference in references if reference]
        inner = [
            list(self.through(f"{key}.{index}" if len(targets) > 1 else key, target, above))
            for index, target in enumerate(targets)
        ]
        if all(len(found) == 1 for found in inner):
            entries = [found[0][1] for found in inner]
            for entry in entries:
                self._spend(entry.unpacked, key)
            whole = stacked([single(each.read()) for each in entries], item.shape[::-1], self.limit)
            if whole is not None:
                yield key, held(whole, self.limit)
                return
        for found in inner:
            yield from found

    def _spend(self, size: int, key: str) -> None:
        """Count what must be read at once, to know what there is."""
        self.spent += size
        self.limit.check(self.spent, f"what is up to {key!r}")


def attribute(item: Any, name: str, kinds: str) -> Any:
    """Read a single number or fixed text beside an object; None if there is no such thing."""
    if name not in item.attrs:
        return None
    found = item.attrs.get_id(name)
    if found.dtype.kind not in kinds or math.prod(found.shape) != 1:
        return None
    return np.asarray(item.attrs[name]).reshape(-1)[0]


def _matlab_class(item: Any) -> bytes:
    return bytes(attribute(item, "MATLAB_class", "S") or b"")


def _is_empty(item: Any) -> bool:
    return bool(attribute(item, "MATLAB_empty", "iub"))


def _unpacked(item: Any, upto: tuple[int, ...] | None = None) -> int:
    """Return the memory that a data set, or its part, takes; chunks are unpacked whole."""
    sides = item.chunks or (1,) * item.ndim
    whole = (
        -(-length // side) * side for length, side in zip(upto or item.shape, sides, strict=True)
    )
    each = item.dtype.itemsize if item.dtype.kind != "O" else OBJECT_BYTES
    return math.prod(whole) * each if item.size else 0


def _reader(path: Path, name: str, limit: Limit) -> Callable[[], Array]:
    def read() -> Array:
        import h5py

        with h5py.File(path, "r") as file:
            return read_dataset(file[name], limit)

    return read


def _sampler(path: Path, item: Any, limit: Limit) -> Callable[[], Array] | None:
    """Make what reads the first rows of a large data set; of MATLAB's they are the last axis."""
    if item.dtype.kind not in "fiub" or not item.ndim or _unpacked(item) <= SAMPLE_BYTES:
        return None
    name, turned = item.name, bool(_matlab_class(item))
    shape = item.shape[::-1] if turned else item.shape
    rows = sample_rows(shape, item.dtype.itemsize)

    def sample() -> Array:
        import h5py

        with h5py.File(path, "r") as file:
            array = read_rows(file[name], limit, rows, last=turned)
        return array.T if turned else array

    return sample


def read_rows(item: Any, limit: Limit, rows: int, *, last: bool = False) -> Array:
    """Read the first rows of a data set of numbers, along its first axis or its last.

    Parameters
    ----------
    item : h5py.Dataset
    limit : Limit
    rows : int
    last : bool

    Raises
    ------
    GrevyError
        If that takes more memory than the limit.
    """
    axis = item.ndim - 1 if last else 0
    upto = tuple(rows if each == axis else size for each, size in enumerate(item.shape))
    _check_place(item)
    limit.check(_unpacked(item, upto), f"a part of the array {item.name!r}")
    check_chunks(item, limit, upto)
    return np.asarray(item[..., :rows] if last else item[:rows])


def _check_place(item: Any) -> None:
    if item.external or item.is_virtual:
        raise ValueError(f"{item.name} lies in other files; copy it into this one")


def _checked(item: Any, limit: Limit) -> Any:
    """Return a data set that may be read: within the limit, and in the file itself."""
    limit.check(_unpacked(item), f"the array {item.name!r}")
    _check_place(item)
    check_chunks(item, limit)
    return item


def read_dataset(item: Any, limit: Limit) -> Array:
    """Read a data set; from MATLAB the axes come reversed, logicals and text as integers."""
    import h5py

    if item.dtype.kind == "V" or (
        item.dtype.kind == "O" and not h5py.check_string_dtype(item.dtype)
    ):
        raise refused_kind(limit.path, item.name, item.dtype)
    _checked(item, limit)
    if item.dtype.kind == "O":
        return as_text(read_texts(item, limit), limit)
    array = np.asarray(item[()])
    kind = _matlab_class(item)
    if not kind:
        return as_text(array, limit)
    if _is_empty(item):
        shape = tuple(int(length) for length in array.ravel())
        if 0 not in shape:
            raise ValueError(f"an empty array of shape {shape}")
        return np.empty(shape)
    if kind == b"char":
        return np.array(["".join(map(chr, row)) for row in np.atleast_2d(array.T)])
    return array.T.astype(bool) if kind == b"logical" else array.T
