"""Ctrl-C and SIGTERM, met between two steps."""

import signal
import threading
from collections.abc import Iterator
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
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal:
            raise SystemExit(128 + self.signal)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Turn Ctrl-C, and a batch system's SIGTERM, into a request met between two steps.

    Interrupting inside a step could leave weights, optimiser and record at different steps. A
    second signal interrupts at once. Outside the main thread nothing is changed.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, _frame: FrameType | None) -> None:
        interruption.signal = number
        signal.signal(number, previous[signal.Signals(number)])

    for number in previous:
        signal.signal(number, ask)
    try:
        yield interruption
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
