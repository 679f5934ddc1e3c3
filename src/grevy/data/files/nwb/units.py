"""Units and their spike times, chosen by the columns of their table."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from grevy.data.arrays import Array, Float64Array
from grevy.data.clocks import check_times
from grevy.data.files.nwb.choosing import chosen
from grevy.data.files.nwb.tree import Tree
from grevy.errors import GrevyError

_LOG = logging.getLogger(__name__)

# Two units that fired as often, each time in the same instant, are one that was stored twice.
FEWEST_ALIKE = 10
ELECTRODES = "general/extracellular_ephys/electrodes"


@dataclass(frozen=True, eq=False)
class Spikes:
    """Spike times of the units that were chosen.

    Attributes
    ----------
    trains : list of ndarray
        In seconds, one array for each unit.
    observed : ndarray of shape (I, 2) or None
        When all of them were recorded, in seconds, sorted; None if the file does not say.
    """

    trains: list[Float64Array]
    observed: Float64Array | None

    @property
    def range(self) -> tuple[float, float]:
        """When the units were recorded: as the file says, or from the first spike to the last."""
        if self.observed is not None:
            return float(self.observed[0, 0]), float(self.observed[-1, 1])
        fired = [train for train in self.trains if len(train)]
        return min(float(train[0]) for train in fired), max(float(train[-1]) for train in fired)


def read_spikes(tree: Tree, path: str, group: Any, expression: str | None) -> Spikes:
    """Read the spike times of a table of units.

    Parameters
    ----------
    tree : Tree
    path : str
    group : h5py.Group
        The table.
    expression : str or None
        Which units to take; see `chosen`.

    Raises
    ------
    GrevyError
        If no unit is left or none has a spike; a unit is there twice; times go backwards.
    """
    where = f"{tree.path}: {path}"
    index = tree.numbers(group, "spike_times_index")
    times = tree.numbers(group, "spike_times")
    assert index is not None
    assert times is not None
    bounds = _bounds(index, len(times), f"{where}/spike_times_index")
    if len(bounds) == 1:
        raise GrevyError(f"{where} has no units.")
    names = tree.numbers(group, "id")
    names = np.arange(len(index)) if names is None else names
    _check_names(names, len(index), where)
    rows = np.arange(len(index))
    if expression is not None:
        rows = np.flatnonzero(
            chosen(expression, lambda name: _column(tree, group, name, len(index)), len(index))
        )
        if not len(rows):
            raise GrevyError(f"{where}: `units={expression}` leaves none of {len(index)} units.")
        _LOG.info(f"{where}: {len(rows)} of {len(index)} units are taken")
    times = times.astype(np.float64)
    trains = [times[bounds[row] : bounds[row + 1]] for row in rows]
    for row, train in zip(rows, trains, strict=True):
        check_times(train, f"{where}: the unit {names[row]}")
    _check_trains(trains, names[rows], where)
    return Spikes(trains, _observed(tree, group, rows, where))


def _bounds(index: Array, length: int, where: str) -> Array:
    """Turn the ends of ragged rows into their bounds."""
    bounds = np.concatenate([[0], index.astype(np.int64)])
    if (np.diff(bounds) < 0).any() or bounds[-1] != length:
        raise GrevyError(
            f"{where} does not fit: it ends at {bounds[-1]}, for {length} values. The file is "
            f"damaged; make it again."
        )
    return bounds


def _check_names(names: Array, length: int, where: str) -> None:
    values, counts = np.unique(names, return_counts=True)
    if (counts > 1).any():
        raise GrevyError(
            f"{where} has the id {values[counts > 1][0]} {counts.max()} times; expected each once."
        )
    if len(names) != length:
        raise GrevyError(f"{where} has {len(names)} ids for {length} units. Make the file again.")


def _check_trains(trains: list[Float64Array], names: Array, where: str) -> None:
    silent = [name for name, train in zip(names, trains, strict=True) if not len(train)]
    if len(silent) == len(trains):
        raise GrevyError(f"{where}: none of the {len(trains)} units has a spike.")
    if silent:
        _LOG.warning(
            f"{where}: {len(silent)} of {len(trains)} units have no spike and are kept, as zeros: "
            f"{', '.join(map(str, silent[:8]))}{', ...' * (len(silent) > 8)}"
        )
    met: dict[bytes, Any] = {}
    for name, train in zip(names, trains, strict=True):
        if len(train) >= FEWEST_ALIKE and met.setdefault(train.tobytes(), name) != name:
            raise GrevyError(
                f"{where}: the units {met[train.tobytes()]} and {name} have the same spike times. "
                f"Leave one out with `units='id != {name}'`."
            )


def _observed(tree: Tree, group: Any, rows: Array, where: str) -> Float64Array | None:
    """Return when all units were recorded, where the file says it of each."""
    intervals, index = (
        tree.array(group, "obs_intervals"),
        tree.numbers(group, "obs_intervals_index"),
    )
    if intervals is None or index is None:
        return None
    if intervals.ndim != 2 or intervals.shape[1] != 2 or intervals.dtype.kind not in "fiu":
        raise GrevyError(f"{where}/obs_intervals has shape {intervals.shape}; expected (I, 2).")
    bounds = _bounds(index, len(intervals), f"{where}/obs_intervals_index")
    if len(bounds) <= rows.max() + 1:
        raise GrevyError(f"{where}/obs_intervals_index has too few rows. Make the file again.")
    own = [intervals[bounds[row] : bounds[row + 1]].astype(np.float64) for row in rows]
    different = {each.tobytes(): each for each in own}.values()
    common = None
    for each in different:
        if not np.isfinite(each).all() or (np.diff(each.reshape(-1)) < 0).any():
            raise GrevyError(f"{where}/obs_intervals has intervals that overlap or go backwards.")
        common = each if common is None else _intersection(common, each)
    if common is None or not len(common):
        raise GrevyError(
            f"{where}: by obs_intervals there is no time at which all units were recorded. Take "
            f"those that were recorded together with `units`."
        )
    return common


def _intersection(one: Float64Array, other: Float64Array) -> Float64Array:
    starts = np.maximum(one[:, None, 0], other[None, :, 0])
    stops = np.minimum(one[:, None, 1], other[None, :, 1])
    return np.stack([starts[starts < stops], stops[starts < stops]], axis=1)


def _column(tree: Tree, group: Any, name: str, length: int) -> Array:
    """Read a column with one value for each unit; `electrodes.X` is that of its first electrode."""
    where = f"{tree.path}: the units' column {name!r}"
    if name.startswith("electrodes."):
        return _of_electrodes(tree, group, name.removeprefix("electrodes."), length, where)
    if tree.child(group, f"{name}_index") is not None:
        raise GrevyError(f"{where} has several values for each unit; expected one.")
    column = tree.array(group, name)
    if column is None or column.ndim != 1 or len(column) != length:
        there = ", ".join(sorted(each for each in group if not each.endswith("_index")))
        raise GrevyError(f"{where} is none with one value for each unit. There are {there}.")
    return column


def _of_electrodes(tree: Tree, group: Any, name: str, length: int, where: str) -> Array:
    table = tree.below(tree.root, ELECTRODES)
    column = None if table is None else tree.array(table, name)
    rows, index = tree.numbers(group, "electrodes"), tree.numbers(group, "electrodes_index")
    if column is None or column.ndim != 1 or rows is None:
        there = ", ".join(sorted(table)) if table is not None else "no electrodes"
        raise GrevyError(
            f"{where}: there is none of that name, or units have no electrodes. There are {there}."
        )
    first = np.arange(length)
    if index is not None:
        bounds = _bounds(index, len(rows), where)
        if len(bounds) != length + 1 or (np.diff(bounds) == 0).any():
            raise GrevyError(f"{where}: there are units without an electrode.")
        first = bounds[:-1]
    if len(rows) < len(first) or not ((rows >= 0) & (rows < len(column))).all():
        raise GrevyError(f"{where}: units name electrodes that are not there. Mend the file.")
    return np.asarray(column[rows[first].astype(np.int64)])
