"""Processes that are forked after something was computed.

torch's OpenMP keeps its threads for the next loop; a forked process believes in them, but has none,
and its first loop on several would wait for ever. On one thread, loops need nobody else: torch's
own data loaders do the same in their processes. (The compiled loops start threads of their own
anew, but take no more than torch does.)
"""

import os
import warnings
from functools import cache

import torch


def will_compute() -> None:
    """Make processes that are forked from now on compute on one thread; in one of them, say so."""
    if _first_to_compute() != os.getpid():
        warnings.warn(
            "This process was forked from one that had trained or embedded, whose threads it has "
            "lost. It computes on one thread, more slowly. "
            "Start processes by 'spawn' (multiprocessing.get_context('spawn'), or joblib's n_jobs) "
            "to use several.",
            RuntimeWarning,
            stacklevel=3,
        )


@cache
def _first_to_compute() -> int:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_go_alone)
    return os.getpid()


def _go_alone() -> None:
    torch.set_num_threads(1)
