"""The objects of an NWB file, by links that stay in the file's folder; nothing is read yet."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grevy.data.files.arrays import check_file, damaged
from grevy.data.files.entries import DEEPEST, Array
from grevy.data.files.hdf5 import attribute, read_dataset
from grevy.data.files.hdf5_texts import read_text_beside
from grevy.data.files.limits import Limit
from grevy.data.files.regular import require_file
from grevy.errors import GrevyError

# Groups looked at; where links lead round and round, far more are met than any file has.
MOST_GROUPS = 100_000
# What a text beside an object may be long; a unit or the names of columns are shorter.
LONGEST_TEXT = 2**16


@dataclass(frozen=True, eq=False)
class Tree:
    """An NWB file that is open.

    Attributes
    ----------
    path : Path
    root : h5py.File
    max_bytes : int or None
        The most memory that the file, or one that it links to, may unpack to.
    stack : ExitStack
        Closes the files that links have opened.
    """

    path: Path
    root: Any
    max_bytes: int | None
    stack: ExitStack

    def child(self, group: Any, name: str, depth: int = 0) -> Any:
        """Return what a group has under a name; None if there is nothing.

        Links are followed one by one, for the library would follow one to any file of the machine.

        Raises
        ------
        GrevyError
            If a link leads to a file outside the folder of this one.
        """
        import h5py

        if depth > DEEPEST:
            raise ValueError(f"links at {name!r} that lead round")
        link = group.get(name, getlink=True) if isinstance(group, h5py.Group) else None
        if isinstance(link, h5py.HardLink):
            return group[name]
        if isinstance(link, h5py.ExternalLink):
            return self.below(self._beside(group, link.filename), link.path, depth + 1)
        if isinstance(link, h5py.SoftLink):
            start = group.file if link.path.startswith("/") else group
            return self.below(start, link.path, depth + 1)
        return None

    def below(self, group: Any, path: str, depth: int = 0) -> Any:
        """Return what lies at a path below a group; None if there is nothing."""
        item = group
        for name in filter(None, path.split("/")):
            item = self.child(item, name, depth) if item is not None else None
        return item

    def _beside(self, group: Any, name: str) -> Any:
        """Open the file that an external link names, if it lies in this file's folder or below."""
        import h5py

        folder = self.path.parent.resolve()
        target = (Path(group.file.filename).parent / name).resolve()
        if not target.is_relative_to(folder):
            raise GrevyError(
                f"{self.path} links to {name}, which is not in its folder, and is not opened. Copy "
                f"what it links to into the file, or put both into one folder."
            )
        if not target.exists():
            raise GrevyError(f"{self.path} links to {name}, which is missing. Put it beside it.")
        require_file(target)
        return self.stack.enter_context(h5py.File(target, "r"))

    def children(self, group: Any) -> Iterator[tuple[str, Any]]:
        """Go through what a group holds itself; links to what is elsewhere are left out."""
        import h5py

        for name in group:
            if isinstance(group.get(name, getlink=True), h5py.HardLink):
                yield name, group[name]

    def limit(self, item: Any) -> Limit:
        """Return how much may be read of the file that an object is in."""
        return Limit(Path(item.file.filename), self.max_bytes)

    def array(self, group: Any, name: str) -> Array | None:
        """Read an array of a group; None if there is none of that name."""
        import h5py

        item = self.child(group, name)
        if not isinstance(item, h5py.Dataset) or item.shape is None:
            return None
        return read_dataset(item, self.limit(item))

    def numbers(self, group: Any, name: str) -> Array | None:
        """Read an array of real numbers of one axis.

        Raises
        ------
        GrevyError
            If it is something else.
        """
        array = self.array(group, name)
        if array is not None and (array.ndim != 1 or array.dtype.kind not in "fiu"):
            raise GrevyError(
                f"{self.path}: {group.name}/{name} has shape {array.shape} and dtype "
                f"{array.dtype}; expected numbers of one axis."
            )
        return array


@contextmanager
def opened(path: Path, max_bytes: int | None) -> Iterator[Tree]:
    """Open an NWB file; whatever is damaged in it is one `GrevyError`.

    Raises
    ------
    GrevyError
        If it is missing, empty, truncated, damaged, or no NWB file.
    """
    import h5py

    check_file(path)
    try:
        with ExitStack() as stack:
            root = stack.enter_context(h5py.File(path, "r"))
            Limit(path, max_bytes)
            yield Tree(path, root, max_bytes, stack)
    except GrevyError:
        raise
    except Exception as error:  # arbitrary bytes make the library raise almost anything
        raise damaged(path, error) from error


def number(item: Any, name: str, usual: float) -> float:
    """Read a single number beside an object."""
    found = attribute(item, name, "fiu")
    return usual if found is None else float(found)


def text(item: Any, name: str) -> str:
    """Read a text beside an object; empty if there is none."""
    import h5py

    if name not in item.attrs:
        return ""
    found = item.attrs.get_id(name)
    if found.shape != () or not (found.dtype.kind == "S" or h5py.check_string_dtype(found.dtype)):
        return ""
    value = None
    if found.dtype.kind != "S":
        value = read_text_beside(item, name, Limit(Path(item.file.filename)))
    if value is None:
        value = item.attrs[name]
    words = value.decode("utf-8", "replace") if isinstance(value, bytes | np.bytes_) else str(value)
    return words[:LONGEST_TEXT]
