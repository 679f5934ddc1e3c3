"""Whether what was decoded agrees with a label better than with the same label at other times.

Encoder and decoder stay as they were trained, on other steps than those that they decode; only the
label moves. That is cheap and needs no excuse for labels that the encoder was trained with, for
what was decoded is held out. One thing ties it to its label by accident: a slow label is alike on
both sides of the border between training and test, and so is a slow embedding. Where every step of
a recording is decoded once, fold by fold, borders are few and the label of the whole recording can
be moved as one. A single test of blocks has many borders: steps within one memory of the label from
the training are then left out.
"""

import numpy as np

from grevy.data import Array, IntArray, Label, steps_inside
from grevy.evaluation.decoding.layout import Layout
from grevy.evaluation.decoding.scores import statistic
from grevy.evaluation.moves import (
    PERMUTED,
    ROTATED,
    SLOW,
    Moves,
    UnmovableError,
    plan_moves,
    refuse_slow,
    runs_end_to_end,
)
from grevy.evaluation.nulls import MOVES, Method, NullTest, check_number, weighed


def null_of_folds(
    label: Label,
    steps: IntArray,
    decoded: Array,
    segments: IntArray,
    n: int,
    gap: int,
    seed: int,
    *,
    by_segment: bool = False,
) -> NullTest:
    """Compare what was decoded fold by fold with the label and with the label moved in time.

    Parameters
    ----------
    label : Label
        Of all T steps.
    steps : ndarray of shape (R,)
        Sorted; each decoded by an encoder and a decoder that have not seen its fold.
    decoded : ndarray of shape (R, L) or (R,)
        At these steps, as in `Label.values`.
    segments : ndarray of shape (S, 2)
    n : int
        Nulls, at least 20.
    gap : int
        Steps over which embedding and label are tied by construction.
    seed : int
        Decides the moves.
    by_segment : bool
        Whether the folds are of whole segments, drawn here and there.

    Returns
    -------
    NullTest

    Raises
    ------
    UnmovableError
        If no honest p exists: the label does not vary, is too slow, or cannot be moved in 20 ways;
        or segments next to each other have alike labels, and lie in different folds.
    GrevyError
        If `n` is too small.
    """
    moves = _moves(label, segments, n, gap, seed)
    if by_segment and moves.how == ROTATED:
        raise UnmovableError(
            f"null test: label {label.name!r} is much alike in segments next to each other, and "
            f"folds of whole segments, drawn here and there, know it from the segment next door. "
            f"Hold out blocks of time (`split='blocks'`)."
        )
    return _compared(label, steps, decoded, segments, moves, "folds")


def null_of_held_out(
    label: Label, layout: Layout, decoded: Array, segments: IntArray, n: int, gap: int, seed: int
) -> NullTest:
    """Compare what was decoded on held-out steps with the label and with the label moved in time.

    Steps within one memory of the label from a training step are left out, see
    `grevy.evaluation.moves.memory`; where whole segments rotate, the segments that are so near;
    where they are permuted, none, for neighbours are then no more alike than others.

    Parameters
    ----------
    label, segments, n, gap, seed
        See `null_of_folds`.
    layout : Layout
        `decoded` is of its test steps.
    decoded : ndarray of shape (n, L) or (n,)

    Returns
    -------
    NullTest

    Raises
    ------
    UnmovableError
        As `null_of_folds`; or if too few test steps are far enough from the training.
    GrevyError
        If `n` is too small.
    """
    moves = _moves(label, segments, n, gap, seed)
    far = np.ones(len(layout.test), bool)
    if moves.how != PERMUTED:
        test, train, unit = layout.test, layout.train, "steps"
        if moves.how == ROTATED:
            test, train = (_owner(segments, steps) for steps in (test, train))
            unit = "segments"
        far = _distance(test, train) > moves.memory
        count, needed = len(np.unique(test[far])), round(moves.memory / SLOW)
        if count < max(needed, 2):
            raise UnmovableError(
                f"null test: label {label.name!r} needs {moves.memory} {unit} to forget itself; "
                f"{count} of {len(np.unique(test))} held-out {unit} are farther from the training, "
                f"{needed} are needed. A run with `folds=5` has few borders; or record for longer."
            )
    return _compared(label, layout.test[far], decoded[far], segments, moves, "held-out")


def _moves(label: Label, segments: IntArray, n: int, gap: int, seed: int) -> Moves:
    check_number(n)
    recorded = steps_inside(segments)
    rng = np.random.default_rng([seed, MOVES])
    moves = plan_moves(label.take(recorded), runs_end_to_end(segments), n, None, gap, rng)
    refuse_slow(label, moves)
    return moves


def _compared(
    label: Label,
    steps: IntArray,
    decoded: Array,
    segments: IntArray,
    moves: Moves,
    method: Method,
) -> NullTest:
    recorded = steps_inside(segments)
    values, places = label.values[recorded], np.searchsorted(recorded, steps)
    observed = statistic(label, values[places], decoded)
    null = [statistic(label, values[source[places]], decoded) for source in moves]
    return weighed(label, observed, np.array(null), moves, method)


def _owner(segments: IntArray, steps: IntArray) -> IntArray:
    """Return the number of the segment that each step lies in."""
    owner: IntArray = np.searchsorted(segments[:, 0], steps, side="right") - 1
    return owner


def _distance(steps: IntArray, others: IntArray) -> IntArray:
    """Return how far each number is from the nearest of others (sorted)."""
    place = np.searchsorted(others, steps)
    before = steps - others[np.maximum(place - 1, 0)]
    after = others[np.minimum(place, len(others) - 1)] - steps
    nearest: IntArray = np.minimum(np.abs(before), np.abs(after))
    return nearest
