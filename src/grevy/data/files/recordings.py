"""A file of arrays -> a recording: which array is what, in the user's words."""

import logging
from collections.abc import Iterable
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import cast, get_args

import numpy as np

from grevy.data.files.arrays import describe, dotted, matching, open_arrays, read_selection
from grevy.data.files.entries import SINGLE, Array, Entries
from grevy.data.labels import TAU, Kind, Label, make_label
from grevy.data.recording import Recording, make_recording
from grevy.errors import GrevyError

_LOG = logging.getLogger(__name__)

KINDS: tuple[str, ...] = get_args(Kind)


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
) -> Recording:
    """Read a recording from one file.

    A label that is likely to be meant otherwise is logged as a warning: angles in degrees without a
    period, a quantity in whole numbers.

    Parameters
    ----------
    path : str or Path
        As for `list_arrays`.
    neural : str, optional
        Key of the (T, N) activity, or a shell pattern such as `unit_*` over columns. May be left
        out if the file has exactly one two-dimensional array of numbers besides the labels.
    labels : iterable of str
        Each `KEY` or `KEY:KIND` with kind continuous, circular or discrete; without a kind the
        dtype decides.
    period : float, optional
        One full turn of the circular labels in their own unit; 2 pi if not given.
    segments : str, optional
        Key of (S, 2) runs [start, stop), or of one identifier for each time step.
    sampling_rate : float, optional
        In Hz.
    trust : bool
        Read Python objects too, which runs code that the file holds.
    max_bytes : int, optional
        The most memory that the file may unpack to; as for `list_arrays`.

    Raises
    ------
    GrevyError
        If the file cannot be read, a key or kind is wrong, or the arrays do not fit together.
    """
    path = Path(path)
    entries = open_arrays(path, trust=trust, max_bytes=max_bytes)
    specs = [_parse(spec, entries) for spec in labels]
    if period is not None and not any(kind == "circular" for _, kind in specs):
        raise GrevyError(
            f"period {period:g} was given, but no label is circular. Ask for one with "
            f"KEY:circular, or drop the period."
        )
    read = partial(read_selection, path, entries, max_bytes=max_bytes)
    keys = [key for key, _ in specs] + ([segments] if segments else [])
    taken = frozenset(name for key in keys for name in matching(path, entries, key))
    name = neural if neural is not None else _only_candidate(path, entries, taken)
    activity = read_selection(path, entries, name, taken, max_bytes)
    made = [_label(path, key, _upright(read(key)), kind, period, activity) for key, kind in specs]
    return make_recording(
        activity,
        made,
        segments=None if segments is None else _runs(read(segments)),
        sampling_rate=sampling_rate,
        source=str(path),
    )


def _parse(spec: str, entries: Entries) -> tuple[str, Kind | None]:
    """Split `KEY[:KIND]`; a key may hold colons itself, so only the last part can be a kind."""
    key, colon, kind = spec.rpartition(":")
    if not colon or dotted(spec) in entries:
        return spec, None
    if kind in KINDS:
        return key, cast(Kind, kind)
    near = get_close_matches(kind, KINDS, n=1)
    hint = f"Did you mean {f'{key}:{near[0]}'!r}?" if near else f"Choose from {', '.join(KINDS)}."
    raise GrevyError(f"label {spec!r}: unknown kind {kind!r}. {hint}")


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
    path: Path,
    key: str,
    values: Array,
    kind: Kind | None,
    period: float | None,
    activity: Array,
) -> Label:
    length = len(activity)
    if len(values) != length and activity.ndim == 2 and activity.shape[1] == len(values):
        raise GrevyError(
            f"{path}: the neural data has shape {activity.shape} and the label {key!r} has "
            f"{len(values)} time steps, so the neural data looks transposed, (N, T). Save it time "
            f"first, (T, N): transpose it."
        )
    if len(values) != length and values.ndim == 2 and values.shape[1] == length:
        raise GrevyError(
            f"{path}: the label {key!r} has shape {values.shape} for {length} time steps, so it "
            f"looks transposed, (L, T). Save it time first, (T, L): transpose it."
        )
    if kind == "discrete" and values.dtype.kind == "f" and _whole(values):
        values = values.astype(np.int64)  # MATLAB and tables keep whole numbers as floats
    label = make_label(key, values, kind, period if kind == "circular" else None)
    if label.kind == "circular" and period is None and _look_like_degrees(values):
        _LOG.warning(
            f"label {key!r}: values from {values.min():g} to {values.max():g} look like degrees; "
            f"give `period=360`."
        )
    elif values.dtype.kind in "iu" and len(label.classes) > length / 5:
        _LOG.warning(
            f"label {key!r}: {len(label.classes)} classes in {length} time steps; give "
            f"{key}:continuous if it is a quantity."
        )
    return label


def _look_like_degrees(values: Array) -> bool:
    """Tell whether angles in radians would span several turns, and jump by more than half a turn.

    Radians that go on counting after a turn span as many, but do not jump.
    """
    angles = values.astype(np.float64)
    jumps = np.abs(np.diff(angles)) > np.pi
    return float(np.ptp(angles)) > 3 * TAU and bool(jumps.any())


def _upright(values: Array) -> Array:
    """Turn a row or column of values into (T,), as MATLAB has no other way to store one."""
    return values.reshape(-1) if values.ndim == 2 and 1 in values.shape else values


def _whole(values: Array) -> bool:
    return bool(np.isfinite(values).all() and (values == np.floor(values)).all())


def _runs(values: Array) -> Array:
    values = _upright(values) if values.shape != (1, 2) else values
    whole = values.ndim == 2 and values.dtype.kind == "f" and _whole(values)
    return values.astype(np.int64) if whole else values
