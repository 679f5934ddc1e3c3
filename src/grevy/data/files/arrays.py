"""Files of arrays, whatever their format: what they hold, and one array of them."""

from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np

from grevy.data.files.entries import Array, Entries, Entry, refused_kind
from grevy.data.files.formats import READERS
from grevy.data.files.limits import Limit
from grevy.data.files.regular import require_file
from grevy.errors import GrevyError


def list_arrays(
    path: str | Path, *, trust: bool = False, max_bytes: int | None = None
) -> dict[str, tuple[tuple[int, ...], str]]:
    """Tell which arrays a file holds.

    Parameters
    ----------
    path : str or Path
        A `.npy`, `.npz`, `.mat`, `.h5`, `.hdf5`, `.nwb`, `.csv`, `.tsv`, `.parquet` or `.jl` file.
    trust : bool
        Read Python objects too (pickles, joblib files), which runs code that the file holds.
    max_bytes : int, optional
        The most memory that the file may unpack to. By default 1 GiB or 100 times its own size,
        whichever is more, as long as so much is free.

    Returns
    -------
    dict
        For each key its shape and dtype. A `.npy` file has the key "data"; fields of structs and
        members of groups have dotted keys.

    Raises
    ------
    GrevyError
        If the file is missing, empty, unreadable, damaged, of another kind, too large, or needs
        trust.
    """
    entries = open_arrays(path, trust=trust, max_bytes=max_bytes)
    return {key: (entry.shape, entry.dtype) for key, entry in entries.items()}


def read_array(
    path: str | Path, key: str, *, trust: bool = False, max_bytes: int | None = None
) -> Array:
    """Read one array of a file.

    Parameters
    ----------
    path : str or Path
        As for `list_arrays`.
    key : str
        One of the keys that `list_arrays` gives; `a/b` stands for `a.b`. A shell pattern such as
        `unit_*` joins all columns that match into one (T, N) array, in the file's order.
    trust : bool
        Read Python objects too, which runs code that the file holds.
    max_bytes : int, optional
        As for `list_arrays`.

    Returns
    -------
    ndarray
        As it is stored; a `.npy` file as a read-only memory map, a MATLAB array as MATLAB has it.

    Raises
    ------
    GrevyError
        As for `list_arrays`, and if there is no such key: the message lists those there are.
    """
    entries = open_arrays(path, trust=trust, max_bytes=max_bytes)
    return read_selection(path, entries, key, max_bytes=max_bytes)


def read_selection(
    path: str | Path,
    entries: Entries,
    key: str,
    exclude: frozenset[str] = frozenset(),
    max_bytes: int | None = None,
) -> Array:
    """Read the array `key`, or join the columns that the pattern `key` matches."""
    chosen = matching(path, entries, key, exclude)
    what = f"the array {key!r}" if len(chosen) == 1 else f"the {len(chosen)} arrays {key!r}"
    Limit(Path(path), max_bytes).check(sum(entries[name].unpacked for name in chosen), what)
    arrays = [_read(Path(path), name, entries[name]) for name in chosen]
    if len(arrays) == 1 and chosen[0] == dotted(key):
        return arrays[0]
    columns = [array.reshape(-1) if 1 in array.shape else array for array in arrays]
    if any(column.ndim != 1 or len(column) != len(columns[0]) for column in columns):
        raise GrevyError(
            f"{path}: the pattern {key!r} matches {describe(entries, chosen)}. Expected columns of "
            f"one length."
        )
    return np.stack(columns, axis=1)


def matching(
    path: str | Path, entries: Entries, key: str, exclude: frozenset[str] = frozenset()
) -> list[str]:
    """Return the keys that `key` names: itself, or those that it matches as a shell pattern."""
    from fnmatch import fnmatchcase

    name = dotted(key) if dotted(key) in entries else key
    if name in entries:
        return [name]
    found = [each for each in entries if each not in exclude and fnmatchcase(each, name)]
    if found and any(character in name for character in "*?["):
        return found
    raise GrevyError(f"{path} has no array {key!r}. It holds {describe(entries, near=name)}.")


def dotted(key: str) -> str:
    """Spell a key as `list_arrays` does: `a/b` is `a.b`."""
    return key.strip("/").replace("/", ".")


def describe(entries: Entries, keys: list[str] | None = None, near: str = "") -> str:
    """List keys with shapes and dtypes, those most like `near` first, at most twelve."""
    names = list(entries) if keys is None else keys
    if near:
        names.sort(key=lambda name: -SequenceMatcher(None, name, near).ratio())
    listed = [f"{name} {_shape(entries[name])} {entries[name].dtype}" for name in names[:12]]
    more = [f"... ({len(names)} in all)"] if len(names) > 12 else []
    return ", ".join(listed + more) or "no arrays"


def _shape(entry: Entry) -> str:
    return "x".join(map(str, entry.shape)) or "scalar"


def open_arrays(path: str | Path, *, trust: bool = False, max_bytes: int | None = None) -> Entries:
    """Return every array of a file as an `Entry` that is read on demand; see `list_arrays`."""
    path = Path(path)
    suffix = path.suffix.lower()
    check_file(path)
    if suffix not in READERS:
        raise GrevyError(
            f"{path} is of an unknown kind ({suffix or 'no suffix'}); expected one of "
            f"{', '.join(READERS)}."
        )
    try:
        return READERS[suffix](path, trust, Limit(path, max_bytes))
    except GrevyError:
        raise
    except Exception as error:  # arbitrary bytes make the formats' readers raise almost anything
        raise damaged(path, error) from error


def check_file(path: Path) -> None:
    """Refuse what is no readable file with something in it."""
    try:
        if not path.exists():
            beside = sorted(each.name for each in path.parent.glob(f"*{path.suffix}"))[:8]
            hint = f" That folder holds {', '.join(beside)}." if beside else ""
            raise GrevyError(f"{path} does not exist.{hint} Check the spelling and the folder.")
        require_file(path)
        with path.open("rb") as stream:
            empty = not stream.read(1)
    except OSError as error:
        raise GrevyError(
            f"{path} cannot be opened: {error.strerror or error}. Check its permissions."
        ) from error
    if empty:
        raise GrevyError(f"{path} is empty (0 bytes). It was probably cut off; copy it again.")


def _read(path: Path, key: str, entry: Entry) -> Array:
    try:
        array = entry.read()
    except GrevyError:
        raise
    except Exception as error:  # as above: the bytes behind a sound header may be damaged too
        raise damaged(path, error) from error
    if array.dtype.kind not in "fiubcU":
        raise refused_kind(path, key, array.dtype)
    return array


def damaged(path: Path, error: Any) -> GrevyError:
    """Make the error for a file that its format's reader could not make sense of."""
    reason = " ".join(str(error).split())[:200] or "no reason given"
    return GrevyError(
        f"{path} cannot be read as a {path.suffix.lower()} file ({type(error).__name__}: {reason})."
        f" It may be truncated, damaged or of another kind; copy or make it again."
    )
