"""Which samples meet in a step: recordings and a generator in, batches of indices out.

Contrastive learning compares a reference with a positive (related to it) and with negatives
(unrelated). This module decides which time steps those are, and nothing else. Positions count
along one time axis on which all recordings lie end to end. Only positions whose window fits in
their segment are ever drawn, so that no window and no pair in time crosses a border.

The distributions are those of Schneider, Lee & Mathis, "Learnable latent embeddings for joint
behavioural and neural analysis", Nature 617, 360-368 (2023), Methods, "Sampling".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from grevy.errors import GrevyError
from grevy.neighbours import NeighbourIndex, build_index, nearest
from grevy.recording import Array, FloatArray, IntArray, Recording

Conditional = Literal["time", "time_delta", "delta_normal", "discrete"]
PriorKind = Literal["empirical", "uniform"]


@dataclass(frozen=True)
class SamplingPlan:
    """What is drawn in a step.

    Attributes
    ----------
    conditional : {"time", "time_delta", "delta_normal", "discrete"}
        How a positive follows from its reference. time: `time_offsets` steps later. time_delta:
        the label nearest to the reference's plus a change seen in the data over `time_offsets`
        steps. delta_normal: the label nearest to the reference's plus Gaussian noise of standard
        deviation `delta`. discrete: any sample of the same class. With a discrete label the first
        three keep the class too.
    time_offsets : tuple of int
        In steps; one is drawn for each pair, all equally likely.
    delta : float or None
        Standard deviation for delta_normal, in the label's unit (radians for angles).
    prior : {"empirical", "uniform"}
        References and negatives as frequent as they come, or every class equally often.
    batch_size : int or None
        References of each recording in a step; None takes every position once.
    num_negatives : int or None
        Negatives of each recording in a step; as many as references if None.
    hybrid : bool
        Draw a second positive in time for each reference.
    """

    conditional: Conditional
    time_offsets: tuple[int, ...] = (1,)
    delta: float | None = None
    prior: PriorKind = "empirical"
    batch_size: int | None = 512
    num_negatives: int | None = None
    hybrid: bool = False


@dataclass(frozen=True, eq=False)
class Batches:
    """Positions for `n` steps.

    Attributes
    ----------
    reference, positive : ndarray of shape (n, R), int64
    negative : ndarray of shape (n, M), int64
    time_positive : ndarray of shape (n, R), int64, or None
        The second positive, in time, of hybrid training.
    """

    reference: IntArray
    positive: IntArray
    negative: IntArray
    time_positive: IntArray | None = None

    def at(self, step: int) -> "Batches":
        """Return the batch of one step, its arrays without the leading axis."""
        later = None if self.time_positive is None else self.time_positive[step]
        return Batches(self.reference[step], self.positive[step], self.negative[step], later)


@dataclass(frozen=True, eq=False)
class Grouped:
    """Positions sorted so that those of one group lie next to each other.

    Attributes
    ----------
    positions : ndarray of shape (P,), int32 or int64
    starts, counts : ndarray of shape (G,), int64
        Group g is ``positions[starts[g] : starts[g] + counts[g]]``.
    """

    positions: IntArray
    starts: IntArray
    counts: IntArray


@dataclass(frozen=True, eq=False)
class Runs:
    """Positions that lie in runs, in order, counted from 0.

    Attributes
    ----------
    starts, before : ndarray of shape (S,), int64
        Where each run starts, and how many positions lie in those before it.
    count : int
    """

    starts: IntArray
    before: IntArray
    count: int

    def at(self, rank: IntArray) -> IntArray:
        """Return the positions number `rank`."""
        run = np.searchsorted(self.before, rank, side="right") - 1
        return rank + (self.starts - self.before)[run]


@dataclass(frozen=True, eq=False)
class Sampler:
    """Everything that batches are drawn from, computed once by `make_sampler`.

    Attributes
    ----------
    plan : SamplingPlan
    session, group : ndarray of shape (T,), int64
        For each position its recording, and its recording-and-class ``session * C + class``.
    pools : tuple of Grouped
        For each recording the positions drawn as reference or negative, by class.
    members : Grouped
        Every position whose window fits, by `group`.
    possible : ndarray of shape (T, K), bool
        Whether t and t + k may form a pair in time, for each of the K time offsets k; (T, 0) where
        no pairs in time are drawn.
    changes : tuple of Runs
        For each time offset k, the positions t whose segment also holds t + k.
    coordinates : ndarray of shape (T, d), float64
        All continuous and circular labels side by side.
    indices : dict of int to NeighbourIndex
        One for each group, over its members' coordinates; empty unless labels are searched.

    Positions take 4 bytes each in recordings of up to 2^31 steps, and what is the same for all of
    them takes none: at a million steps this is what memory goes into.
    """

    plan: SamplingPlan
    session: IntArray
    group: IntArray
    pools: tuple[Grouped, ...]
    members: Grouped
    possible: Array
    changes: tuple[Runs, ...]
    coordinates: FloatArray
    indices: dict[int, NeighbourIndex]

    @property
    def n_classes(self) -> int:
        """C, the number of (combined) classes; 1 without discrete labels."""
        return len(self.members.counts) // len(self.pools)

    @property
    def n_references(self) -> int:
        """R, the number of references in a step, over all recordings."""
        if self.plan.batch_size is None:
            return sum(len(pool.positions) for pool in self.pools)
        return len(self.pools) * self.plan.batch_size

    @property
    def n_negatives(self) -> int:
        """M, the number of negatives that each reference meets in a step."""
        if self.plan.num_negatives is None:
            return self.n_references
        return len(self.pools) * self.plan.num_negatives


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
    offsets = np.cumsum([0, *(len(recording) for recording in recordings)])
    runs = [
        recording.segments + start for recording, start in zip(recordings, offsets, strict=False)
    ]
    small = _small(int(offsets[-1]))
    fitting = [_fitting(run, left, right, small) for run in runs]
    for number, (positions, run) in enumerate(zip(fitting, runs, strict=True)):
        if not len(positions):
            longest = int((run[:, 1] - run[:, 0]).max())
            raise GrevyError(
                f"recording {number}: its longest segment has {longest} time steps, fewer than the "
                f"model's receptive field of {left + right}. Use longer segments or a model with a "
                f"shorter receptive field, such as offset1-model."
            )
    length = int(offsets[-1])
    session = _constant(0, length)
    if len(recordings) > 1:
        session = np.repeat(np.arange(len(recordings)), np.diff(offsets))
    klass, n_classes = combined_classes(recordings)
    group = session if n_classes == 1 else session * n_classes + klass
    # Where a window of k + 1 steps from t on fits, t + k lies in the segment of t.
    changes = tuple(_runs(np.concatenate(runs), k + 1) for k in plan.time_offsets)
    partners: tuple[IntArray, ...] = ()
    if _in_time(plan):
        valid = np.zeros(length, bool)
        for positions in fitting:
            valid[positions] = True
        same_class = group if plan.conditional == "time" else session
        partners = tuple(
            t[valid[t] & valid[t + k] & (same_class[t] == same_class[t + k])]
            for k in plan.time_offsets
            for t in [_fitting(np.concatenate(runs), 0, k + 1, small)]
        )
    _check_pairs(plan, partners, changes)
    pools = _pools(plan, fitting, partners, klass, n_classes, session)
    possible = np.zeros((length, len(partners)), bool)
    for column, positions in enumerate(partners):
        possible[positions, column] = True
    every = fitting[0] if len(fitting) == 1 else np.concatenate(fitting)
    members = _grouped(every, group, len(recordings) * n_classes)
    coordinates, turn = search_coordinates(recordings)
    indices: dict[int, NeighbourIndex] = {}
    if plan.conditional in ("time_delta", "delta_normal"):
        for g in np.flatnonzero(members.counts):
            inside = members.positions[members.starts[g] :][: members.counts[g]]
            indices[int(g)] = build_index(_taken(coordinates, inside), inside, turn)
    return Sampler(plan, session, group, pools, members, possible, changes, coordinates, indices)


def draw(sampler: Sampler, n_steps: int, rng: np.random.Generator) -> Batches:
    """Draw the positions of `n_steps` steps.

    Parameters
    ----------
    sampler : Sampler
    n_steps : int
    rng : numpy.random.Generator

    Returns
    -------
    Batches
        References lie recording after recording; positive i belongs to reference i. With several
        recordings, positives are spread over all of them, as many in each as it has references,
        except that a class absent from a recording finds its positive in one that holds it.
    """
    plan = sampler.plan
    if plan.batch_size is None:
        every = np.concatenate([pool.positions for pool in sampler.pools]).astype(np.int64)
        reference = np.tile(every, (n_steps, 1))
    else:
        reference = _draw_prior(sampler, n_steps, plan.batch_size, rng)
    if plan.num_negatives is not None:
        negative = _draw_prior(sampler, n_steps, plan.num_negatives, rng)
    elif plan.batch_size is None:
        negative = rng.permuted(reference, axis=1)
    else:
        negative = _draw_prior(sampler, n_steps, plan.batch_size, rng)
    flat = reference.reshape(-1)
    if plan.conditional == "time":
        positive = _later(sampler, flat, rng)
    else:
        target = _target_groups(sampler, reference, rng).reshape(-1)
        if plan.conditional == "discrete":
            positive = _same_group(sampler.members, target, rng)
        else:
            positive = _nearest_label(sampler, flat, target, rng)
    later = _later(sampler, flat, rng).reshape(reference.shape) if plan.hybrid else None
    return Batches(reference, positive.reshape(reference.shape), negative, later)


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
        np.stack([label.values for label in recording.labels if label.kind == "discrete"], axis=1)
        for recording in recordings
        if any(label.kind == "discrete" for label in recording.labels)
    ]
    if not columns:
        return _constant(0, sum(map(len, recordings))), 1
    combinations, codes = np.unique(np.concatenate(columns), axis=0, return_inverse=True)
    return codes.reshape(-1).astype(np.int64), len(combinations)


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


def fitting_positions(runs: IntArray, left: int, right: int) -> IntArray:
    """Return the positions t whose window [t - left, t + right) lies in one segment.

    Parameters
    ----------
    runs : ndarray of shape (S, 2), int64
        Segments.
    left, right : int
    """
    return _fitting(runs, left, right, np.int64)


def _fitting(runs: IntArray, left: int, right: int, dtype: type[np.integer[Any]]) -> IntArray:
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


def _small(length: int) -> type[np.integer[Any]]:
    """Return the integer type that holds positions below `length`."""
    return np.int32 if length < 2**31 else np.int64


def _in_time(plan: SamplingPlan) -> bool:
    return plan.conditional == "time" or plan.hybrid


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
    partners: Sequence[IntArray],
    klass: IntArray,
    n_classes: int,
    session: IntArray,
) -> tuple[Grouped, ...]:
    """For each recording, what references and negatives are drawn from."""
    drawn = list(fitting)
    if _in_time(plan):
        paired = np.unique(np.concatenate(partners))
        drawn = [paired[session[paired] == number] for number in range(len(fitting))]
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


def _below(counts: Array, rng: np.random.Generator) -> IntArray:
    """Draw one integer in [0, count) for each count."""
    return rng.integers(0, counts, dtype=np.int64)


def _draw_prior(sampler: Sampler, n_steps: int, size: int, rng: np.random.Generator) -> IntArray:
    """Draw references or negatives, `size` of each recording for each step."""
    drawn = []
    for pool in sampler.pools:
        present = np.flatnonzero(pool.counts)
        if len(present) == 1:
            rank = rng.integers(0, len(pool.positions), (n_steps, size))
            drawn.append(pool.positions[rank])
            continue
        which = present[rng.integers(0, len(present), (n_steps, size))]
        drawn.append(pool.positions[pool.starts[which] + _below(pool.counts[which], rng)])
    return np.concatenate(drawn, axis=1).astype(np.int64)


def _later(sampler: Sampler, reference: IntArray, rng: np.random.Generator) -> IntArray:
    """Positives in time: each reference moved by one of its possible offsets, equally likely."""
    offsets = np.array(sampler.plan.time_offsets)
    if len(offsets) == 1:
        return reference + offsets[0]
    upto = np.cumsum(sampler.possible[reference], axis=1)
    rank = _below(upto[:, -1], rng)
    return reference + offsets[(rank[:, None] >= upto).sum(axis=1)]


def _target_groups(sampler: Sampler, reference: IntArray, rng: np.random.Generator) -> IntArray:
    """For each reference, the recording and class in which its positive is looked for."""
    own = sampler.group[reference]
    if len(sampler.pools) == 1:
        return own
    n_classes = sampler.n_classes
    klass = own % n_classes
    target = rng.permuted(sampler.session[reference], axis=1) * n_classes + klass
    held = sampler.members.counts.reshape(-1, n_classes) > 0
    absent = sampler.members.counts[target] == 0
    for missing in np.unique(klass[absent]):
        holders = np.flatnonzero(held[:, missing])
        where = absent & (klass == missing)
        target[where] = rng.choice(holders, int(where.sum())) * n_classes + missing
    return target


def _same_group(members: Grouped, target: IntArray, rng: np.random.Generator) -> IntArray:
    rank = members.starts[target] + _below(members.counts[target], rng)
    return members.positions[rank].astype(np.int64)


def _nearest_label(
    sampler: Sampler, reference: IntArray, target: IntArray, rng: np.random.Generator
) -> IntArray:
    """Positives by label: nearest to the reference's label plus a change."""
    label = sampler.coordinates[reference]
    if sampler.plan.conditional == "delta_normal":
        query = label + rng.normal(0.0, sampler.plan.delta or 0.0, label.shape)
    else:
        query = label + _observed_changes(sampler, len(reference), rng)
    if len(sampler.indices) == 1:
        return nearest(next(iter(sampler.indices.values())), query, rng)
    positive = np.empty(len(reference), np.int64)
    for g in np.unique(target):
        here = np.flatnonzero(target == g)
        positive[here] = nearest(sampler.indices[int(g)], query[here], rng)
    return positive


def _observed_changes(sampler: Sampler, size: int, rng: np.random.Generator) -> FloatArray:
    """Changes of the label over a time offset, drawn from all that the recordings show."""
    which = np.zeros(size, np.int64)
    if len(sampler.changes) > 1:
        which = rng.integers(0, len(sampler.changes), size)
    rank = _below(np.array([runs.count for runs in sampler.changes])[which], rng)
    start = np.empty(size, np.int64)
    for column, runs in enumerate(sampler.changes):
        chosen = which == column
        start[chosen] = runs.at(rank[chosen])
    stop = start + np.array(sampler.plan.time_offsets)[which]
    return sampler.coordinates[stop] - sampler.coordinates[start]
