"""Which time steps train and which test: random as in the manual, in blocks of time, by segment.

Neighbouring time steps resemble each other, so a random split tests on near copies of what it
trained on: a smooth label that has nothing to do with the data can then be "decoded" perfectly.
The time-blocked splits test on whole stretches of time, kept away from training by a gap; the
splits by segment test on whole trials.
"""

import heapq
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from grevy.data.arrays import IntArray
from grevy.data.segments import steps_inside
from grevy.errors import GrevyError, Problems

SplitKind = Literal["blocks", "segments"]

MIN_STEPS = 2
"""The fewest training steps, and the fewest test steps, that a score can be computed from."""


@dataclass(frozen=True, eq=False)
class Split:
    """Training and test time steps.

    Attributes
    ----------
    train, test : ndarray, int64
        Time indices, each sorted; the two are disjoint and need not cover the recording.
    by_segment : bool
        Whether whole segments were held out. Folds inside the training then keep them whole too.
    """

    train: IntArray
    test: IntArray
    by_segment: bool = False


def random_split(length: int, holdout: float, seed: int) -> Split:
    """Split time steps at random: the manual's split, leaky wherever a label changes slowly.

    The same steps are held out as by `sklearn.model_selection.train_test_split` with
    `test_size=holdout` and `random_state=seed`; the manual's script uses 0.2 and 42.

    Parameters
    ----------
    length : int
        T, the number of time steps.
    holdout : float
        The fraction to test on, between 0 and 1.
    seed : int
        Decides the shuffling.

    Raises
    ------
    GrevyError
        If `holdout` is not a fraction, or T leaves fewer than two steps on either side.
    """
    from sklearn.model_selection import train_test_split

    _check_holdout(holdout)
    n_test = int(np.ceil(holdout * length))
    if min(n_test, length - n_test) < MIN_STEPS:
        raise GrevyError(
            f"a random split with a holdout of {holdout:g} leaves {max(length - n_test, 0)} of "
            f"{length} time steps for training and {n_test} for testing; each needs at least "
            f"{MIN_STEPS}. Give a longer recording or another holdout."
        )
    train, test = train_test_split(np.arange(length), test_size=holdout, random_state=seed)
    return Split(np.sort(train).astype(np.int64), np.sort(test).astype(np.int64))


def blocked_split(segments: IntArray, holdout: float, gap: int, n_blocks: int = 5) -> Split:
    """Hold out whole blocks of time, spread evenly, with a gap on both sides of each.

    The steps inside segments, in order, are cut into `n_blocks` equal stretches, and the middle
    of each is a test block; together the blocks hold `holdout` of all these steps. No training
    step is within `gap` steps of a test step of its own segment. A segment's border needs no gap,
    for no window and no pair reaches across it.

    A short recording gets fewer blocks: as many as leave the gaps at most half of the steps
    outside the test blocks.

    Parameters
    ----------
    segments : ndarray of shape (S, 2)
        Half-open runs [start, stop), sorted and disjoint; steps outside them are in neither half.
    holdout : float
        The fraction of the steps inside segments to test on, between 0 and 1.
    gap : int
        In steps; at least the receptive field plus the longest time offset keeps every window and
        every pair of the training away from the test blocks.
    n_blocks : int
        The largest number of test blocks.

    Raises
    ------
    GrevyError
        If an argument is out of range, or the segments are too short for a single test block.
    """
    _check_holdout(holdout, gap, n_blocks)
    recorded = steps_inside(segments)
    for n in range(n_blocks, 0, -1):
        split = _cut_blocks(recorded, segments, holdout, gap, n)
        if split is not None:
            return split
    raise _too_short(recorded, segments, holdout, gap)


def block_folds(segments: IntArray, n_folds: int, gap: int) -> tuple[Split, ...]:
    """Cut a recording into K stretches of time, each of which is tested once (K-fold).

    The test steps of a fold are one K-th of the steps inside segments, in order of time; it trains
    on all other such steps but those within `gap` steps of a test step of their own segment.

    Parameters
    ----------
    segments : ndarray of shape (S, 2)
        Half-open runs [start, stop), sorted and disjoint; steps outside them are in no fold.
    n_folds : int
        K, at least 2.
    gap : int
        In steps; see `blocked_split`.

    Returns
    -------
    tuple of K Split
        Their test steps are disjoint and together hold every step inside a segment.

    Raises
    ------
    GrevyError
        If an argument is out of range, or the gaps leave a fold less than half of the steps that
        it does not test.
    """
    return step_folds(steps_inside(segments), segments, n_folds, gap)


