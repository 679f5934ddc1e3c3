"""``--on slurm``, and a file of settings for it and its like: jobs that are workers of our own."""

import inspect
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from distributed import Client
from distributed.core import Status

from grevy.errors import GrevyError, Problems, unknown
from grevy.sweeps.places.dask import Cluster, quiet, working
from grevy.sweeps.places.muster import MOST, Muster, last_words

_CTRL_C = signal.getsignal(signal.SIGINT)
try:
    from dask_jobqueue import LSFCluster, PBSCluster, SGECluster, SLURMCluster
finally:  # importing it makes Ctrl-C end a program at once, and with exit code 0
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _CTRL_C)

SYSTEMS: dict[str, Any] = {
    "slurm": SLURMCluster,
    "pbs": PBSCluster,
    "lsf": LSFCluster,
    "sge": SGECluster,
}
# What a job has if neither the file nor Dask's own configuration says more.
_USUAL = {"cores": 1, "memory": "2GB"}
# What follows from how runs are done.
_OURS = ("processes", "nanny", "n_workers", "asynchronous", "worker_command", "silence_logs")
FILE_BYTES = 2**20
LOOK = 2.0
"""Seconds between two looks whether jobs are missing, or have no work."""


def read_jobs(on: str) -> tuple[str, dict[str, Any]]:
    """Read which batch system to use, and with which settings.

    Parameters
    ----------
    on : str
        A name of `SYSTEMS`, or a YAML file with ``system`` and settings of dask-jobqueue.

    Returns
    -------
    tuple of (str, dict)
        The system, and settings by dask-jobqueue's names.

    Raises
    ------
    GrevyError
        If the file cannot be read, or naming everything in it that is wrong.
    """
    if on in SYSTEMS:
        return on, {}
    found = _read(Path(on))
    problems = Problems(f"cluster {on}")
    system = found.pop("system", None)
    if system not in SYSTEMS:
        problems.add(f"'system' is {system!r}: expected one of {', '.join(SYSTEMS)}")
    else:
        known = _known(system)
        for name in found:
            if name in _OURS:
                problems.add(f"{name!r} has no place here: each job does one run at a time")
            elif name not in known:
                problems.add(str(unknown("setting", str(name), known)))
    problems.raise_if_any()
    return str(system), {name: value for name, value in found.items() if value is not None}


def _read(path: Path) -> dict[Any, Any]:
    try:
        if path.stat().st_size > FILE_BYTES:
            raise ValueError(f"it has more than {FILE_BYTES} bytes")
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise GrevyError(
            f"`on={path}` cannot be read: {reason}. Give a YAML file with `system: slurm` and what "
            f"a job needs; docs/clusters.md has examples."
        ) from error
    if not isinstance(found, dict):
        raise GrevyError(f"`on={path}`: expected settings, one a line, such as `system: slurm`.")
    return found


def _known(system: str) -> list[str]:
    """List the settings of jobs of a batch system."""
    kinds = SYSTEMS[system].job_cls.__mro__
    names = [name for kind in kinds for name in inspect.signature(kind.__init__).parameters]
    own = ["scheduler_options", "interface", "protocol", "security", "shared_temp_directory"]
    left_out = {"self", "scheduler", "name", "args", "kwargs", "base_class_kwargs", *_OURS}
    return sorted({*names, *own} - left_out)


@contextmanager
def on_jobs(on: str, *, root: Path, workers: int, **_settings: Any) -> Iterator[Executor]:
    """Open the place: jobs come as there are runs, and go with the last.

    Parameters
    ----------
    on : str
        As for `read_jobs`.
    root : Path
        Of the sweep.
    workers : int
        The most jobs at once.

    Raises
    ------
    GrevyError
        If the settings are unusable, or the batch system's programs are not there or refuse.
    """
    system, settings = read_jobs(on)
    kind = SYSTEMS[system]
    _check_programs(system, kind.job_cls)
    with (
        quiet(),
        _made(system, kind, settings, root) as cluster,
        Client(cluster, set_as_default=False) as client,
        working(client, root) as executor,
        _manned(system, cluster, client, executor, workers),
    ):
        yield executor


