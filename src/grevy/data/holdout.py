"""What a run holds out: blocks of time, or whole segments drawn from every recording."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from grevy.data.arrays import IntArray
from grevy.data.segments import steps_inside
from grevy.data.splits import (
    Split,
    SplitKind,
    block_folds,
    blocked_split,
    segment_folds,
    segment_split,
)
from grevy.errors import GrevyError

# One less than the blocks held out, whose gaps then do not lie where these blocks would.
_VALIDATION_BLOCKS = 4


def hold_out(
    segments: Sequence[IntArray], kind: SplitKind, holdout: float, gap: int, seed: int
) -> Split:
    """Set time steps aside that the encoder does not train on.

    Parameters
    ----------
    segments : sequence of ndarray of shape (S, 2)
        Half-open runs [start, stop) of each recording, on the time axis on which the recordings
        lie end to end.
    kind : {"blocks", "segments"}
        Blocks of time of every recording, see `grevy.blocked_split`; or whole segments of every
        recording, see `grevy.segment_split`. What is held out of one recording does not depend on
        the others.
    holdout : float
        The fraction of the steps inside segments of each, between 0 and 1.
    gap : int
        In steps, kept on both sides of a block. Whole segments need none.
    seed : int
        Decides which segments.

    Returns
    -------
    Split

    Raises
    ------
    GrevyError
        If a recording is too short, or (for segments) has but one segment.
    """
    if kind == "blocks":
        return joined_splits(_of_each(segments, lambda each: blocked_split(each, holdout, gap)))
    _check_enough(segments, 2, "`split='segments'`")
    return joined_splits([segment_split(each, holdout, seed) for each in segments])


def cut_folds(
    segments: Sequence[IntArray], kind: SplitKind, n_folds: int, gap: int, seed: int
) -> tuple[Split, ...]:
    """Cut every recording into K folds, so that each step inside a segment is tested once.

    Fold k tests the k-th fold of each recording, so that every recording trains in every fold.

    Parameters
    ----------
    segments, kind, gap, seed
        See `hold_out`.
    n_folds : int
        K, at least 2.

    Returns
    -------
    tuple of K Split

    Raises
    ------
    GrevyError
        If a recording is too short, or (for segments) has fewer segments than folds.
    """
    if kind == "segments":
        _check_enough(segments, n_folds, f"`folds={n_folds}` of whole segments")
        found = [segment_folds(each, n_folds, seed) for each in segments]
    else:
        found = _of_each(segments, lambda each: block_folds(each, n_folds, gap))
    return tuple(joined_splits(fold) for fold in zip(*found, strict=True))


def cut_validation(segments: IntArray, fraction: float, gap: int) -> Split:
    """Set blocks of the training aside, whose loss is watched: each amid a run of training steps.

    The steps inside segments, in order, are cut into up to four equal stretches; in each the block
    lies in the middle of the longest part of a run, so that what was held out cuts none in two.
    There are as many blocks as leave each at least `gap` steps in a row (or as many as the longest
    run has), and leave the gaps at most half of the steps outside the blocks.

    Parameters
    ----------
    segments : ndarray of shape (S, 2)
        Half-open runs [start, stop) of one recording that are left for training.
    fraction : float
        Of the steps inside segments, between 0 and 1.
    gap : int
        A window and the longest time offset, in steps: kept between a block and training steps of
        its own segment, and what a pair of samples in a block needs.

    Returns
    -------
    Split
        Validation steps as `test`.

    Raises
    ------
    GrevyError
        If no block fits.
    """
    stops = np.cumsum(segments[:, 1] - segments[:, 0])
    runs = np.stack([stops - (segments[:, 1] - segments[:, 0]), stops], axis=1)
    steps = steps_inside(segments)
    shortest = min(gap, int((runs[:, 1] - runs[:, 0]).max()))
    n_kept = round(fraction * len(steps))
    for n in range(_VALIDATION_BLOCKS, 0, -1):
        is_test, is_train = np.zeros(len(steps), bool), np.ones(len(steps), bool)
        longest = []
        for low, high in pairwise(np.linspace(0, len(steps), n + 1).astype(int)):
            first = _amid_longest(runs, low, high, n_kept // n)
            last = first + n_kept // n
            within = np.clip(runs, first, last)
            longest.append(int((within[:, 1] - within[:, 0]).max()))
            before, after = np.searchsorted(stops, [first, last - 1], side="right")
            is_test[first:last] = True
            is_train[max(first - gap, runs[before, 0]) : min(last + gap, runs[after, 1])] = False
        if min(longest) >= max(shortest, 1) and is_train.sum() >= (len(steps) - n_kept) / 2:
            return Split(steps[is_train], steps[is_test])
    raise GrevyError(
        f"`validation={fraction:g}`: of the {len(steps)} time steps to train on, in {len(runs)} "
        f"runs, it leaves no block of {shortest} steps in a row (a window and the time offset) "
        f"beside gaps of {gap}. Give another fraction or a longer recording, or leave it out."
    )


def _amid_longest(runs: IntArray, low: int, high: int, size: int) -> int:
    """Find where a block of `size` positions from `low` to `high` is amid the longest run there."""
    parts = np.clip(runs, low, high)
    start, stop = parts[np.argmax(parts[:, 1] - parts[:, 0])]
    return int(np.clip((start + stop - size) // 2, low, high - size))


def joined_splits(splits: Sequence[Split]) -> Split:
    """Join the splits of recordings that lie end to end."""
    return Split(
        np.concatenate([split.train for split in splits]),
        np.concatenate([split.test for split in splits]),
        by_segment=all(split.by_segment for split in splits),
    )


def _of_each(segments: Sequence[IntArray], cut: Callable[[IntArray], Any]) -> list[Any]:
    """Cut every recording; where one cannot be, say which of several it is."""
    found = []
    for number, each in enumerate(segments, start=1):
        try:
            found.append(cut(each))
        except GrevyError as error:
            which = f"recording {number} of {len(segments)}: " if len(segments) > 1 else ""
            raise GrevyError(f"{which}{error}") from error
    return found


def _check_enough(segments: Sequence[IntArray], needed: int, asked: str) -> None:
    fewest = int(np.argmin([len(each) for each in segments]))
    count = len(segments[fewest])
    if count < needed:
        which = f"recording {fewest + 1} of {len(segments)}" if len(segments) > 1 else "the data"
        raise GrevyError(
            f"{asked}: {which} has {count} segment{'s' * (count != 1)}; at least {needed} are "
            f"needed. Name the trials with `segments=KEY`, or use `split='blocks'`."
        )
