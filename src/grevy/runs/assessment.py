"""A trained model assessed on the recordings it was made for: scores, nulls, other seeds."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from grevy.checkpoint import Checkpoints
from grevy.config import RunConfig, SplitKind
from grevy.errors import GrevyError
from grevy.evaluation import (
    Evaluation,
    consistency_metrics,
    evaluate,
    evaluate_folds,
    fold_metrics,
    goodness_metrics,
    restricted,
)
from grevy.fit_quality import consistency
from grevy.holdout import cut_folds, cut_validation, hold_out
from grevy.recording import Array, IntArray, Label, Recording
from grevy.splits import Split, training_segments

if TYPE_CHECKING:
    from grevy.estimator import CEBRA
    from grevy.validation import Validation


def assess(
    model: "CEBRA",
    recordings: Sequence[Recording],
    embedding: Array,
    split: Split | None,
    config: RunConfig,
    notify: Callable[[str], None],
) -> Evaluation:
    """Evaluate an embedding as a run's settings ask for.

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
    notify : callable
        Told of what takes long.

    Returns
    -------
    Evaluation
        With the goodness of fit, and the validation loss, the folds and the consistency where
        there are any.
    """
    from grevy.fitting import sampling_plan

    whole = join_recordings(recordings)
    seed = model.seed_ % 2**32
    retrain = None
    if config.null_retrain and config.nulls and split is not None:
        notify(f"training {config.nulls} times more, on moved labels")
        retrain = _trainer_on_moved_labels(model, recordings, split, config)
    found = evaluate(
        embedding,
        whole,
        split,
        recordings[0].neural if len(recordings) == 1 else None,
        nulls=config.nulls,
        seed=seed,
        gap=training_gap(model),
        metric=config.distance,
        umap=config.umap,
        trained_on=trained_on(whole.labels, sampling_plan(model, recordings).conditional),
        retrain=retrain,
    )
    metrics: dict[str, Any] = {**goodness_metrics(model, recordings, split, seed), **found.metrics}
    if model.validation_:
        steps, losses = zip(*model.validation_, strict=True)
        metrics["validation"] = {"steps": list(steps), "loss": list(losses)}
    if config.folds:
        notify(f"training {config.folds} times more, each time without one fold")
        metrics |= _folds(model, recordings, whole, config, metrics.get("note"))
    if config.seeds > 1:
        notify(f"training {config.seeds - 1} times more, with other seeds")
        metrics |= _consistency(model, recordings, embedding, split, config, metrics.get("note"))
    return Evaluation(metrics, found.decoded)


def trained_on(labels: Sequence[Label], conditional: str | None) -> list[str]:
    """Name the labels that decide an encoder's positive pairs.

    Parameters
    ----------
    labels : sequence of Label
    conditional : str or None
        How positives are drawn. By time alone, continuous labels take no part.
    """
    return [label.name for label in labels if label.kind == "discrete" or conditional != "time"]


def training_gap(model: "CEBRA") -> int:
    """Return the steps that keep every training window and pair away from a test step."""
    from grevy.fitting import model_receptive_field, time_offsets

    return sum(model_receptive_field(model)) + int(max(time_offsets(model.time_offsets)))


def settle_seed(config: RunConfig, checkpoints: Checkpoints | None, resume: bool) -> RunConfig:
    """Settle the seed where it decides what is held out: that of a training to go on with, or new.

    Parameters
    ----------
    config : RunConfig
        Returned as it is if it has a seed, or holds out what no seed decides.
    checkpoints : Checkpoints or None
    resume : bool
        Whether the training goes on from the newest usable checkpoint.
    """
    if config.seed is not None or config.split == "blocks":
        return config
    from grevy.estimator import CEBRA

    for path in checkpoints.newest() if checkpoints is not None and resume else ():
        try:
            return config.model_copy(update={"seed": CEBRA.load(path, map_location="cpu").seed_})
        except GrevyError:
            continue  # damaged; training too goes on from the one before
    return config.model_copy(update={"seed": secrets.randbits(32)})


def holdout_split(
    model: "CEBRA", recordings: Sequence[Recording], holdout: float, split: SplitKind = "blocks"
) -> Split | None:
    """Set time aside: blocks kept from training by receptive field and time offset, or segments.

    Parameters
    ----------
    model : CEBRA
        Its seed decides which segments are held out.
    recordings : sequence of Recording
    holdout : float
        Fraction of the time steps inside segments; 0 for none.
    split : {"blocks", "segments"}

    Returns
    -------
    Split or None
        Over the common time axis of all recordings; None if nothing is held out.

    Raises
    ------
    GrevyError
        If a recording is too short, or has but one segment to hold out by segments.
    """
    if not holdout:
        return None
    return hold_out(laid_out(recordings), split, holdout, training_gap(model), _seed(model))


def fold_splits(
    model: "CEBRA", recordings: Sequence[Recording], config: RunConfig
) -> tuple[Split, ...]:
    """Cut the folds that a run asks for: blocks of time, or whole segments, as its `split` says.

    Returns
    -------
    tuple of Split
        Over the common time axis of all recordings; empty if no folds are asked for.

    Raises
    ------
    GrevyError
        If a recording is too short or has too few segments, or there is no label to decode.
    """
    if not config.folds:
        return ()
    if not recordings[0].labels:
        raise GrevyError(
            f"--folds {config.folds}: no label was given, so there is nothing to decode in each "
            f"fold. Name one with --label, or leave --folds out."
        )
    each, gap = laid_out(recordings), training_gap(model)
    return cut_folds(each, config.split, config.folds, gap, _seed(model))


def laid_out(recordings: Sequence[Recording]) -> list[IntArray]:
    """Return each recording's segments on the time axis on which recordings lie end to end."""
    starts = np.cumsum([0, *(len(recording) for recording in recordings)])
    return [each.segments + start for each, start in zip(recordings, starts, strict=False)]


