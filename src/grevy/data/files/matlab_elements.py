"""The structure of a MATLAB file of version 4 or 5, checked before scipy reads it.

`scipy.io.loadmat` takes tags at their word: a damaged one makes it crash the process, or ask for
memory without end. Here every tag is compared with what may stand there and with the bytes that
there are; the numbers themselves are passed over. The order of elements follows scipy's reader and
MathWorks, "MAT-File Format", 2024, https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf
"""

import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from grevy.data.files.entries import DEEPEST
from grevy.data.files.limits import Limit

MATRIX, COMPRESSED = 14, 15
TEXT, NUMBERS = frozenset({1, 2, 4, 16, 17, 18}), frozenset({1, 2, 3, 4, 5, 6, 7, 9, 12, 13})
CELL, STRUCT, OBJECT, CHAR, SPARSE, FUNCTION, OPAQUE = 1, 2, 3, 4, 5, 16, 17
NUMERIC = frozenset(range(6, 16))
WHOLE = frozenset({5, 6})
MOST_DIMENSIONS, LONGEST_NAME, LONGEST_NAMES = 32, 2**16, 2**24
WIDTHS = {3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 17: 2, 18: 4}
# Deflate packs at most 1032 bytes into one.
MOST_DEFLATED = 1032
# What an array costs in memory beside its numbers.
OVERHEAD = 200
BLOCK = 2**16


class Source(Protocol):
    """Bytes that are read from the front."""

    def take(self, count: int) -> bytes:
        """Return the next bytes; raises a `ValueError` if there are fewer."""

    def skip(self, count: int) -> None:
        """Pass bytes over; raises a `ValueError` now or later if there are fewer."""


class Plain:
    """The bytes of a file as they are."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._size = stream, size

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        found = self._stream.read(count)
        if len(found) < count:
            raise ValueError("it ends within an element")
        return found

    def skip(self, count: int) -> None:
        """Pass bytes over."""
        if self._stream.seek(count, 1) > self._size + 7:  # the last one may lack its padding
            raise ValueError("an element is longer than the file")


class Inflated:
    """What a compressed element unpacks to, a block at a time, as far as it is asked for."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._left = stream, size
        self._inflate = zlib.decompressobj()
        self._ready = b""
        self._skip = 0

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        parts = []
        while count:
            if not self._ready:
                self._fill()
            passed = min(self._skip, len(self._ready))
            part = self._ready[passed : passed + count]
            self._ready = self._ready[passed + len(part) :]
            self._skip -= passed
            count -= len(part)
            parts.append(part)
        return b"".join(parts)

    def skip(self, count: int) -> None:
        """Pass bytes over, once others are asked for: the last ones need not be unpacked."""
        self._skip += count

    def _fill(self) -> None:
        packed = self._inflate.unconsumed_tail
        if not packed:
            packed = self._stream.read(min(BLOCK, self._left))
            self._left -= len(packed)
        if not packed or self._inflate.eof:
            raise ValueError("a compressed element ends too early")
        self._ready = self._inflate.decompress(packed, 16 * BLOCK)


@dataclass
class Walk:
    """A way through one variable: where it is, and what it has met so far."""

    source: Source
    order: str
    limit: Limit
    needed: int = 0

    def spend(self, size: int) -> None:
        """Count memory that scipy will need."""
        self.needed += size
        self.limit.check(self.needed, "what it holds")

    def tag(self) -> tuple[int, int]:
        """Read a tag of eight bytes: type, and number of bytes that follow."""
        kind, size = struct.unpack(f"{self.order}II", self.source.take(8))
        return kind, size

    def element(self, kinds: frozenset[int], most: int | None = None, at_least: int = 0) -> bytes:
        """Pass an element, and return its bytes if there may be at most `most` of them.

        Of an element of numbers there must be `at_least` so many.
        """
        head = self.source.take(8)
        kind, size = struct.unpack(f"{self.order}II", head)
        small = kind >> 16  # so many bytes within the tag, instead of behind it
        if small > 4:
            raise ValueError("a small element of more than 4 bytes")
        kind, size = kind & 0xFFFF, small or size
        if kind not in kinds:
            raise ValueError(f"type {kind} in the place of {sorted(kinds)}")
        if most is not None and size > most:
            raise ValueError(f"{size} bytes where at most {most} can be")
        if (
            size < at_least * WIDTHS.get(kind, 1) and size != at_least
        ):  # a byte for each, if logical
            raise ValueError(f"{size} bytes for {at_least} numbers")
        self.spend(size)
        if small:
            return head[4 : 4 + small]
        if most is None:
            self.source.skip(size + -size % 8)
            return b""
        content = self.source.take(size)
        self.source.skip(-size % 8)
        return content


def check_matlab(path: Path, limit: Limit) -> None:
    """Check the structure of a MATLAB file of version 4 or 5.

    Parameters
    ----------
    path : Path
    limit : Limit
        How much memory it may take.

    Raises
    ------
    ValueError
        If tags contradict each other or the file, with the first that does.
    GrevyError
        If it holds more than the limit.
    """
    with path.open("rb") as stream:
        head = stream.read(128)
        if 0 in head[:4]:
            _check_version_4(stream, limit)
            return
        if len(head) < 128:
            raise ValueError("it ends within its header")
        order = "<" if head[126:128] == b"IM" else ">"
        needed = 0
        while stream.tell() < limit.size:
            needed = _check_variable(stream, order, limit, needed)


