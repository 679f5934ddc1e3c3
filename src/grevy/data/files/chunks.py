"""The compressed chunks of an HDF5 data set, checked before the HDF5 library unpacks them.

The library believes no size but unpacks a chunk to its end, a thousand times its size in the file
or more, whatever the data set declares.
"""

import math
import zlib
from typing import Any

from grevy.data.files.limits import Limit

# Chunks are looked up one by one, those too that were never written.
SURELY_FEW, BYTES_EACH = 100_000, 16
# As the library numbers its filters.
DEFLATE, CHECKSUM = 1, 3


def check_chunks(item: Any, limit: Limit, upto: tuple[int, ...] | None = None) -> None:
    """Check that no chunk of a data set unpacks to more than the data set declares.

    Parameters
    ----------
    item : h5py.Dataset
    limit : Limit
    upto : tuple of int, optional
        What is to be read ends there along each axis; all of it if left out.

    Raises
    ------
    ValueError
        If a chunk is not what it is declared to be, or there are more than the file can hold.
    """
    if item.chunks is None:
        return
    sides = zip(item.shape, item.chunks, strict=True)
    count = math.prod(-(-length // side) for length, side in sides)
    if count > max(SURELY_FEW, limit.size // BYTES_EACH):
        raise ValueError(f"{count} chunks in a file of {limit.size} bytes")
    plist = item.id.get_create_plist()
    filters = [plist.get_filter(index)[0] for index in range(plist.get_nfilters())]
    if DEFLATE not in filters:
        return
    if filters.count(DEFLATE) > 1:
        raise ValueError("it is compressed twice")
    size = math.prod(item.chunks) * item.dtype.itemsize
    place = filters.index(DEFLATE)
    if set(filters[place + 1 :]) - {CHECKSUM}:
        raise ValueError("what is compressed is packed in another way as well")
    offsets: list[tuple[int, ...]] = []
    item.id.chunk_iter(lambda chunk: offsets.append(chunk.chunk_offset))
    for offset in offsets:
        if any(start >= stop for start, stop in zip(offset, upto or item.shape, strict=True)):
            continue
        mask, packed = item.id.read_direct_chunk(offset)
        if not mask >> place & 1:
            _check_deflated(packed, size)


def _check_deflated(packed: bytes, size: int) -> None:
    """Unpack a chunk as far as it may go, and no further."""
    inflate = zlib.decompressobj()
    slack = 1024  # other filters add a checksum
    unpacked = len(inflate.decompress(packed, size + slack + 1))
    if unpacked > size + slack:
        raise ValueError(f"a chunk of {size} bytes unpacks to more")
