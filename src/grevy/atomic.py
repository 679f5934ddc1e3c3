"""Files that appear whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from grevy.errors import GrevyError


class WriteError(GrevyError):
    """A file that could not be written: a full disk, a folder that is not there or not ours."""


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that takes its name only when it is complete and on the disk.

    It is written beside its place, flushed to the disk and renamed; what was there before stays
    until then. The folder is made if it is missing.

    Raises
    ------
    WriteError
        If the operating system refuses; the temporary file is removed.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise WriteError(
            f"{path} cannot be written: {error.strerror or error}. Check that the folder is "
            f"writable and the disk has room."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
