"""A series of an NWB file, with the time of each sample."""

from typing import Any

import numpy as np

from grevy.data.arrays import Float64Array
from grevy.data.clocks import Series, check_times
from grevy.data.files.nwb.tree import Tree, number, text
from grevy.errors import GrevyError

NO_UNIT = frozenset({"", "n/a", "na", "n.a.", "none", "unknown", "no unit", "unitless", "a.u."})


def read_series(tree: Tree, path: str, group: Any) -> Series:
    """Read a series of one or two axes, time first.

    Raises
    ------
    GrevyError
        If its values have another shape, or its times do not fit, are no numbers or go backwards.
    """
    where = f"{tree.path}: the series {path!r}"
    data = tree.child(group, "data")
    values = tree.array(group, "data")
    if values is None or values.ndim not in (1, 2) or 0 in values.shape:
        found = "nothing" if values is None else f"shape {values.shape}"
        raise GrevyError(f"{where} has data of {found}; expected (T,) or (T, N), time first.")
    factor, offset = number(data, "conversion", 1.0), number(data, "offset", 0.0)
    if values.dtype.kind in "fiu" and (factor, offset) != (1.0, 0.0):
        values = values * factor + offset
    unit = text(data, "unit").strip()
    times = _times(tree, group, where, len(values))
    return Series(path, times, values, "" if unit.casefold() in NO_UNIT else unit)


def _times(tree: Tree, group: Any, where: str, length: int) -> Float64Array:
    stamps = tree.numbers(group, "timestamps")
    if stamps is not None:
        times = stamps.astype(np.float64)
    else:
        start = tree.child(group, "starting_time")
        rate = number(start, "rate", 0.0) if start is not None else 0.0
        if not 0 < rate < np.inf:
            raise GrevyError(f"{where} has neither timestamps nor a rate above 0 Hz.")
        times = (
            float(np.asarray(tree.array(group, "starting_time")).item()) + np.arange(length) / rate
        )
    if len(times) != length:
        raise GrevyError(
            f"{where} has {len(times)} timestamps for {length} rows of data; expected one "
            f"for each. Time must come first: (T, N)."
        )
    if length < 2:
        raise GrevyError(f"{where} has one sample; expected several.")
    check_times(times, where)
    if not np.median(np.diff(times)) > 0:
        raise GrevyError(f"{where} has most of its times more than once; expected each once.")
    return times
