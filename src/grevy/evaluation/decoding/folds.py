"""K-fold: every step is decoded once, by a decoder that has not seen its fold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from grevy.data import Label, Split
from grevy.errors import GrevyError
from grevy.evaluation.checks import checked_embedding
from grevy.evaluation.decoding.decoder import DecoderName, Reading, checked_label, prepare
from grevy.evaluation.decoding.knn import Metric
from grevy.evaluation.decoding.layout import Layout
from grevy.evaluation.decoding.result import Decoding, check_resamples, summarise


@dataclass(frozen=True, eq=False)
class Folded:
    """A label decoded fold by fold.

    Attributes
    ----------
    folds : tuple of K Decoding
        Of each fold's own test steps, without intervals.
    pooled : Decoding
        Of the test steps of all folds together. `decoder` lists what the folds chose, each once.
    """

    folds: tuple[Decoding, ...]
    pooled: Decoding


def decode_folds(
    embedding: npt.ArrayLike,
    label: Label | npt.ArrayLike,
    folds: Sequence[Split],
    *,
    segments: npt.ArrayLike | None = None,
    gap: int = 0,
    decoder: DecoderName = "auto",
    metric: Metric = "euclidean",
    seed: int = 0,
    n_bootstrap: int = 1000,
) -> Decoding:
    """Read a label from an embedding by K-fold: every fold's test by a decoder of its own.

    The scores and intervals are of all test steps together. An encoder that has trained on the
    whole recording has seen every fold's test; this is honest for an embedding that no label took
    part in, such as principal components or raw data.

    Parameters
    ----------
    embedding, label
        See `decode`.
    folds : sequence of Split
        Made by `grevy.block_folds` or `segment_folds`; no step is tested twice.
    segments, gap, decoder, metric, seed, n_bootstrap
        See `decode`.

    Returns
    -------
    Decoding
        `decoder` lists what the folds chose, each once. `steps` are sorted.

    Raises
    ------
    GrevyError
        As `decode`; or if there is no fold, or folds share test steps.
    """
    check_resamples(n_bootstrap)
    values = checked_embedding(np.asarray(embedding))
    label = checked_label(label, len(values))
    check_folds(folds)
    readings = [
        prepare(
            values, fold, segments=segments, gap=gap, decoder=decoder, metric=metric, seed=seed
        ).read(label)
        for fold in folds
    ]
    return pool(label, readings, n_bootstrap, seed).pooled


def check_folds(folds: Sequence[Split]) -> None:
    """Refuse folds that test nothing, or a step twice.

    Raises
    ------
    GrevyError
    """
    steps = np.concatenate([np.empty(0, np.int64), *(fold.test for fold in folds)])
    if not len(steps) or len(np.unique(steps)) < len(steps):
        raise GrevyError(
            f"{len(folds)} folds that test {len(steps)} time steps, "
            f"{len(np.unique(steps))} of them different; expected at least one fold, and no step "
            f"tested twice. Make them by block_folds or segment_folds."
        )


def pool(label: Label, readings: Sequence[Reading], n_bootstrap: int, seed: int) -> Folded:
    """Score each fold alone, and the test steps of all folds together.

    Parameters
    ----------
    label : Label
    readings : sequence of K Reading
        No step is tested twice; each fold may have an embedding of its own.
    n_bootstrap : int
        Resamples for the intervals of the whole; 0 for none.
    seed : int
        Decides the resamples.
    """
    each = tuple(one.scored(label, 0, seed) for one in readings)
    layouts = [one.layout for one in readings]
    steps = np.concatenate([layout.test for layout in layouts])
    order = np.argsort(steps)
    together = Layout(
        train=np.unique(np.concatenate([layout.train for layout in layouts])),
        test=steps[order],
        sample=np.concatenate([layout.sample for layout in layouts]),
        folds=(),
    )
    text = "; ".join(dict.fromkeys(one.decoder for one in readings))
    decoded = np.concatenate([one.decoded for one in readings])[order]
    sampled = np.concatenate([one.sampled for one in readings])
    return Folded(each, summarise(label, together, text, decoded, sampled, n_bootstrap, seed))