def step_folds(steps: IntArray, segments: IntArray, n_folds: int, gap: int) -> tuple[Split, ...]:
    """Cut some of a recording's time steps, such as those of the training, into K stretches.

    As `block_folds`, but for a choice of steps: the inner folds of a decoder, say, which may hold
    none of the test.

    Parameters
    ----------
    steps : ndarray
        Sorted time indices. Steps outside every segment are in no fold.
    segments, n_folds, gap
        See `block_folds`.

    Raises
    ------
    GrevyError
        As `block_folds`.
    """
    _check_folds(n_folds, gap)
    steps, owner = _inside(steps, segments)
    edges = np.linspace(0, len(steps), n_folds + 1).round().astype(int)
    folds = []
    for start, stop in pairwise(edges.tolist()):
        n_test, rest = stop - start, len(steps) - (stop - start)
        split = _around(steps, owner, [(start, stop)], gap)
        if n_test < MIN_STEPS or len(split.train) < max(rest / 2, MIN_STEPS):
            raise GrevyError(
                f"{len(steps)} time steps inside segments are too few for {n_folds} time-blocked "
                f"folds with a gap of {gap} steps: one would train on {len(split.train)} steps "
                f"and test on {n_test}. Give a longer recording, fewer folds or a smaller gap (a "
                f"smaller receptive field or time offset)."
            )
        folds.append(split)
    return tuple(folds)


def segment_split(segments: IntArray, holdout: float, seed: int) -> Split:
    """Hold out whole segments (trials, say), drawn at random.

    Segments are drawn until their steps come closest to `holdout` of all steps inside segments;
    at least one segment is tested and at least one trains. Nothing is lost to a gap: no window and
    no pair reaches across a segment's border.

    Parameters
    ----------
    segments : ndarray of shape (S, 2)
        Half-open runs [start, stop), sorted and disjoint; at least two.
    holdout : float
        The fraction of the steps inside segments to test on, between 0 and 1.
    seed : int
        Decides which segments.

    Raises
    ------
    GrevyError
        If `holdout` is not a fraction, or fewer than two segments (or steps on either side) exist.
    """
    _check_holdout(holdout)
    _check_segments(segments, 2)
    lengths = segments[:, 1] - segments[:, 0]
    order = np.random.default_rng(seed).permutation(len(segments))
    drawn = np.cumsum(lengths[order])
    n_tested = int(np.argmin(np.abs(drawn[:-1] - holdout * drawn[-1]))) + 1
    is_tested = np.zeros(len(segments), dtype=bool)
    is_tested[order[:n_tested]] = True
    return _by_segment(segments, is_tested)


def segment_folds(segments: IntArray, n_folds: int, seed: int) -> tuple[Split, ...]:
    """Share whole segments (trials, say) among K folds of about equal numbers of steps.

    The segments, in random order and then the longest first, each join the fold with the fewest
    steps so far.

    Parameters
    ----------
    segments : ndarray of shape (S, 2)
        Half-open runs [start, stop), sorted and disjoint; at least `n_folds`.
    n_folds : int
        K, at least 2.
    seed : int
        Decides which segments share a fold.

    Returns
    -------
    tuple of K Split
        Their test steps are disjoint and together hold every step inside a segment.

    Raises
    ------
    GrevyError
        If `n_folds` is below 2, or there are fewer segments, or a fold has fewer than two steps.
    """
    _check_folds(n_folds, 0)
    _check_segments(segments, n_folds)
    lengths = segments[:, 1] - segments[:, 0]
    order = np.random.default_rng(seed).permutation(len(segments))
    order = order[np.argsort(-lengths[order], kind="stable")]
    fold = np.empty(len(segments), dtype=int)
    filled = [(0, 0, k) for k in range(n_folds)]  # steps, segments, fold
    for segment in order.tolist():
        steps, held, k = heapq.heappop(filled)
        fold[segment] = k
        heapq.heappush(filled, (steps + int(lengths[segment]), held + 1, k))
    return tuple(_by_segment(segments, fold == k) for k in range(n_folds))


def training_segments(segments: IntArray, train: IntArray) -> IntArray:
    """Find the runs of consecutive training steps: all that the encoder may see.

    Parameters
    ----------
    segments : ndarray of shape (S, 2)
        Half-open runs [start, stop), sorted and disjoint. No run found here crosses a border.
    train : ndarray
        Sorted time indices. Steps outside every segment are left out.

    Returns
    -------
    ndarray of shape (R, 2), int64
        Half-open runs, sorted and disjoint.

    Raises
    ------
    GrevyError
        If no training step lies in a segment.
    """
    steps, owner = _inside(train, segments)
    if not len(steps):
        raise GrevyError(
            f"none of the {len(train)} training steps lies inside a segment. Split the same "
            f"recording that the segments belong to."
        )
    last = np.flatnonzero((np.diff(steps) != 1) | (np.diff(owner) != 0))
    starts = steps[np.concatenate([[0], last + 1])]
    stops = steps[np.concatenate([last, [len(steps) - 1]])] + 1
    return np.stack([starts, stops], axis=1).astype(np.int64)


def _check_holdout(holdout: float, gap: int = 0, n_blocks: int = 1) -> None:
    problems = Problems("split")
    if not 0 < holdout < 1:
        problems.add(f"a holdout of {holdout:g}; expected a fraction between 0 and 1, such as 0.2.")
    if gap < 0:
        problems.add(f"a gap of {gap} steps; expected 0 or more.")
    if n_blocks < 1:
        problems.add(f"{n_blocks} test blocks; expected 1 or more.")
    problems.raise_if_any()


