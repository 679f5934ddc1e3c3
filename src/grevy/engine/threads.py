"""How many threads to compute with: as many as this process may use, not as the machine has.

A process that was given two processors of 64 and starts 64 threads waits for its own threads.
torch looks at the machine and at ``OMP_NUM_THREADS``; neither at what a batch system has granted
nor at the quota of a container.
"""

import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path, PurePosixPath

import torch

_MEMBERSHIP, _CGROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def thread_count() -> int:
    """Return how many threads to compute with: torch's, but no more than are `available`."""
    return min(torch.get_num_threads(), available())


def available() -> int:
    """Return how many threads can really run at once in this process; found once in each.

    Returns
    -------
    int
        ``OMP_NUM_THREADS`` where it is set, as it stands; else the least of the processors that the
        process may run on, the quota of its control groups (rounded up) and
        ``SLURM_CPUS_PER_TASK``. At least 1.
    """
    return _found_in(os.getpid())


@cache
def _found_in(_process: int) -> int:
    return granted(os.environ, _processors(), cgroup_quota(_MEMBERSHIP, _CGROUPS))


def granted(environment: Mapping[str, str], processors: int, quota: int | None) -> int:
    """Return how many threads can run at once, by what limits them.

    Parameters
    ----------
    environment : mapping of str to str
        Variables that hold no positive whole number are ignored.
    processors : int
        That the process may run on.
    quota : int or None
        Of processor time, in processors; None if there is none.
    """
    asked = _positive(environment.get("OMP_NUM_THREADS", ""))
    if asked is not None:
        return asked
    limits = (processors, quota, _positive(environment.get("SLURM_CPUS_PER_TASK", "")))
    return max(1, min(limit for limit in limits if limit is not None))


def _processors() -> int:
    counts = [os.cpu_count() or 1]
    if hasattr(os, "sched_getaffinity"):
        counts.append(len(os.sched_getaffinity(0)))
    if hasattr(os, "process_cpu_count"):  # since Python 3.13; -X cpu_count and PYTHON_CPU_COUNT
        counts.append(os.process_cpu_count() or 1)
    return min(counts)


def cgroup_quota(membership: Path, root: Path) -> int | None:
    """Read how much processor time the control groups of a process leave it, in processors.

    Parameters
    ----------
    membership : Path
        In which groups it is, such as ``/proc/self/cgroup``.
    root : Path
        Where their hierarchies are, such as ``/sys/fs/cgroup``.

    Returns
    -------
    int or None
        The least of its groups and of those above them, rounded up; None if none has a quota.
        What is missing or cannot be read is no quota.
    """
    found: list[int | None] = []
    for line in _read(membership).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:  # version 2, alone or beside version 1
            for group in _upwards([root, root / "unified"], path):
                found.append(_share(_read(group / "cpu.max")))
        elif "cpu" in controllers.split(","):  # version 1
            for group in _upwards([root / "cpu", root / controllers], path):
                parts = (_read(group / f"cpu.cfs_{part}_us") for part in ("quota", "period"))
                found.append(_share(" ".join(parts)))
    return min((quota for quota in found if quota is not None), default=None)


def _upwards(mounts: list[Path], path: str) -> Iterator[Path]:
    """Yield a group and all above it; in a container some, or all, may be out of sight."""
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
    for mount in mounts:
        for depth in range(len(parts), -1, -1):
            yield mount.joinpath(*parts[:depth])


def _share(text: str) -> int | None:
    """Read "QUOTA PERIOD"; "max" or -1 is no quota."""
    numbers = [_positive(part) for part in text.split()]
    if len(numbers) != 2 or numbers[0] is None or numbers[1] is None:
        return None
    return -(-numbers[0] // numbers[1])


def _positive(text: str) -> int | None:
    try:
        number = int(text)
    except ValueError:
        return None
    return number if number > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""
