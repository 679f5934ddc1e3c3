"""K-fold evaluation: for every fold an encoder that has not seen it, and every step tested once."""

from collections.abc import Callable, Sequence

from grevy.data import FloatArray, Recording, Split, steps_inside
from grevy.evaluation.decoding.decoder import Reading, prepare
from grevy.evaluation.decoding.folds import Folded, pool
from grevy.evaluation.decoding.knn import Metric
from grevy.evaluation.scoring import filled


def evaluate_folds(
    whole: Recording,
    folds: Sequence[Split],
    embed: Callable[[Split], FloatArray],
    *,
    seed: int = 0,
    gap: int = 0,
    metric: Metric = "euclidean",
    n_bootstrap: int = 1000,
) -> dict[str, Folded]:
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
    seed, gap, metric, n_bootstrap
        See `grevy.evaluation.evaluate`.

    Returns
    -------
    dict of str to Folded
        By the name of the label.

    Raises
    ------
    GrevyError
        If an embedding, the recording and the folds do not fit together.
    """
    inside = steps_inside(whole.segments)
    readings: dict[str, list[Reading]] = {label.name: [] for label in whole.labels}
    for fold in folds:
        ready = prepare(
            filled(embed(fold), inside), fold,
            segments=whole.segments, gap=gap, metric=metric, seed=seed,
        )  # fmt: skip
        for label in whole.labels:
            readings[label.name].append(ready.read(label))
    return {
        label.name: pool(label, readings[label.name], n_bootstrap, seed) for label in whole.labels
    }
