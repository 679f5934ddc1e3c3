"""An embedding scored by the kind of each label, beside baselines and moved labels."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grevy.data import (
    TAU,
    Array,
    FloatArray,
    IntArray,
    Label,
    Recording,
    Split,
    random_split,
    steps_inside,
)
from grevy.errors import GrevyError, Problems
from grevy.evaluation.baselines import (
    linear_map_r2,
    manual_scores,
    principal_components,
    umap_components,
)
from grevy.evaluation.checks import checked_embedding
from grevy.evaluation.decoding.decoder import Prepared, prepare
from grevy.evaluation.decoding.knn import Metric
from grevy.evaluation.decoding.result import Decoding
from grevy.evaluation.decoding.scores import score
from grevy.evaluation.metrics import decoding_metrics, null_metrics, plain_scores
from grevy.evaluation.moves import UnmovableError, as_numbers, autocorrelation
from grevy.evaluation.nulls import null_of_prepared

# The manual's random split.
RANDOM_HOLDOUT, RANDOM_SEED = 0.2, 42
# A random split leaks where neighbouring labels are so much alike (autocorrelation at lag 1): a
# decoder that finds the neighbour then explains the square of it, 4 % of the variance.
LEAKY = 0.2


@dataclass(frozen=True, eq=False)
class Decoded:
    """A label decoded at held-out time steps.

    Attributes
    ----------
    steps : ndarray of shape (n,)
        On the recording's own time axis.
    true, decoded : ndarray of shape (n, L) or (n,)
        In the label's unit; codes of a discrete label.
    """

    steps: IntArray
    true: Array
    decoded: Array


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found.

    Attributes
    ----------
    metrics : dict
        Plain numbers, strings and lists, ready for JSON:

        - ``train_r2``, ``test_r2``, ``prediction_r2``: the manual's, if a label is continuous;
        - ``scores``: for each label ``kind``; ``random`` (the manual's split); if steps were held
          out ``blocked``, with ``embedding``, ``pca``, ``raw``, ``umap`` (where neural data was
          given and, for the last, it was asked for) and ``chance``, each with its scores, the
          ``decoder`` and (but for chance) ``intervals``; ``null``, as in
          `grevy.evaluation.NullTest`, with ``trained_on_label``;
        - ``leaky``: for each label, whether the random split leaks;
        - ``holdout``, if steps were held out: ``split`` (blocks or segments), ``train_steps``,
          ``test_steps`` and, of segments, ``test_segments``;
        - ``latent_r2``, ``note``, where there is something to say.
    decoded : dict of str to Decoded
        For each label, if steps were held out.
    """

    metrics: dict[str, Any]
    decoded: dict[str, Decoded]


