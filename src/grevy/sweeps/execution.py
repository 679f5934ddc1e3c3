"""The one way in which runs are done, wherever that is: submitted to an executor, and waited for.

Nothing here knows what a run is. A worker that dies has its task done by another; a task that ends
its worker again and again is given up.
"""

import queue
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import NoReturn, Protocol

from grevy.errors import GrevyError
from grevy.sweeps.working import Outcome, Task

LOOK = 1.0
"""Seconds between two looks at what goes on."""
PATIENCE = 3.0
"""Seconds until a task that is being done elsewhere is looked at again."""


class Watcher(Protocol):
    """Who is told how it goes."""

    def ended(self, outcome: Outcome) -> None:
        """Take note that a task has ended."""

    def died(self, task: Task, reason: str) -> Outcome | None:
        """Take note that a task has ended its worker; return an outcome to give it up."""

    def look(self) -> None:
        """Show how it stands."""


@dataclass
class _Desk:
    """Tasks on their way: submitted, ended, or to be looked at again."""

    executor: Executor
    work: Callable[[Task], Outcome]
    open: int = 0
    ended: queue.SimpleQueue[tuple[Task, Future[Outcome]]] = field(
        default_factory=queue.SimpleQueue
    )
    elsewhere: list[tuple[float, Task]] = field(default_factory=list)

    def submit(self, task: Task) -> None:
        """Have a task done."""
        self.open += 1
        future = self.executor.submit(self.work, task)
        future.add_done_callback(lambda done: self.ended.put((task, done)))

    def submit_again(self) -> None:
        """Submit what was being done elsewhere, and may be done or given up now."""
        now = time.monotonic()
        due = [task for when, task in self.elsewhere if when <= now]
        self.elsewhere = [each for each in self.elsewhere if each[0] > now]
        for task in due:
            self.submit(task)

    def take(self, task: Task, future: Future[Outcome], watcher: Watcher) -> None:
        """Act on a task that has ended in some way."""
        self.open -= 1
        try:
            outcome = future.result()
        except CancelledError:
            return
        except GrevyError:  # no run's, but the place's: none can be done there
            raise
        except Exception as error:
            given_up = watcher.died(task, str(error))
            if given_up is None:
                self.submit(task)
                return
            outcome = given_up
        if outcome.state == "elsewhere":
            self.elsewhere.append((time.monotonic() + PATIENCE, task))
        else:
            watcher.ended(outcome)

    def take_what_ended(self, watcher: Watcher, wait: float) -> None:
        """Act on everything that has ended; wait for the first."""
        try:
            self.take(*self.ended.get(timeout=wait), watcher)
            while True:
                self.take(*self.ended.get_nowait(), watcher)
        except queue.Empty:
            return


def execute(
    executor: Executor,
    work: Callable[[Task], Outcome],
    tasks: Iterable[Task],
    watcher: Watcher,
) -> None:
    """Do tasks, and return when each is done or has failed, here or elsewhere.

    Parameters
    ----------
    executor : Executor
    work : callable
        Does one task; known by name in other processes.
    tasks : iterable of Task
    watcher : Watcher
    """
    desk = _Desk(executor, work)
    for task in tasks:
        desk.submit(task)
        desk.take_what_ended(watcher, 0)
    while desk.open or desk.elsewhere:
        desk.take_what_ended(watcher, LOOK)
        desk.submit_again()
        watcher.look()


@contextmanager
def terminated_in_order() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block by an exception, as Ctrl-C does.

    Raises
    ------
    SystemExit
        On either.
    """

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        signal.signal(number, signal.SIG_IGN)  # once is enough: it is being done
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
