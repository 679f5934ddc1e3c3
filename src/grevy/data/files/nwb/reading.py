"""An NWB file -> a recording: everything on the clock of the neural data."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from grevy.data.arrays import Array, Float64Array, IntArray
from grevy.data.clocks import ROUNDING, Series, resampled, without_missing
from grevy.data.files.label_specs import LabelSpec, label_as_asked, parse_spec, refuse_period
from grevy.data.files.limits import Limit
from grevy.data.files.nwb.contents import Contents, find, found_path, list_contents
from grevy.data.files.nwb.series import read_series
from grevy.data.files.nwb.tree import Tree, opened
from grevy.data.files.nwb.units import Spikes, read_spikes
from grevy.data.files.trial_tables import names_a_table, read_trials
from grevy.data.intervals import checked_rows, row_of
from grevy.data.labels import Kind, Label
from grevy.data.preparing.gaps import filled
from grevy.data.recording import Recording, make_recording
from grevy.data.segments import cut_runs
from grevy.data.spikes import bin_spikes
from grevy.errors import GrevyError

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Activity:
    """Neural data and its clock.

    Attributes
    ----------
    neural : ndarray of shape (T, N)
    times : ndarray of shape (T,)
        In seconds; of a bin its middle.
    starts, stops : ndarray of shape (T,)
        Of each bin; a sample has next to no width.
    borders : ndarray of shape (T - 1,), bool
        Whether time is broken after a step.
    rate : float
        In Hz.
    observed : ndarray of shape (T,), bool
        Whether the neurons were recorded throughout a step.
    """

    neural: Array
    times: Float64Array
    starts: Float64Array
    stops: Float64Array
    borders: Array
    rate: float
    observed: Array


@dataclass(frozen=True, eq=False)
class _Behaviour:
    """A label as asked for, the series it is read from without NaN, and the gaps in it."""

    spec: LabelSpec
    kind: Kind
    series: Series
    gaps: Array
    period: float | None


def read_nwb(
    path: str | Path,
    *,
    neural: str | None = None,
    labels: Iterable[str] = (),
    period: float | None = None,
    segments: str | None = None,
    bin: float | None = None,
    units: str | None = None,
    max_bytes: int | None = None,
    gaps: str | None = None,
) -> Recording:
    """Read a recording from an NWB file, through h5py: nothing is downloaded.

    The recording covers the time common to the neural data and all labels. Units were recorded
    for as long as `obs_intervals` says of all of them, or else from the first spike of any to the
    last; a series and a label from their first sample to their last. Steps in which a label has a
    gap, or units were not observed, are in no segment.

    Parameters
    ----------
    path : str or Path
    neural : str, optional
        Table of units, whose spikes are counted in bins, or a series (T, N), taken as it is; each
        by the end of its path. Units, if there are any, if left out.
    labels : iterable of str
        Each `PATH`, `PATH:KIND` or `PATH:KIND:UNIT`, of a series. At the middle of a bin, linear
        between samples; along the shorter arc if circular, the nearest if discrete.
    period : float, optional
        One turn of circular labels; by the file's unit (degrees), or 2 pi, if left out.
    segments : str, optional
        Table of intervals, such as `trials`: each row is a segment of the bins inside it. Or a
        file with such a table, as for `grevy.read_recording`.
    bin : float, optional
        Width of a bin in seconds, for units.
    units : str, optional
        Which units, such as ``quality == 'good'``.
    max_bytes : int, optional
        As for `grevy.data.list_arrays`.
    gaps : {"nan"}, optional
        Leave steps with NaN in a neural series out of every segment.

    Raises
    ------
    GrevyError
        If the file cannot be read, a path is unknown or ambiguous, or clocks do not fit together.
    """
    with opened(Path(path), max_bytes) as tree:
        contents = list_contents(tree)
        source = _source(tree, contents, neural, bin, units)
        behaviours = [_behaviour(tree, contents, label, period) for label in labels]
        refuse_period(period, [each.spec for each in behaviours])
        rows = None if segments is None else _rows(tree, contents, segments, max_bytes)
    start, stop = _common(Path(path), source, behaviours)
    if isinstance(source, Spikes):
        assert bin is not None
        activity = _binned(source, start, stop, bin, Limit(Path(path), max_bytes))
    else:
        activity = _sampled(source, start, stop)
    if gaps is not None:
        whole, missing = filled("the neural data", activity.neural)
        activity = replace(activity, neural=whole, observed=activity.observed & ~missing)
    made, there = _labels_at(behaviours, activity)
    runs = _runs(Path(path), activity, there & activity.observed, rows)
    _tell(Path(path), activity, there & activity.observed, len(runs))
    recording = make_recording(
        activity.neural, made, segments=runs, sampling_rate=activity.rate, source=str(path)
    )
    return replace(recording, times=activity.times)


def _source(
    tree: Tree, contents: Contents, neural: str | None, bin: float | None, units: str | None
) -> Spikes | Series:
    """Read the units, or the series, that shall be the neural data."""
    if neural is None and contents.units:
        neural = "units"
    if neural is None:
        listed = ", ".join(list(contents.series)[:12]) or "none"
        raise GrevyError(
            f"{tree.path} has no units with spike times. Say with `neural=PATH` which series is "
            f"the neural data; it holds {listed}."
        )
    if not contents.units and neural.strip("/").casefold() == "units":
        listed = ", ".join(list(contents.series)[:12]) or "none"
        raise GrevyError(
            f"{tree.path} has no units with spike times. It holds the series {listed}; give one of "
            f"them with `neural=PATH`."
        )
    path, group = find(tree, neural, {**contents.units, **contents.series}, "units or series")
    if path in contents.units:
        if bin is None:
            raise GrevyError(
                f"{tree.path}: {path} holds spike times, which are counted in bins. Give their "
                f"width in seconds, `bin=0.02` say."
            )
        return read_spikes(tree, path, group, units)
    given = [f"`{name}`" for name, value in (("bin", bin), ("units", units)) if value is not None]
    if given:
        raise GrevyError(
            f"{tree.path}: {path} is a series, taken as it is: {' and '.join(given)} would be for "
            f"units. Leave out, or give `neural=units`."
        )
    return read_series(tree, path, group)


def _behaviour(tree: Tree, contents: Contents, label: str, period: float | None) -> _Behaviour:
    spec = parse_spec(label, lambda key: bool(found_path(key, list(contents.series))))
    path, group = find(tree, spec.key, contents.series, "series")
    series, gaps = without_missing(read_series(tree, path, group))
    kind = spec.kind or ("continuous" if series.values.dtype.kind == "f" else "discrete")
    if kind != "discrete" and series.values.dtype.kind not in "fiu":
        raise GrevyError(
            f"{tree.path}: the series {path!r} holds {series.values.dtype} values, which cannot be "
            f"{kind}."
        )
    if kind == "continuous" and not spec.unit:
        spec = replace(spec, unit=series.unit)
    turn = None
    if kind == "circular":
        turn = series.period if period is None else period
    return _Behaviour(spec, kind, series, gaps, turn)


def _common(
    path: Path, source: Spikes | Series, behaviours: Sequence[_Behaviour]
) -> tuple[float, float]:
    """Return the stretch of time for which there is everything."""
    if isinstance(source, Spikes):
        own = source.range
    else:
        own = float(source.times[0]), float(source.times[-1])
    start, stop = own
    for each in behaviours:
        first, last = float(each.series.times[0]), float(each.series.times[-1])
        if first >= own[1] or last <= own[0]:
            raise GrevyError(
                f"{path}: {each.series.path!r} goes from {first:.6g} s to {last:.6g} s, the neural "
                f"data from {own[0]:.6g} s to {own[1]:.6g} s: they do not overlap. Check the "
                f"clocks, and that they count from the same moment."
            )
        start, stop = max(start, first), min(stop, last)
    if start >= stop:
        raise GrevyError(f"{path}: there is no time that all labels cover. Give fewer labels.")
    return start, stop


def _binned(spikes: Spikes, start: float, stop: float, width: float, limit: Limit) -> _Activity:
    if width > 0:
        needed = 4 * len(spikes.trains) * ((stop - start) / width + 1)
        limit.check(int(min(needed, 2.0**62)), "the bins")
    counts = bin_spikes(spikes.trains, start, stop, width)
    steps = np.arange(len(counts), dtype=np.float64)
    starts, stops = start + width * steps, start + width * (steps + 1)
    observed = np.ones(len(counts), bool)
    if spikes.observed is not None:
        observed = row_of(starts, stops, spikes.observed, ROUNDING * width) >= 0
    return _Activity(
        counts, start + width * (steps + 0.5), starts, stops,
        np.zeros(len(counts) - 1, bool), 1 / width, observed,
    )  # fmt: skip


def _sampled(series: Series, start: float, stop: float) -> _Activity:
    tolerance = ROUNDING * series.usual_step
    inside = (series.times >= start - tolerance) & (series.times <= stop + tolerance)
    kept = np.flatnonzero(inside)
    cut = slice(kept[0], kept[-1] + 1) if len(kept) else slice(0, 0)
    times = series.times[cut]
    # A sample lies in what it comes before the end of.
    return _Activity(
        series.values[cut], times, times, times + 2 * tolerance,
        series.borders[cut][: max(len(times) - 1, 0)],
        1 / series.usual_step, np.ones(len(times), bool),
    )  # fmt: skip


def _labels_at(behaviours: Sequence[_Behaviour], activity: _Activity) -> tuple[list[Label], Array]:
    """Return labels at the steps of the neural data, and which steps have all of them."""
    made, everywhere = [], np.ones(len(activity.times), bool)
    for each in behaviours:
        values, there = resampled(each.series, each.gaps, activity.times, each.kind, each.period)
        if not there.any():
            raise GrevyError(
                f"the series {each.series.path!r} has no value at any step of the neural data."
            )
        made.append(label_as_asked(each.spec, values, each.period, len(values)))
        everywhere &= there
    return made, everywhere


def _rows(tree: Tree, contents: Contents, key: str, max_bytes: int | None) -> Float64Array:
    """Read the rows of a table of intervals as (I, 2) seconds, sorted."""
    if names_a_table(key, lambda name: bool(found_path(name, list(contents.tables)))):
        trials = read_trials(key, max_bytes)
        if not trials.in_seconds:
            raise GrevyError(
                f"{trials.where} is in steps, and an NWB file has times. Give start_time and "
                f"stop_time, in seconds on its clock."
            )
        return trials.rows
    path, group = find(tree, key, contents.tables, "table of intervals")
    starts, stops = tree.numbers(group, "start_time"), tree.numbers(group, "stop_time")
    where = f"{tree.path}: the table {path!r}"
    if starts is None or stops is None or len(starts) != len(stops) or not len(starts):
        raise GrevyError(f"{where} has no rows with a start and a stop.")
    return checked_rows(starts, stops, where)


def _runs(path: Path, activity: _Activity, there: Array, rows: Float64Array | None) -> IntArray:
    """Make segments: unbroken runs of steps that have everything, none over two rows."""
    owner = np.zeros(len(there), np.int64)
    if rows is not None:
        owner = row_of(activity.starts, activity.stops, rows, ROUNDING / activity.rate)
    runs = cut_runs(owner, activity.borders, there)
    if not len(runs):
        raise GrevyError(
            f"{path}: no step of the neural data, from {activity.times[0]:.6g} s to "
            f"{activity.times[-1]:.6g} s, lies in a segment and has all labels. Check the clocks."
        )
    return runs


def _tell(path: Path, activity: _Activity, there: Array, count: int) -> None:
    missing = int((~there).sum())
    left_out = f"; {missing} of them lie in gaps and are left out" if missing else ""
    _LOG.info(
        f"{path}: {len(there)} steps from {activity.starts[0]:.6g} s to {activity.stops[-1]:.6g} s "
        f"at {activity.rate:.6g} Hz, in {count} segment{'s' * (count != 1)}{left_out}"
    )
