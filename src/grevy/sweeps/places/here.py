"""``--on here``: processes of this machine that each do one run after the other.

`concurrent.futures.ProcessPoolExecutor` gives up all of its processes when one of them dies. Here
each process is a worker by itself: when it dies, its run alone is handed back, and another worker
takes its place.
"""

import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from typing import IO, Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

GRACE = 30.0
"""Seconds that a worker has to keep what it is at, once it is asked to stop."""
_LAST_WORDS = 2000  # bytes


class WorkerDiedError(RuntimeError):
    """The process that did a run ended before the run did."""


class Worker:
    """A process that does what it is sent, one thing after the other.

    Parameters
    ----------
    threads : int or None
        That it may compute with; None for as many as there are.
    """

    def __init__(self, threads: int | None) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        environment.pop("OMP_NUM_THREADS", None)
        if threads is not None:
            environment["OMP_NUM_THREADS"] = str(threads)
        self._pipe, far = Pipe()
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- as long as it lives
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "grevy.sweeps.places.worker", str(far.fileno()),
                 str(os.getpid())],
                env=environment, pass_fds=(far.fileno(),), stdin=subprocess.DEVNULL,
                stdout=self._words, stderr=self._words,
                start_new_session=True,  # Ctrl-C is for us, who tell it to stop
            )  # fmt: skip
        finally:
            far.close()

    def ask(self, call: Any) -> Any:
        """Have it do something, and return the result.

        Raises
        ------
        WorkerDiedError
            If it ends before that.
        """
        try:
            self._pipe.send_bytes(pickle.dumps(call))
            kind, value = self._pipe.recv()
        except (EOFError, OSError):
            raise WorkerDiedError(self._epitaph()) from None
        if kind == "error":
            raise value
        return value

    def _epitaph(self) -> str:
        code = self._process.wait()
        how = f"ended with code {code}"
        if code < 0:
            with suppress(ValueError):
                how = f"was ended by {signal.Signals(-code).name}"
        self._words.seek(0, os.SEEK_END)
        self._words.seek(max(0, self._words.tell() - _LAST_WORDS))
        words = self._words.read().decode("utf-8", errors="replace").strip()
        return f"its process {how}" + (f"; it said last: {words}" if words else "")

    def ask_to_stop(self) -> None:
        """Ask it to keep what it is at, and end."""
        self._process.terminate()

    def wait(self, until: float) -> None:
        """Wait until it has ended, or end it at a time by `time.monotonic`."""
        try:
            self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Let it end: it has nothing to do."""
        self._pipe.close()
        self.wait(time.monotonic() + GRACE)
        self._words.close()


class Workers(Executor):
    """An executor over processes, each with a thread here that waits for it.

    Parameters
    ----------
    count : int
        How many processes.
    threads : int or None
        That each may compute with; None for as many as there are.
    """

    def __init__(self, count: int, threads: int | None) -> None:
        self._threads = threads
        self._waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._workers: dict[int, Worker] = {}
        self._stopping = False
        self._lock = threading.Lock()
        self._servants = [
            threading.Thread(target=self._serve, args=(number,), daemon=True)
            for number in range(count)
        ]
        for each in self._servants:
            each.start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a function called by the next process that is free."""
        future: Future[T] = Future()
        self._waiting.put((future, (fn, args, kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let every process end after what was submitted."""
        if cancel_futures:
            self._cancel()
        for _ in self._servants:
            self._waiting.put(None)
        for each in self._servants if wait else ():
            each.join()

    def stop(self) -> None:
        """Ask every process to keep what it is at and end; end those that do not."""
        with self._lock:
            self._stopping = True
            workers = list(self._workers.values())
            for worker in workers:
                worker.ask_to_stop()
        self._cancel()
        until = time.monotonic() + GRACE
        try:
            for worker in workers:
                worker.wait(until)
        finally:  # a second Ctrl-C
            for worker in workers:
                worker.wait(time.monotonic())

    def _cancel(self) -> None:
        with suppress(queue.Empty):
            while True:
                item = self._waiting.get_nowait()
                if item is not None:
                    item[0].cancel()

    def _serve(self, number: int) -> None:
        """Hand one thing after the other to a process, and a new process after one that died."""
        while (item := self._waiting.get()) is not None:
            future, call = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(self._worker(number).ask(call))
            except WorkerDiedError as error:
                self._workers.pop(number).close()
                future.set_exception(error)
            except Exception as error:
                future.set_exception(error)
        if worker := self._workers.pop(number, None):
            worker.close()

    def _worker(self, number: int) -> Worker:
        with self._lock:
            if self._stopping:
                raise WorkerDiedError("stopped")
            if number not in self._workers:
                self._workers[number] = Worker(self._threads)
            return self._workers[number]


@contextmanager
def processes(*, workers: int, threads: int | None, **_settings: Any) -> Iterator[Executor]:
    """Open the place: if the block fails or is interrupted, what runs is kept and all is stopped.

    Parameters
    ----------
    workers : int
        How many processes.
    threads : int or None
        That each may compute with; None for as many as there are.
    """
    pool = Workers(workers, threads)
    try:
        yield pool
    except BaseException:
        pool.stop()
        raise
    pool.shutdown()