@contextmanager
def _manned(
    system: str, cluster: Any, client: Client, executor: Cluster, most: int
) -> Iterator[None]:
    """While the block runs, have as many jobs as there is work for, `most` at once.

    dask-jobqueue's own adaptive scaling does not replace a job that was ended from outside, and
    does not say why one could not be submitted.
    """
    over, muster = threading.Event(), Muster(system)

    def keep() -> None:
        while not over.wait(LOOK):
            try:
                _strike(cluster, client, muster)
                _adjust(cluster, client, min(most, executor.open))
            except GrevyError as error:
                executor.fail(error)
                return
            except Exception as error:
                reason = " ".join(str(error).split())[:600]
                executor.fail(GrevyError(f"`on={system}`: no job could be submitted: {reason}"))
                return

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _strike(cluster: Any, client: Client, muster: Muster) -> None:
    """Forget jobs that have ended before they were workers, so that others are submitted.

    Raises
    ------
    GrevyError
        If none comes.
    """
    present = [each["name"] for each in client.scheduler_info(n_workers=-1)["workers"].values()]
    jobs = {name: job.job_id for name, job in dict(cluster.workers).items() if job.job_id}
    for name in muster.lost(jobs, present):
        if job := cluster.workers.pop(name, None):
            cluster.sync(job.close)
    if muster.in_vain >= MOST:
        folder = Path(cluster._dummy_job.log_directory)
        words = last_words(folder)
        raise GrevyError(
            f"{muster.in_vain} jobs have ended before they could do anything. What they printed is "
            f"in {folder}" + (f"; it ends with: {words}" if words else ".")
        )


def _adjust(cluster: Any, client: Client, wanted: int) -> None:
    """Submit jobs that are missing, those that were lost among them; end some that have no work."""
    names = list(cluster.worker_spec)
    if wanted < len(names):
        about = client.scheduler_info(n_workers=-1)["workers"].items()
        at_work = {address for address, keys in client.processing().items() if keys}
        busy = {each["name"] for address, each in about if address in at_work}
        idle = [name for name in names if name not in busy]
        cluster.sync(cluster.scale_down, idle[: len(names) - wanted])
    elif wanted:
        cluster.sync(_submit, cluster, wanted)


async def _submit(cluster: Any, wanted: int) -> None:
    """Have so many jobs; what `scale` does, but what goes wrong is raised."""
    while len(cluster.worker_spec) < wanted:
        cluster.worker_spec.update(cluster.new_worker_spec())
    await cluster._correct_state()


def _check_programs(system: str, job: Any) -> None:
    program = job.submit_command.split()[0]
    if shutil.which(program) is None:
        raise GrevyError(
            f"`on={system}`: there is no program {program} here. Start the sweep where jobs are "
            f"submitted, such as the login node of a cluster."
        )


@contextmanager
def _made(system: str, kind: Any, settings: Mapping[str, Any], root: Path) -> Iterator[Any]:
    whole = _whole(system, settings, root)
    try:
        cluster = kind(job_cls=_closing(kind.job_cls), **whole)
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:400]
        raise GrevyError(
            f"`on={system}`: no jobs could be made of these settings: {reason}"
        ) from error
    with cluster:
        yield cluster


def _closing(kind: Any) -> Any:
    """Make a kind of job that is closed once it was closed, which Dask insists on at the end."""

    async def close(job: Any) -> None:
        await kind.close(job)
        job.status = Status.closed

    return type(kind.__name__, (kind,), {"close": close})


def _whole(system: str, settings: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Complete the settings: a job does one run at a time, with all of its cores."""
    import dask

    log = str(settings.get("log_directory", (root / "jobs").absolute()))
    if len(log.split()) != 1:
        raise GrevyError(
            f"`on={system}`: what jobs print would go to {log!r}, and batch systems take no folder "
            f"with a space. Choose another `output`, or give `log_directory` in a cluster file."
        )
    known = {name: dask.config.get(f"jobqueue.{system}.{name}", None) for name in _USUAL}
    usual = {name: value for name, value in _USUAL.items() if known[name] is None}
    python = settings.get("python") or dask.config.get(f"jobqueue.{system}.python", None)
    extra = settings.get("worker_extra_args") or dask.config.get(
        f"jobqueue.{system}.worker-extra-args", None
    )
    return {
        "job_name": "grevy",
        **usual,
        **settings,
        "log_directory": log,
        "processes": 1,
        "nanny": False,
        # In place of the shell, so that the batch system's signals reach it.
        "python": f"exec {python or sys.executable}",
        "worker_extra_args": [*(extra or []), "--nthreads", "1"],
    }
