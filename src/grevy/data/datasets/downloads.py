"""Published files, fetched within a time limit and checked against their published checksums."""

import gzip
import hashlib
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from grevy.atomic import whole_file
from grevy.errors import GrevyError

CHUNK = 2**16
PATIENCE = 30  # a download may take this many times the longest silence that is allowed
LARGEST = 2**31


@dataclass(frozen=True)
class Published:
    """A file that somebody publishes.

    Attributes
    ----------
    url : str
    md5 : str
        Of the file itself.
    packed_md5 : str or None
        Of what the address serves, if that is the file packed with gzip.
    """

    url: str
    md5: str
    packed_md5: str | None


def md5(path: Path) -> str:
    """Return the MD5 checksum of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def download(published: Published, path: Path, timeout: float) -> None:
    """Fetch a file, check it, and put it in place whole or not at all.

    Parameters
    ----------
    published : Published
    path : Path
        Where it shall lie.
    timeout : float
        The longest silence that is allowed, in seconds; the whole may take 30 times as long.

    Raises
    ------
    GrevyError
        If the server cannot be reached, is silent, refuses or serves something else, or the file
        cannot be written.
    """
    content = b"".join(_chunks(published.url, timeout))
    if published.packed_md5 is not None:
        _check(published.url, content, published.packed_md5)
        content = gzip.decompress(content)
    _check(published.url, content, published.md5)
    with whole_file(path) as stream:
        stream.write(content)


def _check(url: str, content: bytes, expected: str) -> None:
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != expected:
        raise GrevyError(
            f"{url} served something else than what was published: its MD5 checksum is {found}, "
            f"expected {expected}. It was not kept."
        )


def _chunks(url: str, timeout: float) -> Iterator[bytes]:
    """Fetch in another thread: looking up a name or a slow header obeys no time limit of its own.

    A thread that hangs is left behind; it ends with the process.
    """
    arrived: queue.SimpleQueue[bytes | Exception | None] = queue.SimpleQueue()
    abandoned = threading.Event()
    threading.Thread(
        target=_fetch, args=(url, timeout, arrived, abandoned), daemon=True, name="download"
    ).start()
    deadline = time.monotonic() + PATIENCE * timeout
    size = 0
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or size > LARGEST:
                raise GrevyError(
                    f"{url} did not end within {PATIENCE * timeout:g} s and {LARGEST} bytes."
                )
            try:
                chunk = arrived.get(timeout=min(timeout, left))
            except queue.Empty:
                if left < timeout:
                    continue
                raise GrevyError(f"{url} did not answer within {timeout:g} s.") from None
            if chunk is None:
                return
            if isinstance(chunk, Exception):
                raise GrevyError(f"{url} could not be downloaded: {chunk}") from chunk
            size += len(chunk)
            yield chunk
    finally:
        abandoned.set()


def _fetch(
    url: str,
    timeout: float,
    arrived: "queue.SimpleQueue[bytes | Exception | None]",
    abandoned: threading.Event,
) -> None:
    import requests

    try:
        with requests.get(url, stream=True, timeout=timeout) as response:
            response.raise_for_status()
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                if abandoned.is_set():
                    return
                arrived.put(chunk)
        arrived.put(None)
    except Exception as error:  # handed over to the caller, whatever it is
        arrived.put(error)
