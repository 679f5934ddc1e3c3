"""An embedding scored by the kind of each label, beside baselines and moved labels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from grevy.data import (
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
from grevy.evaluation.baselines import linear_map_r2, manual_scores
from grevy.evaluation.beside import Baselines, Given, compare, constant_answer, read_baselines
from grevy.evaluation.checks import checked_embedding, filled
from grevy.evaluation.decoding.decoder import Prepared, Reading, prepare
from grevy.evaluation.decoding.knn import Metric
from grevy.evaluation.decoding.result import check_resamples
from grevy.evaluation.folds import CrossFitted
from grevy.evaluation.kept import null_of_held_out
from grevy.evaluation.metrics import adjust, decoding_metrics, fold_metrics, null_metrics
from grevy.evaluation.moves import USUAL_NULLS, as_numbers, autocorrelation, runs_end_to_end
from grevy.evaluation.nulls import NullTest, attempted, check_number, null_of_prepared

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
          out ``blocked``, with ``embedding``, the baselines (where neural data was given; see
          `grevy.evaluation.beside`) and ``chance``, each with its scores, the ``decoder`` and (but
          for chance) ``intervals``; ``null``, as in `grevy.evaluation.NullTest`, where an honest p
          exists, with ``p_adjusted`` (Holm) if there are several, else ``no_p``, the reason;
        - ``window_steps``: W, where it is known and baselines were computed;
        - ``leaky``: for each label, whether the random split leaks;
        - ``folds``, if there are any: for each label, see `grevy.evaluation.fold_metrics`;
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
    window: tuple[int, int] = (0, 1),
    nulls: int = USUAL_NULLS,
    seed: int = 0,
    gap: int = 0,
    metric: Metric = "euclidean",
    n_bootstrap: int = 1000,
    umap: bool = False,
    folds: Mapping[str, CrossFitted] | None = None,
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
        no baseline and no null but that of `folds`.
    neural : ndarray of shape (T, N), optional
        For the baselines: D principal components, and the raw data. It is read in parts and may be
        a memory map. Several recordings laid end to end have no neurons in common, hence no
        baselines; ``note`` says so.
    window : tuple of int
        Steps before and after that the encoder sees: t - before to t + after - 1. The baselines
        see the same. By default one step.
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
    folds : mapping of str to CrossFitted, optional
        Of `evaluate_folds`; the nulls are then theirs, for they test every step.
    retrain : callable, optional
        Trains the encoder on a moved label and returns the embedding (T, D); see
        `grevy.null_test`. The nulls are then those.

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
    # Only baselines read windows of the data.
    _check_window(window, sum(window) if neural is None else len(whole))
    check_resamples(n_bootstrap)
    if nulls:
        check_number(nulls)
    values = filled(embedding, inside)
    settings: dict[str, Any] = {"segments": whole.segments, "seed": seed, "metric": metric}
    at_random = prepare(values, _random_split(inside), **settings).read_all(whole.labels)
    scores: dict[str, Any] = {
        label.name: {
            "kind": label.kind,
            "random": decoding_metrics(at_random[label.name].scored(label, 0, seed)),
        }
        for label in whole.labels
    }
    decoded: dict[str, Decoded] = {}
    found: dict[str, NullTest | str | None] = {}
    more: dict[str, Any] = {}
    if folds:
        more["folds"] = {name: fold_metrics(each.scores) for name, each in folds.items()}
        found = {name: each.null for name, each in folds.items()}
    if split is not None and whole.labels:
        held_out = prepare(values, split, gap=gap, **settings)
        readings = held_out.read_all(whole.labels)
        given = None
        if neural is not None:
            umap_seed = seed if umap else None
            given = Given(neural, whole.segments, split, window, values.shape[1], umap_seed)
            more["window_steps"] = sum(window)
        baselines = read_baselines(given, whole.labels, gap, seed)
        for label in whole.labels:
            own = readings[label.name]
            blocked, decoded[label.name] = _blocked(held_out, label, own, baselines, n_bootstrap)
            scores[label.name]["blocked"] = blocked
        if nulls and retrain is not None:
            found = _retrained(held_out, whole, retrain, nulls, gap)
        elif nulls and not folds:
            found = _kept(readings, whole, nulls, gap, seed)
    notes = _notes(whole, split, neural) + _add_nulls(scores, found, folds or {})
    metrics = {
        **_manual(values, whole, inside),
        "scores": scores,
        "leaky": {label.name: _is_leaky(label, whole.segments, inside) for label in whole.labels},
        **more,
        **_latent(values, whole, split, inside),
    }
    if split is not None:
        metrics["holdout"] = _held_out(split, whole.segments)
    if notes:
        metrics["note"] = " ".join(notes)
    return Evaluation(metrics, decoded)


def validation_scores(
    embedding: FloatArray,
    whole: Recording,
    inner: Split,
    *,
    seed: int = 0,
    gap: int = 0,
    metric: Metric = "euclidean",
) -> dict[str, dict[str, Any]]:
    """Score an embedding inside the training, so that held-out time need not choose settings.

    Parameters
    ----------
    embedding : ndarray of shape (T, D)
    whole : Recording
    inner : Split
        Steps that the encoder has trained on, and validation steps as `test`. Decoders are chosen
        and fitted on the former alone.
    seed, gap, metric
        As for `evaluate`.

    Returns
    -------
    dict of str to dict
        For each label its ``kind``, the scores and the ``decoder``.
    """
    values = filled(embedding, steps_inside(whole.segments))
    ready = prepare(values, inner, segments=whole.segments, gap=gap, seed=seed, metric=metric)
    found = ready.read_all(whole.labels)
    return {
        label.name: {
            "kind": label.kind,
            **decoding_metrics(found[label.name].scored(label, 0, seed)),
        }
        for label in whole.labels
    }


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
    if neural is not None:
        checked_embedding(neural, "neural data")


def _check_window(window: tuple[int, int], length: int) -> None:
    before, after = window
    if before < 0 or after < 1 or before + after > length:
        raise GrevyError(
            f"a window from {before} steps before to {after} after (itself the first of these), in "
            f"a recording of {length}; expected at least the step itself, (0, 1), and no more "
            f"steps than there are. Give the receptive field of the encoder."
        )


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


def _blocked(
    held_out: Prepared, label: Label, own: Reading, baselines: Baselines, n_bootstrap: int
) -> tuple[dict[str, dict[str, Any]], Decoded]:
    """Score a label on the held-out steps, beside baselines; return what was decoded too."""
    seed = held_out.seed
    found = own.scored(label, n_bootstrap, seed)
    scores = {
        "embedding": decoding_metrics(found),
        **compare(label, own, baselines, n_bootstrap, seed),
        "chance": constant_answer(label, held_out),
    }
    return scores, Decoded(found.steps, found.true, found.decoded)


def _retrained(
    held_out: Prepared,
    whole: Recording,
    retrain: Callable[[Label], FloatArray],
    nulls: int,
    gap: int,
) -> dict[str, NullTest | str | None]:
    """Test each label with the encoder trained anew on each moved one."""
    inside = steps_inside(whole.segments)

    def anew(moved: Label) -> Prepared:
        return replace(held_out, embedding=filled(retrain(moved), inside))

    def test(label: Label) -> NullTest:
        seed = held_out.seed
        return null_of_prepared(held_out, label, whole.segments, nulls, None, gap, seed, anew)

    # A training on a moved label may fail where that of the run itself did not.
    return {label.name: attempted(partial(test, label), GrevyError) for label in whole.labels}


def _kept(
    readings: Mapping[str, Reading], whole: Recording, nulls: int, gap: int, seed: int
) -> dict[str, NullTest | str | None]:
    """Test each label with encoder and decoder as they are."""

    def test(label: Label) -> NullTest:
        own = readings[label.name]
        return null_of_held_out(label, own.layout, own.decoded, whole.segments, nulls, gap, seed)

    return {label.name: attempted(partial(test, label)) for label in whole.labels}


def _add_nulls(
    scores: dict[str, Any],
    found: Mapping[str, NullTest | str | None],
    folds: Mapping[str, CrossFitted],
) -> list[str]:
    """Add each label's null, or why it has no p; return the reasons as notes."""
    notes = []
    for name, null in found.items():
        if isinstance(null, NullTest):
            of_folds = {"folds": len(folds[name].scores.folds)} if null.method == "folds" else {}
            scores[name]["null"] = {**null_metrics(null), **of_folds}
        elif null is not None:
            scores[name]["no_p"] = null
            notes.append(f"No p for {name!r}: {null}")
    adjust([each["null"] for each in scores.values() if "null" in each])
    return notes


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


def _is_leaky(label: Label, segments: IntArray, inside: IntArray) -> bool:
    """Tell whether a random split would test on labels that it has nearly seen."""
    values = label.take(inside)
    if (values.values == values.values[0]).all():
        return True
    return bool(autocorrelation(as_numbers(values), runs_end_to_end(segments), 2)[1] > LEAKY)
