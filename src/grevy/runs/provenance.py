"""Versions, platform, threads and compiled loops: what else decides about last bits."""

import gc
from typing import Any


def environment() -> dict[str, Any]:
    """Return versions of what computes, the platform, and what else decides about last bits.

    No name of machine or user.
    """
    import platform
    from importlib.metadata import version

    from grevy.engine import instructions, thread_count
    from grevy.version import __version__

    names = ("cebra", "torch", "numpy", "scipy", "scikit-learn", "matplotlib")
    return {
        "versions": {
            "python": platform.python_version(),
            "grevy": __version__,
            **{name: version(name) for name in names},
        },
        "platform": {"system": platform.system(), "machine": platform.machine()},
        "computing": {"threads": thread_count(), "compiled_loops": instructions()},
    }


def granted_threads() -> int:
    """Return how many threads can run at once in this process, or as many as it was told to use."""
    from grevy.engine import thread_count

    return thread_count()


def keep_to_granted_threads() -> None:
    """Let this process start no more threads than may run at once: torch, and products of numpy.

    For an application: it changes the process.
    """
    import numpy  # noqa: F401 -- its library, and scipy's, have to be there to be told
    import scipy.linalg  # noqa: F401
    import torch
    from threadpoolctl import ThreadpoolController

    from grevy.engine import thread_count

    count = thread_count()
    torch.set_num_threads(count)
    for each in ThreadpoolController().lib_controllers:
        if each.user_api == "blas" and each.num_threads > count:
            each.set_num_threads(count)


def load_what_trains() -> None:
    """Import `grevy.model`, and keep what comes with it out of every search for garbage.

    Its libraries make hundreds of thousands of objects that stay until the end. Looking through
    them again and again takes a tenth of the imports, and long as the process ends. For an
    application: it changes the process.
    """
    gc.disable()
    try:
        import grevy.model  # noqa: F401
    finally:
        gc.enable()
        gc.freeze()
