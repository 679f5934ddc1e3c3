"""How far a training is: a bar on a terminal, plain lines elsewhere; always on standard error."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Seconds between two looks at the loss: reading it makes the program wait for the device.
_REFRESH = 0.2
_PLAIN_REFRESH = 10.0


@contextmanager
def training_progress(
    total: int, chance: float, shown: bool
) -> Iterator[Callable[[int, Callable[[], float]], None]]:
    """Show steps, loss, goodness of fit in bits, speed and time left.

    Parameters
    ----------
    total : int
        Steps to train.
    chance : float
        Loss of an embedding that tells nothing, in nats.
    shown : bool

    Yields
    ------
    callable
        ``update(done, loss)`` with the steps done and a function that reads the loss, called
        only when the display is due.
    """
    if not shown:
        yield lambda _done, _loss: None
    elif sys.stderr.isatty():
        with _bar(total, chance) as update:
            yield update
    else:
        yield _plain(total, chance)


@contextmanager
def _bar(total: int, chance: float) -> Iterator[Callable[[int, Callable[[], float]], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("training"),
        BarColumn(bar_width=None),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[text]}"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=5) as progress:
        task = progress.add_task("", total=total, text="")
        began = time.monotonic()
        due = began

        def update(done: int, loss: Callable[[], float]) -> None:
            nonlocal due
            now = time.monotonic()
            if now < due and done < total:
                return
            due = now + _REFRESH
            text = _describe(loss(), chance, done / max(now - began, 1e-9))
            progress.update(task, completed=done, text=text)

        yield update


def _plain(total: int, chance: float) -> Callable[[int, Callable[[], float]], None]:
    began = time.monotonic()
    due = began + _PLAIN_REFRESH

    def update(done: int, loss: Callable[[], float]) -> None:
        nonlocal due
        now = time.monotonic()
        if now < due and done < total:
            return
        due = now + _PLAIN_REFRESH
        speed = done / max(now - began, 1e-9)
        left = math.ceil((total - done) / max(speed, 1e-9))
        ending = f"{left} s left" if left else f"{now - began:.1f} s in all"
        line = f"step {done}/{total}, {_describe(loss(), chance, speed)}, {ending}"
        print(line, file=sys.stderr, flush=True)

    return update


def _describe(loss: float, chance: float, speed: float) -> str:
    return f"loss {loss:.3f}, {(chance - loss) / math.log(2):+.2f} bits, {speed:.0f} steps/s"
