"""One run of a sweep, in the process that does it."""

import json
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from grevy.atomic import WriteError
from grevy.config import make_config
from grevy.errors import GrevyError
from grevy.sweeps.claims import claimed
from grevy.sweeps.folder import SweepFolder
from grevy.sweeps.planning import PlannedRun, data_key, other_data

if TYPE_CHECKING:
    from grevy.data import Recording


@dataclass(frozen=True)
class Task:
    """A run to be done.

    Attributes
    ----------
    root : Path
        Of the sweep.
    run : PlannedRun
    checkpoint_minutes : float
        How often training is kept.
    """

    root: Path
    run: PlannedRun
    checkpoint_minutes: float


@dataclass(frozen=True)
class Outcome:
    """What became of it.

    Attributes
    ----------
    run : PlannedRun
    state : {"done", "failed", "elsewhere", "given up"}
        Elsewhere: another process is at it.
    message : str
        Why it failed or was given up, in one line.
    seconds : float
        How long it took.
    """

    run: PlannedRun
    state: Literal["done", "failed", "elsewhere", "given up"]
    message: str = ""
    seconds: float = 0.0


class GivenUpError(Exception):
    """A training that does not promise enough to be finished."""


Seen = Callable[[int, float], object]


def do_run(task: Task, seen: Seen | None = None) -> Outcome:
    """Do a run, unless it is done or somebody is at it; go on where it was cut off.

    What a run raises stays in its folder, as ``logs/error.txt``; Ctrl-C and SIGTERM are not caught.

    Parameters
    ----------
    task : Task
    seen : callable, optional
        Told how training goes, as by `run_experiment`; it gives the run up by `GivenUpError`.
    """
    folder, name = SweepFolder(task.root), task.run.run_id
    began = time.monotonic()
    try:
        with claimed(folder.claims, name) as ours:
            if not ours:
                return Outcome(task.run, "elsewhere")
            if folder.done(name):
                return Outcome(task.run, "done")
            if error := folder.error(name):
                return Outcome(task.run, "failed", last_line(error))
            return _done(task, folder, began, seen)
    except WriteError as error:  # a full disk: there is no room for a claim either
        return Outcome(task.run, "failed", str(error), time.monotonic() - began)


def _done(task: Task, folder: SweepFolder, began: float, seen: Seen | None) -> Outcome:
    name = task.run.run_id
    try:
        with unswallowed_signals():
            _run(task, folder, seen)
    except GivenUpError as error:
        return Outcome(task.run, "given up", str(error), time.monotonic() - began)
    except Exception as error:
        # The files of a run stay as they are; a full disk has no room for this one.
        with suppress(WriteError):
            folder.write_error(name, traceback.format_exc())
        message = str(error) if isinstance(error, GrevyError) else repr(error)
        return Outcome(task.run, "failed", message, time.monotonic() - began)
    return Outcome(task.run, "done", seconds=time.monotonic() - began)


def _run(task: Task, folder: SweepFolder, seen: Seen | None) -> None:
    _set_up()

    from grevy.report import write_report
    from grevy.runs import run_experiment

    place = folder.run(task.run.run_id)
    config = make_config({**task.run.settings, "output_dir": str(place.root)})
    run_experiment(
        config,
        resume=True,
        checkpoint_minutes=task.checkpoint_minutes,
        verbose=False,
        recordings=_recordings(data_key(config), task.run.data),
        seen=seen,
    )
    if not folder.done(task.run.run_id):  # cut off between the page and its entry in the manifest
        write_report(place)


@lru_cache(maxsize=1)
def _recordings(key: str, checksum: str) -> "tuple[Recording, ...]":
    """Load the data of a run, once for as long as the next run has the same.

    Raises
    ------
    GrevyError
        If they are not what the plan says: changed since, or other files on this machine.
    """
    from grevy.data import data_checksum
    from grevy.runs import load_recordings

    config = make_config(json.loads(key))
    recordings = load_recordings(config)
    if data_checksum(recordings) != checksum:
        raise other_data(config)
    return recordings


@lru_cache(maxsize=1)
def _set_up() -> None:
    """Make this process ready to train, once."""
    from grevy.runs import keep_to_granted_threads, load_what_trains

    keep_to_granted_threads()
    load_what_trains()


@contextmanager
def unswallowed_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end a block even where something in it has swallowed them.

    A library that is interrupted as it is imported may catch all there is, and be left half made.
    What it then raises is no failure of the run. Outside the main thread nothing is changed.

    Raises
    ------
    KeyboardInterrupt, SystemExit
        When the block ends in another way, and a signal has come meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)
        came = os.read(reading, 64)  # nothing, where the other end is closed
        os.close(reading)
        _end_on({signal.SIGINT, signal.SIGTERM}.intersection(came))


def _end_on(numbers: Collection[int]) -> None:
    if signal.SIGINT in numbers:
        raise KeyboardInterrupt
    for number in numbers:
        raise SystemExit(128 + number)


def last_line(text: str) -> str:
    """Return the last line that says anything: of a traceback, the error itself."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