def evaluate(
    embedding: FloatArray,
    whole: Recording,
    split: Split | None = None,
    neural: Array | None = None,
    *,
    nulls: int = 50,
    seed: int = 0,
    gap: int = 0,
    metric: Metric = "euclidean",
    n_bootstrap: int = 1000,
    umap: bool = False,
    trained_on: Collection[str] = (),
    retrain: Callable[[Label], FloatArray] | None = None,
) -> Evaluation:
    """Score an embedding by the kind of each label, beside baselines and moved labels.

    Parameters
    ----------
    embedding : ndarray of shape (T, D)
        Steps outside every segment are ignored; they may be NaN.
    whole : Recording
        Labels, segments and (if known) the latent of the same T time steps.
    split : Split, optional
        Held-out steps that the encoder did not train on. Without them there is no honest score,
        no baseline and no null.
    neural : ndarray of shape (T, N), optional
        For the baselines: D principal components, and the raw data. It is read in parts and may be
        a memory map. Several recordings laid end to end have no neurons in common, hence no
        baselines; ``note`` says so.
    nulls : int
        How often each label is moved, at least 20; 0 for not at all.
    seed : int
        Decides the moves, the bootstrap, and which steps a long recording is thinned to.
    gap : int
        In steps: the receptive field plus the longest time offset. Kept between the halves of the
        folds inside the training, by which decoders are chosen.
    metric : {"euclidean", "cosine"}
        Of nearest neighbours in the embedding; among baselines it is always euclidean.
    n_bootstrap : int
        Resamples for the confidence intervals; 0 for none.
    umap : bool
        Whether UMAP of the neural data is a baseline too.
    trained_on : collection of str
        Names of the labels that an encoder was trained with to make this embedding. Their nulls
        say so, for on a fixed embedding they do not undo it.
    retrain : callable, optional
        Trains the encoder on a moved label and returns the embedding (T, D); see
        `grevy.null_test`.

    Returns
    -------
    Evaluation

    Raises
    ------
    GrevyError
        If embedding, recording, split and neural data do not fit together, or UMAP is asked for
        and not installed.
    """
    inside = steps_inside(whole.segments)
    _check(embedding, whole, split, neural, inside)
    values = filled(embedding, inside)
    settings: dict[str, Any] = {"segments": whole.segments, "seed": seed}
    at_random = prepare(values, _random_split(inside), metric=metric, **settings)
    scores: dict[str, Any] = {
        label.name: {"kind": label.kind, "random": _scores(at_random, label, 0)[0]}
        for label in whole.labels
    }
    decoded: dict[str, Decoded] = {}
    notes = _notes(whole, split, neural)
    if split is not None and whole.labels:
        settings["gap"] = gap
        reduced = _reduced(neural, values.shape[1], split, seed if umap else None)
        baselines = {
            name: _baseline(inputs, whole.labels, split, n_bootstrap, settings)
            for name, inputs in reduced
        }

        def ready(given: FloatArray) -> Prepared:
            return prepare(given, split, metric=metric, **settings)

        held_out = ready(values)
        blocked, decoded = _blocked(held_out, whole.labels, baselines, n_bootstrap)
        if nulls:
            anew = None if retrain is None else lambda moved: ready(filled(retrain(moved), inside))
            found, unmoved = _nulls(held_out, whole, nulls, gap, seed, anew)
            notes += unmoved
            for name, null in found.items():
                blocked[name]["null"] = {**null, "trained_on_label": name in trained_on}
        for name, of_label in blocked.items():
            scores[name] |= of_label
    metrics = {
        **_manual(values, whole, inside),
        "scores": scores,
        "leaky": {label.name: _is_leaky(label, whole.segments, inside) for label in whole.labels},
        **_latent(values, whole, split, inside),
    }
    if split is not None:
        metrics["holdout"] = _held_out(split, whole.segments)
    if notes:
        metrics["note"] = " ".join(notes)
    return Evaluation(metrics, decoded)


def _check(
    embedding: FloatArray,
    whole: Recording,
    split: Split | None,
    neural: Array | None,
    inside: IntArray,
) -> None:
    """Check that everything is of the same time steps, and the split inside the segments."""
    problems = Problems("evaluation")
    for what, given in (("embedding", embedding), ("neural data", neural)):
        if given is not None and len(given) != len(whole):
            problems.add(
                f"the {what} has {len(given)} time steps, the recording has {len(whole)}; they "
                f"must match."
            )
    if split is not None:
        outside = np.setdiff1d(np.concatenate([split.train, split.test]), inside)
        if len(outside):
            problems.add(
                f"{len(outside)} training or test steps lie outside every segment, the first at "
                f"{outside[0]}. Split the steps inside segments."
            )
    problems.raise_if_any()


def filled(embedding: FloatArray, inside: IntArray) -> FloatArray:
    """Return the embedding with 0 outside the segments, where nothing is read from it.

    Parameters
    ----------
    embedding : ndarray of shape (T, D)
    inside : ndarray
        The steps inside segments.

    Raises
    ------
    GrevyError
        If it is not finite there.
    """
    if len(inside) == len(embedding):
        return checked_embedding(embedding)
    filled = np.zeros_like(embedding)
    filled[inside] = checked_embedding(embedding[inside])
    return filled


def _held_out(split: Split, segments: IntArray) -> dict[str, Any]:
    """Count what is held out, and say whether it is blocks of time or whole segments."""
    counts = {"train_steps": len(split.train), "test_steps": len(split.test)}
    if not split.by_segment:
        return {"split": "blocks", **counts}
    tested = np.isin(segments[:, 0], split.test).sum()
    return {"split": "segments", **counts, "test_segments": int(tested)}


def _random_split(inside: IntArray) -> Split:
    rows = random_split(len(inside), RANDOM_HOLDOUT, RANDOM_SEED)
    return Split(inside[rows.train], inside[rows.test])


def _reduced(
    neural: Array | None, dimension: int, split: Split, umap_seed: int | None
) -> Iterator[tuple[str, Array]]:
    """Yield what baselines decode from: components, raw data, UMAP (for a seed), one at a time."""
    if neural is None:
        return
    fewer = min(dimension, *neural.shape)
    yield "pca", principal_components(neural, split.train, fewer)
    yield "raw", neural
    if umap_seed is not None:
        yield "umap", umap_components(neural, split.train, split.test, dimension, umap_seed)


