"""Named results as plain numbers, strings and lists, ready for JSON."""

from dataclasses import asdict
from typing import Any

from grevy.decoding.scores import Scores
from grevy.fit_quality import Consistency, NullTest


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


def null_metrics(found: NullTest) -> dict[str, Any]:
    """Return a null test as plain numbers, strings and lists."""
    plain: dict[str, Any] = {
        "statistic": found.statistic_name,
        "observed": found.observed,
        "values": found.null.tolist(),
        "p": found.p,
        "n": len(found.null),
        "how": found.how,
        "retrained": found.retrained,
    }
    return {**plain, "note": found.note} if found.note else plain


def consistency_metrics(found: Consistency) -> dict[str, Any]:
    """Return a consistency as plain numbers, strings and lists."""
    return {
        "names": list(found.names),
        "r2": found.r2.tolist(),
        "mean": found.mean,
        "chance": found.chance,
    }
