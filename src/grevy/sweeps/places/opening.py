"""The places by name: what `--on` may be."""

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from typing import Any

from grevy.errors import unknown
from grevy.sweeps.places.debug import this_process
from grevy.sweeps.places.here import processes

PLACES: dict[str, Callable[..., AbstractContextManager[Executor]]] = {
    "debug": this_process,
    "here": processes,
}
"""By name, what opens a place. It takes the settings of `open_place`, and leaves what it has no
use for."""


def check_place_name(name: str) -> None:
    """Refuse a place that there is not.

    Raises
    ------
    GrevyError
        With the nearest names.
    """
    if name not in PLACES:
        raise unknown("place", name, PLACES)


def open_place(name: str, **settings: Any) -> AbstractContextManager[Executor]:
    """Open a place where runs are done.

    Parameters
    ----------
    name : str
        Of `PLACES`.
    **settings
        ``workers`` and ``threads``: how many runs at once, and threads for each.

    Returns
    -------
    context manager of Executor
        When its block fails or is interrupted, what runs is kept and nothing stays behind.
    """
    check_place_name(name)
    return PLACES[name](**settings)
