"""Which steps a decoder is fitted on, chosen on and tested on: decided before any label is seen."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from grevy.data import IntArray, Split, segment_folds, step_folds, training_segments
from grevy.errors import GrevyError

N_FOLDS = 4
"""The most inner folds that a decoder is chosen by."""

MAX_SAMPLE = 4000
"""The most training steps that candidates are compared on and that the training is scored on."""


@dataclass(frozen=True, eq=False)
class Fold:
    """One inner fold of the training.

    Attributes
    ----------
    train : ndarray
        Time steps that a candidate is fitted on.
    tested : ndarray
        Positions in the layout's `sample` of the steps that it is compared on.
    """

    train: IntArray
    tested: IntArray


@dataclass(frozen=True, eq=False)
class Layout:
    """The steps of a decoding.

    Attributes
    ----------
    train, test : ndarray
        Sorted time steps; disjoint.
    sample : ndarray
        Training steps, `MAX_SAMPLE` at most.
    folds : tuple of Fold
        Inside the training, of blocks of time or, if whole segments are held out, of whole
        segments; empty where the training is too short for them.
    """

    train: IntArray
    test: IntArray
    sample: IntArray
    folds: tuple[Fold, ...]

    @property
    def compared(self) -> IntArray:
        """The time steps that candidates are compared on, in the order of the folds."""
        if not self.folds:
            return self.sample[:0]
        return self.sample[np.concatenate([fold.tested for fold in self.folds])]


def lay_out(split: Split, segments: IntArray, gap: int, rng: np.random.Generator) -> Layout:
    """Cut the training into as many inner folds as it has room for, up to four.

    Parameters
    ----------
    split : Split
    segments : ndarray of shape (S, 2)
        The recording's own; a gap is kept inside each.
    gap : int
        In steps, kept between the halves of each inner fold.
    rng : numpy.random.Generator
        Thins the sample, and shares segments among folds.
    """
    sample = thin(split.train, MAX_SAMPLE, rng)
    folds = []
    for fold in _inner_folds(split, segments, gap, rng):
        folds.append(Fold(fold.train, np.flatnonzero(np.isin(sample, fold.test))))
    return Layout(split.train, split.test, sample, tuple(folds))


def thin(steps: IntArray, most: int, rng: np.random.Generator) -> IntArray:
    """Keep at most so many steps: one at random from each of as many equal runs of them.

    Evenly spaced steps could keep time with a trial's own rhythm, and see one phase of it only.
    """
    if len(steps) <= most:
        return steps
    edges = np.linspace(0, len(steps), most + 1).astype(np.int64)
    return steps[rng.integers(edges[:-1], edges[1:])]


def _inner_folds(
    split: Split, segments: IntArray, gap: int, rng: np.random.Generator
) -> tuple[Split, ...]:
    """Cut as many folds as the training has room for: of whole segments, if it is made of them.

    Blocks of time have to do where the training is one segment.
    """
    ways: list[Callable[[int], tuple[Split, ...]]] = [
        lambda n_folds: step_folds(split.train, segments, n_folds, gap)
    ]
    if split.by_segment:
        runs, seed = training_segments(segments, split.train), int(rng.integers(2**32))
        ways.insert(0, lambda n_folds: segment_folds(runs, n_folds, seed))
    for cut in ways:
        for n_folds in range(N_FOLDS, 1, -1):
            try:
                return cut(n_folds)
            except GrevyError:
                continue  # too few steps, or segments, for so many folds
    return ()
