"""A label as the user asks for it, and what is likely to be a slip in that."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import cast, get_args

import numpy as np

from grevy.data.files.entries import Array
from grevy.data.labels import TAU, Kind, Label, make_label
from grevy.errors import GrevyError

_LOG = logging.getLogger(__name__)

# What a turn may exceed 2 pi by in float32, or in a file with four decimals.
ROUNDING = 1e-3
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class LabelSpec:
    """A label, as it was asked for."""

    key: str
    kind: Kind | None = None
    unit: str = ""


def parse_spec(spec: str, is_key: Callable[[str], bool]) -> LabelSpec:
    """Split `KEY[:KIND[:UNIT]]`; a key may hold colons itself, so the last parts alone count.

    Parameters
    ----------
    spec : str
        As the user wrote it.
    is_key : callable
        Tells whether the file has such a key.

    Raises
    ------
    GrevyError
        If the kind is none.
    """
    key, colon, kind = spec.rpartition(":")
    if not colon or is_key(spec):
        return LabelSpec(spec)
    if kind in KINDS:
        return LabelSpec(key, cast(Kind, kind))
    shorter, colon, middle = key.rpartition(":")
    unit = ""
    if colon and (middle in KINDS or is_key(shorter)):
        key, kind, unit = shorter, middle, f":{kind}"
    if kind in KINDS:
        return LabelSpec(key, cast(Kind, kind), unit[1:].strip())
    near = get_close_matches(kind, KINDS, n=1)
    hint = f"Choose from {', '.join(KINDS)}."
    if near:
        hint = f"Did you mean {f'{key}:{near[0]}{unit}'!r}?"
    raise GrevyError(f"label {spec!r}: unknown kind {kind!r}. {hint}")


def refuse_period(period: float | None, specs: Iterable[LabelSpec]) -> None:
    """Refuse a period where no label is circular.

    Raises
    ------
    GrevyError
        As said.
    """
    if period is not None and not any(spec.kind == "circular" for spec in specs):
        raise GrevyError(
            f"period {period:g} was given, but no label is circular. Ask for one with "
            f"KEY:circular, or drop the period."
        )


def label_as_asked(spec: LabelSpec, values: Array, period: float | None, length: int) -> Label:
    """Make a label, and log a warning where it is likely to be meant otherwise.

    Parameters
    ----------
    spec : LabelSpec
    values : ndarray of shape (T,) or (T, L)
    period : float or None
        One turn of circular values; 2 pi if None.
    length : int
        T of the neural data.
    """
    key, kind = spec.key, spec.kind
    if kind == "discrete" and values.dtype.kind == "f" and are_whole(values):
        values = values.astype(np.int64)  # MATLAB and tables keep whole numbers as floats
    label = make_label(key, values, kind, period if kind == "circular" else None, spec.unit)
    if label.kind == "circular" and period is None and look_like_degrees(values):
        _LOG.warning(
            f"label {key!r}: values from {values.min():g} to {values.max():g} look like degrees; "
            f"give `period=360`."
        )
    elif kind is None and label.kind == "continuous" and look_like_radians(values):
        _LOG.warning(
            f"label {key!r}: values from {values.min():g} to {values.max():g} that jump by a turn "
            f"look like angles in radians; give {key}:circular, or {key}:continuous if they are "
            f"none."
        )
    elif values.dtype.kind in "iu" and len(label.classes) > length / 5:
        _LOG.warning(
            f"label {key!r}: {len(label.classes)} classes in {length} time steps; give "
            f"{key}:continuous if it is a quantity."
        )
    return label


def look_like_degrees(values: Array) -> bool:
    """Tell whether angles in radians would span several turns, and jump by more than half a turn.

    Radians that go on counting after a turn span as many, but do not jump.
    """
    angles = values.astype(np.float64)
    jumps = np.abs(np.diff(angles)) > np.pi
    return float(np.ptp(angles)) > 3 * TAU and bool(jumps.any())


def look_like_radians(values: Array) -> bool:
    """Tell whether numbers fill one turn, and go round: small steps, and now and then a jump."""
    return goes_round(values, TAU)


def goes_round(values: Array, turn: float) -> bool:
    """Tell whether numbers fill a turn of this size, and go round it.

    Parameters
    ----------
    values : ndarray of shape (T,)
    turn : float
        2 pi for radians, 360 for degrees.
    """
    if values.ndim != 1 or values.dtype.kind != "f" or len(values) < 3:
        return False
    angles = values.astype(np.float64)
    low, high = float(angles.min()), float(angles.max())
    slack = ROUNDING * turn / TAU
    within = (low >= 0 and high <= turn + slack) or max(-low, high) <= turn / 2 + slack
    steps = np.abs(np.diff(angles))
    round_and_round = bool((steps > 0.9 * turn).any()) and float(np.median(steps)) < turn / 8
    return within and high - low > 0.9 * turn and round_and_round


def are_whole(values: Array) -> bool:
    """Tell whether numbers are all whole."""
    return bool(np.isfinite(values).all() and (values == np.floor(values)).all())
