"""One reader for each file format: a path in, the arrays that it holds out, each read on demand."""

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grevy.data.files.joblib_files import read_joblib
from grevy.errors import GrevyError

Array = np.ndarray[Any, Any]

SINGLE = "data"  # the key of a file that holds one array without a name
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
    stored : bool
        The bytes lie in the file as they are or deflated, so that a size far beyond the file's
        own is a sign of damage.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Array]
    stored: bool = False


Entries = dict[str, Entry]


def _held(array: Array) -> Entry:
    """Make the entry of an array that is in memory already."""
    array = _as_text(array)
    return Entry(array.shape, str(array.dtype), lambda: array)


def _as_text(array: Array) -> Array:
    """Turn bytes, and objects that are all strings, into a numpy array of strings."""
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8", "replace")
    if array.dtype.kind == "O" and array.size:
        values = [
            value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            for value in array.ravel()
        ]
        if all(isinstance(value, str) for value in values):
            return np.array(values).reshape(array.shape)
    return array


def _refuse_objects(path: Path, key: str) -> GrevyError:
    return GrevyError(
        f"{path}: the array {key!r} holds Python objects, and reading those runs code that the "
        f"file brings along. If you trust whoever made the file, give `trust=True`; better, save "
        f"it as plain numbers or strings."
    )


def read_npy(path: Path, trust: bool) -> Entries:
    """Read a `.npy` file: one array, under the key "data", as a read-only memory map."""
    with path.open("rb") as stream:
        shape, dtype = _npy_header(stream)
    if not dtype.hasobject:
        return {SINGLE: Entry(shape, str(dtype), lambda: _map(path), stored=True)}
    if not trust:
        raise _refuse_objects(path, SINGLE)
    return {SINGLE: _held(np.load(path, allow_pickle=True))}


def _map(path: Path) -> Array:
    array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return _as_text(array)


def _npy_header(stream: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"an array of format version {version}")
    return shape, dtype


def read_npz(path: Path, trust: bool) -> Entries:
    """Read a `.npz` file: its arrays under their names."""
    entries = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if not member.endswith(".npy"):
                continue
            key = member.removesuffix(".npy")
            with archive.open(member) as stream:
                shape, dtype = _npy_header(stream)
            entries[key] = Entry(shape, str(dtype), _npz_reader(path, key, dtype, trust), True)
    return entries


def _npz_reader(path: Path, key: str, dtype: np.dtype[Any], trust: bool) -> Callable[[], Array]:
    def read() -> Array:
        if dtype.hasobject and not trust:
            raise _refuse_objects(path, key)
        with np.load(path, allow_pickle=trust) as archive:
            return _as_text(np.asarray(archive[key]))

    return read


def read_mat(path: Path, trust: bool) -> Entries:
    """Read a MATLAB file of version 4, 5 or 7.3; structs and cells have dotted keys."""
    import h5py
    import scipy.io

    if h5py.is_hdf5(path):
        return read_hdf5(path, trust)
    content = scipy.io.loadmat(path)
    return {
        key: entry
        for name, value in content.items()
        if not name.startswith("__")
        for key, entry in _matlab(name, value, 0)
    }


def _matlab(name: str, value: Any, depth: int) -> Iterator[tuple[str, Entry]]:
    """Walk through what scipy makes of a MATLAB variable."""
    if not isinstance(value, np.ndarray) or depth > DEEPEST:
        return
    if value.dtype.names:
        several = value.size > 1
        for index, element in enumerate(value.ravel()):
            base = f"{name}.{index}" if several else name
            for field in value.dtype.names:
                yield from _matlab(f"{base}.{field}", element[field], depth + 1)
    elif value.dtype.kind == "O":
        whole = _stack([_single(element) for element in value.ravel()], value.shape)
        if whole is not None:
            yield name, _held(whole)
            return
        for index, element in enumerate(value.ravel()):
            base = f"{name}.{index}" if value.size > 1 else name
            yield from _matlab(base, element, depth + 1)
    elif value.dtype.kind in "fiubcU":
        yield name, _held(value)


def _single(value: Any) -> Any:
    """Unwrap a string, which MATLAB keeps as an array of one."""
    is_text = isinstance(value, np.ndarray) and value.dtype.kind == "U" and value.size == 1
    return value.item() if is_text else value


def _stack(elements: list[Any], shape: tuple[int, ...]) -> Array | None:
    """Join the elements of a cell: strings keep its shape, equal arrays get a new first axis."""
    if elements and all(isinstance(element, str) for element in elements):
        return np.array(elements).reshape(shape)
    if len(elements) < 2 or not all(isinstance(element, np.ndarray) for element in elements):
        return None
    alike = {(element.shape, element.dtype.kind in "fiub") for element in elements}
    return np.stack(elements) if len(alike) == 1 and alike.pop()[1] else None


def read_hdf5(path: Path, trust: bool) -> Entries:  # noqa: ARG001
    """Read an HDF5 file; arrays that MATLAB wrote are turned back as MATLAB has them."""
    import h5py

    with h5py.File(path, "r") as file:
        return dict(_hdf5(path, "", file, frozenset()))


