"""A file of arrays -> a recording: which array is what, in the user's words."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grevy.data.files.arrays import describe, dotted, matching, open_arrays, read_selection
from grevy.data.files.entries import SINGLE, Array, Entries
from grevy.data.files.label_specs import (
    LabelSpec,
    are_whole,
    label_as_asked,
    parse_spec,
    refuse_period,
)
from grevy.data.files.nwb.reading import read_nwb
from grevy.data.files.trial_tables import names_a_table, read_trials, runs_of_trials
from grevy.data.labels import Label
from grevy.data.preparing.gaps import filled, without_steps
from grevy.data.recording import Recording, make_recording
from grevy.errors import GrevyError, unknown

NWB = ".nwb"


def read_recording(
    path: str | Path,
    *,
    neural: str | None = None,
    labels: Iterable[str] = (),
    period: float | None = None,
    segments: str | None = None,
    sampling_rate: float | None = None,
    trust: bool = False,
    max_bytes: int | None = None,
    transpose: bool = False,
    label_data: str | Path | None = None,
    bin: float | None = None,
    units: str | None = None,
    gaps: str | None = None,
) -> Recording:
    """Read a recording from one file, or its labels from a second one.

    A label that is likely to be meant otherwise is logged as a warning: angles in degrees without a
    period, angles in radians that are not said to be circular, a quantity in whole numbers.

    Parameters
    ----------
    path : str or Path
        As for `list_arrays`.
    neural : str, optional
        Key of the (T, N) activity, or a shell pattern such as `unit_*` over columns. May be left
        out if the file has exactly one two-dimensional array of numbers besides the labels.
    labels : iterable of str
        Each `KEY`, `KEY:KIND` or `KEY:KIND:UNIT` with kind continuous, circular or discrete;
        without a kind the dtype decides. A unit, such as m, is for a person to read.
    period : float, optional
        One full turn of the circular labels in their own unit; 2 pi if not given.
    segments : str, optional
        Key of (S, 2) runs [start, stop), or of one identifier for each time step; of an NWB file
        a table of intervals, such as `trials`. Or a .csv, .tsv or .parquet file of trials: with
        columns start_time and stop_time in seconds from the start of the recording (or on the
        clock of an NWB file), or start and stop in steps.
    sampling_rate : float, optional
        In Hz.
    trust : bool
        Read Python objects too, which runs code that the file holds.
    max_bytes : int, optional
        The most memory that a file may unpack to; as for `list_arrays`.
    transpose : bool
        Turn every two-dimensional array, for files that have time last: (N, T) and (L, T).
    label_data : str or Path, optional
        The file that holds labels and segments, if it is another one.
    bin : float, optional
        NWB only: width of the bins in seconds in which spikes are counted.
    units : str, optional
        NWB only: which units to take, as comparisons of their columns joined by and, or, not:
        ``quality == 'good' and snr > 3``.
    gaps : {"nan"}, optional
        Leave steps with NaN in the neural data, a label or a trial number out of every segment,
        instead of refusing them. What is there afterwards is no data.

    Notes
    -----
    An NWB file is read as ``docs/nwb.md`` says; its keys are paths, and it brings its own times.

    Raises
    ------
    GrevyError
        If the file cannot be read, a key or kind is wrong, or the arrays do not fit together.
    """
    if gaps not in (None, "nan"):
        raise unknown("gaps", str(gaps), ["nan"])
    if Path(path).suffix.lower() == NWB or Path(label_data or "").suffix.lower() == NWB:
        others = {
            "label_data": label_data, "transpose": transpose, "sampling_rate": sampling_rate,
        }  # fmt: skip
        _refuse_beside_nwb(path, label_data, others)
        return read_nwb(
            path, neural=neural, labels=labels, period=period, segments=segments, bin=bin,
            units=units, max_bytes=max_bytes, gaps=gaps,
        )  # fmt: skip
    given = [f"`{name}`" for name, value in (("bin", bin), ("units", units)) if value is not None]
    if given:
        raise GrevyError(
            f"{path}: {' and '.join(given)} would be for the spike times of an NWB file ({NWB}). "
            f"Leave out."
        )
    activity_file = _File.opened(path, trust, max_bytes, transpose)
    file = activity_file
    if label_data is not None:
        file = _File.opened(label_data, trust, max_bytes, transpose)

    def is_key(key: str) -> bool:
        return dotted(key) in file.entries

    specs = [parse_spec(spec, is_key) for spec in labels]
    refuse_period(period, specs)
    trials = None
    if segments is not None and names_a_table(segments, is_key):
        trials, segments = read_trials(segments, max_bytes), None
    keys = [spec.key for spec in specs] + ([segments] if segments else [])
    taken = frozenset(name for key in keys for name in matching(file.path, file.entries, key))
    taken = taken if file is activity_file else frozenset()
    name = neural
    if name is None:
        name = _only_candidate(activity_file.path, activity_file.entries, taken)
    activity = activity_file.read(name, taken)
    if file is not activity_file:
        _check_lengths(file, keys, activity_file.path, len(activity))
    missing: list[Array] = []
    if gaps is not None:
        activity = _whole("the neural data", activity, missing)
    made = []
    for spec in specs:
        values = _upright(file.read(spec.key))
        if gaps is not None:
            values = _whole(f"the label {spec.key!r}", values, missing)
        made.append(_label(file, spec, values, period, activity))
    runs = None if segments is None else _runs(file.read_segments(segments))
    if trials is not None:
        runs = runs_of_trials(trials, len(activity), sampling_rate)
    if gaps is not None and runs is not None and runs.ndim == 1:
        runs = _whole(f"the segments {segments!r}", runs, missing)
    recording = make_recording(
        activity,
        made,
        segments=runs,
        sampling_rate=sampling_rate,
        source=str(path) if label_data is None else f"{path}, labels from {label_data}",
    )
    return without_steps(recording, missing)


def _whole(name: str, values: Array, missing: list[Array]) -> Array:
    """Fill steps that hold NaN, and note which they are."""
    values, gone = filled(name, values)
    missing.append(gone)
    return values


def _refuse_beside_nwb(
    path: str | Path, label_data: str | Path | None, given: dict[str, Any]
) -> None:
    """Refuse what an NWB file says itself, and one in the place of arrays without times."""
    if Path(path).suffix.lower() != NWB:
        raise GrevyError(
            f"`label_data={label_data}`: labels in an NWB file are on a clock of their own, and "
            f"{path} has none. Give the NWB file as `data`."
        )
    names = [f"`{name}`" for name, value in given.items() if value]
    if names:
        raise GrevyError(
            f"{path}: {', '.join(names)}: an NWB file holds its labels and times itself, time "
            f"first. Leave out."
        )


@dataclass(frozen=True)
class _File:
    """A file of arrays, and how they are read."""

    path: Path
    entries: Entries
    max_bytes: int | None
    transpose: bool

    @classmethod
    def opened(
        cls, path: str | Path, trust: bool, max_bytes: int | None, transpose: bool
    ) -> "_File":
        entries = open_arrays(path, trust=trust, max_bytes=max_bytes)
        return cls(Path(path), entries, max_bytes, transpose)

    def read(self, key: str, exclude: frozenset[str] = frozenset()) -> Array:
        array = read_selection(self.path, self.entries, key, exclude, self.max_bytes)
        whole = matching(self.path, self.entries, key, exclude) == [dotted(key)]
        if array.ndim == 0:
            raise GrevyError(
                f"{self.path}: the array {key!r} is a single number; expected one value, or row of "
                f"values, for each time step."
            )
        # Columns that a pattern has joined have time first already.
        return np.ascontiguousarray(array.T) if self.transpose and whole else array

    def read_segments(self, key: str) -> Array:
        """Read identifiers (T,), or runs (S, 2), which have no time axis that could be turned."""
        array = read_selection(self.path, self.entries, key, max_bytes=self.max_bytes)
        return array if array.ndim == 2 and array.shape[1] == 2 else self.read(key)


def _check_lengths(file: _File, keys: Iterable[str], other: Path, length: int) -> None:
    """Refuse labels of another recording; segments may be runs, and are checked as such."""
    for key in keys:
        shape = file.read_segments(key).shape
        if length not in shape and not (len(shape) == 2 and shape[1] == 2):
            raise GrevyError(
                f"{file.path}: the array {key!r} has shape {shape}, and the neural data of {other} "
                f"has {length} time steps. Give two files of the same recording, sampled at the "
                f"same times."
            )


def _only_candidate(path: Path, entries: Entries, taken: frozenset[str]) -> str:
    """Find the one array that can be the activity, or ask for it by name."""
    candidates = [
        key
        for key, entry in entries.items()
        if key not in taken
        and len(entry.shape) == 2
        and min(entry.shape) > 1
        and not entry.dtype.startswith(("<U", "str", "object", "complex", "|S"))
    ]
    if len(candidates) == 1:
        return candidates[0]
    if list(entries) == [SINGLE]:
        return SINGLE  # the one array of the file; whatever is wrong with it is said of it
    found = f"{len(candidates)} arrays" if candidates else "no array"
    raise GrevyError(
        f"{path}: {found} could be the neural data; say which with `neural=KEY` (a pattern such as "
        f"'unit_*' joins columns). The file holds {describe(entries)}."
    )


def _label(
    file: _File, spec: LabelSpec, values: Array, period: float | None, activity: Array
) -> Label:
    if len(values) != len(activity) and activity.ndim == 2:
        _refuse_transposed(file, spec.key, values, activity)
    return label_as_asked(spec, values, period, len(activity))


def _refuse_transposed(file: _File, key: str, values: Array, activity: Array) -> None:
    """Say so where lengths would fit if time came first."""
    path, mend = file.path, "Give `transpose=True`, or save"
    if file.transpose:
        mend = "Leave `transpose=True` out, or save"
    length, other = activity.shape
    if values.ndim == 1 and len(values) == other:
        raise GrevyError(
            f"{path}: the neural data has shape {activity.shape} and the label {key!r} has "
            f"{len(values)} time steps, so the neural data looks transposed, (N, T). {mend} it "
            f"time first, (T, N)."
        )
    if len(values) == other:
        raise GrevyError(
            f"{path}: the neural data has shape {activity.shape} and the label {key!r} has "
            f"{len(values)} time steps, so the neural data looks transposed, (N, T). Save it time "
            f"first, (T, N): transpose it."
        )
    if values.ndim == 2 and values.shape[1] == other:
        raise GrevyError(
            f"{path}: the neural data has shape {activity.shape} and the label {key!r} has shape "
            f"{values.shape}, so both look transposed, (N, T) and (L, T). {mend} them time "
            f"first."
        )
    if values.ndim == 2 and values.shape[1] == length:
        raise GrevyError(
            f"{path}: the label {key!r} has shape {values.shape} for {length} time steps, so it "
            f"looks transposed, (L, T). Save it time first, (T, L): transpose it."
        )


def _upright(values: Array) -> Array:
    """Turn a row or column of values into (T,), as MATLAB has no other way to store one."""
    return values.reshape(-1) if values.ndim == 2 and 1 in values.shape else values


def _runs(values: Array) -> Array:
    values = _upright(values) if values.shape != (1, 2) else values
    whole = values.ndim == 2 and values.dtype.kind == "f" and are_whole(values)
    return values.astype(np.int64) if whole else values
