"""A file, inspected: what it holds, and with what to start."""

from dataclasses import dataclass
from pathlib import Path

from grevy.data.files.arrays import damaged, open_arrays
from grevy.data.files.entries import Entry, sampled
from grevy.data.files.recordings import NWB
from grevy.data.inspection.looking import Found, look
from grevy.data.inspection.nwb_start import look_at_nwb
from grevy.data.inspection.starting import Start, gathered, start_on
from grevy.errors import GrevyError


@dataclass(frozen=True)
class Inspection:
    """What there is to say of a file.

    Attributes
    ----------
    path : Path
    size : int
        In bytes.
    found : tuple of Found
        Its arrays; numbered ones that are alike together.
    start : Start
        What to start with.
    """

    path: Path
    size: int
    found: tuple[Found, ...]
    start: Start


def inspect_file(
    path: str | Path, *, trust: bool = False, max_bytes: int | None = None
) -> Inspection:
    """Look at what a file holds; of a large array at its first rows.

    Parameters
    ----------
    path : str or Path
        As for `list_arrays`.
    trust, max_bytes
        As for `list_arrays`.

    Raises
    ------
    GrevyError
        If it cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() == NWB:
        found, start = look_at_nwb(path, max_bytes)
    else:
        entries = open_arrays(path, trust=trust, max_bytes=max_bytes)
        found = gathered([_look(path, key, entry) for key, entry in entries.items()])
        start = start_on(found)
    return Inspection(path, path.stat().st_size, tuple(found), start)


def _look(path: Path, key: str, entry: Entry) -> Found:
    try:
        sample = sampled(entry)
    except GrevyError:
        sample = None  # of a kind that no recording is made of, or too large
    except Exception as error:  # the bytes behind a sound header may be damaged too
        raise damaged(path, error) from error
    dtype = entry.dtype if sample is None else str(sample.dtype)
    single = None
    if sample is not None and sample.size == 1 and sample.dtype.kind in "fiu":
        single = float(sample.reshape(-1)[0])
    return look(key, entry.shape, dtype, sample, rate=single)
