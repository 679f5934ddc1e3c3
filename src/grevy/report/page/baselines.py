"""Charts of the embedding beside its baselines: the scores, and how much better it is."""

from collections.abc import Sequence
from typing import Any

from grevy.report.figures.panels import CHANCE, FAINT, LINE
from grevy.report.figures.rows import OTHER, Row, baseline_rows, gain_rows
from grevy.report.page.charts import (
    INK,
    QUIET,
    Chart,
    chance_line,
    layout,
    reach,
    text,
    upright,
)
from grevy.report.page.packing import plain
from grevy.report.results import LabelResult
from grevy.report.verdict import gain_words
from grevy.report.words import INTERVAL

# In pixels: of a row, and of the column of numbers to the right of all.
ROW_HEIGHT, NUMBERS = 52, 58


def baseline_chart(result: LabelResult, place: int) -> Chart | None:
    """Draw the score from the embedding beside those from baselines and from nothing."""
    if not result.held_out:
        return None
    rows = baseline_rows(result)
    values = [(each.name, each.score.value) for each in result.held_out.values()]
    values.append((rows[-1].name, result.archived_chance))
    said = "; ".join(f"{name} {result.say_main(value)}" for name, value in values)
    better = "Right is better." if result.measure.larger_is_better else "Left is better."
    has_intervals = "Bars: 95 % intervals. " if any(row.ends for row in rows) else ""
    return Chart(
        f"baselines-{place}", f"Held-out {result.title()}, beside the baselines",
        f"Held-out {result.measure.name}: {said}.", has_intervals + better, [_dots(rows)],
        _layout(rows, result.chance, chance_line()), height=_height(rows),
    )  # fmt: skip


def gain_chart(result: LabelResult, place: int) -> Chart | None:
    """Draw how much better the embedding is than each baseline, on the same held-out steps."""
    rows = gain_rows(result)
    if not rows:
        return None
    said = []
    for source in result.held_out.values():
        if source.gain is not None:
            size, interval = gain_words(result, source.gain)
            spread = f" ({INTERVAL} {interval})" if interval else ""
            said.append(f"{source.name}, the embedding {size}{spread}")
    what = (
        f"The baseline's {result.title()} minus the embedding's"
        if result.measure.in_unit
        else f"The embedding's {result.title()} minus the baseline's"
    )
    has_intervals = "; bars: its 95 % intervals" if any(row.ends for row in rows) else ""
    return Chart(
        f"gains-{place}", "How much better the embedding is",
        f"Difference in {result.measure.name} on the same steps. Beside {'; beside '.join(said)}.",
        f"{what}, on the same steps of {result.where}{has_intervals}. Right of the line the "
        f"embedding is better, left of it the baseline.",
        [_dots(rows)], _layout(rows, 0.0, {"color": INK, "width": 1.5}), height=_height(rows),
    )  # fmt: skip


def _dots(rows: Sequence[Row]) -> dict[str, Any]:
    """Draw a dot with its interval in each row."""
    colours = {"embedding": LINE, "chance": CHANCE}
    ends = [row.ends or (row.at, row.at) for row in rows]
    return {
        "type": "scatter", "mode": "markers", "x": plain([row.at for row in rows]),
        "y": [row.place for row in rows], "cliponaxis": False,
        "marker": {
            "size": [8 if row.is_secondary else 11 for row in rows], "opacity": 1,
            "color": [
                "white" if row.is_secondary else colours.get(row.key, OTHER) for row in rows
            ],
            "line": {
                "color": OTHER, "width": [1.5 if row.is_secondary else 0 for row in rows],
            },
        },
        "error_x": {
            "type": "data", "symmetric": False, "thickness": 2, "width": 5, "color": FAINT,
            "array": plain([high - row.at for row, (_, high) in zip(rows, ends, strict=True)]),
            "arrayminus": plain([row.at - low for row, (low, _) in zip(rows, ends, strict=True)]),
        },
        "hoverinfo": "skip",
    }  # fmt: skip


def _layout(rows: Sequence[Row], at: float, style: dict[str, Any]) -> dict[str, Any]:
    """Lay out the rows: a line across them, and the number of each in a column to the right."""
    drawn = [end for row in rows for end in (row.at, *(row.ends or ()))]
    numbers = [
        {
            "text": row.said, "x": 1, "xref": "paper", "xanchor": "right", "xshift": NUMBERS,
            "y": row.place, "showarrow": False,
            "font": {"size": 11, "color": QUIET} if row.is_secondary else {"color": INK},
        }
        for row in rows
    ]  # fmt: skip
    return layout(
        {"range": reach([*drawn, at], 0.08), "nticks": 4, "tickangle": 0},
        {
            "tickvals": [row.place for row in rows], "ticktext": [_tick(row) for row in rows],
            "nticks": 0, "range": [rows[-1].place + 0.6, -0.6], "showgrid": False,
            "showline": False, "ticks": "",
        },
        shapes=[upright(at, style)], annotations=numbers,
        margin={"l": 8, "r": NUMBERS, "t": 8, "b": 8},
    )  # fmt: skip


def _tick(row: Row) -> str:
    """Name a row; how it was read stands below, in small letters."""
    small = f'<span style="font-size:11px;color:{QUIET}">{text(row.detail)}</span>'
    return "<br>".join(part for part in (text(row.name), small if row.detail else "") if part)


def _height(rows: Sequence[Row]) -> int:
    return round(90 + ROW_HEIGHT * (rows[-1].place + 1))
