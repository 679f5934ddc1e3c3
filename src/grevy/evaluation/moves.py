"""Labels moved in time, so that they keep all of their own structure and lose their neurons."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from grevy.data import Array, Float64Array, IntArray, Label, end_to_end
from grevy.errors import GrevyError

Moved = npt.NDArray[np.int64]

FEWEST_NULLS = 20
"""The fewest nulls with which p can be below 0.05: 1 / (1 + 20); with 19 it would be 0.05."""

USUAL_NULLS = 1000
"""How often a label is moved where that costs no training and no fit."""

SHIFTED = "shifted within segments"
PERMUTED = "whole segments permuted"
ROTATED = "whole segments rotated"

# A segment is long enough to shift in if it lasts so many times as long as the label's memory.
LONG, LONG_SHARE = 20, 0.8
# The largest default of the smallest lag, as a fraction of a segment.
LARGEST_MINIMUM = 0.02
# Classes that tell how alike two steps are: a column each, and T may be a million.
MOST_CLASSES = 8
# Enough segments that orders drawn at random differ.
FEWEST_PERMUTED = 8
# Segments in all the orders together: those of a million lone bins would fill gigabytes.
MOST_ORDERED = 2**25
# A label that needs more than this part of its segment (or of all segments, where these rotate) to
# forget itself is too slow: 95 of 100 random walks do, and 1 of 100 Ornstein-Uhlenbeck processes
# whose time constant is a fiftieth of it.
SLOW = 0.05


class UnmovableError(GrevyError):
    """No honest p exists: a label does not vary, is too slow, or there is too little of it."""


@dataclass(frozen=True, eq=False)
class Moves:
    """How a label is moved, n times.

    Attributes
    ----------
    how : str
        `SHIFTED`, `PERMUTED` or `ROTATED`.
    segments : ndarray of shape (S, 2)
    lags : ndarray, integers
        SHIFTED: (n, S), in steps, for each segment. ROTATED: (n,), in segments. PERMUTED: (n, S),
        the segment that each one gets its label from.
    memory : int
        Steps (SHIFTED) or segments (ROTATED) over which the label forgets itself; see `memory`.
    """

    how: str
    segments: IntArray
    lags: npt.NDArray[np.integer[Any]]
    memory: int

    def __len__(self) -> int:
        return len(self.lags)

    def __iter__(self) -> Iterator[Moved]:
        """Yield, for each null, (R,) int64: the step that each recorded step gets its label from.

        Recorded steps are those inside segments, in order; they are numbered from 0. Made one at a
        time: fifty at a million steps would take 400 MB.
        """
        for lag in self.lags:
            if self.how == SHIFTED:
                yield shifted(self.segments, lag)
            elif self.how == ROTATED:
                yield rearranged(self.segments, np.roll(np.arange(len(self.segments)), int(lag)))
            else:
                yield rearranged(self.segments, lag)


def runs_end_to_end(segments: IntArray) -> IntArray:
    """Lay segments (S, 2) end to end, the first from 0: on the axis of recorded steps alone."""
    edges = end_to_end(segments[:, 1] - segments[:, 0])
    return np.stack([edges[:-1], edges[1:]], axis=1)


def refuse_slow(label: Label, moves: Moves) -> None:
    """Refuse a label that is too slow for its recording.

    Raises
    ------
    UnmovableError
        If so few of its memories fit into the longest segment (or, where whole segments rotate, the
        segments are so few) that it can agree with something slow by accident.
    """
    length, unit = len(moves.segments), "segments"
    if moves.how == SHIFTED:
        length, unit = int((moves.segments[:, 1] - moves.segments[:, 0]).max()), "steps"
    if moves.how != PERMUTED and moves.memory > SLOW * length:
        raise UnmovableError(
            f"null test: label {label.name!r} needs {moves.memory} {unit} to forget itself, of "
            f"{length} in a row: so slow a label can agree with a slow embedding by accident, and "
            f"no p can tell. Record for longer: {round(moves.memory / SLOW)} {unit} in a row are "
            f"needed."
        )


def plan_moves(
    label: Label,
    segments: IntArray,
    n: int,
    min_lag: int | None,
    gap: int,
    rng: np.random.Generator,
) -> Moves:
    """Decide how to move a label, and draw the moves.

    Parameters
    ----------
    label : Label
        At the recorded steps, end to end.
    segments : ndarray of shape (S, 2)
        Of the recorded steps, end to end: the first starts at 0 and each at the end of the last.
    n : int
        Moves wanted. Fewer are made if there are not as many distinct ones.
    min_lag : int or None
        See `grevy.null_test`.
    gap : int
        Steps over which embedding and label are tied by construction.
    rng : numpy.random.Generator

    Raises
    ------
    UnmovableError
        If the label does not vary, or cannot be moved in `FEWEST_NULLS` ways.
    GrevyError
        If `min_lag` is out of range.
    """
    targets = as_numbers(label)
    lengths = segments[:, 1] - segments[:, 0]
    forgets = memory(targets, segments)
    long = lengths >= LONG * max(forgets, 1)
    within = _varies_within(targets, segments)
    short = lengths[long].sum() < LONG_SHARE * lengths.sum()
    if min_lag is None and short and len(segments) >= FEWEST_PERMUTED:
        means = np.add.reduceat(targets, segments[:, 0], axis=0) / lengths[:, None]
        if not _neighbours_agree(means):
            count = max(FEWEST_NULLS, min(n, MOST_ORDERED // len(segments)))
            order = np.empty((count, len(segments)), dtype=np.int32)
            for each in order:
                each[:] = rng.permutation(len(segments))
            return Moves(PERMUTED, segments, order, 0)
        line = np.array([[0, len(segments)]])
        between = memory(means, line)
        lags = spread_lags(len(segments), n, _minimum(between, 0, len(segments)), rng)
        if len(lags) >= FEWEST_NULLS:
            return Moves(ROTATED, segments, lags, between)
    if not within:
        raise UnmovableError(
            f"null test: label {label.name!r} is constant within each of the {len(segments)} "
            f"segments, too few to exchange. Record more, or leave the segments out."
        )
    return _shifts(segments, n, min_lag, gap, forgets, rng)


def _shifts(
    segments: IntArray,
    n: int,
    min_lag: int | None,
    gap: int,
    forgets: int,
    rng: np.random.Generator,
) -> Moves:
    lengths = segments[:, 1] - segments[:, 0]
    longest = int(lengths.max())
    if min_lag is None:
        least = _minimum(forgets, gap, longest)
    elif 1 <= min_lag <= longest // 2:
        least = min_lag
    else:
        raise GrevyError(
            f"null test: a smallest lag of {min_lag} steps; expected at least 1 and at most half "
            f"of the longest segment, which has {longest}. Or leave it out."
        )
    turns = spread_lags(longest, n, least, rng) / longest
    if len(turns) < FEWEST_NULLS:
        raise UnmovableError(
            f"null test: the longest segment of {longest} steps allows {len(turns)} distinct "
            f"shifts by at least {least} steps; expected {FEWEST_NULLS} or more, or p could not be "
            f"below 0.05. Give a longer recording or a smaller min_lag."
        )
    lags = np.rint(turns[:, None] * lengths).astype(np.int64)
    return Moves(SHIFTED, segments, lags, forgets)


def _minimum(forgets: int, gap: int, length: int) -> int:
    return max(1, min(max(forgets, gap), int(LARGEST_MINIMUM * length)))


def spread_lags(length: int, n: int, least: int, rng: np.random.Generator) -> IntArray:
    """Draw up to n distinct lags from `least` to ``length - least``, spread evenly.

    The range is cut into n equal parts, and one lag is drawn from each.

    Returns
    -------
    ndarray of shape (n,), int64
        In rising order; all that there are if there are fewer than n.
    """
    there = length - 2 * least + 1
    if there <= n:
        return np.arange(least, least + max(there, 0), dtype=np.int64)
    edges = least + np.linspace(0, there, n + 1).astype(np.int64)
    return rng.integers(edges[:-1], edges[1:], dtype=np.int64)


def shifted(segments: IntArray, lags: IntArray) -> Moved:
    """Shift each segment circularly by its lag: step t gets the label of step t - lag."""
    lengths = segments[:, 1] - segments[:, 0]
    starts, sizes = np.repeat(segments[:, 0], lengths), np.repeat(lengths, lengths)
    within = np.arange(len(starts)) - starts
    return starts + np.mod(within - np.repeat(lags, lengths), sizes)


def rearranged(segments: IntArray, order: npt.NDArray[np.integer[Any]]) -> Moved:
    """Give each segment s the label of segment ``order[s]``, stretched to its length."""
    lengths = segments[:, 1] - segments[:, 0]
    sizes = np.repeat(lengths, lengths)
    within = np.arange(len(sizes)) - np.repeat(segments[:, 0], lengths)
    of_source = np.repeat(lengths[order], lengths)
    return np.repeat(segments[order, 0], lengths) + within * of_source // sizes


def as_numbers(label: Label) -> Float64Array:
    """Turn a label into columns whose products measure how alike two steps are.

    Continuous columns are standardised; an angle becomes its cosine and sine; each of the (at most
    eight) commonest classes becomes a column that is 1 where it occurs.

    Returns
    -------
    ndarray of shape (R, C), float64
        Each column has mean 0.

    Raises
    ------
    UnmovableError
        If the label does not vary.
    """
    if label.kind == "continuous":
        numbers = label.values - label.values.mean(axis=0)
        spread = numbers.std(axis=0)
        numbers = numbers / np.where(spread > 0, spread, 1.0)
    elif label.kind == "circular":
        numbers = np.stack([np.cos(label.values), np.sin(label.values)], axis=1)
    else:
        counts = np.bincount(label.values)
        common = np.argsort(-counts, kind="stable")[:MOST_CLASSES]
        numbers = (label.values[:, None] == common[counts[common] > 0]).astype(np.float64)
    if len(numbers) < 2 or (numbers == numbers[0]).all():
        raise UnmovableError(
            f"null test: label {label.name!r} is constant over the steps given, so that it cannot "
            f"be moved. Leave it out."
        )
    centred: Float64Array = numbers - numbers.mean(axis=0)
    return centred


def memory(numbers: Array, segments: IntArray) -> int:
    """Return the first lag, in steps, at which the autocorrelation is below 1/e.

    Pooled over columns, within segments. The steps of a segment beyond its end count as those from
    its beginning, so that no circular shift changes the result. The longest segment's length if
    there is no such lag.
    """
    longest = int((segments[:, 1] - segments[:, 0]).max())
    correlation = autocorrelation(numbers, segments, longest)
    below = np.flatnonzero(correlation < 1 / math.e)
    return int(below[0]) if len(below) else longest


def autocorrelation(numbers: Array, segments: IntArray, n_lags: int) -> Float64Array:
    """Circular autocorrelation within segments, pooled over columns, at lags 0 to n_lags - 1.

    Parameters
    ----------
    numbers : ndarray of shape (R, C)
        Each column of mean 0.
    segments : ndarray of shape (S, 2)
        A segment takes part in the lags up to its length.

    Returns
    -------
    ndarray of shape (n_lags,), float64
        1 at lag 0.
    """
    products, energy = np.zeros(n_lags), np.zeros(n_lags)
    lengths = segments[:, 1] - segments[:, 0]
    for length in np.unique(lengths).tolist():
        runs = segments[lengths == length, 0, None] + np.arange(length)
        power = np.zeros(length // 2 + 1)
        for column in numbers.T:  # one at a time, for long recordings
            power += (np.abs(np.fft.rfft(column[runs], axis=1)) ** 2).sum(axis=0)
        circular = np.fft.irfft(power, n=length)[:n_lags]
        products[: len(circular)] += circular
        energy[: len(circular)] += circular[0]
    with np.errstate(invalid="ignore"):
        correlation: Float64Array = np.where(energy > 0, products / energy, 0.0)
    return correlation


def _varies_within(numbers: Array, segments: IntArray) -> bool:
    changes = (np.diff(numbers, axis=0) != 0).any(axis=1)
    changes[segments[1:, 0] - 1] = False  # from one segment to the next
    return bool(changes.any())


def _neighbours_agree(means: Array) -> bool:
    """Tell whether segments next to each other have more alike labels than others.

    By the lag-1 autocorrelation of the segments' means, beyond one standard error of that of
    independent ones: a doubt goes to the slower, safer explanation.
    """
    line = np.array([[0, len(means)]])
    return bool(autocorrelation(means - means.mean(axis=0), line, 2)[1] > len(means) ** -0.5)
