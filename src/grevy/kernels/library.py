"""Finding and loading the compiled loops."""

import ctypes
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# Functions that return a count; the others return nothing.
_COUNTS = ("convolution_scratch", "infonce_scratch", "windows_cover", "tree_nearest")


def kernels_for(like: Tensor) -> Any:
    """Return the compiled loops (a CDLL) for tensors of this device and dtype, or None."""
    fits = like.device.type == "cpu" and like.dtype == torch.float32
    return load() if fits else None


def instructions() -> str | None:
    """Return the instruction set of the compiled loops in use; None without them."""
    library = load()
    return None if library is None else Path(library._name).name.split(".")[0].strip("_")


@cache
def load(capability: str | None = None) -> Any:
    """Load the compiled loops for a processor.

    Parameters
    ----------
    capability : str, optional
        As `torch.backends.cpu.get_cpu_capability` says it (this processor's, if not given), which
        the environment variable ``ATEN_CPU_CAPABILITY`` can lower.

    Returns
    -------
    CDLL or None
        None if they were not built, or do not fit this torch.
    """
    capability = capability or torch.backends.cpu.get_cpu_capability()
    name = {"AVX512": "_avx512", "AVX2": "_avx2"}.get(capability, "_plain")
    built = [Path(__file__).with_name(name + suffix) for suffix in EXTENSION_SUFFIXES]
    path = next((each for each in built if each.exists()), None)
    if path is None:
        return None
    try:
        library = ctypes.CDLL(str(path))
    except OSError:  # a torch without OpenMP, say
        return None
    for function in _COUNTS:
        getattr(library, function).restype = ctypes.c_int64
    return library
