"""Compiled loops for training on a CPU: convolutions, the loss, Adam, neighbours, rows moved.

They are C, built when Grevy is installed if there is a C compiler, once for each instruction set
worth having; without them torch does the same, more slowly. They give the same bits on any number
of threads; README.md in this folder says how, and leads from a step to its loops.

Those of a network take one structure each, which holds sizes and where the numbers lie; so a pass
through it is a list of calls, which one call runs.
"""

from grevy.engine.kernels.calls import (
    Call,
    call_adam,
    cover_windows,
    join_calls,
    read_stretches,
)
from grevy.engine.kernels.library import instructions, kernels_for, load, threads_for
from grevy.engine.kernels.points import Points, nearest_samples, plant
from grevy.engine.kernels.structures import (
    Adam,
    Convolution,
    InfoNCE,
    Lengths,
    Moments,
    Rows,
    address,
    matrix,
)

__all__ = [
    "Adam",
    "Call",
    "Convolution",
    "InfoNCE",
    "Lengths",
    "Moments",
    "Points",
    "Rows",
    "address",
    "call_adam",
    "cover_windows",
    "instructions",
    "join_calls",
    "kernels_for",
    "load",
    "matrix",
    "nearest_samples",
    "plant",
    "read_stretches",
    "threads_for",
]
