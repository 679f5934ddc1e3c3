"""``--on tcp://HOST:PORT``: any Dask cluster that shares a file system with this machine."""

import itertools
import logging
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from distributed import Client, KilledWorker

from grevy.errors import GrevyError
from grevy.sweeps.folder import CLAIMS
from grevy.sweeps.places.beat import Beat
from grevy.sweeps.places.here import GRACE, WorkerDiedError
from grevy.sweeps.places.remote import Order, Runs, StoppedError, do_apart, version_problem
from grevy.version import __version__

P = ParamSpec("P")
T = TypeVar("T")

_ADDRESS = re.compile(r"(tcp|tls|ws|wss)://(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):[0-9]{1,5}")
PATIENCE = 15
"""Seconds in which a scheduler has to answer."""
_LOOK = 0.1
_LOG = logging.getLogger(__name__)


class LostError(GrevyError):
    """The scheduler has gone, and with it what was to be done."""


class Cluster(Executor):
    """An executor over the workers of a Dask cluster.

    Parameters
    ----------
    client : distributed.Client
    sign : Path
        The sign of life of this process, by which workers know that somebody waits for them.
    """

    def __init__(self, client: Client, sign: Path) -> None:
        self._client, self._order = client, Order(Path.cwd(), sign, __version__)
        self._stopping = False
        self._numbers = itertools.count()
        self._waiting: dict[Future[Any], Any] = {}

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a function called by a worker that is free, after those submitted before."""
        future: Future[T] = Future()
        self._send(future, next(self._numbers), (fn, args, kwargs))
        return future

    def _send(self, future: Future[Any], number: int, call: tuple[Any, ...]) -> None:
        # Dask takes calls of the same tenth of a second in any order, and what a lost worker had
        # begun might come last.
        far = self._client.submit(do_apart, self._order, call, pure=False, priority=-number)
        self._waiting[future] = far
        far.add_done_callback(partial(self._arrive, future, number, call))

    def _arrive(self, future: Future[Any], number: int, call: tuple[Any, ...], far: Any) -> None:
        """Hand on what has become of a call, or have it done again by another worker."""
        problem = self._problem(far)
        if future not in self._waiting:
            return
        if isinstance(problem, StoppedError) and not self._stopping:
            self._send(future, number, call)  # its worker has left
            return
        if self._waiting.pop(future, None) is None or not future.set_running_or_notify_cancel():
            return
        if problem is None:
            future.set_result(far.result())
        else:
            future.set_exception(problem)

    def _problem(self, far: Any) -> BaseException | None:
        if far.status == "finished":
            return None
        if far.status == "error":
            problem = far.exception()
            if isinstance(problem, KilledWorker):
                return WorkerDiedError("every worker that began with it was lost")
            return problem if isinstance(problem, BaseException) else RuntimeError(str(problem))
        if self._stopping:
            return CancelledError()
        return LostError(
            "the Dask scheduler was lost. What was trained is kept: start it again, and give the "
            "same command to go on."
        )

    @property
    def open(self) -> int:
        """How many calls have not been done."""
        return len(self._waiting)

    def fail(self, error: GrevyError) -> None:
        """Give up all calls that wait, for a reason."""
        self._stopping = True
        waiting, self._waiting = self._waiting, {}
        self._client.cancel(list(waiting.values()))
        for future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let what was submitted be done, or forget it."""
        waiting = list(self._waiting.values())
        if cancel_futures:
            self._stopping = True
            self._client.cancel(waiting)
        while wait and self._waiting:
            time.sleep(_LOOK)

    def stop(self) -> None:
        """Wait for what runs, which was asked to stop; forget what has not begun."""
        self._stopping = True
        waiting = list(self._waiting.values())
        try:
            begun = {key for keys in self._client.processing().values() for key in keys}
            self._client.cancel([each for each in waiting if each.key not in begun])
        except (OSError, RuntimeError):
            return  # no scheduler: those who do runs see for themselves that we end
        until = time.monotonic() + GRACE
        while self._waiting and time.monotonic() < until:
            time.sleep(_LOOK)


def check_address(address: str) -> None:
    """Refuse what cannot be the address of a scheduler.

    Raises
    ------
    GrevyError
        Naming the form that it has.
    """
    if not _ADDRESS.fullmatch(address):
        raise GrevyError(
            f"`on={address}` is no address of a Dask scheduler; expected tcp://HOST:PORT, as `dask "
            f"scheduler` prints it."
        )


@contextmanager
def on_dask(address: str, *, root: Path, **_settings: Any) -> Iterator[Executor]:
    """Open the place: if the block fails or is interrupted, runs are kept and asked to stop.

    Parameters
    ----------
    address : str
        Of a scheduler, such as ``tcp://10.0.0.1:8786``.
    root : Path
        Of the sweep.

    Raises
    ------
    GrevyError
        If no scheduler answers, or a worker has another version of Grevy, or does not see `root`.
    """
    with quiet(), _connected(address) as client, working(client, root) as cluster:
        if not client.scheduler_info()["workers"]:
            _LOG.info(f"{address} has no workers yet; runs begin when it has.")
        yield cluster


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Dask's log to ourselves: what a user has to know is said by us."""
    log = logging.getLogger("distributed")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False, name="grevy")
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise GrevyError(
            f"`on={address}`: no Dask scheduler answers there ({reason}). Start one with `dask "
            f"scheduler`, and give the address that it prints, such as tcp://10.0.0.1:8786."
        ) from error
    try:
        yield client
    finally:
        client.close(timeout=PATIENCE)


@contextmanager
def working(client: Client, root: Path) -> Iterator[Cluster]:
    """Make an executor of a cluster whose workers see the folder of the sweep.

    Parameters
    ----------
    client : distributed.Client
    root : Path
        Of the sweep.

    Raises
    ------
    GrevyError
        If a worker has another version of Grevy, or does not see `root`.
    """
    sign = Beat(root / CLAIMS)
    sign.start()
    try:
        _check_workers(client, sign.path)
        client.register_plugin(Runs())
        cluster = Cluster(client, sign.path)
        try:
            yield cluster
        except BaseException:
            sign.ask_to_stop()
            cluster.stop()
            raise
        cluster.shutdown()
    finally:
        sign.end()


def _check_workers(client: Client, sign: Path) -> None:
    """Refuse workers that could not do a run; those that come later say so themselves."""
    version = "__import__('grevy.version').version.__version__"
    sees = f"__import__('os').path.exists({str(sign)!r})"
    asked = f"{version}, {sees}"  # what has no Grevy knows none of our functions
    for worker, found in client.run(eval, asked, on_error="return").items():
        if isinstance(found, BaseException):  # there is no module of that name
            raise GrevyError(version_problem(worker, None, __version__))
        if found[0] != __version__:
            raise GrevyError(version_problem(worker, found[0], __version__))
        if not found[1]:
            raise GrevyError(
                f"the worker {worker} does not see {sign.parent}. Give an `output` folder on a "
                f"file system that this machine and the workers share."
            )
