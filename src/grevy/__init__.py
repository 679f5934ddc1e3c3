"""Grevy: from a neural recording and a behaviour to an embedding that can be believed.

Everything public is importable from here; heavy libraries load when a name is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grevy.catalog import load
    from grevy.checkpoint import Checkpoints
    from grevy.decoding import decode
    from grevy.errors import GrevyError
    from grevy.estimator import CEBRA
    from grevy.fit_quality import consistency, goodness_of_fit, null_test
    from grevy.recording import Label, Recording, circular, continuous, discrete
    from grevy.validation import Validation

__version__ = "0.1.0"

__all__ = [
    "CEBRA",
    "Checkpoints",
    "GrevyError",
    "Label",
    "Recording",
    "Validation",
    "circular",
    "consistency",
    "continuous",
    "decode",
    "discrete",
    "goodness_of_fit",
    "load",
    "null_test",
]

_HOME = {
    "CEBRA": "estimator",
    "Checkpoints": "checkpoint",
    "GrevyError": "errors",
    "Label": "recording",
    "Recording": "recording",
    "Validation": "validation",
    "circular": "recording",
    "consistency": "fit_quality",
    "continuous": "recording",
    "decode": "decoding",
    "discrete": "recording",
    "goodness_of_fit": "fit_quality",
    "load": "catalog",
    "null_test": "fit_quality",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'grevy' has no attribute {name!r}")
    return getattr(import_module(f"grevy.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
