"""One array as it looks: its kind, its turn, what is wrong with it; from its first rows."""

import re
from dataclasses import dataclass

import numpy as np

from grevy.data.arrays import Array
from grevy.data.files.label_specs import are_whole, goes_round
from grevy.data.labels import TAU, Kind

# A label has few columns, and a class comes back; more would be something else.
MOST_COLUMNS, MOST_CLASSES = 10, 50
# Steps of a clock differ by less than this share.
MOST_GAPS = 0.5  # of the rows; beyond, a neuron or a column is missing
EVEN = 0.1
# Steps that a segment should have, for the windows of the usual models.
LONG_ENOUGH = 20

NEURAL = re.compile(
    r"spike|neur|unit|count|fluor|dff|df.?f|calcium|trace|activ|roi|cell|firing", re.I
)
LABEL = re.compile(r"pos|vel|speed|head|angle|dir|behav|label|stim|target|choice|\bx\b|\by\b", re.I)
SEGMENTS = re.compile(r"trial|segment|session|block|epoch|lap", re.I)
TIME = re.compile(r"time|clock|\bt\b", re.I)


@dataclass(frozen=True)
class Found:
    """An array, or several numbered ones that are alike.

    Attributes
    ----------
    name : str
        Its key or path; of several a pattern such as ``unit_*``.
    shape : tuple of int
    dtype : str
    count : int
        How many arrays it stands for.
    unit : str
    rate : float or None
        In Hz, where it is known.
    kind : {"continuous", "circular", "discrete"} or None
        What kind of label it would be; None if it can be none.
    turn : float or None
        One turn, if it looks like an angle.
    faults : tuple of str
        Why it cannot be used as it is: constant, NaN.
    clock : float or None
        The rate in Hz if it counts up evenly.
    segments : bool
        Whether it looks like trial numbers, one for each step.
    sampled : int or None
        How many of the first rows all of this is by; None if by all.
    gaps : bool
        Whether NaN is all that is wrong, in at most half of the rows: they can be left out.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    count: int = 1
    unit: str = ""
    rate: float | None = None
    kind: Kind | None = None
    turn: float | None = None
    faults: tuple[str, ...] = ()
    clock: float | None = None
    segments: bool = False
    sampled: int | None = None
    gaps: bool = False

    @property
    def upright(self) -> tuple[int, ...]:
        """The shape, (T,) where MATLAB has a row or a column."""
        wide = [length for length in self.shape if length != 1]
        return tuple(wide or (1,)) if len(self.shape) == 2 and len(wide) < 2 else self.shape

    @property
    def is_numbers(self) -> bool:
        """Whether it holds numbers that neural data are made of."""
        return self.dtype.startswith(("float", "int", "uint", "bool", "double"))


def look(
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    sample: Array | None,
    *,
    unit: str = "",
    rate: float | None = None,
) -> Found:
    """Describe an array by its first rows.

    Parameters
    ----------
    name, shape, dtype
        Of the whole array.
    sample : ndarray or None
        Its first rows; None if there are none.
    unit : str
    rate : float, optional
        In Hz.
    """
    if sample is None or not sample.size or sample.dtype.kind not in "fiubU":
        return Found(name, shape, dtype, unit=unit, rate=rate)
    rows = None if sample.size == int(np.prod(shape)) else len(sample)
    column = sample.reshape(-1) if 1 in sample.shape else sample
    kind, turn = _kind(column)
    return Found(
        name, shape, dtype, 1, unit, rate, kind, turn, _faults(sample), _clock(name, column),
        _are_trials(name, column), rows, _has_gaps(sample),
    )  # fmt: skip


def _faults(sample: Array) -> tuple[str, ...]:
    found = []
    if sample.dtype.kind == "f":
        missing, infinite = int(np.isnan(sample).sum()), int(np.isinf(sample).sum())
        found += [f"{missing} NaN"] * bool(missing) + [f"{infinite} infinite"] * bool(infinite)
    if sample.size > 1 and (sample == sample.reshape(-1)[0]).all():
        found.append("constant")
    return tuple(found)


def _has_gaps(sample: Array) -> bool:
    if sample.dtype.kind != "f" or np.isinf(sample).any():
        return False
    missing = np.isnan(sample)
    if 1 in sample.shape:
        missing = missing.reshape(-1, 1)
    rows = missing.any(axis=tuple(range(1, missing.ndim)))
    return bool(rows.any() and rows.mean() <= MOST_GAPS)


def _kind(values: Array) -> tuple[Kind | None, float | None]:
    """Return what kind of label values would be, and one turn if they look like an angle."""
    if values.ndim == 2 and values.shape[1] <= MOST_COLUMNS and values.dtype.kind == "f":
        return "continuous", None
    if values.ndim != 1:
        return None, None
    if values.dtype.kind in "bU":
        return "discrete", None
    if not np.isfinite(values).all():
        return "continuous", None
    for turn in (TAU, 360.0) if values.dtype.kind == "f" else (360.0,):
        if len(values) >= 3 and goes_round(values, turn):
            return "circular", turn
    few = len(np.unique(values)) <= min(MOST_CLASSES, max(2, len(values) / 5))
    return ("discrete" if few and are_whole(values) else "continuous"), None


def _clock(name: str, values: Array) -> float | None:
    """Return the rate of what counts up evenly, as times and numbers of rows do."""
    if values.ndim != 1 or len(values) < 3 or values.dtype.kind not in "fiu":
        return None
    steps = np.diff(values.astype(np.float64))
    usual = float(np.median(steps))
    if not usual > 0 or not (np.abs(steps - usual) <= EVEN * usual).all():
        return None
    return 1 / usual if TIME.search(name) else 0.0


def _are_trials(name: str, values: Array) -> bool:
    if not SEGMENTS.search(name) or values.ndim != 1 or values.dtype.kind not in "iuU":
        return False
    edges = np.flatnonzero(values[1:] != values[:-1]) + 1
    return len(edges) > 0 and int(np.diff([0, *edges]).min()) >= LONG_ENOUGH