def _check_folds(n_folds: int, gap: int) -> None:
    problems = Problems("folds")
    if n_folds < 2:
        problems.add(f"{n_folds} folds; expected 2 or more.")
    if gap < 0:
        problems.add(f"a gap of {gap} steps; expected 0 or more.")
    problems.raise_if_any()


def _check_segments(segments: IntArray, needed: int) -> None:
    if len(segments) < needed:
        raise GrevyError(
            f"{len(segments)} segments; a split by segment needs at least {needed} here. Mark the "
            f"trials as segments, or split by blocks of time."
        )


def _inside(steps: IntArray, segments: IntArray) -> tuple[IntArray, IntArray]:
    """Keep the steps that lie in a segment; return them and the number of that segment."""
    owner = np.searchsorted(segments[:, 0], steps, side="right") - 1
    inside = (owner >= 0) & (steps < segments[owner, 1])
    return steps[inside], owner[inside]


def _around(steps: IntArray, owner: IntArray, blocks: Sequence[tuple[int, int]], gap: int) -> Split:
    """Test on blocks of positions among `steps`; train on what is not near them.

    Near is within `gap` time steps and in the same segment as an end of the block.
    """
    is_test = np.zeros(len(steps), dtype=bool)
    is_train = np.ones(len(steps), dtype=bool)
    for start, stop in blocks:
        is_test[start:stop] = True
        if start == stop:
            continue
        low = np.searchsorted(steps, steps[start] - gap)
        high = np.searchsorted(steps, steps[stop - 1] + gap, side="right")
        low = max(low, np.searchsorted(owner, owner[start]))
        high = min(high, np.searchsorted(owner, owner[stop - 1], side="right"))
        is_train[low:high] = False
    return Split(steps[is_train], steps[is_test])


def _by_segment(segments: IntArray, is_tested: npt.NDArray[np.bool_]) -> Split:
    """Test on the segments marked, train on the others."""
    train, test = steps_inside(segments[~is_tested]), steps_inside(segments[is_tested])
    if min(len(train), len(test)) < MIN_STEPS:
        raise GrevyError(
            f"a split by segment leaves {len(train)} time steps for training and {len(test)} for "
            f"testing; each needs at least {MIN_STEPS}. Give more segments, or split by blocks of "
            f"time."
        )
    return Split(train, test, by_segment=True)


def _cut_blocks(
    recorded: IntArray, segments: IntArray, holdout: float, gap: int, n_blocks: int
) -> Split | None:
    """Cut so many blocks out; None if that leaves too little to test on or to train on."""
    length = len(recorded)
    n_test = round(holdout * length)
    if n_test < max(n_blocks, MIN_STEPS):
        return None
    owner = np.searchsorted(segments[:, 0], recorded, side="right") - 1
    split = _around(recorded, owner, _block_positions(length, n_test, n_blocks), gap)
    enough = max((length - n_test) / 2, 2 * n_blocks, MIN_STEPS)
    return split if len(split.train) >= enough else None


def _block_positions(length: int, n_test: int, n_blocks: int) -> list[tuple[int, int]]:
    """Place the test blocks: half-open runs of positions, each amid its stretch."""
    cells = np.linspace(0, length, n_blocks + 1)
    sizes = np.diff(np.linspace(0, n_test, n_blocks + 1).round().astype(int))
    starts = np.floor((cells[:-1] + cells[1:] - sizes) / 2).astype(int)
    return [(int(start), int(start + size)) for start, size in zip(starts, sizes, strict=True)]


def _too_short(recorded: IntArray, segments: IntArray, holdout: float, gap: int) -> GrevyError:
    """Say what was given and the nearest lengths and gaps that would do."""
    length = len(recorded)

    def unbroken_will_do(steps: int) -> bool:
        n_test = round(holdout * steps)
        rest = steps - n_test
        return n_test >= MIN_STEPS and rest - 2 * gap >= max(rest / 2, MIN_STEPS)

    # One block needs rest >= 4 gap, where rest is about (1 - holdout) T.
    lowest = max(length + 1, int(4 * gap / (1 - holdout)) - 4)
    needed = next(n for n in count(lowest) if unbroken_will_do(n))
    advice = f"Give at least {needed} steps"

    def too_wide(width: int) -> bool:
        return _cut_blocks(recorded, segments, holdout, width, 1) is None

    # The wider the gap, the less is left: the first gap that is too wide, by bisection.
    possible = bisect_left(range(gap), True, key=too_wide) - 1
    if possible >= 0:
        advice += f", or a gap of at most {possible} (a smaller receptive field or time offset)"
    return GrevyError(
        f"{length} time steps inside segments are too few for a time-blocked holdout of "
        f"{holdout:g} with a gap of {gap} steps on both sides of the test block. {advice}."
    )