def _seed(model: "CEBRA") -> int:
    """Return the seed of a model, trained or not; settled beforehand where it matters."""
    seed = getattr(model, "seed_", model.seed)
    return 0 if seed is None else int(seed)


def training_parts(
    model: "CEBRA", recordings: Sequence[Recording], split: Split | None, config: RunConfig
) -> "tuple[list[Recording], Validation | None]":
    """Restrict recordings to what is trained on, and take blocks for validation out of that."""
    seen = list(recordings if split is None else restricted(recordings, split.train))
    if not config.validation:
        return seen, None
    from grevy.validation import Validation

    apart = []
    for number, recording in enumerate(seen):
        inner = cut_validation(recording.segments, config.validation, training_gap(model))
        apart.append(training_segments(recording.segments, inner.test))
        runs = training_segments(recording.segments, inner.train)
        seen[number] = replace(recording, segments=runs)
    return seen, Validation(apart if len(apart) > 1 else apart[0], patience=config.patience)


def embed_recordings(model: "CEBRA", recordings: Sequence[Recording]) -> Array:
    """Embed every time step of all recordings, end to end; (T, D) float32."""
    several = model.num_sessions_ is not None
    parts = [
        model.transform(recording, session_id=number if several else None)
        for number, recording in enumerate(recordings)
    ]
    return np.concatenate(parts)


def join_recordings(recordings: Sequence[Recording]) -> Recording:
    """Lay recordings end to end for evaluation; the neural data of several is left out."""
    if len(recordings) == 1:
        return recordings[0]
    from grevy.sessions import align_labels

    aligned = align_labels(recordings)
    labels = [
        replace(column[0], values=np.concatenate([label.values for label in column]))
        for column in zip(*(recording.labels for recording in aligned), strict=True)
    ]
    return Recording(
        neural=np.zeros((sum(len(recording) for recording in recordings), 0), np.float32),
        labels=tuple(labels),
        segments=np.concatenate(laid_out(recordings)),
        sampling_rate=recordings[0].sampling_rate,
        source=recordings[0].source,
    )


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
    from grevy.sessions import align_labels

    aligned = align_labels(recordings)
    starts = np.cumsum([0, *(len(recording) for recording in recordings)])

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
    note: str | None,
) -> dict[str, Any]:
    """Train for each fold, and decode what that training has not seen; say so if that fails."""

    def embed(fold: Split) -> Array:
        return _train_again(model, recordings, fold, config, model.seed_)

    try:
        found = evaluate_folds(
            whole,
            fold_splits(model, recordings, config),
            embed,
            seed=model.seed_ % 2**32,
            gap=training_gap(model),
            metric=config.distance,
        )
    except GrevyError as error:  # the run itself is whole, and took long
        return {"note": _with_more(note, f"No folds: {error}")}
    return {"folds": {name: fold_metrics(each) for name, each in found.items()}}


def _consistency(
    model: "CEBRA",
    recordings: Sequence[Recording],
    embedding: Array,
    split: Split | None,
    config: RunConfig,
    note: str | None,
) -> dict[str, Any]:
    """Compare the embedding with those of other seeds, on the steps that none has trained on.

    If one of these trainings fails, say so.
    """
    seeds = range(model.seed_ + 1, model.seed_ + config.seeds)
    names = [f"seed {seed}" for seed in (model.seed_, *seeds)]
    steps = slice(None) if split is None else split.test
    try:
        embeddings = [embedding, *_other_seeds(model, recordings, split, config, seeds)]
        found = consistency([each[steps] for each in embeddings], names)
    except GrevyError as error:  # the run itself is whole, and took long
        return {"note": _with_more(note, f"No consistency between seeds: {error}")}
    return {"consistency": consistency_metrics(found)}


def _other_seeds(
    model: "CEBRA",
    recordings: Sequence[Recording],
    split: Split | None,
    config: RunConfig,
    seeds: Sequence[int],
) -> list[Array]:
    """Train with other seeds, and embed all that was recorded."""
    from grevy.replicates import fit_replicates

    if config.validation:  # each may stop at another step
        return [_train_again(model, recordings, split, config, seed) for seed in seeds]
    seen, _ = training_parts(model, recordings, split, config)
    fitted = fit_replicates(model, seen if len(seen) > 1 else seen[0], seeds)
    return [embed_recordings(each, recordings) for each in fitted]


def _with_more(note: str | None, more: str) -> str:
    return f"{note} {more}" if note else more
