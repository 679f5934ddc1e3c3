"""What is drawn, what it is drawn from, and what comes out: the objects that sampling hands on."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from grevy.data import Array, FloatArray, IntArray
from grevy.engine.kernels.points import Points
from grevy.engine.sampling.neighbours import NeighbourIndex

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
    pad_short : bool
        Draw every step of the segments that are too short for a sample (`needs`), whose windows
        are then padded. A pair in time, and a change of the label, still has both its steps there.
    """

    conditional: Conditional
    time_offsets: tuple[int, ...] = (1,)
    delta: float | None = None
    prior: PriorKind = "empirical"
    batch_size: int | None = 512
    num_negatives: int | None = None
    hybrid: bool = False
    pad_short: bool = False

    @property
    def in_time(self) -> bool:
        """Whether any pair is one in time."""
        return self.conditional == "time" or self.hybrid

    def needs(self, width: int) -> int:
        """Return how many steps of a segment a sample needs, with windows of `width` steps."""
        return width + (min(self.time_offsets) if self.in_time else 0)

    def short(self, runs: IntArray, width: int) -> IntArray:
        """Choose the segments (S, 2) that are too short for a sample and are padded."""
        return runs[self.pad_short & (runs[:, 1] - runs[:, 0] < self.needs(width))]


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
    indices : dict of int to NeighbourIndex or Points
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
    indices: dict[int, NeighbourIndex | Points]

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
