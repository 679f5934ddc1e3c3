"""One reader for each file format: a path in, the arrays that it holds out, each read on demand."""

import csv
import io
import itertools
import math
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from grevy.data.files.entries import (
    DEEPEST,
    SAMPLE_BYTES,
    SAMPLE_ROWS,
    SINGLE,
    Array,
    Entries,
    Entry,
    as_text,
    held,
    refused_kind,
    sample_rows,
)
from grevy.data.files.hdf5 import read_hdf5
from grevy.data.files.joblib_files import read_joblib
from grevy.data.files.limits import Limit
from grevy.data.files.matlab import read_mat
from grevy.errors import GrevyError

# Of an array in numpy's format; numpy itself reads none above 10000 bytes.
LONGEST_HEADER = 10_100
# A table has fewer columns; pandas takes a minute for a million of them.
MOST_COLUMNS = 100_000


def _refuse_objects(path: Path, key: str) -> GrevyError:
    return GrevyError(
        f"{path}: the array {key!r} holds Python objects, and reading those runs code that the "
        f"file brings along. If you trust whoever made the file, give `trust=True`; better, save "
        f"it as plain numbers or strings."
    )


def read_npy(path: Path, trust: bool, limit: Limit) -> Entries:
    """Read a `.npy` file: one array, under the key "data", as a read-only memory map."""
    with path.open("rb") as stream:
        shape, dtype = _npy_header(stream)
    if not dtype.hasobject:
        return {SINGLE: Entry(shape, str(dtype), lambda: _map(path, limit))}
    if not trust:
        raise _refuse_objects(path, SINGLE)
    return {SINGLE: held(np.load(path, allow_pickle=True), limit)}


def _map(path: Path, limit: Limit) -> Array:
    array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return as_text(array, limit)


def _npy_header(stream: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    # A longer header is none that numpy reads, but in an archive may unpack to gigabytes.
    stream = io.BytesIO(stream.read(LONGEST_HEADER))
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"an array of format version {version}")
    if min(shape, default=0) < 0:
        raise ValueError(f"an array of shape {shape}")
    return shape, dtype


def read_npz(path: Path, trust: bool, limit: Limit) -> Entries:
    """Read a `.npz` file: its arrays under their names."""
    entries = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                continue
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{member.filename} is compressed in a way that numpy has not")
            with archive.open(member) as stream:
                shape, dtype = _npy_header(stream)
            size = math.prod(shape) * dtype.itemsize
            if size > member.file_size and not dtype.hasobject:
                raise ValueError(f"{member.filename} claims {size} bytes of {member.file_size}")
            key = member.filename.removesuffix(".npy")
            read = _npz_reader(path, member.filename, dtype, trust, limit)
            sample = None
            if shape and not dtype.hasobject and member.file_size > SAMPLE_BYTES:
                sample = _npz_sampler(path, member.filename, shape, dtype)
            entries[key] = Entry(shape, str(dtype), read, member.file_size, sample)
    return entries


def _npz_reader(
    path: Path, member: str, dtype: np.dtype[Any], trust: bool, limit: Limit
) -> Callable[[], Array]:
    def read() -> Array:
        if dtype.hasobject and not trust:
            raise _refuse_objects(path, member.removesuffix(".npy"))
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            return as_text(np.lib.format.read_array(stream, allow_pickle=trust), limit)

    return read


