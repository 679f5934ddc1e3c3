"""An NWB file as it looks: its units, series and tables, and with what to start."""

from pathlib import Path
from typing import Any

import numpy as np

from grevy.data.clocks import DEGREES
from grevy.data.files.entries import sample_rows
from grevy.data.files.hdf5 import read_rows
from grevy.data.files.nwb.contents import found_path, list_contents
from grevy.data.files.nwb.series import NO_UNIT
from grevy.data.files.nwb.tree import Tree, number, opened, text
from grevy.data.inspection.looking import LABEL, LONG_ENOUGH, NEURAL, Found, look
from grevy.data.inspection.starting import Start, label_settings

# Of spikes, in seconds: some ten spikes of a usual neuron in each window of the usual model.
USUAL_BIN = 0.02
# More are not read to know when they begin and end.
MOST_TIMES = 4_000_000
NEVER = (np.inf, -np.inf)


def look_at_nwb(path: Path, max_bytes: int | None) -> tuple[list[Found], Start]:
    """Look at what an NWB file holds, and choose what to start with.

    Returns
    -------
    tuple of list of Found and Start

    Raises
    ------
    GrevyError
        If it cannot be read.
    """
    with opened(path, max_bytes) as tree:
        contents = list_contents(tree)
        units = [_units(tree, name, group) for name, group in contents.units.items()]
        series = {name: _series(tree, name, group) for name, group in contents.series.items()}
        ranges = {name: _range(tree, group) for name, group in contents.series.items()}
        tables = [_table(tree, name, group) for name, group in contents.tables.items()]
        spikes = {name: _spike_range(tree, group) for name, group in contents.units.items()}
        trials = {name: _is_long(tree, group) for name, group in contents.tables.items()}
    found = [*units, *series.values(), *tables]
    return found, _start(series, ranges, spikes, trials)


def _units(tree: Tree, name: str, group: Any) -> Found:
    index, times = tree.child(group, "spike_times_index"), tree.child(group, "spike_times")
    return Found(name, (index.shape[0],), f"units with {times.shape[0]} spikes")


def _series(tree: Tree, name: str, group: Any) -> Found:
    data = tree.child(group, "data")
    shape = tuple(data.shape or ())
    unit = text(data, "unit").strip()
    unit = "" if unit.casefold() in NO_UNIT else unit
    sample = None
    if data.dtype.kind in "fiub" and len(shape) in (1, 2) and 0 not in shape:
        rows = sample_rows(shape, data.dtype.itemsize)
        sample = read_rows(data, tree.limit(data), rows)
        factor, offset = number(data, "conversion", 1.0), number(data, "offset", 0.0)
        if data.dtype.kind != "b" and (factor, offset) != (1.0, 0.0):
            sample = sample * factor + offset
    dtype = str(data.dtype) if sample is None else str(sample.dtype)
    return look(name, shape, dtype, sample, unit=unit, rate=_rate(tree, group))


def _rate(tree: Tree, group: Any) -> float | None:
    start, stamps = tree.child(group, "starting_time"), tree.child(group, "timestamps")
    if stamps is None:
        rate = number(start, "rate", 0.0)
        return rate if rate > 0 else None
    times = read_rows(stamps, tree.limit(stamps), min(len(stamps), 1000))
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return 1 / step if step > 0 else None


def _range(tree: Tree, group: Any) -> tuple[float, float]:
    """Return the first and the last time of a series."""
    stamps, rows = tree.child(group, "timestamps"), tree.child(group, "data").shape[0]
    if stamps is not None and len(stamps) > MOST_TIMES:
        return -np.inf, np.inf
    if stamps is None:
        start = tree.child(group, "starting_time")
        first = float(np.asarray(start[()]).item())
        return first, first + (rows - 1) / (number(start, "rate", 0.0) or np.inf)
    times = tree.numbers(group, "timestamps")
    return (float(times[0]), float(times[-1])) if times is not None and len(times) else NEVER


def _spike_range(tree: Tree, group: Any) -> tuple[float, float]:
    if len(tree.child(group, "spike_times")) > MOST_TIMES:
        return -np.inf, np.inf
    times = tree.numbers(group, "spike_times")
    if times is None or not len(times):
        return NEVER
    return float(times.min()), float(times.max())


def _table(tree: Tree, name: str, group: Any) -> Found:
    starts = tree.child(group, "start_time")
    return Found(name, tuple(starts.shape), "rows from start to stop")


def _is_long(tree: Tree, group: Any) -> bool:
    """Tell whether every row of a table lasts for a segment, and none overlaps another."""
    starts, stops = tree.numbers(group, "start_time"), tree.numbers(group, "stop_time")
    if starts is None or stops is None or len(starts) != len(stops) or len(starts) < 2:
        return False
    order = np.argsort(starts)
    apart = (starts[order][1:] >= stops[order][:-1]).all()
    return bool(apart and (stops - starts >= LONG_ENOUGH * USUAL_BIN).all())


def _start(
    series: dict[str, Found],
    ranges: dict[str, tuple[float, float]],
    spikes: dict[str, tuple[float, float]],
    trials: dict[str, bool],
) -> Start:
    fitting = sorted(
        (each for each in series.values() if _can_be_neural(each)),
        key=lambda each: (not each.faults, bool(NEURAL.search(each.name))),
        reverse=True,
    )
    fired = [name for name, (first, last) in spikes.items() if last - first > USUAL_BIN]
    names = (*fired, *(each.name for each in fitting))
    usable = [*fired, *(each.name for each in fitting if not each.faults)]
    if not usable:
        why = "no units with spikes here, and no series that can be neural data, (T, N)"
        return Start({}, neural=names, why_not=why)
    neural = usable[0]
    first, last = spikes.get(neural) or ranges[neural]
    labels = sorted(
        (
            each
            for name, each in series.items()
            if name != neural and _can_be_label(each)
            and ranges[name][0] < last and ranges[name][1] > first
        ),
        key=lambda each: ("behavior" in each.name, bool(LABEL.search(each.name)), not each.faults),
        reverse=True,
    )  # fmt: skip
    settings: dict[str, Any] = {"neural": neural}
    if neural in spikes:
        settings["bin"] = USUAL_BIN
    if labels:
        settings |= _label(labels[0], tuple(series))
    tables = tuple(name for name, long in trials.items() if long)
    if tables and neural in spikes:
        settings["segments"] = tables[0]
    return Start(
        settings, frozenset(), names, tuple(each.name for each in labels), tuple(trials)
    )  # fmt: skip


def _can_be_neural(each: Found) -> bool:
    return each.is_numbers and len(each.shape) == 2 and each.shape[1] > 2 and each.shape[0] > 1


def _can_be_label(each: Found) -> bool:
    return each.kind is not None and "constant" not in each.faults and each.shape[0] > 1


def _label(each: Found, paths: tuple[str, ...]) -> dict[str, Any]:
    """Name a label by as much of its path as it takes; its unit says what a turn is."""
    parts = each.name.split("/")
    key = each.name
    for count in range(2, len(parts)):
        if found_path("/".join(parts[-count:]), paths) == [each.name]:
            key = "/".join(parts[-count:])
            break
    settings = label_settings(each, key)
    if each.unit.casefold() in DEGREES:
        settings.pop("period", None)
    return settings
