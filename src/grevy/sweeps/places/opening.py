"""The places by name: what `--on` may be."""

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from grevy.errors import GrevyError, unknown
from grevy.sweeps.places.debug import this_process
from grevy.sweeps.places.here import processes

Opener = Callable[..., AbstractContextManager[Executor]]

PLACES: dict[str, Opener] = {
    "debug": this_process,
    "here": processes,
}
"""By name, what opens a place. It takes the settings of `open_place`, and leaves what it has no
use for."""
BATCH_SYSTEMS = ("slurm", "pbs", "lsf", "sge")
"""Those whose jobs can be workers."""


def check_place_name(name: str) -> None:
    """Refuse a place that there is not.

    Raises
    ------
    GrevyError
        With the nearest names; or if what it needs is not installed, or its file is unusable.
    """
    _opener(name)


def _opener(name: str) -> Opener:
    if name in PLACES:
        return PLACES[name]
    is_address, is_file = "://" in name, Path(name).suffix in (".yaml", ".yml")
    if not (is_address or is_file or name in BATCH_SYSTEMS):
        known = [*PLACES, *BATCH_SYSTEMS, "tcp://HOST:PORT", "CLUSTER.yaml"]
        raise unknown("place", name, known)
    try:
        if is_address:
            from grevy.sweeps.places.dask import check_address, on_dask

            check_address(name)
            return partial(on_dask, name)
        from grevy.sweeps.places.jobs import on_jobs, read_jobs
    except ImportError as error:
        raise GrevyError(
            f"`on={name}` needs dask, distributed and dask-jobqueue ({error}). Install them with "
            f"`pip install 'grevy[cluster]'`."
        ) from error
    read_jobs(name)
    return partial(on_jobs, name)


def open_place(name: str, **settings: Any) -> AbstractContextManager[Executor]:
    """Open a place where runs are done.

    Parameters
    ----------
    name : str
        Of `PLACES` or `BATCH_SYSTEMS`, the address of a Dask scheduler, or a YAML file.
    **settings
        ``workers`` and ``threads``: how many runs at once, and threads for each. ``root``: the
        folder of the sweep.

    Returns
    -------
    context manager of Executor
        When its block fails or is interrupted, what runs is kept and nothing stays behind.
    """
    return _opener(name)(**settings)
