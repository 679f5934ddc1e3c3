"""The rows of a chart of baselines: what each is called, where its dot lies, what stands there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from grevy.report.results import NAMES, ONE_STEP_OF, LabelResult, Score, Source

# An R2 can be arbitrarily bad, and one that is must not flatten all others: beyond these a score
# and a difference are drawn at the edge, with an arrow.
LOWEST_R2, LARGEST_GAIN = -0.5, 1.0
# The colour of what is neither the embedding nor chance.
OTHER = "#7d8b99"
# The distance to the row above; less where a row only adds to that.
APART, CLOSE = 1.0, 0.7


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes
    ----------
    key : str
        What was decoded from, as in the metrics.
    name, detail : str
        A row that only adds to the one above has no name of its own.
    place : float
        From the first row down.
    at : float
        Where the dot lies.
    ends : (float, float) or None
        Of the interval.
    said : str
        What is written at the dot.
    """

    key: str
    name: str
    detail: str
    place: float
    at: float
    ends: tuple[float, float] | None
    said: str

    @property
    def is_secondary(self) -> bool:
        """Whether it only adds to the row above."""
        return not self.name


def baseline_rows(result: LabelResult) -> list[Row]:
    """Lay out the held-out scores of one label, that of knowing nothing last."""
    constant = Source(NAMES["chance"], "", None, Score(result.archived_chance), None)
    scores = [(key, each, each.score) for key, each in result.held_out.items()]
    lowest = LOWEST_R2 if result.kind == "continuous" else -math.inf
    return _rows([*scores, ("chance", constant, constant.score)], lowest, math.inf, result.say_bare)


def gain_rows(result: LabelResult) -> list[Row]:
    """Lay out how much better the embedding is than each baseline, where that is known."""
    gains = [(key, each, each.gain) for key, each in result.held_out.items() if each.gain]
    largest = LARGEST_GAIN if result.kind == "continuous" else math.inf

    def signed(gain: float) -> str:
        return ("+" if gain > 0 else "") + result.say_gain(gain, with_unit=False)

    return _rows(gains, -largest, largest, signed)


def _rows(
    scores: Sequence[tuple[str, Source, Score]],
    lowest: float,
    highest: float,
    say: Callable[[float], str],
) -> list[Row]:
    def inside(value: float) -> float:
        return min(max(value, lowest), highest)

    rows: list[Row] = []
    for key, source, score in scores:
        adds = bool(rows) and ONE_STEP_OF.get(key) == rows[-1].key
        arrow = "◂ " if score.value < lowest else "▸ " if score.value > highest else ""
        rows.append(
            Row(
                key, "" if adds else source.name, source.detail,
                rows[-1].place + (CLOSE if adds else APART) if rows else 0.0,
                inside(score.value),
                (inside(score.interval[0]), inside(score.interval[1])) if score.interval else None,
                arrow + say(score.value),
            )
        )  # fmt: skip
    return rows
