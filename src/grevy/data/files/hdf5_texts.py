"""Texts of any length in an HDF5 file, read without the HDF5 library.

Such a text is kept as a reference: its length, the address of a heap, and its number there. The
library believes all of that: it fills as much memory as a damaged length says, up to 4 GiB, and
goes round a damaged heap without end. So references and heaps are read here, and every length is
compared with what there is. The layout follows The HDF Group, "HDF5 File Format Specification",
version 3.0.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from grevy.data.files.entries import Array
from grevy.data.files.limits import Limit

# As the library numbers messages of an object, layouts and filters.
LAYOUT, ATTRIBUTE, CONTINUATION = 0x08, 0x0C, 0x10
COMPACT = 0
DEFLATE, SHUFFLE, CHECKSUM = 1, 2, 3
MOST_BLOCKS = 1000


def read_texts(item: Any, limit: Limit) -> Array:
    """Read a data set of texts of any length.

    Parameters
    ----------
    item : h5py.Dataset
        Its chunks have been checked.
    limit : Limit

    Returns
    -------
    ndarray of object
        Of bytes, in the shape of the data set; empty where none was written.

    Raises
    ------
    ValueError
        If a reference leads nowhere, or they are packed in an unusual way.
    GrevyError
        If they take more memory than the limit.
    """
    with Path(item.file.filename).open("rb") as stream:
        file = _File(item.file, stream, limit)
        table = _references(item, file)
        return np.array([*map(file.text, table), None], object)[:-1].reshape(item.shape)


def read_text_beside(item: Any, name: str, limit: Limit) -> bytes | None:
    """Read a single text of any length beside an object; None if it is not in the object's header.

    Raises
    ------
    ValueError
        If its reference leads nowhere.
    """
    with Path(item.file.filename).open("rb") as stream:
        file = _File(item.file, stream, limit)
        for kind, body in file.messages(item):
            if kind != ATTRIBUTE:
                continue
            version, _, *sizes = struct.unpack_from("<BBHHH", body)
            start = 9 if version == 3 else 8
            if body[start : start + sizes[0]].rstrip(b"\0") == name.encode():
                padding = [-size % 8 if version == 1 else 0 for size in sizes]
                return file.text(body[start + sum(sizes) + sum(padding) :])
    return None


def _references(item: Any, file: "_File") -> list[bytes]:
    """Read the references of a data set, one for each text."""
    content = b""
    if item.chunks is not None:
        content = _from_chunks(item, file.width)
    elif item.id.get_create_plist().get_layout() == COMPACT:
        content = next((body[4:] for kind, body in file.messages(item) if kind == LAYOUT), b"")
    elif item.id.get_storage_size():  # else its offset may be anything
        content = file.at(item.id.get_offset(), item.size * file.width)
    content = content or bytes(item.size * file.width)  # nothing was written
    each = range(0, item.size * file.width, file.width)
    return [content[start : start + file.width] for start in each]


def _from_chunks(item: Any, width: int) -> bytes:
    plist = item.id.get_create_plist()
    filters = [plist.get_filter(index) for index in range(plist.get_nfilters())]
    if not {each[0] for each in filters} <= {DEFLATE, SHUFFLE, CHECKSUM}:
        raise ValueError(
            f"{item.name} holds texts that are packed in an unusual way; store them unpacked"
        )
    whole = np.zeros((*item.shape, width), np.uint8)
    offsets: list[tuple[int, ...]] = []
    item.id.chunk_iter(lambda chunk: offsets.append(chunk.chunk_offset))
    for offset in offsets:
        mask, content = item.id.read_direct_chunk(offset)
        for place, (number, _, values, _) in reversed(list(enumerate(filters))):
            if not mask >> place & 1:
                content = _unpacked(content, number, values)
        chunk = np.frombuffer(content, np.uint8, math.prod(item.chunks) * width)
        part = whole[tuple(map(slice, offset, np.add(offset, item.chunks)))]
        part[:] = chunk.reshape(*item.chunks, width)[tuple(map(slice, part.shape))]
    return whole.tobytes()


def _unpacked(content: bytes, number: int, values: tuple[int, ...]) -> bytes:
    """Undo one filter of a chunk."""
    if number == CHECKSUM:
        return content[:-4]
    if number == DEFLATE:
        return zlib.decompress(content)
    rows = len(content) // values[0]  # the bytes of a number lie apart
    table = np.frombuffer(content[: rows * values[0]], np.uint8)
    return table.reshape(values[0], rows).T.tobytes()


@dataclass
class _File:
    """The bytes of an HDF5 file, and the heaps of texts that were read from it."""

    file: Any
    stream: BinaryIO
    limit: Limit
    heaps: dict[int, dict[int, bytes]] = field(default_factory=dict)
    held: int = 0

    def __post_init__(self) -> None:
        plist = self.file.id.get_create_plist()
        self.base, self.sizes = plist.get_userblock(), plist.get_sizes()
        self.width = 8 + self.sizes[0]  # of a reference

    def at(self, place: int, size: int) -> bytes:
        """Read bytes; a `ValueError` if there are fewer."""
        if place + size > self.limit.size:
            raise ValueError(f"{size} bytes at {place} in a file of {self.limit.size}")
        self.stream.seek(place)
        return self.stream.read(size)

    def text(self, reference: bytes) -> bytes:
        """Read what a reference leads to."""
        length, number = (
            int.from_bytes(part, "little")
            for part in (reference[:4], reference[self.width - 4 : self.width])
        )
        if not length:
            return b""
        address = int.from_bytes(reference[4 : self.width - 4], "little")
        if address not in self.heaps:
            self.heaps[address] = dict(self._heap(address))
        found = self.heaps[address].get(number, b"")
        if len(found) < length:
            raise ValueError(f"a text of {length} bytes where {len(found)} are")
        return found[:length].partition(b"\0")[0]

    def _heap(self, address: int) -> Iterator[tuple[int, bytes]]:
        """Read a heap: its objects by their number."""
        width = self.sizes[1]
        head = self.at(self.base + address, 8 + width)
        size = int.from_bytes(head[8:], "little")
        if head[:4] != b"GCOL":
            raise ValueError(f"no heap of texts at {address}")
        content = self.at(self.base + address, size)
        self.held += size
        self.limit.check(self.held, "the heaps of its texts")
        place = 8 + width
        while place + 8 + width <= size:
            number = int.from_bytes(content[place : place + 2], "little")
            length = int.from_bytes(content[place + 8 : place + 8 + width], "little")
            if not number:  # the rest is free
                return
            place += 8 + width
            if length > size - place:
                raise ValueError(f"a text of {length} bytes in a heap of {size}")
            yield number, content[place : place + length]
            place += length + -length % 8

    def messages(self, item: Any) -> Iterator[tuple[int, bytes]]:
        """Go through the header of an object: its layout, its attributes and so on."""
        import h5py

        (address, _) = h5py.h5g.get_objinfo(item.id).objno
        head = self.at(self.base + address, 16)
        if head[:4] == b"OHDR":
            flags = head[5]
            start = 6 + 16 * bool(flags & 0x20) + 4 * bool(flags & 0x10)
            width = 1 << (flags & 3)
            size = int.from_bytes(self.at(self.base + address + start, width), "little")
            blocks, head_size = [(address + start + width, size)], 4 + 2 * bool(flags & 4)
        else:
            flags = None
            blocks, head_size = [(address + 16, int.from_bytes(head[8:12], "little"))], 8
        for count, (start, size) in enumerate(blocks):
            if count > MOST_BLOCKS:
                raise ValueError("a header of an object that goes on without end")
            content, place = self.at(self.base + start, size), 0
            while place + head_size <= len(content):
                kind, length = struct.unpack_from("<HH" if flags is None else "<BH", content, place)
                place += head_size + length
                body = content[place - length : place]
                if kind == CONTINUATION:
                    there = int.from_bytes(body[: self.sizes[0]], "little")
                    long = int.from_bytes(body[self.sizes[0] : sum(self.sizes)], "little")
                    # Of version 2 it begins with a signature and ends with a checksum.
                    blocks.append((there, long) if flags is None else (there + 4, long - 8))
                yield kind, body
