"""Runs of a sweep sent to a tracker as they end; those that an earlier sweep left, first."""

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from grevy.atomic import whole_file
from grevy.errors import GrevyError, cut_to, unknown
from grevy.sweeps.folder import SweepFolder
from grevy.sweeps.planning import PlannedRun
from grevy.sweeps.tracking.sending import Tracker, make_sent

_LOG = logging.getLogger(__name__)

TRACKERS = ("mlflow", "tensorboard", "wandb")
TRACKED = "tracked"
"""In the folder of a sweep: by tracker, an empty file for each run that it has."""


def open_tracker(name: str, folder: SweepFolder) -> Tracker:
    """Open a tracker, and see that it answers.

    Parameters
    ----------
    name : str
        Of `TRACKERS`.
    folder : SweepFolder

    Raises
    ------
    GrevyError
        If there is none of that name, it is not installed, or it cannot be reached.
    """
    if name not in TRACKERS:
        raise unknown("tracker", name, TRACKERS)
    try:
        opened = import_module(f"grevy.sweeps.tracking.to_{name}").open_(folder)
    except ImportError as error:
        raise GrevyError(
            f"`track={name}` needs {name} ({error}). Install it with `pip install 'grevy[{name}]'`."
        ) from error
    except GrevyError:
        raise
    except Exception as error:
        raise GrevyError(f"`track={name}`: {_line(error)}") from error
    tracker: Tracker = opened
    return tracker


@dataclass
class Mirror:
    """Sends runs one after the other, beside what else goes on; the first failure ends it.

    The folder of a run stays the truth: what could not be sent is sent when the sweep is started
    again, and the sweep itself does not fail.
    """

    folder: SweepFolder
    tracker: Tracker
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _sent: list[Future[None]] = field(default_factory=list)
    _over: bool = False

    def send(self, run: PlannedRun) -> None:
        """Have a finished run sent, if it was not."""
        if not self._over and not self._note(run).exists():
            self._sent.append(self._thread.submit(self._send, run))

    def _note(self, run: PlannedRun) -> Path:
        return self.folder.root / TRACKED / self.tracker.name / run.run_id

    def _send(self, run: PlannedRun) -> None:
        if self._over or self._note(run).exists():  # another sweep on this folder has sent it
            return
        try:
            self.tracker.send(make_sent(self.folder, run))
            with whole_file(self._note(run)):
                pass
        except Exception as error:
            self._over = True
            _LOG.warning(
                f"{self.tracker.name}: {run.run_id} was not sent, and none after it is: "
                f"{_line(error)} The runs themselves are whole; the same command sends what is "
                f"missing."
            )

    def wait(self) -> None:
        """Wait until all is sent."""
        left = sum(not each.done() for each in self._sent)
        if left > 1:
            _LOG.info(f"{self.tracker.name}: sending {left} runs")
        self._thread.shutdown(wait=True)

    def stop(self) -> None:
        """Send what is being sent, and nothing more."""
        self._thread.shutdown(wait=True, cancel_futures=True)


@contextmanager
def mirrored(
    tracker: Tracker | None, folder: SweepFolder, done: Iterable[PlannedRun]
) -> Iterator[Mirror | None]:
    """Send the runs that are done, and those that will be, to a tracker; to None, nothing."""
    if tracker is None:
        yield None
        return
    mirror = Mirror(folder, tracker)
    for run in done:
        mirror.send(run)
    try:
        yield mirror
        mirror.wait()
    except BaseException:
        mirror.stop()
        raise


def _line(error: Exception) -> str:
    text = " ".join(str(error).split()) or repr(error)
    text = cut_to(text, 300)
    return text if text.endswith((".", "!", "?")) else f"{text}."
