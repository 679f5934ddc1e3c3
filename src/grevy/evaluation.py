"""Scores of an embedding by the kind of each label, on the manual's and on the blocked split."""

import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from grevy.decoding import (
    checked_embedding,
    decode,
    linear_map_r2,
    manual_scores,
    principal_components,
)
from grevy.recording import Array, Label, Recording
from grevy.sampling import fitting_positions
from grevy.splits import Split, random_split

# The manual's random split.
RANDOM_HOLDOUT, RANDOM_SEED = 0.2, 42
# The last steps of a training, over which its goodness of fit is averaged.
TAIL_FRACTION, TAIL_STEPS = 0.1, 100


def evaluate(
    embedding: Array, whole: Recording, split: Split | None = None, neural: Array | None = None
) -> dict[str, Any]:
    """Score an embedding by the kind of each label, on the manual's and on the blocked split.

    Parameters
    ----------
    embedding : ndarray of shape (T, D)
    whole : Recording
        Labels, segments and (if known) the latent of the same T time steps.
    split : Split, optional
        Blocks of time that the encoder did not train on.
    neural : ndarray of shape (T, N), optional
        For the baselines on the blocked split: principal components, and the raw data.

    Returns
    -------
    dict
        Plain numbers, ready for JSON. ``train_r2``, ``test_r2``, ``prediction_r2`` are the
        manual's, present if a label is continuous. ``scores`` holds, for each label, ``random``
        and (if blocks were held out) ``blocked``, the latter with the baselines beside it.
    """
    inside = fitting_positions(whole.segments, 0, 1)
    if len(inside) < len(whole):  # the other steps have no embedding
        if split is not None:
            split = Split(*(np.searchsorted(inside, steps) for steps in (split.train, split.test)))
        neural = None if neural is None else neural[inside]
        return evaluate(embedding[inside], _without_gaps(whole, inside), split, neural)
    checked_embedding(embedding)
    metrics: dict[str, Any] = {}
    numbers = [label.values for label in whole.labels if label.kind == "continuous"]
    if numbers:
        metrics.update(manual_scores(embedding, np.concatenate(numbers, axis=1)))
    if not whole.labels:
        metrics["note"] = (
            "no label was given, so nothing can be decoded; the goodness of fit alone says how "
            "well the embedding tells time."
        )
    leaky = random_split(len(whole), RANDOM_HOLDOUT, RANDOM_SEED)
    inputs = {"embedding": embedding}
    if split is not None and neural is not None:
        dimension = min(embedding.shape[1], *neural.shape)
        inputs["pca"] = principal_components(neural, split.train, dimension)
        inputs["raw"] = neural
    scores: dict[str, Any] = {}
    for label in whole.labels:
        of_label: dict[str, Any] = {"kind": label.kind, "random": _scores(embedding, label, leaky)}
        if split is not None:
            of_label["blocked"] = {
                name: _scores(values, label, split) for name, values in inputs.items()
            }
        scores[label.name] = of_label
    metrics["scores"] = scores
    if whole.latent is not None:
        fair = split or leaky
        metrics["latent_r2"] = linear_map_r2(embedding, whole.latent, fair.train, fair.test)
    if split is not None:
        metrics["holdout"] = {"train_steps": len(split.train), "test_steps": len(split.test)}
    return metrics


def _without_gaps(whole: Recording, inside: Array) -> Recording:
    """Move the segments together, for evaluation; the neural data is left out."""
    stops = np.cumsum(np.diff(whole.segments, axis=1))
    return replace(
        whole,
        neural=np.zeros((len(inside), 0), np.float32),
        labels=tuple(label.take(inside) for label in whole.labels),
        segments=np.stack([np.concatenate([[0], stops[:-1]]), stops], axis=1),
        latent=None if whole.latent is None else whole.latent[inside],
    )


def _scores(values: Array, label: Label, split: Split) -> dict[str, Any]:
    return asdict(decode(values, label, split))


def goodness_of_fit(model: Any) -> float:
    """Return how far the loss at the end of training is below chance, in bits.

    0 for an embedding that tells nothing; (log M - loss) / log 2 with M negatives.
    """
    losses = model.solver_.log["total"]
    tail = losses[-max(TAIL_STEPS, int(TAIL_FRACTION * len(losses))) :]
    return (model.chance_ - float(np.mean(tail))) / math.log(2)
