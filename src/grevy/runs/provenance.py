"""Versions, platform, threads and compiled loops: what else decides about last bits."""

from typing import Any


def environment() -> dict[str, Any]:
    """Return versions of what computes, the platform, and what else decides about last bits.

    No name of machine or user.
    """
    import platform
    from importlib.metadata import version

    import torch

    from grevy.engine import instructions

    names = ("grevy", "cebra", "torch", "numpy", "scipy", "scikit-learn", "matplotlib")
    return {
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in names},
        },
        "platform": {"system": platform.system(), "machine": platform.machine()},
        "computing": {"threads": torch.get_num_threads(), "compiled_loops": instructions()},
    }