def _baseline(
    inputs: Array, labels: Sequence[Label], split: Split, n_bootstrap: int, settings: dict[str, Any]
) -> dict[str, Any]:
    """Score every label from one baseline."""
    prepared = prepare(inputs, split, **settings)
    return {label.name: _scores(prepared, label, n_bootstrap)[0] for label in labels}


def _blocked(
    held_out: Prepared,
    labels: Sequence[Label],
    baselines: dict[str, dict[str, Any]],
    n_bootstrap: int,
) -> tuple[dict[str, dict[str, Any]], dict[str, Decoded]]:
    """Score every label on the held-out steps, beside baselines; return what was decoded too."""
    scores, decoded = {}, {}
    for label in labels:
        own, decoding = _scores(held_out, label, n_bootstrap)
        beside = {what: of_label[label.name] for what, of_label in baselines.items()}
        chance = _chance(label, held_out)
        scores[label.name] = {"blocked": {"embedding": own, **beside, "chance": chance}}
        decoded[label.name] = Decoded(decoding.steps, decoding.true, decoding.decoded)
    return scores, decoded


def _nulls(
    prepared: Prepared,
    whole: Recording,
    n: int,
    gap: int,
    seed: int,
    retrain: Callable[[Label], Prepared] | None,
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Move each label; return the nulls, and why there are none for some.

    A training on a moved label may fail where that of the run itself did not.
    """
    expected = UnmovableError if retrain is None else GrevyError
    found, unmoved = {}, []
    for label in whole.labels:
        try:
            null = null_of_prepared(prepared, label, whole.segments, n, None, gap, seed, retrain)
        except expected as error:
            unmoved.append(f"No nulls for {label.name!r}: {error}")
        else:
            found[label.name] = null_metrics(null)
    return found, unmoved


def _notes(whole: Recording, split: Split | None, neural: Array | None) -> list[str]:
    notes = []
    if not whole.labels:
        notes.append(
            "no label was given, so nothing can be decoded; the goodness of fit alone says how "
            "well the embedding tells time."
        )
    elif split is not None and neural is None:
        notes.append(
            "there are no baselines from principal components and raw data: the neural data of one "
            "recording was not given (several recordings have no neurons in common)."
        )
    return notes


def _manual(values: FloatArray, whole: Recording, inside: IntArray) -> dict[str, float]:
    numbers = [label.values[inside] for label in whole.labels if label.kind == "continuous"]
    if not numbers:
        return {}
    rows = values if len(inside) == len(values) else values[inside]
    return manual_scores(rows, np.concatenate(numbers, axis=1))


def _latent(
    values: FloatArray, whole: Recording, split: Split | None, inside: IntArray
) -> dict[str, float]:
    if whole.latent is None:
        return {}
    fair = split or _random_split(inside)
    return {"latent_r2": linear_map_r2(values, whole.latent, fair.train, fair.test)}


def _scores(prepared: Prepared, label: Label, n_bootstrap: int) -> tuple[dict[str, Any], Decoding]:
    found = prepared.decode(label, n_bootstrap)
    return decoding_metrics(found), found


def _chance(label: Label, prepared: Prepared) -> dict[str, Any]:
    """Score one constant answer: the training's mean, mean direction, or commonest class.

    The balanced accuracy is that of any class tested, among which the commonest need not be.
    """
    train, layout = label.values[prepared.layout.train], prepared.layout
    if label.kind == "continuous":
        answer = train.mean(axis=0)
    elif label.kind == "circular":
        answer = np.mod(np.angle(np.exp(1j * train).mean()), TAU)
    else:
        answer = np.bincount(train).argmax()
    answers = (np.repeat(answer[None], len(rows), axis=0) for rows in (layout.test, layout.sample))
    plain = {**plain_scores(score(label, layout, *answers)), "decoder": "constant"}
    if label.kind == "discrete":
        plain["balanced_accuracy"] = plain["balanced_chance"]
    return plain


def _is_leaky(label: Label, segments: IntArray, inside: IntArray) -> bool:
    """Tell whether a random split would test on labels that it has nearly seen."""
    values = label.take(inside)
    if (values.values == values.values[0]).all():
        return True
    stops = np.cumsum(segments[:, 1] - segments[:, 0])
    runs = np.stack([np.concatenate([[0], stops[:-1]]), stops], axis=1)
    return bool(autocorrelation(as_numbers(values), runs, 2)[1] > LEAKY)
