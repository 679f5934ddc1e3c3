"""Which time steps train and which test: random as in the manual, or in blocks of time.

Neighbouring time steps resemble each other, so a random split tests on near copies of what it
trained on: a smooth label that has nothing to do with the data can then be "decoded" perfectly.
The time-blocked split tests on whole stretches of time, kept away from training by a gap.
"""

from dataclasses import dataclass
from itertools import count

import numpy as np

from grevy.errors import GrevyError, Problems
from grevy.recording import Array, IntArray

MIN_STEPS = 2
"""The fewest training steps, and the fewest test steps, that a score can be computed from."""


@dataclass(frozen=True, eq=False)
class Split:
    """Training and test time steps.

    Attributes
    ----------
    train, test : ndarray, int64
        Time indices, each sorted; the two are disjoint and need not cover the recording.
    """

    train: IntArray
    test: IntArray


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
    step is within `gap` steps of a test step. The gap is counted on the time axis whether or not
    a segment ends in between: more than needed at a break, never less.

    A short recording gets fewer blocks: as many as leave the gaps at most half of the steps
    outside the test blocks.

    Parameters
    ----------
    segments : ndarray of shape (S, 2)
        Half-open runs [start, stop); steps outside them are in neither half.
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
    recorded = _recorded_steps(segments)
    length = len(recorded)
    fitting = (n for n in range(n_blocks, 0, -1) if _fits(length, holdout, gap, n))
    n_fitting = next(fitting, None)
    if n_fitting is None:
        raise _too_short(length, holdout, gap)
    blocks = _block_positions(length, holdout, n_fitting)
    is_test = np.zeros(length, dtype=bool)
    is_train = np.ones(length, dtype=bool)
    for start, stop in blocks:
        is_test[start:stop] = True
        near = slice(
            np.searchsorted(recorded, recorded[start] - gap),
            np.searchsorted(recorded, recorded[stop - 1] + gap, side="right"),
        )
        is_train[near] = False
    return Split(recorded[is_train], recorded[is_test])


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
    owner = np.searchsorted(segments[:, 0], train, side="right") - 1
    inside = (owner >= 0) & (train < segments[owner, 1])
    steps, owner = train[inside], owner[inside]
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


def _recorded_steps(segments: IntArray) -> IntArray:
    """List every time step that lies in a segment, in order."""
    lengths = segments[:, 1] - segments[:, 0]
    skipped = segments[:, 0] - (np.cumsum(lengths) - lengths)
    return np.arange(lengths.sum(), dtype=np.int64) + np.repeat(skipped, lengths)


def _n_test(length: int, holdout: float) -> int:
    return round(holdout * length)


def _fits(length: int, holdout: float, gap: int, n_blocks: int) -> bool:
    """Tell whether so many blocks leave enough to test on and at least half of the rest."""
    n_test = _n_test(length, holdout)
    rest = length - n_test
    kept = rest - 2 * gap * n_blocks
    return n_test >= max(n_blocks, MIN_STEPS) and kept >= max(rest / 2, 2 * n_blocks, MIN_STEPS)


def _block_positions(length: int, holdout: float, n_blocks: int) -> Array:
    """Place the test blocks: (n_blocks, 2) half-open runs of positions, each amid its stretch."""
    cells = np.linspace(0, length, n_blocks + 1)
    sizes = np.diff(np.linspace(0, _n_test(length, holdout), n_blocks + 1).round().astype(int))
    starts = np.floor((cells[:-1] + cells[1:] - sizes) / 2).astype(int)
    return np.stack([starts, starts + sizes], axis=1)


def _too_short(length: int, holdout: float, gap: int) -> GrevyError:
    """Say what was given and the nearest lengths and gaps that would do."""
    # One block needs rest >= 4 gap, where rest is about (1 - holdout) T.
    lowest = max(length + 1, int(4 * gap / (1 - holdout)) - 4)
    needed = next(n for n in count(lowest) if _fits(n, holdout, gap, 1))
    advice = f"Give at least {needed} steps"
    gaps = (smaller for smaller in range(min(gap, length), -1, -1))
    possible = next((g for g in gaps if _fits(length, holdout, g, 1)), None)
    if possible is not None:
        advice += f", or a gap of at most {possible} (a smaller receptive field or time offset)"
    return GrevyError(
        f"{length} time steps inside segments are too few for a time-blocked holdout of "
        f"{holdout:g} with a gap of {gap} steps on both sides of the test block. {advice}."
    )
