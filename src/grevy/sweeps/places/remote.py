"""What a Dask worker does: each run in a process of its own, which the worker can ask to stop.

A run inside the worker's own process would be in a thread, where no signal reaches it, and would
take the worker with it when it dies.
"""

import asyncio
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from grevy.errors import GrevyError
from grevy.sweeps.places.beat import following, is_stopped
from grevy.sweeps.places.here import GRACE, WorkerDiedError
from grevy.sweeps.places.here import Worker as Process
from grevy.version import __version__

NAME = "grevy-runs"


class StoppedError(RuntimeError):
    """What was being done was kept, and not finished: its client or its worker has gone."""


@dataclass(frozen=True)
class Order:
    """Who asks for something to be done, and where.

    Attributes
    ----------
    folder : Path
        To be in meanwhile: paths may begin there.
    sign : Path
        The client's sign of life.
    version : str
        Of the client.
    """

    folder: Path
    sign: Path
    version: str


def do_apart(order: Order, call: tuple[Any, ...]) -> Any:
    """Call a function in a process of its own, and return what it returns.

    Parameters
    ----------
    order : Order
    call : tuple
        Function, arguments, and arguments by name.

    Raises
    ------
    StoppedError
        If the client has asked to stop or seems dead, or this worker ends.
    WorkerDiedError
        If the process ended by itself.
    GrevyError
        If this worker has another version of Grevy, or does not see the folder.
    """
    worker = get_worker()
    if order.version != __version__:
        raise GrevyError(version_problem(worker.address, __version__, order.version))
    return worker.plugins[NAME].do(order, (_in_folder, (order.folder, *call), {}))


def _in_folder(folder: Path, function: Any, args: Any, kwargs: Any) -> Any:
    try:
        os.chdir(folder)
    except OSError as error:
        raise GrevyError(f"{folder} is not there on {socket.gethostname()}: {error}") from error
    return function(*args, **kwargs)


def version_problem(worker: str, there: str | None, here: str) -> str:
    """Say that a worker has another version, or none."""
    what = f"Grevy {there}" if there else "no Grevy"
    return (
        f"the worker {worker} has {what}, and this is {here}. Install the same version there "
        f"(`pip install grevy=={here}`), and start its workers again."
    )


class Runs(WorkerPlugin):  # type: ignore[misc]
    """Keeps the processes of a worker, one for each of its threads, and ends them with it."""

    name = NAME

    def setup(self, worker: Worker) -> None:
        """Begin; a batch system's SIGTERM then ends the worker as if it were retired."""
        self._worker = worker
        self._lock = threading.Lock()
        self._leaving = False
        self._free: list[Process] = []
        self._busy: list[Process] = []
        self._loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._leave)

    def do(self, order: Order, call: tuple[Any, ...]) -> Any:
        """Call a function; parameters and errors as of `do_apart`."""
        if self._leaving or is_stopped(order.sign):
            time.sleep(1)  # else it might come back at once, again and again
            raise StoppedError
        process = self._process()
        stopped = threading.Event()

        def stop() -> None:
            stopped.set()
            process.ask_to_stop()

        try:
            with following(order.sign, stop):
                result = process.ask(call)
        except WorkerDiedError:
            self._forget(process)
            if stopped.is_set() or self._leaving:
                raise StoppedError from None
            raise
        except BaseException:
            self._give_back(process)
            raise
        self._give_back(process)
        return result

    def _process(self) -> Process:
        with self._lock:
            process = self._free.pop() if self._free else Process(self._threads())
            self._busy.append(process)
            return process

    def _threads(self) -> int | None:
        """Return how many threads a run may have; None for as many as this machine grants."""
        with suppress(KeyError, ValueError):
            return int(os.environ["OMP_NUM_THREADS"])
        return None if self._worker.state.nthreads == 1 else 1

    def _give_back(self, process: Process) -> None:
        with self._lock:
            self._busy.remove(process)
            self._free.append(process)

    def _forget(self, process: Process) -> None:
        with self._lock:
            self._busy.remove(process)
        process.close()

    def _stop(self) -> list[Process]:
        """Ask all to keep what they are at, and end."""
        with self._lock:
            first, self._leaving = not self._leaving, True
            processes = [*self._free, *self._busy]
        for each in processes if first else ():
            each.ask_to_stop()
        return processes

    def _leave(self, _number: int, _frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._retire)

    def _retire(self) -> None:
        self._stop()
        retiring = self._worker.close_gracefully(restart=False, reason="SIGTERM")
        self._retiring = self._loop.create_task(retiring)  # else it might be collected

    async def teardown(self, worker: Worker) -> None:  # noqa: ARG002
        """End the processes, which keep what they are at."""
        until = time.monotonic() + GRACE
        for each in self._stop():
            await asyncio.to_thread(each.wait, until)
