"""Values on a clock of their own, and what they are at other times; never across a gap."""

from dataclasses import dataclass

import numpy as np

from grevy.data.arrays import Array, Float64Array
from grevy.data.labels import TAU, Kind
from grevy.errors import GrevyError

GAP = 5
"""How many times the usual step between two samples makes a gap: nothing is interpolated there."""

# Two clocks that count the same way differ by rounding; of a usual step.
ROUNDING = 1e-6
DEGREES = frozenset({"deg", "degs", "degree", "degrees"})


@dataclass(frozen=True, eq=False)
class Series:
    """Values over time.

    Attributes
    ----------
    path : str
        What it is called, in its file.
    times : ndarray of shape (T,), float64
        In seconds; they never go backwards.
    values : ndarray of shape (T,) or (T, L)
        In `unit`: conversion and offset are applied.
    unit : str
        Empty if the file names none.
    """

    path: str
    times: Float64Array
    values: Array
    unit: str

    @property
    def usual_step(self) -> float:
        """The median time between two samples, in seconds."""
        return float(np.median(np.diff(self.times)))

    @property
    def period(self) -> float | None:
        """One turn, if the unit says so."""
        return 360.0 if self.unit.casefold() in DEGREES else None

    @property
    def borders(self) -> Array:
        """Tell for each sample but the last whether a gap in time follows."""
        return np.asarray(np.diff(self.times) > GAP * self.usual_step)


def check_times(times: Float64Array, where: str) -> None:
    """Refuse times that are no numbers, or go backwards.

    Raises
    ------
    GrevyError
        Naming the first place.
    """
    bad = np.flatnonzero(~np.isfinite(times))
    if len(bad):
        raise GrevyError(
            f"{where} has no time at sample {bad[0]} (NaN or infinite). Mend the file."
        )
    back = np.flatnonzero(np.diff(times) < 0)
    if len(back):
        first = int(back[0])
        raise GrevyError(
            f"{where} has times that go backwards, from {times[first]:.6g} s to "
            f"{times[first + 1]:.6g} s at sample {first + 1}. Sort it, or mend the clock."
        )


def without_missing(series: Series) -> tuple[Series, Array]:
    """Leave out samples that hold NaN.

    Returns
    -------
    tuple of Series and ndarray of bool
        What is left, and for each sample but the last whether a gap follows: a sample was left
        out there, or the step in time is over `GAP` times the usual one.

    Raises
    ------
    GrevyError
        If fewer than two samples are left.
    """
    rows = series.values.reshape(len(series.values), -1)
    missing = np.isnan(rows).any(axis=1) if rows.dtype.kind == "f" else np.zeros(len(rows), bool)
    kept = np.flatnonzero(~missing)
    if len(kept) < 2:
        raise GrevyError(
            f"the series {series.path!r} is NaN but for {len(kept)} samples; expected numbers."
        )
    whole = Series(series.path, series.times[kept], series.values[kept], series.unit)
    steps = np.diff(whole.times)
    return whole, (np.diff(kept) > 1) | (steps > GAP * series.usual_step)


def resampled(
    series: Series, gaps: Array, at: Float64Array, kind: Kind, period: float | None
) -> tuple[Array, Array]:
    """Return what a series is at other times.

    Parameters
    ----------
    series : Series
        Without NaN.
    gaps : ndarray of shape (T - 1,), bool
        Whether a gap follows a sample.
    at : ndarray of shape (S,)
        In seconds.
    kind : {"continuous", "circular", "discrete"}
        Continuous values are interpolated linearly, circular ones along the shorter way round, of
        discrete ones the nearest in time is taken.
    period : float or None
        One turn; 2 pi if None.

    Returns
    -------
    tuple of ndarray
        (S,) or (S, L) values, and (S,) whether there is one: in gaps and outside the series the
        last value before stands in for it.
    """
    times, values = series.times, series.values
    tolerance = ROUNDING * series.usual_step
    for end in (times[0], times[-1]):
        at = np.where(np.abs(at - end) <= tolerance, end, at)
    last = len(times) - 1
    before = np.searchsorted(times, at, side="right") - 1
    there = (before >= 0) & ((before < last) | (at == times[last]))
    before = np.clip(before, 0, last)
    after = np.minimum(before + 1, last)
    there &= (at == times[before]) | ~gaps[np.minimum(before, last - 1)]
    if kind == "discrete":
        nearer = there & (times[after] - at < at - times[before])
        return values[np.where(nearer, after, before)], there
    start, change = values[before].astype(np.float64), values[after].astype(np.float64)
    change -= start
    if kind == "circular":
        turn = TAU if period is None else period
        change = np.mod(change + turn / 2, turn) - turn / 2
    step = np.where(times[after] > times[before], times[after] - times[before], 1.0)
    gone = np.where(there, at - times[before], 0.0)
    if values.ndim == 2:
        step, gone = step[:, None], gone[:, None]
    return change / step * gone + start, there
