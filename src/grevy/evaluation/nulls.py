"""Whether a score is better than those of labels that have nothing to do with the neurons."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from grevy.data import (
    Array,
    Float64Array,
    FloatArray,
    IntArray,
    Label,
    Split,
    make_label,
    steps_inside,
)
from grevy.errors import GrevyError
from grevy.evaluation.decoding.decoder import DecoderName, Prepared, prepare
from grevy.evaluation.decoding.knn import Metric
from grevy.evaluation.decoding.scores import MEASURES
from grevy.evaluation.moves import (
    FEWEST_NULLS,
    Moves,
    UnmovableError,
    plan_moves,
    refuse_slow,
    runs_end_to_end,
)

Method = Literal["refitted", "retrained", "held-out", "folds"]


@dataclass(frozen=True, eq=False)
class NullTest:
    """A score beside those of moved labels.

    Attributes
    ----------
    label : str
        Its name.
    statistic_name : str
        What is compared; larger is better.
    observed : float
        Of the label where it belongs.
    null : ndarray of shape (n,), float64
        Of the moved labels. Fewer than asked for if no more distinct moves exist.
    p : float
        (1 + the number of nulls at or above the observed) / (1 + n).
    how : str
        How the label was moved: "shifted within segments", "whole segments rotated" or "whole
        segments permuted".
    lags : ndarray, integers
        Shifted: (n, S), in steps, for each segment. Rotated: (n,), in segments. Permuted: (n, S),
        the segment that each one got its label from.
    method : {"refitted", "retrained", "held-out", "folds"}
        What was done anew for each moved label: the decoder, or the encoder too; or nothing: what
        was decoded on held-out steps, or fold by fold, was compared with it.
    """

    label: str
    statistic_name: str
    observed: float
    null: npt.NDArray[np.float64]
    p: float
    how: str
    lags: npt.NDArray[np.integer[Any]]
    method: Method


def null_test(
    embedding: npt.ArrayLike,
    label: Label | npt.ArrayLike,
    split: Split | None = None,
    *,
    segments: npt.ArrayLike | None = None,
    n: int = 50,
    min_lag: int | None = None,
    seed: int = 0,
    gap: int = 0,
    decoder: DecoderName = "auto",
    metric: Metric = "euclidean",
    retrain: Callable[[Label], FloatArray] | None = None,
) -> NullTest:
    r"""Compare the score of a label with those of the same label moved in time.

    .. math:: p = \frac{1 + \#\{\text{null} \ge \text{observed}\}}{1 + n}

    A smooth label can be decoded by accident from smooth data, the better the slower both are, so
    that no table of critical values holds; the same label at other times shows what accident
    gives. For every null the decoder is chosen and fitted anew on the training steps, just as for
    the label itself; all columns of a label move together. What is tested is whether label and
    embedding are related *at the same times*.

    The test is exact if a moved label is as likely as the original wherever they are unrelated. It
    is not where label and embedding both drift from the beginning of the recording to its end:
    then circular shifts raise false alarms (Harris, "Nonsense correlations in neuroscience",
    bioRxiv 2020.11.29.402719), for two drifts resemble each other, and nothing in one recording
    can tell whether by accident. A label as slow as that gets no p. Nor is it exact where the label
    took part in training the encoder, unless `retrain` is given; and the score itself is held out
    only if the encoder never saw the test steps, or their labels took no part in its training.

    How the label moves depends on the label and the segments alone:

    - *Shifted within segments*: circularly, all segments by the same random fraction of their
      length. One fraction for all, so that what the label has in common between segments (a time
      in the trial, a rhythm of the task) stays in common in the null. The fractions are spread
      evenly, one drawn in each of n equal parts of the circle that excludes `min_lag` at either
      end. With `min_lag` so small a part of the circle the observed label is one point among
      evenly spread ones, and its rank is uniform however slow the label; with a large one it
      would stand alone on its part of the circle, and false alarms would rise.
    - *Whole segments permuted*, where there are at least 8 and most are shorter than 20 times the
      label's memory (trials; bins that stand alone): such a segment has no room to shift in. Each
      segment gets the label of another, stretched to its length.
    - *Whole segments rotated*: the same, but the order of the segments is kept and turned as a
      circle, where neighbouring segments have more alike labels than others (blocks of trials):
      a random order would destroy that, and false alarms would rise.

    The label's memory is the lag at which its autocorrelation falls below 1/e; see
    `grevy.evaluation.moves.memory`.

    Parameters
    ----------
    embedding : array_like of shape (T, D)
    label : Label or array_like
        Of length T. An angle has to come as a `Label` (see `grevy.circular`).
    split : Split, optional
        By default blocks of time are held out, see `grevy.blocked_split`.
    segments : array_like of shape (S, 2), optional
        Half-open runs [start, stop), sorted and disjoint; training and test lie inside them. By
        default all is one.
    n : int
        Nulls, at least 20 (or p could not be below 0.05).
    min_lag : int, optional
        The smallest lag in the longest segment, in steps; in shorter ones it is in proportion. At
        least 1, at most half of that segment. The label is then shifted within segments whatever
        they are. By default the label's memory or `gap`, whichever is larger, but at most 2 % of
        the segment.
    seed : int
        Decides the moves, and what the decoder decides by chance.
    gap : int
        In steps: the receptive field plus the longest time offset. Kept between training and test
        inside the training too, where the decoder is chosen.
    decoder, metric
        See `grevy.decode`.
    retrain : callable, optional
        Trains the encoder on a moved label (with the same settings, on the same training steps)
        and returns the embedding (T, D). By default the embedding stays as it is. An encoder that
        was trained with the label has then seen it in the training steps, and the moved ones
        never, so that p tends to come out too small.

    Returns
    -------
    NullTest

    Raises
    ------
    GrevyError
        If embedding, label, split and segments do not fit together, the label does not vary, is too
        slow for the recording, or cannot be moved in 20 ways.
    """
    made = label if isinstance(label, Label) else make_label("label", label)

    def ready(given: npt.ArrayLike) -> Prepared:
        return prepare(
            given, split, segments=segments, gap=gap, decoder=decoder, metric=metric, seed=seed
        )

    prepared = ready(embedding)
    length = len(prepared.embedding)
    runs = np.array([[0, length]]) if segments is None else np.asarray(segments)
    anew = None if retrain is None else lambda moved: ready(retrain(moved))
    return null_of_prepared(prepared, made, runs, n, min_lag, gap, seed, anew)


def null_of_prepared(
    prepared: Prepared,
    label: Label,
    segments: IntArray,
    n: int,
    min_lag: int | None,
    gap: int,
    seed: int,
    retrain: Callable[[Label], Prepared] | None = None,
) -> NullTest:
    """Do a null test with an embedding that is prepared already; see `null_test`.

    Parameters
    ----------
    prepared : Prepared
        For the split and the segments given.
    retrain : callable, optional
        Trains the encoder on a moved label, and prepares its embedding in the same way.
    """
    check_number(n)
    recorded = _recorded(segments, prepared)
    observed = prepared.statistic(label)
    rng = np.random.default_rng([seed, MOVES])
    moves = plan_moves(label.take(recorded), runs_end_to_end(segments), n, min_lag, gap, rng)
    refuse_slow(label, moves)
    null = [
        (prepared if retrain is None else retrain(moved)).statistic(moved)
        for moved in _moved_labels(label, recorded, moves)
    ]
    method: Method = "refitted" if retrain is None else "retrained"
    return weighed(label, observed, np.array(null), moves, method)


MOVES = 17
"""The stream of random numbers that moves are drawn from, apart from those of the decoder."""


def check_number(n: int) -> None:
    """Refuse so few nulls that p could not be below 0.05.

    Raises
    ------
    GrevyError
    """
    if n < FEWEST_NULLS:
        raise GrevyError(
            f"null test: {n} nulls; expected at least {FEWEST_NULLS}, or p could not be below 0.05."
        )


def attempted(
    test: Callable[[], NullTest], expected: type[GrevyError] = UnmovableError
) -> NullTest | str:
    """Do a null test, or say why there is none; errors that are not expected pass."""
    try:
        return test()
    except expected as error:
        return str(error)


def weighed(
    label: Label, observed: float, null: Float64Array, moves: Moves, method: Method
) -> NullTest:
    """Weigh what was observed against the nulls."""
    below = null < observed  # not so where either is NaN: what is no number is no evidence
    return NullTest(
        label=label.name,
        statistic_name=MEASURES[label.kind][0].statistic,
        observed=observed,
        null=null,
        p=(1 + int((~below).sum())) / (1 + len(null)),
        how=moves.how,
        lags=moves.lags,
        method=method,
    )


def _recorded(segments: IntArray, prepared: Prepared) -> IntArray:
    """List the steps inside segments, and check that the split is among them."""
    recorded = steps_inside(segments)
    used = np.concatenate([prepared.layout.train, prepared.layout.test])
    outside = np.setdiff1d(used, recorded)
    if len(outside):
        raise GrevyError(
            f"null test: {len(outside)} training or test steps lie outside the segments, the first "
            f"at {outside[0]}; the label cannot be moved there. Split the steps inside segments."
        )
    return recorded


def _moved_labels(label: Label, recorded: IntArray, moves: Moves) -> Iterator[Label]:
    values: Array = label.values[recorded]
    for source in moves:
        moved = label.values.copy()
        moved[recorded] = values[source]
        yield replace(label, values=moved)
