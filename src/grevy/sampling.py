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
from typing import Literal

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
    positions : ndarray of shape (P,), int64
    starts, counts : ndarray of shape (G,), int64
        Group g is ``positions[starts[g] : starts[g] + counts[g]]``.
    """

    positions: IntArray
    starts: IntArray
    counts: IntArray


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
        Whether t and t + k may form a pair in time, for each of the K time offsets k.
    changes : tuple of ndarray, int64
        For each time offset k, the positions t whose segment also holds t + k.
    coordinates : ndarray of shape (T, d), float64
        All continuous and circular labels side by side.
    indices : dict of int to NeighbourIndex
        One for each group, over its members' coordinates; empty unless labels are searched.
    """

    plan: SamplingPlan
    session: IntArray
    group: IntArray
    pools: tuple[Grouped, ...]
    members: Grouped
    possible: Array
    changes: tuple[IntArray, ...]
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
    fitting = [fitting_positions(run, left, right) for run in runs]
    for number, (positions, run) in enumerate(zip(fitting, runs, strict=True)):
        if not len(positions):
            longest = int((run[:, 1] - run[:, 0]).max())
            raise GrevyError(
                f"recording {number}: its longest segment has {longest} time steps, fewer than the "
                f"model's receptive field of {left + right}. Use longer segments or a model with a "
                f"shorter receptive field, such as offset1-model."
            )
    length = int(offsets[-1])
    session = np.repeat(np.arange(len(recordings)), np.diff(offsets))
    klass, n_classes = combined_classes(recordings)
    group = session * n_classes + klass
    segment = _segment_of(np.concatenate(runs), length)
    changes = tuple(_pairs(segment, k) for k in plan.time_offsets)
    valid = np.zeros(length, bool)
    valid[np.concatenate(fitting)] = True
    same_class = group if plan.conditional == "time" else session
    partners = tuple(
        t[valid[t] & valid[t + k] & (same_class[t] == same_class[t + k])]
        for k, t in zip(plan.time_offsets, changes, strict=True)
    )
    _check_pairs(plan, partners, changes)
    pools = _pools(plan, fitting, partners, klass, n_classes, session)
    possible = np.zeros((length, len(plan.time_offsets)), bool)
    for column, positions in enumerate(partners):
        possible[positions, column] = True
    members = _grouped(np.flatnonzero(valid), group, len(recordings) * n_classes)
    coordinates, turn = search_coordinates(recordings)
    indices: dict[int, NeighbourIndex] = {}
    if plan.conditional in ("time_delta", "delta_normal"):
        for g in np.flatnonzero(members.counts):
            inside = members.positions[members.starts[g] :][: members.counts[g]]
            indices[int(g)] = build_index(coordinates[inside], inside, turn)
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
        every = np.concatenate([pool.positions for pool in sampler.pools])
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
        return np.zeros(sum(map(len, recordings)), np.int64), 1
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
        parts.append(np.concatenate([np.empty((len(recording), 0)), *columns], axis=1))
    return np.concatenate(parts), turn


def fitting_positions(runs: IntArray, left: int, right: int) -> IntArray:
    """Return the positions t whose window [t - left, t + right) lies in one segment.

    Parameters
    ----------
    runs : ndarray of shape (S, 2), int64
        Segments.
    left, right : int
    """
    first, last = runs[:, 0] + left, runs[:, 1] - right
    size = np.maximum(last - first + 1, 0)
    start = np.repeat(first, size)
    within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    return (start + within).astype(np.int64)


def _segment_of(runs: IntArray, length: int) -> IntArray:
    """Number of the segment at each position, -1 outside all of them."""
    segment = np.full(length, -1, np.int64)
    size = runs[:, 1] - runs[:, 0]
    inside = fitting_positions(runs, 0, 1)
    segment[inside] = np.repeat(np.arange(len(runs)), size)
    return segment


def _pairs(segment: IntArray, offset: int) -> IntArray:
    """Positions t whose segment also holds t + offset."""
    if offset >= len(segment):
        return np.empty(0, np.int64)
    return np.flatnonzero((segment[:-offset] == segment[offset:]) & (segment[:-offset] >= 0))


def _check_pairs(
    plan: SamplingPlan, partners: Sequence[IntArray], changes: Sequence[IntArray]
) -> None:
    for k, pairs, steps in zip(plan.time_offsets, partners, changes, strict=True):
        in_time = plan.conditional == "time" or plan.hybrid
        if (in_time and not len(pairs)) or (plan.conditional == "time_delta" and not len(steps)):
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
    if plan.conditional == "time" or plan.hybrid:
        paired = np.unique(np.concatenate(partners))
        drawn = [paired[session[paired] == number] for number in range(len(fitting))]
    for number, positions in enumerate(drawn):
        if not len(positions):
            raise GrevyError(
                f"recording {number}: no pair in time fits in any of its segments. Use a smaller "
                f"time offset or longer segments."
            )
    if plan.prior == "empirical":
        one = np.zeros_like(klass)
        return tuple(_grouped(positions, one, 1) for positions in drawn)
    return tuple(_grouped(positions, klass, n_classes) for positions in drawn)


def _grouped(positions: IntArray, group: IntArray, n_groups: int) -> Grouped:
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
    return np.concatenate(drawn, axis=1)


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
    return members.positions[members.starts[target] + _below(members.counts[target], rng)]


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
    counts = np.array([len(steps) for steps in sampler.changes])
    rank = _below(counts[which], rng)
    start = np.empty(size, np.int64)
    for column, steps in enumerate(sampler.changes):
        chosen = which == column
        start[chosen] = steps[rank[chosen]]
    stop = start + np.array(sampler.plan.time_offsets)[which]
    return sampler.coordinates[stop] - sampler.coordinates[start]
