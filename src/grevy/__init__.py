"""Grevy: from a neural recording and a behaviour to an embedding that can be believed.

Everything public is importable from here; heavy libraries load when a name is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from grevy.version import __version__ as __version__

if TYPE_CHECKING:
    from grevy.archive import read_run
    from grevy.config import RunConfig
    from grevy.data import (
        Label,
        Preparation,
        Recording,
        Split,
        bin_spikes,
        block_folds,
        blocked_split,
        circular,
        continuous,
        discrete,
        lagged,
        load,
        make_recording,
        prepare,
        random_split,
        read_recording,
        segment_folds,
        segment_split,
    )
    from grevy.errors import GrevyError
    from grevy.evaluation import consistency, decode, decode_folds, evaluate, null_test
    from grevy.model import CEBRA, Checkpoints, Stream, Validation, goodness_of_fit
    from grevy.runs import Run, run_experiment

# Each public name, by the wing that it comes from.
_NAMES = {
    "archive": ("read_run",),
    "config": ("RunConfig",),
    "data": (
        "Label", "Preparation", "Recording", "Split", "bin_spikes", "block_folds",
        "blocked_split", "circular", "continuous", "discrete", "lagged", "load", "make_recording",
        "prepare", "random_split", "read_recording", "segment_folds", "segment_split",
    ),
    "errors": ("GrevyError",),
    "evaluation": ("consistency", "decode", "decode_folds", "evaluate", "null_test"),
    "model": ("CEBRA", "Checkpoints", "Stream", "Validation", "goodness_of_fit"),
    "runs": ("Run", "run_experiment"),
}  # fmt: skip
_HOME = {name: wing for wing, names in _NAMES.items() for name in names}

__all__ = [
    "CEBRA",
    "Checkpoints",
    "GrevyError",
    "Label",
    "Preparation",
    "Recording",
    "Run",
    "RunConfig",
    "Split",
    "Stream",
    "Validation",
    "bin_spikes",
    "block_folds",
    "blocked_split",
    "circular",
    "consistency",
    "continuous",
    "decode",
    "decode_folds",
    "discrete",
    "evaluate",
    "goodness_of_fit",
    "lagged",
    "load",
    "make_recording",
    "null_test",
    "prepare",
    "random_split",
    "read_recording",
    "read_run",
    "run_experiment",
    "segment_folds",
    "segment_split",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'grevy' has no attribute {name!r}")
    return getattr(import_module(f"grevy.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