def _hdf5(path: Path, key: str, item: Any, above: frozenset[int]) -> Iterator[tuple[str, Entry]]:
    """Walk through groups, structs and cells; `above` holds the addresses passed on the way."""
    import h5py

    address = h5py.h5o.get_info(item.id).addr
    if address in above or len(above) > DEEPEST:
        return
    above = above | {address}
    if isinstance(item, h5py.Group):
        for name in item:
            is_hard = isinstance(item.get(name, getlink=True), h5py.HardLink)
            if is_hard and not name.startswith("#"):
                yield from _hdf5(path, f"{key}.{name}" if key else name, item[name], above)
    elif isinstance(item, h5py.Dataset) and item.shape is not None:
        if h5py.check_ref_dtype(item.dtype) is not None:
            yield from _references(path, key, item, above)
        elif _matlab_class(item) == b"char" or item.attrs.get("MATLAB_empty"):
            yield key, _held(_from_hdf5(item))
        else:
            shape = item.shape[::-1] if _matlab_class(item) else item.shape
            dtype = "bool" if _matlab_class(item) == b"logical" else str(item.dtype)
            yield key, Entry(shape, dtype, _hdf5_reader(path, item.name), stored=True)


def _references(
    path: Path, key: str, item: Any, above: frozenset[int]
) -> Iterator[tuple[str, Entry]]:
    """Follow a MATLAB cell, or one field of an array of structs."""
    if not (_matlab_class(item) or _matlab_class(item.parent)):
        return
    targets = [item.file[reference] for reference in item[()].T.ravel() if reference]
    inner = [
        list(_hdf5(path, f"{key}.{index}" if len(targets) > 1 else key, target, above))
        for index, target in enumerate(targets)
    ]
    if all(len(found) == 1 for found in inner):
        elements = [_single(found[0][1].read()) for found in inner]
        whole = _stack(elements, item.shape[::-1])
        if whole is not None:
            yield key, _held(whole)
            return
    for found in inner:
        yield from found


def _matlab_class(item: Any) -> bytes:
    return bytes(item.attrs.get("MATLAB_class", b""))


def _hdf5_reader(path: Path, name: str) -> Callable[[], Array]:
    def read() -> Array:
        import h5py

        with h5py.File(path, "r") as file:
            return _from_hdf5(file[name])

    return read


def _from_hdf5(item: Any) -> Array:
    """Read a data set; from MATLAB the axes come reversed, logicals and text as integers."""
    array = np.asarray(item[()])
    kind = _matlab_class(item)
    if not kind:
        return _as_text(array)
    if item.attrs.get("MATLAB_empty"):
        return np.empty(tuple(int(length) for length in array.ravel()))
    if kind == b"char":
        return np.array(["".join(map(chr, row)) for row in np.atleast_2d(array.T)])
    return array.T.astype(bool) if kind == b"logical" else array.T


def read_table(path: Path, trust: bool) -> Entries:  # noqa: ARG001
    """Read a `.csv` or `.tsv` file: one array for each column, under the column's name.

    A first line of numbers is taken for data, unless it counts 0, 1, 2 and so on; the columns are
    then called "0", "1" and so on.
    """
    import pandas as pd

    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    options: Any = {"sep": separator, "low_memory": False}
    top = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, **options)
    names = top.iloc[0].tolist()
    counts = names == [str(index) for index in range(len(names))]
    headless = _all_numbers(names) and not counts
    frame = pd.read_csv(path, header=None if headless else 0, **options)
    if len(frame) == 0:
        raise GrevyError(f"{path} has a header but no rows; expected one row for each time step.")
    columns = {str(name): frame[name].to_numpy() for name in frame.columns}
    first = next(iter(columns))
    if first == "Unnamed: 0" and np.array_equal(columns[first], np.arange(len(frame))):
        del columns[first]  # the row numbers that pandas writes unless told otherwise
    return {name: _held(values) for name, values in columns.items()}


def _all_numbers(names: list[str]) -> bool:
    try:
        [float(name) for name in names]
    except ValueError:
        return False
    return True


def read_parquet(path: Path, trust: bool) -> Entries:  # noqa: ARG001
    """Read a `.parquet` file: one array for each column, under the column's name."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
    names = [name for name in schema.names if not name.startswith("__index_level_")]
    return {
        name: Entry((rows,), str(schema.field(name).type), _parquet_reader(path, name))
        for name in names
    }


def _parquet_reader(path: Path, name: str) -> Callable[[], Array]:
    def read() -> Array:
        import pyarrow.parquet

        with pyarrow.parquet.ParquetFile(path) as file:
            column = file.read(columns=[name]).column(name)
        return _as_text(np.asarray(column.to_pandas()))

    return read


def read_jl(path: Path, trust: bool) -> Entries:
    """Read a `.jl` file that the user trusts: dictionaries have dotted keys."""
    if not trust:
        raise GrevyError(
            f"{path} is a joblib file, and reading one runs whatever code it holds. If you trust "
            f"whoever made it, give `trust=True`; otherwise ask for it as .npz or .h5."
        )
    return dict(_joblib("", read_joblib(path, trust=True), 0))


def _joblib(name: str, value: Any, depth: int) -> Iterator[tuple[str, Entry]]:
    if isinstance(value, dict) and depth < DEEPEST:
        for key, item in value.items():
            yield from _joblib(f"{name}.{key}" if name else str(key), item, depth + 1)
        return
    if hasattr(value, "detach"):  # a torch tensor
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
    except ValueError:  # a ragged list, which is no array
        return
    if array.ndim or not name:
        yield name or SINGLE, _held(array)


READERS: dict[str, Callable[[Path, bool], Entries]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".mat": read_mat,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".csv": read_table,
    ".tsv": read_table,
    ".parquet": read_parquet,
    ".jl": read_jl,
}
