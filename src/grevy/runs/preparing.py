"""From settings to what a run needs: recordings, and a model."""

import inspect
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from grevy.config import RunConfig
from grevy.data import (
    Preparing,
    Recording,
    Split,
    align_labels,
    import_module,
    lagged,
    listed,
    load,
    prepare_all,
    read_recording,
    restricted,
)
from grevy.errors import GrevyError

if TYPE_CHECKING:
    from grevy.model import CEBRA

_LOG = logging.getLogger(__name__)


def load_recordings(config: RunConfig) -> tuple[Recording, ...]:
    """Load what the configuration names, each step beside the labels that `lag` says."""
    recordings = _load_recordings(config)
    if config.lag is None:
        return recordings
    return tuple(lagged(recording, config.lag) for recording in recordings)


def _load_recordings(config: RunConfig) -> tuple[Recording, ...]:
    """Load user's modules first, then a data set or files."""
    for module in config.imports:
        import_module(module)
    if config.dataset is not None:
        return load(config.dataset, offline=config.offline)
    if not config.sessions:
        return (_read(config),)
    each = zip(config.sessions, config.of_each, strict=True)
    return _alike([_read_named(alone, session["name"]) for session, alone in each])


def _read_named(config: RunConfig, name: str) -> Recording:
    """Read one of several recordings; what is wrong with it is said of it."""
    try:
        return replace(_read(config), name=name)
    except GrevyError as error:
        if str(config.data) in str(error):
            raise
        raise GrevyError(f"{name}: {error}") from error


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
        others = iter([label for label in recording.labels if label.name not in order])
        if len(labels) == len(order):  # as many are left without a partner on either side
            ordered = tuple(labels[name] if name in labels else next(others) for name in order)
            found.append(replace(recording, labels=ordered))
        else:
            found.append(recording)  # said below
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


def preparing_of(config: RunConfig) -> Preparing:
    """Return what a configuration asks to be done to recordings before training."""
    kernel = config.smoothing_kernel or ("causal" if config.causal else "centred")
    return Preparing(
        rates=config.rates,
        min_rate=config.min_rate,
        square_root=config.square_root,
        smoothing=config.smoothing,
        smoothing_kernel=kernel,
        zscore=config.zscore,
        scale_labels=config.scale_labels,
    )


def smoothing_reach(config: RunConfig, recordings: Sequence[Recording]) -> int:
    """Return over how many steps, on both sides together, smoothing spreads a step."""
    preparing = preparing_of(config)
    return max(preparing.reach(recording.sampling_rate) for recording in recordings)


def prepare_recordings(
    recordings: Sequence[Recording], split: Split | None, config: RunConfig, quiet: bool = True
) -> tuple[Recording, ...]:
    """Prepare recordings as the configuration asks; nothing is fitted to held-out steps.

    Parameters
    ----------
    recordings : sequence of Recording
    split : Split or None
        Over the common time axis of all recordings.
    config : RunConfig
    quiet : bool
        Whether to leave unsaid which neurons are left out.
    """
    seen = recordings if split is None else restricted(recordings, split.train)
    runs = [recording.segments for recording in seen]
    prepared = prepare_all(recordings, runs, preparing_of(config))
    for before, recording in zip(recordings, prepared, strict=True):
        if quiet or recording.preparation is None:
            continue
        left_out = recording.preparation.left_out
        if len(left_out):
            _LOG.info(
                f"{len(left_out)} of {before.n_neurons} neurons of {before.source} fire less than "
                f"{config.min_rate:g} spikes per second and are left out: "
                f"{listed(before, left_out)}"
            )
    return prepared


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
