"""A client's sign of life: runs elsewhere end when it asks them to, or when it is no more.

A run on another machine cannot be reached from here. But all runs of a sweep share its folder, so
the client writes a file there again and again, and whoever does a run for it looks at that file.
This works too when the client is killed, or its machine lost: the file then stays as it is.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from grevy.atomic import WriteError
from grevy.sweeps.claims import process_start

BEAT = 5.0
"""Seconds between two signs of life."""
LOOK = 1.0
"""Seconds between two looks at it."""
EXPIRY = 300.0
"""Seconds without one after which the client counts as dead; file servers may be slow, and
computers put aside for a while."""

_STOP = "stop"


class Beat:
    """The sign of life of this process.

    Parameters
    ----------
    folder : Path
        That whoever does runs can read.

    Attributes
    ----------
    path : Path

    Raises
    ------
    WriteError
        If the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        started = (process_start(os.getpid()) or "").split(" ")[-1]
        self.path = folder.absolute() / f"{socket.gethostname()}.{os.getpid()}.{started}.client"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def start(self) -> None:
        """Give signs of life from now on; those of clients of this machine that are dead go."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _bury(self.path.parent)
            self._write("0")
        except OSError as error:
            raise WriteError(
                f"{self.path} cannot be written: {error.strerror}. Check that the folder is "
                f"writable and the disk has room."
            ) from error
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Ask all that is done for this process to be kept, and to end."""
        self._over.set()
        self._thread.join()
        with suppress(OSError):  # without room it is not written again, which does too
            self._write(_STOP)

    def end(self) -> None:
        """Remove the file: nobody has to look any more."""
        self.ask_to_stop()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _write(self, text: str) -> None:
        # In place: over a file server, a file that is replaced can seem not to be there.
        self.path.write_text(text, encoding="utf-8")

    def _go_on(self) -> None:
        count = 0
        while not self._over.wait(BEAT):
            count += 1
            with suppress(OSError):
                self._write(str(count))


def _bury(folder: Path) -> None:
    """Remove signs of clients of this machine that have died; runs for them then end at once."""
    for path in folder.glob(f"{socket.gethostname()}.*.client"):
        pid, started = path.name.split(".")[-3:-1]
        if not pid.isdigit() or (process_start(int(pid)) or "").split(" ")[-1] != started:
            path.unlink(missing_ok=True)


def is_stopped(path: Path) -> bool:
    """Tell whether a client has asked to stop, or has ended and said so."""
    try:
        return path.read_text(encoding="utf-8") == _STOP
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False  # for a moment; what lasts is a client without signs of life


@contextmanager
def following(path: Path, stop: Callable[[], object]) -> Iterator[None]:
    """While the block runs, call `stop` once when the client has asked to stop, or seems dead.

    Parameters
    ----------
    path : Path
        Of its sign of life.
    stop : callable
        Called in a thread of its own.
    """
    over = threading.Event()
    thread = threading.Thread(target=_follow, args=(path, stop, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _follow(path: Path, stop: Callable[[], object], over: threading.Event) -> None:
    seen, since = "", time.monotonic()
    while not over.wait(LOOK):
        now = time.monotonic()
        with suppress(OSError, ValueError):
            text = path.read_text(encoding="utf-8")
            if text != seen:  # by our own clock: those of two machines differ
                seen, since = text, now
        if is_stopped(path) or now - since > EXPIRY:
            stop()
            return
