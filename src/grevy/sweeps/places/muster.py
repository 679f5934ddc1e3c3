"""Jobs that end before they can do anything: Dask knows workers alone, and would wait for ever."""

import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from grevy.errors import cut_to
from grevy.sweeps.working import last_line

EVERY = 15.0
"""Seconds between two questions to the batch system."""
MOST = 3
"""After so many jobs with not one that came, more would be no better."""
# What prints the jobs of a user that wait or run, one a line. Others have no such program, or none
# whose answer is known well enough to give up a job for it.
_LISTS = {"slurm": ("squeue", "--me", "--noheader", "--format=%i")}
_WORDS = 2**14  # bytes


class Muster:
    """Which jobs have come to be workers, and which never will.

    Parameters
    ----------
    system : str
        The batch system.

    Attributes
    ----------
    in_vain : int
        Jobs that have ended in this way since the last that came.
    """

    def __init__(self, system: str) -> None:
        self._list = _LISTS.get(system)
        self._came: set[str] = set()
        self._absent: set[str] = set()
        self._next = 0.0
        self.in_vain = 0

    def lost(self, jobs: Mapping[str, str], present: Iterable[str]) -> list[str]:
        """Return names of jobs that have ended without having come.

        Parameters
        ----------
        jobs : mapping of str to str
            The number that the batch system has given to each job, by name.
        present : iterable of str
            Names of those that are workers now.
        """
        came = {jobs[name] for name in present if name in jobs} - self._came
        self._came |= came
        self.in_vain = 0 if came else self.in_vain
        awaited = {name: number for name, number in jobs.items() if number not in self._came}
        if not awaited or self._list is None or time.monotonic() < self._next:
            return []
        self._next = time.monotonic() + EVERY
        listed = _listed(self._list)
        if listed is None:
            return []
        # Twice: a job may have begun as a worker between our looks, or not be listed yet.
        before, self._absent = self._absent, {*awaited.values()} - listed
        found = [name for name, number in awaited.items() if number in before & self._absent]
        self.in_vain += len(found)
        return found


def _listed(command: Sequence[str]) -> set[str] | None:
    """Return the numbers of jobs that wait or run; None if that is not to be known now."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=EVERY)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return set(done.stdout.split()) if done.returncode == 0 else None


def last_words(folder: Path) -> str:
    """Return the last line of the newest file of what jobs have printed; empty if there is none."""
    try:
        written = [path for path in folder.iterdir() if path.stat().st_size]
        path = max(written, key=lambda each: each.stat().st_mtime)
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _WORDS))
            return cut_to(last_line(stream.read(_WORDS).decode("utf-8", errors="replace")), 300)
    except (OSError, ValueError):
        return ""
