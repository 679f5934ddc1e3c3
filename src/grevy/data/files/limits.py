"""How much of a file is unpacked: sizes are compared before anything is read into memory."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from grevy.errors import GrevyError

SURELY_FITS = 2**30
"""Unpacked bytes that any file may ask for."""

USUALLY_PACKED = 100
"""How many times its own size a larger file may unpack to: spike counts, mostly zeros, stay below.
Deflate reaches 1032, for one value throughout."""


@dataclass(frozen=True)
class Limit:
    """The most bytes that a file is unpacked to.

    Attributes
    ----------
    path : Path
        The file.
    max_bytes : int or None
        What the user allows. If None, 1 GiB or 100 times the size of the file, whichever is more,
        and never more than the memory that is free.
    size : int
        Of the file, in bytes.
    """

    path: Path
    max_bytes: int | None = None
    size: int = field(init=False)

    def __post_init__(self) -> None:
        if self.max_bytes is not None and self.max_bytes < 1:
            raise GrevyError(f"`max_bytes` is {self.max_bytes}; expected a number above 0.")
        object.__setattr__(self, "size", self.path.stat().st_size)

    def check(self, needed: int, what: str) -> None:
        """Refuse what would take more than the limit.

        Parameters
        ----------
        needed : int
            Bytes in memory.
        what : str
            What needs them, as in "the array 'x'".

        Raises
        ------
        GrevyError
            If it is more than the limit, with what would allow it.
        """
        if needed <= SURELY_FITS and self.max_bytes is None:
            return
        most, why = self._most()
        if needed > most:
            raise GrevyError(
                f"{self.path}: {what} would take {said(needed)} of memory, and {why}. The file may "
                f"be damaged, or made to harm. If you trust whoever made it, allow as much with "
                f"`max_bytes={needed}`."
            )

    def _most(self) -> tuple[int, str]:
        if self.max_bytes is not None:
            return self.max_bytes, f"`max_bytes` allows {said(self.max_bytes)}"
        packed = max(SURELY_FITS, USUALLY_PACKED * self.size)
        free = max(SURELY_FITS, free_memory())
        if free < packed:
            return free, f"{said(free)} is free"
        return packed, f"a file of {said(self.size)} may take {said(packed)}"


def free_memory() -> int:
    """Return how many bytes of memory can still be had; of no bound if that is not known."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line)
    except (OSError, ValueError, IndexError, StopIteration):
        pass  # another system than Linux
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 2**63


def said(size: int) -> str:
    """Write a number of bytes as a person would."""
    power = min((max(size, 1).bit_length() - 1) // 10, 5)
    return f"{size / 1024**power:.3g} {('bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB')[power]}"
