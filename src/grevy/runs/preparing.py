"""From settings to what a run needs: recordings, and a model."""

import inspect
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from grevy.config import RunConfig
from grevy.data import Recording, align_labels, import_module, load, read_recording
from grevy.errors import GrevyError

if TYPE_CHECKING:
    from grevy.model import CEBRA

_LOG = logging.getLogger(__name__)


def load_recordings(config: RunConfig) -> tuple[Recording, ...]:
    """Load what the configuration names: user's modules first, then a data set or files."""
    for module in config.imports:
        import_module(module)
    if config.dataset is not None:
        return load(config.dataset, offline=config.offline)
    if not config.sessions:
        return (_read(config),)
    each = zip(config.sessions, config.of_each, strict=True)
    recordings = [replace(_read(alone), name=session["name"]) for session, alone in each]
    return _alike(recordings)


def _read(config: RunConfig) -> Recording:
    """Read the one recording that settings of its own name."""
    if config.data is None:
        raise GrevyError("neither a data set nor a file was given.")
    known = inspect.signature(read_recording).parameters
    settings = {name: value for name, value in config if name in known}
    return read_recording(config.data, labels=config.label, **settings)


def _alike(recordings: Sequence[Recording]) -> tuple[Recording, ...]:
    """Bring labels of the same names into one order, and say what else may not be meant.

    Raises
    ------
    GrevyError
        If the recordings have not the same labels.
    """
    order = [label.name for label in recordings[0].labels]
    found = []
    for recording in recordings:
        labels = {label.name: label for label in recording.labels}
        same = set(labels) == set(order)
        found.append(
            replace(recording, labels=tuple(labels[name] for name in order)) if same else recording
        )
    align_labels(found)
    for recording in found:
        for name, label in zip(order, recording.labels, strict=True):
            if label.name != name:
                _LOG.info(
                    f"{recording.name}: the label {label.name!r} stands for what is {name!r} in "
                    f"{found[0].name}."
                )
    rates = {recording.sampling_rate for recording in found}
    if len(rates) > 1:
        each = ", ".join("unknown" if rate is None else f"{rate:g} Hz" for rate in rates)
        _LOG.warning(
            f"the recordings differ in their sampling rate ({each}), and time offsets and windows "
            f"are in steps: they span other times in each. Sample all alike."
        )
    return tuple(found)


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
