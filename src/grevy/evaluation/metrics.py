"""Named results as plain numbers, strings and lists, ready for JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from grevy.evaluation.agreement import Consistency
from grevy.evaluation.decoding.folds import Folded
from grevy.evaluation.decoding.pairing import Gain
from grevy.evaluation.decoding.result import Decoding
from grevy.evaluation.decoding.scores import MEASURES, DiscreteScores, Scores
from grevy.evaluation.nulls import NullTest


def plain_scores(scores: Scores) -> dict[str, Any]:
    """Return scores as plain numbers, strings and lists; the confusion with its classes."""
    plain = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(scores).items()
    }
    if "confusion" in plain:
        counts = [list(row) for row in plain["confusion"]]
        plain["confusion"] = {"classes": plain.pop("classes"), "counts": counts}
    return plain


def decoding_metrics(found: Decoding) -> dict[str, Any]:
    """Return a decoding's scores, its decoder and its intervals, if it has any."""
    plain = {**plain_scores(found.scores), "decoder": found.decoder}
    if found.intervals:
        plain["intervals"] = {name: list(bounds) for name, bounds in found.intervals.items()}
    return plain


def fold_metrics(found: Folded) -> dict[str, Any]:
    """Return the score of each fold, their mean, and the scores of all folds together.

    Returns
    -------
    dict
        ``score``: the name of the score that decides, by the label's kind. ``values``: of each
        fold. ``mean``: of these. ``chance``: of each fold, for a discrete
        label. ``test_steps``: of each fold. ``pooled``: all scores of all test
        steps together, with ``decoder`` and ``intervals``.
    """
    key = MEASURES[found.pooled.kind][0].key
    values = [float(getattr(each.scores, key)) for each in found.folds]
    # Folds need not test the same classes.
    chance = [
        each.scores.balanced_chance
        for each in found.folds
        if isinstance(each.scores, DiscreteScores)
    ]
    return {
        "score": key,
        "values": values,
        "mean": sum(values) / len(values),
        **({"chance": chance} if chance else {}),
        "test_steps": [len(each.steps) for each in found.folds],
        "pooled": decoding_metrics(found.pooled),
    }


def gain_metrics(found: Gain) -> dict[str, Any]:
    """Return a paired difference, with its interval if it has one."""
    plain: dict[str, Any] = {"score": found.score, "value": found.value}
    return plain if found.interval is None else {**plain, "interval": list(found.interval)}


def null_metrics(found: NullTest) -> dict[str, Any]:
    """Return a null test as plain numbers, strings and lists."""
    return {
        "statistic": found.statistic_name,
        "observed": found.observed,
        "values": found.null.tolist(),
        "p": found.p,
        "n": len(found.null),
        "how": found.how,
        "method": found.method,
    }


def adjust(nulls: Sequence[dict[str, Any]]) -> None:
    """Add ``p_adjusted`` to the nulls of several labels: several labels are several tests.

    By Holm (Scandinavian Journal of Statistics 1979, section 3): the smallest of m values of p
    counts m times, the next m - 1 times, and so on, none less than the one before it. The chance
    that any label unrelated to the neurons falls below 0.05 is then at most 0.05, however the
    labels depend on each other.
    """
    if len(nulls) < 2:
        return
    least = 0.0
    for place, null in enumerate(sorted(nulls, key=lambda null: float(null["p"]))):
        least = max(least, min(1.0, (len(nulls) - place) * float(null["p"])))
        null["p_adjusted"] = least


def consistency_metrics(found: Consistency) -> dict[str, Any]:
    """Return a consistency as plain numbers, strings and lists."""
    return {
        "names": list(found.names),
        "r2": found.r2.tolist(),
        "mean": found.mean,
        "chance": found.chance,
    }
