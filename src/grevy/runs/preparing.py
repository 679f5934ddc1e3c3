"""From settings to what a run needs: recordings, and a model."""

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING

from grevy.config import RunConfig
from grevy.data import Recording, import_module, load, read_recording
from grevy.errors import GrevyError

if TYPE_CHECKING:
    from grevy.model import CEBRA


def load_recordings(config: RunConfig) -> tuple[Recording, ...]:
    """Load what the configuration names: user's modules first, then a data set or a file."""
    for module in config.imports:
        import_module(module)
    if config.dataset is not None:
        return load(config.dataset, offline=config.offline)
    if config.data is None:
        raise GrevyError("neither a data set nor a file was given.")
    known = inspect.signature(read_recording).parameters
    settings = {name: value for name, value in config if name in known}
    return (read_recording(config.data, labels=config.label, **settings),)


OFFSET_OF_CHANGES, OFFSET_IN_TIME = 2, 10
"""Usual time offsets, in steps: over which labels change, and to a sample's positive in time.

A change of the label over few steps draws positives whose labels are much alike, and the embedding
finer (`benchmarks/defaults.py`). A positive in time has to lie beyond what the encoder sees anyway.
"""


def settle_offsets(config: RunConfig, recordings: Sequence[Recording]) -> RunConfig:
    """Settle the time offset where it is left open, by how positives will be drawn."""
    if config.time_offsets is not None:
        return config
    has_numbers = any(label.kind != "discrete" for label in recordings[0].labels)
    by_change = has_numbers and config.conditional in (None, "time_delta") and not config.hybrid
    offset = OFFSET_OF_CHANGES if by_change else OFFSET_IN_TIME
    return config.model_copy(update={"time_offsets": (offset,)})


def make_model(config: RunConfig, verbose: bool) -> "CEBRA":
    """Make the estimator with every parameter that is a setting too, and check them.

    Time offsets that `settle_offsets` has not settled are those in time.
    """
    from grevy.engine import resolve_device
    from grevy.model import CEBRA

    known = inspect.signature(CEBRA).parameters
    settings = {name: value for name, value in config if name in known}
    offsets = config.time_offsets or (OFFSET_IN_TIME,)
    settings["time_offsets"] = offsets[0] if len(offsets) == 1 else offsets
    settings["device"] = resolve_device(config.device)
    model = CEBRA(**settings, verbose=verbose)
    _ = model.parameters  # every mistake in them is said before training
    return model
