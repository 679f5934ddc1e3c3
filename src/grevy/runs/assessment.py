"""A trained model assessed on the recordings it was made for: scores, nulls, other seeds."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from grevy.config import RunConfig
from grevy.data import (
    Array,
    Label,
    Recording,
    Split,
    end_to_end,
    join_recordings,
    names_of,
)
from grevy.errors import GrevyError
from grevy.evaluation import (
    CrossFitted,
    Evaluation,
    Together,
    consistency,
    consistency_metrics,
    evaluate,
    evaluate_across,
    evaluate_folds,
    read_left_out,
    validation_scores,
)
from grevy.runs.holding_out import (
    fold_splits,
    training_gap,
    training_parts,
    validation_split,
)
from grevy.runs.preparing import smoothing_reach

if TYPE_CHECKING:
    from grevy.model import CEBRA

_LOG = logging.getLogger(__name__)


def assess(
    model: "CEBRA",
    recordings: Sequence[Recording],
    embedding: Array,
    split: Split | None,
    config: RunConfig,
) -> Evaluation:
    """Evaluate an embedding as a run's settings ask for; what takes long is logged.

    Parameters
    ----------
    model : CEBRA
        Trained on the recordings, or on what `split` leaves for training.
    recordings : sequence of Recording
    embedding : ndarray of shape (T, D)
        Of all recordings, end to end.
    split : Split or None
    config : RunConfig
        `nulls`, `null_retrain`, `seeds`, `folds`, `split`, `umap` and `distance` count here.

    Returns
    -------
    Evaluation
        With the loss of knowing nothing, the goodness of fit, and the validation loss with the
        labels decoded there, the folds and the consistency where there are any.
    """
    from grevy.model import goodness_metrics, model_receptive_field, prepared_alike

    whole = join_recordings(recordings)
    prepared = prepared_alike(model.fitted, recordings)
    seed = model.seed_ % 2**32
    settings: dict[str, Any] = {
        "seed": seed,
        "gap": training_gap(model, smoothing_reach(config, recordings)),
        "metric": config.distance,
    }
    together = laid_together(recordings, whole) if len(recordings) > 1 else None
    folds, notes = None, []
    left_out: list[list[dict[str, Any]]] = []
    if config.folds:
        _LOG.info(f"training {config.folds} times more, each time without one fold")
        try:
            folds, left_out = _folds(model, recordings, whole, config, together, settings)
        except GrevyError as error:  # the run itself is whole, and took long
            notes.append(f"No folds: {error}")
    retrain = None
    if config.null_retrain and config.n_nulls and split is not None:
        _LOG.info(f"training {config.n_nulls} times more, on moved labels")
        retrain = _trainer_on_moved_labels(model, recordings, split, config)
    found = evaluate(
        embedding,
        whole,
        split,
        prepared[0].neural if len(prepared) == 1 else None,
        window=model_receptive_field(model.parameters),
        nulls=config.n_nulls,
        umap=config.umap,
        folds=folds,
        retrain=retrain,
        **settings,
    )
    metrics: dict[str, Any] = {
        "chance_nats": model.chance_,
        **goodness_metrics(model, prepared, split, seed),
        **found.metrics,
    }
    if config.min_rate is not None:
        ways = [each.preparation for each in prepared if each.preparation is not None]
        metrics["neurons_left_out"] = [each.left_out.tolist() for each in ways]
    if together is not None and split is not None and whole.labels:
        metrics |= evaluate_across(
            embedding, together, split, folds=left_out, nulls=config.n_nulls, **settings
        )
    inner = validation_split(model, recordings, split, config)
    if inner is not None:
        metrics["validation"], why_not = _validated(model, embedding, whole, inner, settings)
        notes += why_not
    if config.seeds > 1:
        _LOG.info(f"training {config.seeds - 1} times more, with other seeds")
        try:
            metrics["consistency"] = _consistency(model, recordings, embedding, split, config)
        except GrevyError as error:  # as above
            notes.append(f"No consistency between seeds: {error}")
    if notes:
        metrics["note"] = " ".join([*filter(None, [metrics.get("note")]), *notes])
    return Evaluation(metrics, found.decoded)


def _validated(
    model: "CEBRA", embedding: Array, whole: Recording, inner: Split, settings: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return the losses and scores on validation blocks, and why there are no scores."""
    found: dict[str, Any] = {
        "steps": [step for step, _ in model.validation_],
        "loss": [loss for _, loss in model.validation_],
    }
    try:
        found["scores"] = validation_scores(embedding, whole, inner, **settings)
    except GrevyError as error:  # the run itself is whole, and took long
        return found, [f"No scores on validation blocks: {error}"]
    return found, []


