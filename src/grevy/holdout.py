"""What a run holds out: blocks of time, or whole segments drawn from every recording."""

from collections.abc import Sequence

import numpy as np

from grevy.config import SplitKind
from grevy.errors import GrevyError
from grevy.recording import IntArray
from grevy.splits import Split, block_folds, blocked_split, segment_folds, segment_split


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
        Blocks of time, see `grevy.splits.blocked_split`; or whole segments of every recording,
        see `grevy.splits.segment_split`.
    holdout : float
        The fraction of the steps inside segments, between 0 and 1.
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
        return blocked_split(np.concatenate(segments), holdout, gap)
    _check_enough(segments, 2, "--split segments")
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
        _check_enough(segments, n_folds, f"--folds {n_folds} of whole segments")
        found = [segment_folds(each, n_folds, seed) for each in segments]
    else:
        found = [block_folds(each, n_folds, gap) for each in segments]
    return tuple(joined_splits(fold) for fold in zip(*found, strict=True))


def joined_splits(splits: Sequence[Split]) -> Split:
    """Join the splits of recordings that lie end to end."""
    return Split(
        np.concatenate([split.train for split in splits]),
        np.concatenate([split.test for split in splits]),
        by_segment=all(split.by_segment for split in splits),
    )


def _check_enough(segments: Sequence[IntArray], needed: int, asked: str) -> None:
    fewest = int(np.argmin([len(each) for each in segments]))
    count = len(segments[fewest])
    if count < needed:
        which = f"recording {fewest + 1} of {len(segments)}" if len(segments) > 1 else "the data"
        raise GrevyError(
            f"{asked}: {which} has {count} segment{'s' * (count != 1)}; at least {needed} are "
            f"needed. Name the trials with --segments KEY, or use --split blocks."
        )
