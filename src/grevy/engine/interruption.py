"""Ctrl-C and SIGTERM: met between two steps, or where they come, but never as a bare kill."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Whether somebody has asked to stop, and how that ends the program.

    Attributes
    ----------
    signal : int
        Of the request; 0 if there was none.
    """

    def __init__(self) -> None:
        self.signal = 0

    def raise_if_requested(self) -> None:
        """End as Python ends on these signals; `finally` blocks and context managers still run."""
        if self.signal:
            _end(self.signal)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Turn Ctrl-C, and a batch system's SIGTERM, into a request met between two steps.

    Interrupting inside a step could leave weights, optimiser and record at different steps. A
    second Ctrl-C interrupts at once; a second SIGTERM does not: a batch system may send it to every
    process of a job, which then hand it on. Outside the main thread nothing is changed.
    """
    interruption = Interruption()

    def ask(number: int, _frame: FrameType | None) -> None:
        interruption.signal = number
        if number == signal.SIGINT:
            signal.signal(number, previous[number])

    with _handled((signal.SIGINT, signal.SIGTERM), ask) as previous:
        yield interruption


@contextmanager
def terminable() -> Iterator[None]:
    """Let a batch system's SIGTERM end the block as Ctrl-C does: at once, by an exception.

    Outside the main thread nothing is changed.

    Raises
    ------
    SystemExit
        On SIGTERM.
    """
    with _handled((signal.SIGTERM,), lambda number, _frame: _end(number)):
        yield


def _end(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


@contextmanager
def _handled(
    numbers: Sequence[int], handler: Callable[[int, FrameType | None], None]
) -> Iterator[dict[int, signal.Handlers | Callable[[int, FrameType | None], object] | int | None]]:
    """Handle signals while the block runs; hand on the handlers before, which come back after."""
    if threading.current_thread() is not threading.main_thread():  # others may not set handlers
        yield {}
        return
    previous = {number: signal.getsignal(number) for number in numbers}
    for number in previous:
        signal.signal(number, handler)
    try:
        yield previous
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
