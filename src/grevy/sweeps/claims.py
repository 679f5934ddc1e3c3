"""Claims: who is doing a run, so that no two do it; they expire when their owner is dead.

A claim is a file made by one process alone (``O_EXCL``, which file servers honour too). It says who
made it, and its time says that the owner lives. A claim of a dead owner is not removed, for two
might do so, one of them the other's: the next claim has the next number instead, and again one
process alone can make it. Whoever is done removes all of them.
"""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from grevy.atomic import WriteError

HEARTBEAT = 15.0
"""Seconds between two signs of life."""
EXPIRY = 600.0
"""Seconds without a sign of life after which an owner on another machine counts as dead."""


@dataclass(frozen=True)
class Owner:
    """A process.

    Attributes
    ----------
    host : str
    pid : int
    started : str
        When, as its machine tells it: another process with the same number has another.
    """

    host: str
    pid: int
    started: str


def this_process() -> Owner:
    """Return the process that asks."""
    return Owner(socket.gethostname(), os.getpid(), process_start(os.getpid()) or "")


def process_start(pid: int) -> str | None:
    """Say when a process of this machine was started; None if it is not there, or only a zombie."""
    try:
        # After the name, which may hold anything: state, ..., start in ticks since the boot.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        asked = ["ps", "-o", "lstart=", "-p", str(pid)]
        found = subprocess.run(asked, capture_output=True, text=True, check=False)
        return found.stdout.strip() or None
    return None if fields[0] in "ZX" else f"{boot} {fields[19]}"


def holder(folder: Path, run_id: str) -> Owner | None:
    """Return the living owner of a run, if it has one."""
    for path in reversed(_files(folder, run_id)):
        if owner := _living(path):
            return owner
    return None


def holders(folder: Path) -> dict[str, Owner]:
    """Return the living owners of all runs that have one."""
    names = {path.name.partition(".")[0] for path in folder.glob("*.claim")}
    found = {name: holder(folder, name) for name in sorted(names)}
    return {name: owner for name, owner in found.items() if owner is not None}


@contextmanager
def claimed(folder: Path, run_id: str) -> Iterator[bool]:
    """Claim a run while the block runs.

    Yields
    ------
    bool
        Whether it is ours. If not, a living process has it.

    Raises
    ------
    WriteError
        If the folder cannot be written to.
    """
    path = _claim(folder, run_id)
    if path is None:
        yield False
        return
    over = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, over), daemon=True)
    beating.start()
    try:
        yield True
    finally:
        over.set()
        beating.join()
        for each in _files(folder, run_id):  # our own is the last
            each.unlink(missing_ok=True)


def _claim(folder: Path, run_id: str) -> Path | None:
    """Make a claim, if no living process has one."""
    before = _files(folder, run_id)
    if any(map(_living, before)):
        return None
    # After those that were looked at, not those that are there now: who was faster has that number.
    numbers = [int(path.suffixes[0][1:]) for path in before]
    path = folder / f"{run_id}.{max(numbers, default=-1) + 1:03d}.claim"
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(json.dumps(vars(this_process())))
    except FileExistsError:
        return None
    except FileNotFoundError:
        _make_folder(folder)
        return _claim(folder, run_id)
    except OSError as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise _unwritable(path, error) from error
    # Another may have counted before a third had removed its own, and have another number now.
    if any(each != path and _living(each) for each in _files(folder, run_id)):
        path.unlink(missing_ok=True)
        return None
    return path


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(path: Path, error: OSError) -> WriteError:
    return WriteError(
        f"{path} cannot be written: {error.strerror}. Check that the folder is writable and the "
        f"disk has room."
    )


def _files(folder: Path, run_id: str) -> list[Path]:
    return sorted(folder.glob(f"{run_id}.[0-9][0-9][0-9].claim"))


def _living(path: Path) -> Owner | None:
    """Return the owner of a claim, if it lives."""
    try:
        text, beat = path.read_text(encoding="utf-8"), path.stat().st_mtime
    except OSError:
        return None  # given back
    try:
        owner = Owner(**json.loads(text))
    except (ValueError, TypeError):
        # Just made, or cut off as it was made.
        return Owner("?", 0, "") if _age(path, beat) < HEARTBEAT else None
    if owner.host == socket.gethostname():
        return owner if process_start(owner.pid) == owner.started else None
    return owner if _age(path, beat) < EXPIRY else None


def _age(path: Path, beat: float) -> float:
    """Return the seconds since a sign of life, by the clock that dated it: the file server's."""
    clock = path.with_name(f".clock.{socket.gethostname()}.{os.getpid()}.{threading.get_ident()}")
    try:
        clock.touch()
        return clock.stat().st_mtime - beat
    except OSError:  # it may be read only
        import time

        return time.time() - beat
    finally:
        with suppress(OSError):
            clock.unlink(missing_ok=True)


def _beat(path: Path, over: threading.Event) -> None:
    while not over.wait(HEARTBEAT):
        with suppress(OSError):
            os.utime(path)
