"""The table of all scores of one label."""

from collections.abc import Iterator, Mapping
from typing import Any

from grevy.evaluation import Measure
from grevy.report.results import ONE_STEP_OF, LabelResult, in_order, reading, source_name
from grevy.report.words import INTERVAL, NOTHING, short, thousands


def score_table(result: LabelResult) -> dict[str, Any]:
    """Lay out all scores of one label.

    Returns
    -------
    dict
        ``head``: titles of the scores. ``gain``: that of the column of differences; empty if there
        are none. ``rows``: for each what was decoded from, how that was read, its scores and
        decoder. A way of putting time steps together that did worse inside the training stands
        below the one that was chosen.
    """
    given = list(_given(result))
    shown = [
        measure
        for measure in result.measures
        if any(values.get(measure.key) is not None for _, values, _ in given)
    ]
    has_gains = any(source.gain for source in result.held_out.values())
    unit = f" ({result.unit})" if result.measure.in_unit and result.unit else ""
    return {
        "head": [result.title(each) for each in shown],
        "gain": f"embedding better by{unit}, {INTERVAL}" if has_gains else "",
        "rows": [_row(result, shown, *each) for each in given],
    }


def _given(result: LabelResult) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Yield what was decoded from, its scores, and what sets it apart: "" for the rows that count.

    What knowing nothing scores is the same here as in the charts and the verdict.
    """
    blocked, key = result.tables.get("blocked") or {}, result.measure.key
    for source in in_order(blocked):
        values = blocked[source]
        is_chance = source == "chance" and values.get(key) is not None
        yield source, {**values, key: result.archived_chance} if is_chance else values, ""
        for window, other in (values.get("by_window") or {}).items():
            if window != values.get("window"):
                yield source, {**other, "window": window}, "not chosen"
    split = "random split, leaky" if result.leaky else "random split"
    yield "embedding", result.tables.get("random") or {}, split


def _row(
    result: LabelResult, shown: list[Measure], source: str, values: Mapping[str, Any], tag: str
) -> dict[str, Any]:
    known = None if tag else result.held_out.get(source)
    interval = known.score.interval if known else None
    window = known.reading if known else reading(str(values.get("window", "")), result.window_steps)
    columns = values.get("columns") or (
        result.held_out[source].columns if source in result.held_out else None
    )
    return {
        "name": source_name(source),
        "reading": "" if source in ONE_STEP_OF else window,
        "tag": tag,
        "is_leaky": "leaky" in tag,
        "is_quiet": bool(tag) or source in ONE_STEP_OF,
        "is_main": source == "embedding" and not tag,
        "cells": [result.say_bare(values.get(each.key), each) for each in shown],
        "interval": result.say_interval(interval) if interval else NOTHING,
        "gain": _gain(result, source) if not tag else NOTHING,
        "columns": thousands(columns) if isinstance(columns, int) else NOTHING,
        "decoder": short(str(values.get("decoder") or NOTHING), 60),
    }


def _gain(result: LabelResult, source: str) -> str:
    gain = result.held_out[source].gain if source in result.held_out else None
    if gain is None:
        return NOTHING
    ends = gain.interval or ()
    value, *spread = (result.say_gain(each, with_unit=False) for each in (gain.value, *ends))
    return f"{value} ({' to '.join(spread)})" if spread else value