def _npz_sampler(
    path: Path, member: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Callable[[], Array] | None:
    """Make what unpacks the first rows alone; columns that lie one after the other have none."""
    with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
        head = io.BytesIO(stream.read(LONGEST_HEADER))
    version = np.lib.format.read_magic(head)
    if version == (1, 0):
        _, by_columns, _ = np.lib.format.read_array_header_1_0(head)
    else:
        _, by_columns, _ = np.lib.format.read_array_header_2_0(head)
    if by_columns and len(shape) > 1:
        return None
    rows = sample_rows(shape, dtype.itemsize)

    def sample() -> Array:
        size = rows * math.prod(shape[1:]) * dtype.itemsize
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            content = stream.read(head.tell() + size)[head.tell() :]
        return np.frombuffer(content, dtype).reshape(rows, *shape[1:])

    return sample


def read_table(path: Path, trust: bool, limit: Limit) -> Entries:  # noqa: ARG001
    """Read a `.csv` or `.tsv` file: one array for each column, under the column's name.

    A first line of numbers is taken for data, unless it counts 0, 1, 2 and so on; the columns are
    then called "0", "1" and so on.
    """
    import pandas as pd

    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    _check_columns(path, separator)
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
    return {name: held(values, limit) for name, values in columns.items()}


def _check_columns(path: Path, separator: str) -> None:
    """Refuse a table of so many columns that pandas would not come to an end with it."""
    with path.open(encoding="utf-8", errors="replace", newline="") as stream:
        for row in itertools.islice(csv.reader(stream, delimiter=separator), 3):
            if len(row) > MOST_COLUMNS:
                raise GrevyError(
                    f"{path} has {len(row)} columns; expected one row for each time step, and at "
                    f"most {MOST_COLUMNS} columns. Transpose it, or save it as .npz or .h5."
                )


def _all_numbers(names: list[str]) -> bool:
    try:
        [float(name) for name in names]
    except ValueError:
        return False
    return True


def read_parquet(path: Path, trust: bool, limit: Limit) -> Entries:  # noqa: ARG001
    """Read a `.parquet` file: one array for each column, under the column's name."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
    fields = [field for field in schema if not field.name.startswith("__index_level_")]
    return {
        field.name: Entry(
            (rows,),
            str(field.type),
            _parquet_reader(path, field, limit),
            rows * _width(field.type),
            _parquet_reader(path, field, limit, SAMPLE_ROWS),
        )
        for field in fields
    }


def _width(kind: Any) -> int:
    """Return the bytes for one value of a column; of a text, for its place alone."""
    import pyarrow

    return -(-kind.bit_width // 8) if pyarrow.types.is_primitive(kind) else 8


def _parquet_reader(
    path: Path, field: Any, limit: Limit, first: int | None = None
) -> Callable[[], Array]:
    """Make what reads a column, or its first rows alone."""

    def read() -> Array:
        import pyarrow.parquet

        if pyarrow.types.is_nested(field.type):
            raise refused_kind(path, field.name, field.type)
        # A text that comes again and again is held once.
        texts = [field.name] if _is_text(field.type) else []
        batches, needed = [], 0
        with pyarrow.parquet.ParquetFile(path, read_dictionary=texts) as file:
            for batch in file.iter_batches(batch_size=first or 1_000_000, columns=[field.name]):
                batches.append(batch.column(0))
                if first is not None:
                    break
                needed += batch.nbytes
                limit.check(needed, f"the column {field.name!r}")
        if not batches:
            return np.empty(0)
        column = pyarrow.chunked_array(batches)
        if pyarrow.types.is_dictionary(column.type) and _is_text(column.type.value_type):
            return _categories(column, field.name, limit)
        return as_text(np.asarray(column.to_pandas()), limit)

    return read


def _is_text(kind: Any) -> bool:
    import pyarrow

    return pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)


def _categories(column: Any, name: str, limit: Limit) -> Array:
    """Turn texts that are held once into an array of them all; pandas would hold each again."""
    whole = column.unify_dictionaries().combine_chunks()
    if whole.null_count:
        raise GrevyError(
            f"{limit.path}: the column {name!r} has {whole.null_count} empty cells. Fill them, or "
            f"drop these rows."
        )
    named: list[str] = whole.dictionary.to_pylist()
    longest = max(map(len, named), default=1)
    limit.check(4 * longest * len(whole), f"a column of texts of up to {longest} letters")
    return np.array(named, dtype=f"U{longest}")[whole.indices.to_numpy()]


def read_jl(path: Path, trust: bool, limit: Limit) -> Entries:
    """Read a `.jl` file that the user trusts: dictionaries have dotted keys."""
    if not trust:
        raise GrevyError(
            f"{path} is a joblib file, and reading one runs whatever code it holds. If you trust "
            f"whoever made it, give `trust=True`; otherwise ask for it as .npz or .h5."
        )
    return dict(_joblib("", read_joblib(path, trust=True), 0, limit))


def _joblib(name: str, value: Any, depth: int, limit: Limit) -> Iterator[tuple[str, Entry]]:
    if isinstance(value, dict) and depth < DEEPEST:
        for key, item in value.items():
            yield from _joblib(f"{name}.{key}" if name else str(key), item, depth + 1, limit)
        return
    if hasattr(value, "detach"):  # a torch tensor
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
    except ValueError:  # a ragged list, which is no array
        return
    if array.ndim or not name:
        yield name or SINGLE, held(array, limit)


READERS: dict[str, Callable[[Path, bool, Limit], Entries]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".mat": read_mat,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".nwb": read_hdf5,
    ".csv": read_table,
    ".tsv": read_table,
    ".parquet": read_parquet,
    ".jl": read_jl,
}
