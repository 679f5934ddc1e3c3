"""What comes out of a decoding, and how it is put together from what was decoded."""

from dataclasses import dataclass

import numpy as np

from grevy.data import TAU, Array, IntArray, Kind, Label
from grevy.errors import GrevyError
from grevy.evaluation.decoding.bootstrap import MIN_RESAMPLES
from grevy.evaluation.decoding.intervals import intervals
from grevy.evaluation.decoding.layout import Layout
from grevy.evaluation.decoding.scores import MEASURES, Scores, score, statistic

BOOTSTRAP, PAIRED = 3, 4
"""The streams of random numbers that resamples are drawn from, of one decoding and of pairs."""


@dataclass(frozen=True, eq=False)
class Decoding:
    """What was decoded, and how well.

    Attributes
    ----------
    label : str
        The label's name.
    kind : {"continuous", "circular", "discrete"}
    decoder : str
        The decoder and its setting, in words.
    scores : ContinuousScores, CircularScores or DiscreteScores
    intervals : dict
        For scores on the test steps, by their name: (low, high) of a 95 % confidence interval.
        See `grevy.evaluation.decoding.intervals`.
    steps : ndarray of shape (n,)
        The test steps.
    true, decoded : ndarray of shape (n, L) or (n,)
        At these steps, in the label's own unit; codes of a discrete label.
    statistic : float
        The one number that decoders are chosen by and that nulls are compared by; larger is
        better. Continuous: R2, the mean over dimensions. Circular: minus the mean angular error.
        Discrete: balanced accuracy.
    """

    label: str
    kind: Kind
    decoder: str
    scores: Scores
    intervals: dict[str, tuple[float, float]]
    steps: IntArray
    true: Array
    decoded: Array
    statistic: float

    @property
    def statistic_name(self) -> str:
        """What `statistic` is."""
        return MEASURES[self.kind][0].statistic


def summarise(
    label: Label,
    layout: Layout,
    text: str,
    decoded: Array,
    sampled: Array,
    n_bootstrap: int,
    seed: int,
) -> Decoding:
    """Score what was decoded on the test steps and on the sample of the training.

    Parameters
    ----------
    label : Label
    layout : Layout
    text : str
        The decoder and its setting, in words.
    decoded, sampled : ndarray
        At `layout.test` and at `layout.sample`, as in `Label.values`.
    n_bootstrap : int
        Resamples for the intervals; 0 for none.
    seed : int
        Decides the resamples.
    """
    true = label.values[layout.test]
    rng = np.random.default_rng([seed, BOOTSTRAP])
    in_unit = label.period / TAU if label.kind == "circular" else 1
    return Decoding(
        label=label.name,
        kind=label.kind,
        decoder=text,
        scores=score(label, layout, decoded, sampled),
        intervals=intervals(label, true, decoded, n_bootstrap, rng) if n_bootstrap else {},
        steps=layout.test,
        true=in_unit * true,
        decoded=in_unit * decoded,
        statistic=statistic(label, true, decoded),
    )


def check_resamples(n_bootstrap: int) -> None:
    """Refuse a number of resamples that makes no 95 % interval.

    Raises
    ------
    GrevyError
        If it is neither 0 nor at least `MIN_RESAMPLES`.
    """
    if n_bootstrap and n_bootstrap < MIN_RESAMPLES:
        raise GrevyError(
            f"{n_bootstrap} bootstrap resamples; a 95 % interval needs at least "
            f"{MIN_RESAMPLES}. Give 1000, or 0 for no interval."
        )