def laid_together(recordings: Sequence[Recording], whole: Recording) -> Together:
    """Say where each of several recordings, joined to one, lies, and what it is called."""
    return Together(whole, names_of(recordings), end_to_end(map(len, recordings)))


def embed_recordings(model: "CEBRA", recordings: Sequence[Recording]) -> Array:
    """Embed every time step of all recordings, end to end; (T, D) float32."""
    several = model.num_sessions_ is not None
    parts = [
        model.transform(recording, session_id=number if several else None)
        for number, recording in enumerate(recordings)
    ]
    return np.concatenate(parts)


def _train_again(
    model: "CEBRA",
    recordings: Sequence[Recording],
    split: Split | None,
    config: RunConfig,
    seed: int,
) -> Array:
    """Train a model with the same parameters, and embed all that was recorded."""
    from sklearn.base import clone

    seen, validation = training_parts(model, recordings, split, config)
    other = clone(model).set_params(seed=seed, verbose=False)
    other.fit(seen if len(seen) > 1 else seen[0], validation=validation)
    return embed_recordings(other, recordings)


def _trainer_on_moved_labels(
    model: "CEBRA", recordings: Sequence[Recording], split: Split, config: RunConfig
) -> Callable[[Label], Array]:
    from grevy.data import align_labels

    aligned = align_labels(recordings)
    starts = end_to_end(map(len, recordings))

    def retrain(moved: Label) -> Array:
        place = [label.name for label in aligned[0].labels].index(moved.name)
        changed = []
        for recording, start in zip(aligned, starts, strict=False):
            labels = list(recording.labels)
            own = moved.take(np.arange(start, start + len(recording)))
            labels[place] = replace(own, name=labels[place].name)
            changed.append(replace(recording, labels=tuple(labels)))
        return _train_again(model, changed, split, config, model.seed_)

    return retrain


def _folds(
    model: "CEBRA",
    recordings: Sequence[Recording],
    whole: Recording,
    config: RunConfig,
    together: Together | None,
    settings: dict[str, Any],
) -> tuple[dict[str, CrossFitted], list[list[dict[str, Any]]]]:
    """Train for each fold, and decode what that training has not seen.

    Of several recordings each fold is also decoded by what the others have taught.
    """
    left_out = []

    def embed(fold: Split) -> Array:
        embedding = _train_again(model, recordings, fold, config, model.seed_)
        if together is not None:
            left_out.append(read_left_out(embedding, together, fold, **settings))
        return embedding

    splits = fold_splits(model, recordings, config)
    return evaluate_folds(whole, splits, embed, nulls=config.n_nulls, **settings), left_out


def _consistency(
    model: "CEBRA",
    recordings: Sequence[Recording],
    embedding: Array,
    split: Split | None,
    config: RunConfig,
) -> dict[str, Any]:
    """Compare the embedding with those of other seeds, on the steps that none has trained on."""
    seeds = range(model.seed_ + 1, model.seed_ + config.seeds)
    names = [f"seed {seed}" for seed in (model.seed_, *seeds)]
    steps = slice(None) if split is None else split.test
    embeddings = [embedding, *_other_seeds(model, recordings, split, config, seeds)]
    return consistency_metrics(consistency([each[steps] for each in embeddings], names))


def _other_seeds(
    model: "CEBRA",
    recordings: Sequence[Recording],
    split: Split | None,
    config: RunConfig,
    seeds: Sequence[int],
) -> list[Array]:
    """Train with other seeds, and embed all that was recorded."""
    from grevy.model import fit_replicates

    seen, validation = training_parts(model, recordings, split, config)
    fitted = fit_replicates(model, seen if len(seen) > 1 else seen[0], seeds, validation)
    return [embed_recordings(each, recordings) for each in fitted]
