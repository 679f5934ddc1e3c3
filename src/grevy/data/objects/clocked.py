"""What an object says of itself: its values, the time of each, and where time is broken.

Known by what they have, so that no library is imported that the user has not imported.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from grevy.data.arrays import Array, Float64Array, IntArray
from grevy.data.clocks import GAP, check_times
from grevy.data.intervals import row_of
from grevy.errors import GrevyError

# Seconds in a unit of time, as xarray's attributes spell it.
UNITS = {
    "": 1.0, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3,
    "millisecond": 1e-3, "milliseconds": 1e-3, "us": 1e-6, "microseconds": 1e-6,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Clocked:
    """Values with the time of each.

    Attributes
    ----------
    what : str
        What they are, for a message.
    values : ndarray of shape (T,) or (T, N)
    times : ndarray of shape (T,), float64
        In seconds, or the number of each step; they never go backwards.
    in_seconds : bool
        Or else in steps.
    breaks : ndarray of shape (T - 1,), bool
        Whether two samples lie in different stretches of time, by what the object says.
    names : tuple of str, or None
        Of the columns.
    width : float
        Of a bin around each time; 0 for samples.
    since : datetime64 or None
        Of dates the first one, from which seconds count; in UTC where they have a time zone.
    has_zone : bool
        Whether dates have a time zone.
    """

    what: str
    values: Any
    times: Float64Array
    in_seconds: bool
    breaks: Array
    names: tuple[str, ...] | None = None
    width: float = 0.0
    since: np.datetime64 | None = None
    has_zone: bool = False

    @property
    def counting(self) -> str:
        """In what times count: those of another object go with them if it says the same."""
        if self.since is None:
            return "in seconds" if self.in_seconds else "in steps"
        return f"in dates with{'' if self.has_zone else 'out'} a time zone"


def is_clocked(values: Any) -> bool:
    """Tell whether an object brings times along."""
    return _is_pynapple(values) or _is_xarray(values) or _is_pandas(values)


def is_interval_set(values: Any) -> bool:
    """Tell whether an object is a set of intervals in time, as of pynapple."""
    return all(hasattr(values, name) for name in ("start", "end", "tot_length"))


def rows_of_intervals(intervals: Any) -> Float64Array:
    """Return the intervals of an object as (I, 2) seconds."""
    return np.stack(
        [np.asarray(intervals.start, np.float64), np.asarray(intervals.end, np.float64)], axis=1
    )


def clocked(what: str, values: Any, bin: float | None = None) -> Clocked:
    """Read an object that brings times along.

    Parameters
    ----------
    what : str
        What it is, for a message.
    values : object
        A Tsd, TsdFrame or TsGroup of pynapple, a DataArray of xarray, a Series or DataFrame of
        pandas.
    bin : float, optional
        Width of a bin in seconds, for a TsGroup.

    Raises
    ------
    GrevyError
        If its times go backwards or are none, or a width is missing, or given for what has none.
    """
    if _is_pynapple(values):
        found = _of_pynapple(what, values, bin)
    elif bin is not None:
        raise _needless_bin(what, values)
    else:
        found = _of_xarray(what, values) if _is_xarray(values) else _of_pandas(what, values)
    if np.ndim(found.values) not in (1, 2):
        raise GrevyError(
            f"{what} has shape {np.shape(found.values)}; expected (T,) or (T, N), time first."
        )
    if len(found.times) < 2:
        raise GrevyError(f"{what} has {len(found.times)} samples; expected several.")
    check_times(found.times, what)
    return found


def _needless_bin(what: str, values: Any) -> GrevyError:
    return GrevyError(
        f"`bin` is the width in which spikes are counted, and {what}, of type "
        f"{type(values).__name__}, has samples, not spikes. Leave it out."
    )


def _is_pynapple(values: Any) -> bool:
    return hasattr(values, "time_support") and (
        hasattr(values, "times") or hasattr(values, "count")
    )


def _is_xarray(values: Any) -> bool:
    return all(hasattr(values, name) for name in ("dims", "coords", "transpose"))


def _is_pandas(values: Any) -> bool:
    return all(hasattr(values, name) for name in ("iloc", "index", "to_numpy"))


def _of_pynapple(what: str, values: Any, bin: float | None) -> Clocked:
    support = rows_of_intervals(values.time_support)
    width = 0.0
    if not hasattr(values, "times"):  # spikes of several neurons
        if bin is None or not (np.isfinite(bin) and bin > 0):
            given = "" if bin is None else f", not `bin={bin:g}`"
            raise GrevyError(
                f"{what} is a {type(values).__name__} of spike times, which are counted in bins. "
                f"Give their width in seconds, `bin=0.02` say{given}."
            )
        values, width = values.count(bin), float(bin)
    elif bin is not None:
        raise _needless_bin(what, values)
    if not hasattr(values, "values"):
        raise GrevyError(
            f"{what} is a {type(values).__name__}, times without values. Give a TsGroup, whose "
            f"spikes are counted, or a Tsd or TsdFrame."
        )
    times = np.asarray(values.times(), np.float64)
    epoch = row_of(times, times, support, 1e-9)
    names = getattr(values, "columns", None)
    return Clocked(
        what, values.values, times, True, np.diff(epoch) != 0,
        None if names is None else tuple(map(str, names)), width,
    )  # fmt: skip


def _of_xarray(what: str, values: Any) -> Clocked:
    dims = [str(each) for each in values.dims]
    if "time" not in dims or len(dims) > 2:
        raise GrevyError(
            f"{what} has the dimensions {', '.join(dims) or 'none'}; expected time and, for "
            f"neurons or columns, one more. Rename that of time: array.rename(DIM='time')."
        )
    upright = values.transpose("time", ...)
    times, in_seconds = np.arange(len(upright), dtype=np.float64), False
    since = None
    if "time" in values.coords:
        coordinate = values.coords["time"]
        unit = str(getattr(coordinate, "attrs", {}).get("units", "")).strip().casefold()
        stamps = np.asarray(coordinate.values)
        times, in_seconds = _times(what, stamps, unit)
        since = _first_date(stamps)
    other = next((each for each in dims if each != "time"), None)
    names = None
    if other is not None and other in values.coords and values.coords[other].ndim == 1:
        names = tuple(map(str, np.asarray(values.coords[other].values).tolist()))
    return Clocked(what, upright.values, times, in_seconds, _none(times), names, since=since)


def _of_pandas(what: str, values: Any) -> Clocked:
    given = values.index
    if hasattr(given, "to_timestamp"):  # periods: when each begins
        given = given.to_timestamp()
    has_zone = getattr(given, "tz", None) is not None
    index = np.asarray(given.tz_convert(None) if has_zone else given)
    if index.dtype.kind not in "fiumM":  # names of rows are no times
        index = np.arange(len(index))
    times, in_seconds = _times(what, index, "")
    names = getattr(values, "columns", None)
    array = values.to_numpy()
    return Clocked(
        what, array, times, in_seconds, _none(times),
        None if names is None else tuple(map(str, names)),
        since=_first_date(index), has_zone=has_zone,
    )  # fmt: skip


def _first_date(stamps: Array) -> np.datetime64 | None:
    return stamps[0] if stamps.dtype.kind == "M" and len(stamps) else None


def _none(times: Float64Array) -> Array:
    return np.zeros(max(len(times) - 1, 0), bool)


def _times(what: str, stamps: Array, unit: str) -> tuple[Float64Array, bool]:
    """Return times, and whether they are in seconds: whole numbers without a unit are steps."""
    if stamps.dtype.kind == "M":
        return (stamps - stamps[:1]).astype("timedelta64[ns]").astype(np.float64) / 1e9, True
    if stamps.dtype.kind == "m":
        return stamps.astype("timedelta64[ns]").astype(np.float64) / 1e9, True
    if stamps.dtype.kind in "iu" and not unit:
        return stamps.astype(np.float64), False
    if stamps.dtype.kind not in "fiu" or unit not in UNITS:
        raise GrevyError(
            f"{what} has times of {stamps.dtype}{f' in {unit!r}' * bool(unit)}; expected seconds "
            f"(floats), steps (whole numbers), dates or time differences."
        )
    return stamps.astype(np.float64) * UNITS[unit], True


def steady(found: Clocked) -> tuple[Array, float]:
    """Find the borders in time of neural data, and its usual step.

    Returns
    -------
    tuple of ndarray and float
        (T - 1,) bool, whether a sample is missing between two, or the object says that time is
        broken there; and the median step.

    Raises
    ------
    GrevyError
        If the steps are irregular: one is shorter than half the usual, or every tenth is longer
        than one and a half of it.
    """
    steps = np.diff(found.times)
    usual = float(np.median(steps))
    borders = np.asarray(found.breaks | (steps > 1.5 * usual))
    short = np.flatnonzero((steps < 0.5 * usual) & ~found.breaks)
    unexplained = int((borders & ~found.breaks).sum())
    if not usual > 0 or len(short) or unexplained > len(steps) / 10:
        unit = " s" if found.in_seconds else ""
        raise GrevyError(
            f"{found.what} has irregular times: steps from {steps.min():.6g}{unit} to "
            f"{steps.max():.6g}{unit}, and windows of a model are of equal steps. Resample it, or "
            f"count spikes in bins."
        )
    return borders, usual


def gaps_of(found: Clocked, kept: IntArray) -> Array:
    """Tell for the samples kept of a label, but the last, whether a gap follows.

    Parameters
    ----------
    found : Clocked
    kept : ndarray of shape (K,)
        The samples that are not NaN.
    """
    usual = float(np.median(np.diff(found.times)))
    stretch = np.append(0, np.cumsum(found.breaks))[kept]
    steps = np.diff(found.times[kept])
    return np.asarray((np.diff(kept) > 1) | (steps > GAP * usual) | (np.diff(stretch) > 0))
