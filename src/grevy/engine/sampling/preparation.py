"""From recordings and a plan to a `Sampler`: all that can be worked out before the first step."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from grevy.data import (
    Array,
    FloatArray,
    IntArray,
    Recording,
    end_to_end,
    laid_out,
    steps_inside,
)
from grevy.engine.kernels.points import Points
from grevy.engine.sampling.neighbours import NeighbourIndex, build_index
from grevy.engine.sampling.plan import Grouped, Runs, Sampler, SamplingPlan
from grevy.errors import GrevyError


def make_sampler(
    recordings: Sequence[Recording], left: int, right: int, plan: SamplingPlan
) -> Sampler:
    """Prepare to draw batches from recordings.

    Parameters
    ----------
    recordings : sequence of Recording
        All with the same labels (names may differ, kinds and classes may not).
    left, right : int
        The receptive field: a window at t spans [t - left, t + right).
    plan : SamplingPlan

    Raises
    ------
    GrevyError
        If no window fits in any segment of a recording, or no pair in time exists.
    """
    starts = end_to_end(map(len, recordings))
    length = int(starts[-1])
    runs = laid_out(recordings)
    fitting = [_drawn_from(run, left, right, plan, _small(length)) for run in runs]
    for number, (positions, run) in enumerate(zip(fitting, runs, strict=True)):
        if not len(positions):
            longest = int((run[:, 1] - run[:, 0]).max())
            raise GrevyError(
                f"recording {number}: its longest segment has {longest} time steps, fewer than the "
                f"model's receptive field of {left + right}. Use longer segments or a model with a "
                f"shorter receptive field, such as offset1-model, or pad_short=True."
            )
    session = _constant(0, length)
    if len(recordings) > 1:
        session = np.repeat(np.arange(len(recordings)), np.diff(starts))
    klass, n_classes = combined_classes(recordings)
    group = session if n_classes == 1 else session * n_classes + klass
    # Where a window of k + 1 steps from t on fits, t + k lies in the segment of t.
    changes = tuple(_runs(np.concatenate(runs), k + 1) for k in plan.time_offsets)
    partners: tuple[IntArray, ...] = ()
    if plan.in_time:
        same = group if plan.conditional == "time" else session
        partners = _partners(plan.time_offsets, np.concatenate(runs), fitting, same)
    _check_pairs(plan, partners, changes)
    possible = np.zeros((length, len(partners)), bool)
    for column, positions in enumerate(partners):
        possible[positions, column] = True
    del partners
    pools = _pools(plan, fitting, possible, klass, n_classes, starts)
    every = fitting[0] if len(fitting) == 1 else np.concatenate(fitting)
    members = _grouped(every, group, len(recordings) * n_classes)
    coordinates, turn = search_coordinates(recordings)
    indices: dict[int, NeighbourIndex | Points] = {}
    if plan.conditional in ("time_delta", "delta_normal"):
        for g in np.flatnonzero(members.counts):
            inside = members.positions[members.starts[g] :][: members.counts[g]]
            indices[int(g)] = build_index(_taken(coordinates, inside), inside, turn)
    return Sampler(plan, session, group, pools, members, possible, changes, coordinates, indices)


def _small(length: int) -> type[np.integer[Any]]:
    """Return the integer type that holds positions below `length`."""
    return np.int32 if length < 2**31 else np.int64


def _drawn_from(
    runs: IntArray, left: int, right: int, plan: SamplingPlan, dtype: type[np.integer[Any]]
) -> IntArray:
    """Return the positions whose window fits, and all of the segments that are padded, in order."""
    fitting = fitting_positions(runs, left, right, dtype)
    short = plan.short(runs, left + right)
    if not len(short):
        return fitting
    return np.union1d(fitting, steps_inside(short).astype(dtype))


def fitting_positions(
    runs: IntArray, left: int, right: int, dtype: type[np.integer[Any]] = np.int64
) -> IntArray:
    """Return the positions t whose window [t - left, t + right) lies in one segment.

    Parameters
    ----------
    runs : ndarray of shape (S, 2), int64
        Segments.
    left, right : int
    dtype : type
        Of the positions.
    """
    first, size = runs[:, 0] + left, runs[:, 1] - right - runs[:, 0] - left + 1
    first, size = first[size > 0], size[size > 0]
    steps = np.ones(size.sum(), dtype)
    # Each step follows the one before, but for the jumps from run to run.
    last_before = np.concatenate([[0], (first + size - 1)[:-1]])
    steps[np.cumsum(size) - size] = first - last_before[: len(first)]
    return np.cumsum(steps, dtype=dtype, out=steps)


def _runs(segments: IntArray, width: int) -> Runs:
    """Find the positions t whose window [t, t + width) lies in one segment."""
    size = segments[:, 1] - segments[:, 0] - width + 1
    starts, size = segments[size > 0, 0], size[size > 0]
    return Runs(starts, np.cumsum(size) - size, int(size.sum()))


def _partners(
    time_offsets: Sequence[int], runs: IntArray, fitting: Sequence[IntArray], same: IntArray
) -> tuple[IntArray, ...]:
    """For each time offset k, the positions t that form a pair in time with t + k.

    Both lie in one segment, their windows fit, and `same` has one value for both.
    """
    valid = np.zeros(len(same), bool)
    for positions in fitting:
        valid[positions] = True
    partners = []
    for k in time_offsets:
        t = fitting_positions(runs, 0, k + 1, _small(len(same)))
        kept = valid[t]
        later = t + k
        kept &= valid[later]
        if any(same.strides):  # else it is one value, which takes no memory
            kept &= same[t] == same[later]
        del later
        partners.append(t[kept])
    return tuple(partners)


def _check_pairs(plan: SamplingPlan, partners: Sequence[IntArray], changes: Sequence[Runs]) -> None:
    counts = [len(positions) for positions in partners]
    if plan.conditional == "time_delta":
        counts += [runs.count for runs in changes]
    for k, count in zip(2 * plan.time_offsets, counts, strict=False):
        if not count:
            raise GrevyError(
                f"time offset {k}: no segment holds two positions that far apart (windows "
                f"included). Use a smaller time offset or longer segments."
            )


def _pools(
    plan: SamplingPlan,
    fitting: Sequence[IntArray],
    possible: Array,
    klass: IntArray,
    n_classes: int,
    starts: IntArray,
) -> tuple[Grouped, ...]:
    """For each recording, what references and negatives are drawn from."""
    drawn = list(fitting)
    if plan.in_time:
        small: Any = _small(len(possible))
        drawn = [
            np.flatnonzero(possible[start:stop].any(axis=1)).astype(small) + int(start)
            for start, stop in pairwise(starts.tolist())
        ]
    for number, positions in enumerate(drawn):
        if not len(positions):
            raise GrevyError(
                f"recording {number}: no pair in time fits in any of its segments. Use a smaller "
                f"time offset or longer segments."
            )
    if plan.prior == "empirical":
        return tuple(_grouped(positions, klass, 1) for positions in drawn)
    return tuple(_grouped(positions, klass, n_classes) for positions in drawn)


def _grouped(positions: IntArray, group: IntArray, n_groups: int) -> Grouped:
    if n_groups == 1:
        return Grouped(positions, np.zeros(1, np.int64), np.array([len(positions)]))
    codes = group[positions]
    counts = np.bincount(codes, minlength=n_groups)
    order = np.argsort(codes, kind="stable")
    return Grouped(positions[order], np.cumsum(counts) - counts, counts)


def combined_classes(recordings: Sequence[Recording]) -> tuple[IntArray, int]:
    """Combine all discrete labels into one class for each position.

    Returns
    -------
    classes : ndarray of shape (T,), int64
        0..C-1 over all recordings; every combination that occurs is a class. All 0 if there is
        no discrete label.
    n_classes : int
        C.
    """
    columns = [
        [label.values for label in recording.labels if label.kind == "discrete"]
        for recording in recordings
    ]
    codes, n_classes = _constant(0, sum(map(len, recordings))), 1
    for parts in zip(*columns, strict=True):
        column = parts[0] if len(parts) == 1 else np.concatenate(parts)
        codes = codes * (int(column.max()) + 1) + column
        # Those that occur, in order; counting them takes a tenth of the time of sorting.
        if (most := int(codes.max()) + 1) <= 2 * len(codes):
            there = np.bincount(codes, minlength=most) > 0
            codes, n_classes = (np.cumsum(there) - 1)[codes], int(there.sum())
        else:
            found, codes = np.unique(codes, return_inverse=True)
            n_classes = len(found)
    return codes, n_classes


def search_coordinates(recordings: Sequence[Recording]) -> tuple[FloatArray, Array]:
    """Lay continuous and circular labels side by side.

    Returns
    -------
    coordinates : ndarray of shape (T, d), float64
        Angles in radians.
    turn : ndarray of shape (d,), bool
        True for the angles.
    """
    parts, turn = [], np.zeros(0, bool)
    for recording in recordings:
        searched = [label for label in recording.labels if label.kind != "discrete"]
        columns = [label.values.reshape(len(recording), -1) for label in searched]
        turn = np.repeat(
            np.array([label.kind == "circular" for label in searched], bool),
            [column.shape[1] for column in columns],
        )
        parts.append(_beside(columns) if columns else np.empty((len(recording), 0)))
    return parts[0] if len(parts) == 1 else np.concatenate(parts), turn


def _taken(rows: FloatArray, index: IntArray) -> FloatArray:
    """Return ``rows[index]`` for a sorted index, without a copy where that is one run of rows."""
    if index[-1] - index[0] == len(index) - 1:
        return rows[index[0] : index[-1] + 1]
    return rows[index]


def _beside(columns: Sequence[FloatArray]) -> FloatArray:
    return columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1)


def _constant(value: int, length: int) -> IntArray:
    """Return (length,) equal values that take no memory."""
    return np.broadcast_to(np.int64(value), length)
