"""From objects on clocks of their own to one recording, on the clock of the neural data."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from grevy.data.arrays import Array, FloatArray, IntArray
from grevy.data.clocks import ROUNDING, Series, resampled
from grevy.data.files.label_specs import LabelSpec, label_as_asked, parse_spec, refuse_period
from grevy.data.intervals import checked_rows, row_of
from grevy.data.labels import Label
from grevy.data.objects.clocked import (
    Clocked,
    clocked,
    gaps_of,
    is_clocked,
    is_interval_set,
    rows_of_intervals,
    steady,
)
from grevy.data.preparing.gaps import filled
from grevy.data.recording import Recording, make_recording
from grevy.data.segments import cut_runs, steps_inside
from grevy.errors import GrevyError


@dataclass(frozen=True, eq=False)
class Given:
    """What `grevy.make_recording` was given beside neural data and labels; see there."""

    segments: Any
    sampling_rate: float | None
    source: str
    latent: FloatArray | None
    bin: float | None
    period: float | None
    gaps: bool


def needs_times(neural: Any, labels: Any, segments: Any) -> bool:
    """Tell whether something brings times along, or labels are given by their names."""
    return is_clocked(neural) or isinstance(labels, Mapping) or is_interval_set(segments)


def recording_of_objects(neural: Any, labels: Any, given: Given) -> Recording:
    """Make a recording of objects, of which some may bring times along.

    Parameters and errors as in `grevy.make_recording`.
    """
    what = f"{given.source}: the neural data"
    clock = clocked(what, neural, given.bin) if is_clocked(neural) else None
    if clock is None and given.bin is not None:
        raise GrevyError(f"`bin` is for the spikes of a TsGroup; {what} is an array. Leave it out.")
    if clock is None and not _is_array(neural):
        return make_recording(neural, source=given.source)  # which says what is wrong with it
    values = neural if clock is None else clock.values
    missing: list[Array] = []
    if given.gaps:
        values, gone = filled(what, values)
        missing.append(gone)
    named = labels if isinstance(labels, Mapping) else {}
    kept = () if isinstance(labels, Mapping) else labels
    made = [*_named_labels(named, clock, len(values), given, missing), *kept]
    arrays = None if is_interval_set(given.segments) else given.segments
    usual, borders = 1.0, np.zeros(max(len(values) - 1, 0), bool)
    if clock is not None:
        borders, usual = steady(clock)
    rate = _rate(what, clock, usual, given.sampling_rate)
    if given.gaps and arrays is not None and np.ndim(arrays) == 1:
        arrays, gone = filled(f"{given.source}: the segments", arrays)
        missing.append(gone)
    recording = make_recording(
        values, made, segments=arrays, sampling_rate=rate, source=given.source, latent=given.latent
    )
    owner = _owners(recording, clock, given.segments, usual)
    runs = cut_runs(owner, borders, ~np.logical_or.reduce([owner < 0, *missing]))
    if not len(runs):
        raise GrevyError(
            f"{given.source}: no step of the neural data lies in a segment and has all labels. "
            f"Check the clocks, and that they count from the same moment."
        )
    seconds = clock.times if clock is not None and clock.in_seconds else None
    names = None if clock is None else clock.names
    return replace(recording, segments=runs, times=seconds, neuron_names=names)


def _is_array(values: Any) -> bool:
    """Tell whether something dense has a length: an array, or what can become one."""
    try:
        return not hasattr(values, "toarray") and len(np.shape(values)) > 0
    except ValueError:  # rows of different lengths
        return False


def _rate(what: str, clock: Clocked | None, usual: float, given: float | None) -> float | None:
    """Return the sampling rate: as given, or as the times say."""
    if clock is None or not clock.in_seconds:
        return given
    found = float(f"{1 / (clock.width or usual):.9g}")  # without the rounding of differences
    if given is not None and abs(given - found) > 0.01 * found:
        raise GrevyError(
            f"`sampling_rate={given:g}`, and {what} has {found:.6g} samples a second by its times. "
            f"Leave it out, or mend the times."
        )
    return found


def _owners(recording: Recording, clock: Clocked | None, segments: Any, usual: float) -> IntArray:
    """Return for each step the segment that it lies in, as asked for; -1 for none."""
    if not is_interval_set(segments):
        owner = np.full(len(recording), -1, np.int64)
        sizes = np.diff(recording.segments)[:, 0]
        owner[steps_inside(recording.segments)] = np.repeat(np.arange(len(sizes)), sizes)
        return owner
    if clock is None or not clock.in_seconds:
        raise GrevyError(
            f"{recording.source}: segments are given in seconds, and the neural data has no times. "
            f"Give a TsdFrame, a TsGroup or an array with times, or runs of steps."
        )
    pairs = rows_of_intervals(segments)
    rows = checked_rows(pairs[:, 0], pairs[:, 1], f"{recording.source}: the intervals")
    half = clock.width / 2
    return row_of(clock.times - half, clock.times + half, rows, ROUNDING * usual)


def _named_labels(
    labels: Mapping[Any, Any],
    clock: Clocked | None,
    length: int,
    given: Given,
    missing: list[Array],
) -> Iterable[Label]:
    """Make labels of what they are called and their values; note the steps without one."""
    specs = [parse_spec(str(name), lambda _: False) for name in labels]
    refuse_period(given.period, specs)
    made = []
    for spec, one in zip(specs, labels.values(), strict=True):
        if isinstance(one, Label):
            made.append(replace(one, name=spec.key))
            continue
        turn = given.period if spec.kind == "circular" else None
        where = f"{given.source}: the label {spec.key!r}"
        if is_clocked(one) and not _is_in_step(one, clock, where):
            values, there = _aligned(clocked(where, one), clock, spec, turn)
            missing.append(~there)
        else:
            values = clocked(where, one).values if is_clocked(one) else _array(where, one)
            if given.gaps:
                values, gone = filled(where, values)
                missing.append(gone)
        if len(values) != length:
            raise GrevyError(
                f"{where} has {len(values)} values for {length} time steps. Give one for each, or "
                f"an object with times."
            )
        made.append(label_as_asked(spec, values, turn, length))
    return made


def _array(where: str, values: Any) -> Array:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise GrevyError(f"{where} has rows of different lengths ({error}).") from error
    if not array.ndim:
        raise GrevyError(f"{where} is a single value; expected one for each time step.")
    return array


def _is_in_step(values: Any, clock: Clocked | None, where: str) -> bool:
    """Tell whether a label counts the very steps of the neural data, which bring no times."""
    if clock is not None:
        return False
    found = clocked(where, values)
    if found.in_seconds or (found.times != np.arange(len(found.times))).any():
        raise GrevyError(
            f"{where} has times, and the neural data has none. Give both with times, or the values "
            f"alone."
        )
    return True


def _aligned(
    label: Clocked, clock: Clocked | None, spec: LabelSpec, turn: float | None
) -> tuple[Array, Array]:
    """Return what a label is at the times of the neural data, and where it is anything."""
    assert clock is not None
    if label.counting != clock.counting:
        raise GrevyError(
            f"{label.what} has times {label.counting}, the neural data {clock.counting}. Give both "
            f"alike, in seconds say."
        )
    if label.since is not None and clock.since is not None:  # each counts from its own first date
        later = (label.since - clock.since).astype("timedelta64[ns]").astype(np.float64) / 1e9
        label = replace(label, times=label.times + later)
    if not np.median(np.diff(label.times)) > 0:
        raise GrevyError(f"{label.what} has most of its times more than once; expected each once.")
    values, gone = filled(label.what, label.values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    kept = np.flatnonzero(~gone)
    if len(kept) < 2:
        raise GrevyError(f"{label.what} is NaN but for {len(kept)} samples; expected numbers.")
    kind = spec.kind or ("continuous" if values.dtype.kind == "f" else "discrete")
    if kind != "discrete" and values.dtype.kind not in "fiu":
        raise GrevyError(f"{label.what} holds {values.dtype} values, which cannot be {kind}.")
    series = Series(label.what, label.times[kept], values[kept], "")
    found, there = resampled(series, gaps_of(label, kept), clock.times, kind, turn)
    if not there.any():
        raise GrevyError(
            f"{label.what} goes from {label.times[0]:.6g} to {label.times[-1]:.6g}, and has no "
            f"value at any step of the neural data, from {clock.times[0]:.6g} to "
            f"{clock.times[-1]:.6g}. Check the clocks."
        )
    return found, there