def _check_variable(stream: BinaryIO, order: str, limit: Limit, needed: int) -> int:
    """Check one variable, and go to the next; return the memory for this and those before."""
    kind, size = struct.unpack(f"{order}II", Plain(stream, limit.size).take(8))
    stop = stream.tell() + size
    if not size or stop > limit.size:
        raise ValueError(f"an element of {size} bytes in a file of {limit.size}")
    source: Source = Plain(stream, stop)
    if kind == COMPRESSED:
        source = Inflated(stream, size)
        kind, _ = struct.unpack(f"{order}II", source.take(8))
    if kind != MATRIX:
        raise ValueError(f"type {kind} in the place of an array")
    walk = Walk(source, order, limit, needed)
    _check_array(walk, 0)
    stream.seek(stop)
    return walk.needed


def _check_inner(walk: Walk, depth: int) -> None:
    """Check an array within a cell, a struct and so on."""
    kind, size = walk.tag()
    if kind != MATRIX:
        raise ValueError(f"type {kind} in the place of an array")
    walk.spend(OVERHEAD)
    if size:
        _check_array(walk, depth + 1)


def _check_array(walk: Walk, depth: int) -> None:
    """Check an array whose tag has been read."""
    if depth > DEEPEST:
        raise ValueError(f"arrays within arrays, more than {DEEPEST} deep")
    walk.tag()
    (flags, _) = struct.unpack(f"{walk.order}II", walk.source.take(8))
    kind, is_complex = flags & 0xFF, bool(flags >> 11 & 1)
    if kind == OPAQUE:
        for _ in range(3):
            walk.element(TEXT, LONGEST_NAME)
        _check_inner(walk, depth)
        return
    if kind not in NUMERIC | {CELL, STRUCT, OBJECT, CHAR, SPARSE, FUNCTION}:
        raise ValueError(f"an array of unknown class {kind}")
    content = walk.element(WHOLE, 4 * MOST_DIMENSIONS)
    shape = struct.unpack(f"{walk.order}{len(content) // 4}i", content[: len(content) // 4 * 4])
    if len(content) % 4 or min(shape, default=-1) < 0:
        raise ValueError(f"a shape of {shape}")
    count = math.prod(shape)
    walk.element(TEXT, LONGEST_NAME)  # its name
    if kind in NUMERIC:
        for _ in range(1 + is_complex):
            walk.element(NUMBERS | TEXT)
    elif kind == SPARSE:
        _check_sparse(walk, shape, is_complex)
    elif kind == CHAR:
        walk.element(TEXT | {3, 4})
        walk.spend(8 * count)  # as four bytes a letter, twice
    elif kind == FUNCTION:
        _check_inner(walk, depth)
    else:
        _check_container(walk, kind, count, depth)


def _check_sparse(walk: Walk, shape: tuple[int, ...], is_complex: bool) -> None:
    """Check the indices of a sparse matrix: scipy follows them wherever they lead."""
    rows, starts = (
        np.frombuffer(walk.element(WHOLE, walk.limit.size * MOST_DEFLATED), f"{walk.order}i4")
        for _ in range(2)
    )
    if len(shape) != 2 or len(starts) != shape[1] + 1 or starts[0] != 0:
        raise ValueError(f"a sparse matrix of shape {shape} with {len(starts)} places of columns")
    if (np.diff(starts) < 0).any() or starts[-1] > len(rows):
        raise ValueError("a sparse matrix with columns out of order")
    used = rows[: starts[-1]]
    if used.size and not 0 <= used.min() <= used.max() < shape[0]:
        raise ValueError(f"a sparse matrix of shape {shape} with numbers outside it")
    for _ in range(1 + is_complex):
        walk.element(NUMBERS | TEXT, at_least=len(used))


def _check_container(walk: Walk, kind: int, count: int, depth: int) -> None:
    """Check the elements of a cell, or of a struct or object, field by field."""
    fields = 1
    if kind == OBJECT:
        walk.element(TEXT, LONGEST_NAME)  # its class
    if kind != CELL:
        content = walk.element(WHOLE, 4)
        (length,) = struct.unpack(f"{walk.order}i", content) if len(content) == 4 else (0,)
        if length < 1:
            raise ValueError(f"fields with names of {length} letters")
        fields = len(walk.element(TEXT, LONGEST_NAMES)) // length
    walk.spend(8 * count * max(fields, 1))
    for _ in range(count * fields):
        _check_inner(walk, depth)


def _check_version_4(stream: BinaryIO, limit: Limit) -> None:
    """Check the headers of a file of version 4: type, rows, columns, imaginary, length of name."""
    stream.seek(0)
    order = _order_4(stream.read(4))
    stream.seek(0)
    needed = 0
    while head := stream.read(20):
        if len(head) < 20:
            raise ValueError("it ends within a header")
        kind, rows, columns, imaginary, name = struct.unpack(f"{order}5i", head)
        width = {0: 8, 1: 4, 2: 4, 3: 2, 4: 2, 5: 1}.get(kind // 10 % 10)
        if width is None or min(rows, columns, name) < 0:
            raise ValueError("a header that describes no array")
        size = rows * columns * width * (2 if imaginary else 1)
        if stream.seek(name + size, 1) > limit.size:
            raise ValueError(f"an array of {size} bytes in a file of {limit.size}")
        needed += size + OVERHEAD
        limit.check(needed, "what it holds")


def _order_4(first: bytes) -> str:
    """Tell the byte order of version 4: the type is a small number in the right one."""
    return "<" if 0 <= struct.unpack("<i", first)[0] <= 5000 else ">"
