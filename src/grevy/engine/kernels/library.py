"""Finding and loading the compiled loops."""

import ctypes
import os
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from grevy.engine.kernels.sources import fingerprint
from grevy.engine.kernels.structures import differences
from grevy.engine.threads import thread_count

# Functions that return a number; the others return nothing.
_NUMBERS = (
    "kernels_sources",
    "convolution_scratch",
    "infonce_scratch",
    "stretches_read",
    "windows_cover",
    "tree_nearest",
)
# Multiplications that are worth another thread: about ten microseconds.
_GRAIN = 500_000


def kernels_for(*tensors: Tensor) -> Any:
    """Return the compiled loops (a CDLL) if there are any for such tensors: float32, on the CPU."""
    fit = all(each.device.type == "cpu" and each.dtype == torch.float32 for each in tensors)
    return load() if fit else None


def instructions() -> str | None:
    """Say which compiled loops are in use on a CPU.

    Returns
    -------
    str or None
        ``"avx512"``, ``"avx2"``, ``"neon"`` or ``"plain"`` (for any processor), what they were
        built for; None if none are in use, and torch does all the work. The first three give the
        same bits; plain, which rounds between multiplying and adding, others.
    """
    library = load()
    return None if library is None else Path(library._name).name.split(".")[0].strip("_")


def threads_for(work: int) -> int:
    """Return how many threads are worth waking for so many multiplications."""
    return max(1, min(thread_count(), work // _GRAIN))


@cache
def load(capability: str | None = None) -> Any:
    """Load the compiled loops for a processor.

    Parameters
    ----------
    capability : str, optional
        As `torch.backends.cpu.get_cpu_capability` says it. If not given, this processor's, and
        none where the environment variable ``ATEN_CPU_CAPABILITY`` is ``default``.

    Returns
    -------
    CDLL or None
        None, and a warning, if they were built from other sources or do not fit this torch; None
        if they were not built.
    """
    if capability is None and _unwanted():
        return None
    path = _built(capability or torch.backends.cpu.get_cpu_capability())
    if path is None:
        return None
    try:
        library = ctypes.CDLL(str(path))
        for function in _NUMBERS:
            getattr(library, function).restype = ctypes.c_int64
    except (OSError, AttributeError) as error:
        _warn(f"cannot be loaded: {error}")
        return None
    if library.kernels_sources() != fingerprint(path.parent):
        _warn("were built from other sources")
        return None
    if differing := differences(library):
        _warn(f"lay out {', '.join(differing)} otherwise than Python does")
        return None
    return library


@cache
def warn_if_absent() -> None:
    """Tell, once in a process, that the compiled loops were never built."""
    if not _unwanted() and _built(torch.backends.cpu.get_cpu_capability()) is None:
        _warn("were not built when it was installed")


def _unwanted() -> bool:
    return os.environ.get("ATEN_CPU_CAPABILITY") == "default"


def _built(capability: str) -> Path | None:
    # The best of those that were built: a compiler may have been too old for the newest processors.
    names = ["_avx512", "_avx2", "_neon", "_plain"]
    names = names[{"AVX512": 0, "AVX2": 1}.get(capability, 2) :]
    built = [Path(__file__).parent / f"{name}.so" for name in names]
    return next((each for each in built if each.exists()), None)


def _warn(what: str) -> None:
    warnings.warn(
        f"The compiled loops of Grevy {what}. torch computes instead, about half as fast. Install "
        f"Grevy again to build them (`pip install .` in its folder, with gcc).",
        RuntimeWarning,
        stacklevel=3,
    )
