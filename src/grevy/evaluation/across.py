"""Several recordings in one space: each scored alone, and decoded by what others have taught.

Recordings lie end to end. Each is decoded on its held-out steps by three decoders: one fitted on
the training steps of all, one on its own, and one on those of the others alone. The last has seen
no label of the recording that it decodes; the recording's encoder has, in its training steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from grevy.data import FloatArray, IntArray, Label, Recording, Split, steps_inside
from grevy.errors import GrevyError
from grevy.evaluation.agreement import consistency
from grevy.evaluation.beside import constant_answer
from grevy.evaluation.checks import filled
from grevy.evaluation.decoding.decoder import Prepared, Reading, prepare
from grevy.evaluation.decoding.folds import pool
from grevy.evaluation.decoding.knn import Metric
from grevy.evaluation.kept import null_of_folds, null_of_held_out
from grevy.evaluation.metrics import adjust, consistency_metrics, decoding_metrics, null_metrics
from grevy.evaluation.moves import USUAL_NULLS
from grevy.evaluation.nulls import NullTest, attempted

Readings = dict[str, Reading]


@dataclass(frozen=True, eq=False)
class Together:
    """Recordings that lie end to end.

    Attributes
    ----------
    whole : Recording
        Labels and segments of all.
    names : tuple of R str
    edges : ndarray of shape (R + 1,), int64
        Where each starts, and where all end.
    """

    whole: Recording
    names: tuple[str, ...]
    edges: IntArray

    def of(self, number: int, steps: IntArray) -> IntArray:
        """Choose those of some steps that are of one recording."""
        start, stop = self.edges[number], self.edges[number + 1]
        return steps[(steps >= start) & (steps < stop)]

    def part(self, number: int, split: Split) -> Split:
        """Restrict a split to one recording."""
        return Split(self.of(number, split.train), self.of(number, split.test), split.by_segment)

    def others(self, number: int, steps: IntArray) -> IntArray:
        """Choose those of some steps that are of all recordings but one."""
        return np.setdiff1d(steps, self.of(number, steps), assume_unique=True)

    def alone(self, number: int, label: Label) -> tuple[Label, IntArray]:
        """Return the label and the segments of one recording, on its own time axis."""
        start, stop = self.edges[number : number + 2]
        segments = self.whole.segments
        own = segments[(segments[:, 0] >= start) & (segments[:, 0] < stop)]
        return label.take(np.arange(start, stop)), own - start


def read_left_out(
    embedding: FloatArray,
    together: Together,
    split: Split,
    *,
    seed: int = 0,
    gap: int = 0,
    metric: Metric = "euclidean",
) -> list[Readings]:
    """Read the labels of each recording by decoders fitted on the others' training steps.

    Parameters
    ----------
    embedding : ndarray of shape (T, D)
    together : Together
    split : Split
        Its test steps are read.
    seed, gap, metric
        See `grevy.evaluation.evaluate`.

    Returns
    -------
    list of R dict of str to Reading
        By the name of the label.
    """
    values = filled(embedding, steps_inside(together.whole.segments))
    given: dict[str, Any] = {"seed": seed, "gap": gap, "metric": metric}
    found = []
    for number in range(len(together.names)):
        train = together.others(number, split.train)
        parted = Split(train, together.of(number, split.test), split.by_segment)
        ready = _prepared(values, together, parted, given)
        found.append(ready.read_all(together.whole.labels))
    return found


def evaluate_across(
    embedding: FloatArray,
    together: Together,
    split: Split,
    *,
    folds: Sequence[list[Readings]] = (),
    nulls: int = USUAL_NULLS,
    seed: int = 0,
    gap: int = 0,
    metric: Metric = "euclidean",
    n_bootstrap: int = 1000,
) -> dict[str, Any]:
    """Score each of several recordings, and how well what holds for the others holds for it.

    Parameters
    ----------
    embedding : ndarray of shape (T, D)
    together : Together
    split : Split
        Held-out steps that no encoder has trained on, of every recording.
    folds : sequence of lists by `read_left_out`
        Of each fold's own encoders; together they test every step. The nulls are then theirs.
    nulls, seed, gap, metric, n_bootstrap
        See `grevy.evaluation.evaluate`.

    Returns
    -------
    dict
        Plain numbers, strings and lists:

        - ``recordings``: for each ``name``, ``time_steps``, ``train_steps``, ``test_steps`` and
          ``scores``: for each label ``kind``, the scores of the decoders fitted on ``all``
          recordings, on its ``own`` steps and on the ``others``, each with ``decoder`` and
          ``intervals``; ``chance``, its own constant answer; ``null`` of moved labels against what
          ``others`` decoded, with ``p_adjusted`` (Holm, over recordings and labels), else ``no_p``.
        - ``left_out``: for each label the scores of ``others`` on all recordings' steps together.
        - ``agreement``: for each label how well the recordings' embeddings map onto each other by
          it on held-out steps, as in `grevy.consistency`; or a ``reason`` why it is not known.
    """
    values = filled(embedding, steps_inside(together.whole.segments))
    labels = together.whole.labels
    given: dict[str, Any] = {"seed": seed, "gap": gap, "metric": metric}
    by_all = _prepared(values, together, split, given).read_all(labels)
    by_others = read_left_out(embedding, together, split, **given)
    each = []
    for number, name in enumerate(together.names):
        own = together.part(number, split)
        ready = _prepared(values, together, own, given)
        by_own = ready.read_all(labels)
        scores: dict[str, Any] = {}
        for label in labels:
            readings = {
                "all": _of_steps(by_all[label.name], own.test),
                "own": by_own[label.name],
                "others": by_others[number][label.name],
            }
            scores[label.name] = {
                "kind": label.kind,
                **{
                    which: decoding_metrics(reading.scored(label, n_bootstrap, seed))
                    for which, reading in readings.items()
                },
                "chance": constant_answer(label, ready),
            }
            if nulls:
                of_folds = [fold[number][label.name] for fold in folds]
                read = of_folds or [readings["others"]]
                test = partial(_null, together, number, label, own, read, nulls, gap, seed)
                scores[label.name] |= _said(attempted(partial(test, bool(of_folds))), len(of_folds))
        start, stop = together.edges[number : number + 2].tolist()
        steps = {"train_steps": len(own.train), "test_steps": len(own.test)}
        each.append({"name": name, "time_steps": stop - start, **steps, "scores": scores})
    adjust([own["null"] for one in each for own in one["scores"].values() if "null" in own])
    return {
        "recordings": each,
        "left_out": {
            label.name: decoding_metrics(
                pool(label, [own[label.name] for own in by_others], n_bootstrap, seed).pooled
            )
            for label in labels
        },
        "agreement": {label.name: _agreement(values, together, split, label) for label in labels},
    }


def _prepared(
    values: FloatArray, together: Together, split: Split, given: dict[str, Any]
) -> Prepared:
    return prepare(values, split, segments=together.whole.segments, **given)


def _of_steps(reading: Reading, steps: IntArray) -> Reading:
    """Restrict what was read to some of the test steps."""
    kept = np.isin(reading.layout.test, steps)
    layout = replace(reading.layout, test=reading.layout.test[kept])
    return replace(reading, layout=layout, decoded=reading.decoded[kept])


def _null(
    together: Together,
    number: int,
    label: Label,
    own: Split,
    readings: Sequence[Reading],
    nulls: int,
    gap: int,
    seed: int,
    of_folds: bool,
) -> NullTest:
    """Move the label of one recording against what was decoded of it by the others' decoder."""
    alone, segments = together.alone(number, label)
    start = together.edges[number]
    steps = np.concatenate([reading.layout.test for reading in readings]) - start
    decoded = np.concatenate([reading.decoded for reading in readings])
    order = np.argsort(steps)
    if of_folds:
        return null_of_folds(
            alone, steps[order], decoded[order], segments, nulls, gap, seed,
            by_segment=own.by_segment,
        )  # fmt: skip
    # Near a training step is near one that the recording's own encoder has trained on.
    layout = replace(readings[0].layout, train=own.train - start, test=steps[order])
    return null_of_held_out(alone, layout, decoded[order], segments, nulls, gap, seed)


def _said(found: NullTest | str, n_folds: int) -> dict[str, Any]:
    if isinstance(found, str):
        return {"no_p": found}
    return {"null": {**null_metrics(found), **({"folds": n_folds} if n_folds else {})}}


def _agreement(
    values: FloatArray, together: Together, split: Split, label: Label
) -> dict[str, Any]:
    """Compare the recordings' embeddings by a label, on steps that none has trained on."""
    tested = [together.of(number, split.test) for number in range(len(together.names))]
    try:
        found = consistency(
            [values[steps] for steps in tested],
            together.names,
            labels=[label.take(steps) for steps in tested],
        )
    except GrevyError as error:  # too few values that all have, say
        return {"reason": str(error)}
    return consistency_metrics(found)
