"""K-fold evaluation: for every fold an encoder that has not seen it, and every step tested once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from grevy.data import FloatArray, Label, Recording, Split, steps_inside
from grevy.evaluation.checks import filled
from grevy.evaluation.decoding.decoder import Reading, prepare
from grevy.evaluation.decoding.folds import Folded, check_folds, pool
from grevy.evaluation.decoding.knn import Metric
from grevy.evaluation.decoding.result import check_resamples
from grevy.evaluation.kept import null_of_folds
from grevy.evaluation.moves import USUAL_NULLS
from grevy.evaluation.nulls import NullTest, attempted, check_number


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """One label by K encoders, each on the fold that it has not seen.

    Attributes
    ----------
    scores : Folded
    null : NullTest, str or None
        Why no honest p exists, if none does; None if it was not asked for.
    """

    scores: Folded
    null: NullTest | str | None


def evaluate_folds(
    whole: Recording,
    folds: Sequence[Split],
    embed: Callable[[Split], FloatArray],
    *,
    nulls: int = USUAL_NULLS,
    seed: int = 0,
    gap: int = 0,
    metric: Metric = "euclidean",
    n_bootstrap: int = 1000,
) -> dict[str, CrossFitted]:
    """Decode every label from K embeddings, each on the steps that its encoder has not seen.

    Parameters
    ----------
    whole : Recording
        Labels and segments of T time steps.
    folds : sequence of K Split
        Made by `grevy.data.cut_folds`; no step is tested twice.
    embed : callable
        Trains an encoder on a fold's training steps alone, and embeds all T steps: (T, D). One
        embedding is kept at a time.
    nulls : int
        How often each label is moved against what was decoded, at least 20; 0 for not at all.
    seed, gap, metric, n_bootstrap
        See `grevy.evaluation.evaluate`.

    Returns
    -------
    dict of str to CrossFitted
        By the name of the label.

    Raises
    ------
    GrevyError
        If an embedding, the recording and the folds do not fit together, a step is tested twice, or
        `nulls` or `n_bootstrap` is too small; what can be told before the first training, is.
    """
    check_folds(folds)
    check_resamples(n_bootstrap)
    if nulls:
        check_number(nulls)
    inside = steps_inside(whole.segments)
    readings: dict[str, list[Reading]] = {label.name: [] for label in whole.labels}
    for fold in folds:
        ready = prepare(
            filled(embed(fold), inside), fold,
            segments=whole.segments, gap=gap, metric=metric, seed=seed,
        )  # fmt: skip
        for label in whole.labels:
            readings[label.name].append(ready.read(label))
    found = {}
    for label in whole.labels:
        own = readings[label.name]
        null = None
        if nulls:
            by_segment = folds[0].by_segment
            null = attempted(partial(_null, label, own, whole, nulls, gap, seed, by_segment))
        found[label.name] = CrossFitted(pool(label, own, n_bootstrap, seed), null)
    return found


def _null(
    label: Label,
    readings: Sequence[Reading],
    whole: Recording,
    nulls: int,
    gap: int,
    seed: int,
    by_segment: bool,
) -> NullTest:
    steps = np.concatenate([reading.layout.test for reading in readings])
    decoded = np.concatenate([reading.decoded for reading in readings])
    order = np.argsort(steps)
    return null_of_folds(
        label, steps[order], decoded[order], whole.segments, nulls, gap, seed,
        by_segment=by_segment,
    )  # fmt: skip
