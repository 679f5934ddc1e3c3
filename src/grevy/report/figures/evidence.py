"""What a result is weighed against, as a figure: baselines, differences from them, nulls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from grevy.report.figures.lettering import lettering
from grevy.report.figures.panels import CHANCE, FAINT, LINE
from grevy.report.figures.rows import OTHER, Row, baseline_rows, gain_rows
from grevy.report.figures.sheet import MAX_ROWS, need, sheet
from grevy.report.figures.style import INK
from grevy.report.results import LabelResult
from grevy.report.words import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

QUIET = "#66727d"
# In inches: of one row of a chart, and of the room above the first and below the last.
ROW, ROOM = 0.46, 0.7


def evidence_figure(results: Sequence[LabelResult]) -> Figure:
    """Draw for each label the scores, how much better the embedding is, and the null distribution.

    Parameters
    ----------
    results : sequence of LabelResult
        At most six are drawn.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    GrevyError
        If there is nothing to draw.
    """
    drawn = [result for result in results if result.held_out][:MAX_ROWS]
    need(drawn, "evidence")
    rows = [baseline_rows(result)[:-1] for result in drawn]  # chance is a line
    gains = [gain_rows(result) for result in drawn]
    texts = [row.name for of_label in rows for row in of_label]
    chosen = lettering([*texts, *(each.name for each in drawn), *(each.title() for each in drawn)])
    panels = ["baselines", *(["gains"] if any(gains) else [])]
    panels += ["nulls"] if any(result.null for result in drawn) else []
    height = ROW * max(of_label[-1].place for of_label in rows) + ROOM
    size = (14, height, len(drawn), (1.0,) * len(panels))
    right = 0.25 if panels[-1] == "nulls" else 0.8  # of the others the numbers stand there
    with sheet(*size, chosen, left=2.6, right=right, gap=2.1) as (figure, cells):
        for result, given, better, axes in zip(drawn, rows, gains, cells, strict=True):
            title = chosen.legible(result.title())
            own = [replace(row, name=chosen.legible(row.name)) for row in given]
            panel = dict(zip(panels, axes, strict=True))
            panel["baselines"].set_title(f"{short(chosen.legible(result.name), 28)}: baselines")
            _draw_baselines(panel["baselines"], result, own, title)
            if "gains" in panel:
                _draw_gains(panel["gains"], own, better, title)
            if "nulls" in panel:
                _draw_nulls(panel["nulls"], result, title)
    return figure


def _draw_baselines(axes: Axes, result: LabelResult, rows: Sequence[Row], title: str) -> None:
    _draw_dots(axes, rows, {row.key: row.place for row in rows})
    axes.axvline(result.chance, color=CHANCE, linestyle=(0, (4, 2)), linewidth=1.5)
    for row in rows:
        _name(axes, row)
    axes.set_xlabel(f"{title}   (dashed: chance)")


def _draw_gains(axes: Axes, rows: Sequence[Row], gains: Sequence[Row], title: str) -> None:
    """Draw the differences beside the scores, each in the row of its baseline."""
    if not gains:
        axes.set_axis_off()
        return
    axes.set_title("Embedding better by")
    places = {row.key: row.place for row in rows}
    _draw_dots(axes, gains, places)
    axes.axvline(0.0, color=INK, linewidth=1.2)
    axes.set_ylim(*_height(rows))
    axes.set_xlabel(title)


def _draw_nulls(axes: Axes, result: LabelResult, title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    null, sign = result.null, result.measure.sign
    if null is None:
        axes.set_axis_off()
        return
    axes.set_title("Labels moved in time")
    axes.hist(sign * null.values, bins=12, color=FAINT)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.axvline(sign * null.observed, color=LINE, linewidth=2.5)
    axes.set_xlabel(title)
    axes.set_ylabel("nulls")


def _draw_dots(axes: Axes, rows: Sequence[Row], places: dict[str, float]) -> None:
    from matplotlib.ticker import MaxNLocator

    for row in rows:
        place = places[row.key]
        if row.ends is not None:
            axes.plot(row.ends, [place, place], color=FAINT, linewidth=3, solid_capstyle="butt")
        axes.plot(
            row.at, place, "o", markersize=6 if row.is_secondary else 8,
            color=LINE if row.key == "embedding" else OTHER,
            markerfacecolor="white" if row.is_secondary else None,
        )  # fmt: skip
        axes.annotate(
            row.said, (1, place), (42, 0), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha="right", va="center",
            fontsize=9 if row.is_secondary else 11, color=QUIET if row.is_secondary else INK,
        )  # fmt: skip
    axes.set_yticks([])
    axes.set_ylim(*_height(rows))
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(4))


def _height(rows: Sequence[Row]) -> tuple[float, float]:
    return rows[-1].place + 0.5, rows[0].place - 0.5


def _name(axes: Axes, row: Row) -> None:
    """Name a row beside the axis; how it was read stands below, in small letters."""
    lines = [(short(row.name, 22), 12, INK)] if row.name else []
    lines += [(row.detail, 9, QUIET)] if row.detail else []
    aligned = [("center", 0)] if len(lines) == 1 else [("bottom", 0), ("top", -2)]
    for (text, size, colour), (align, lift) in zip(lines, aligned, strict=True):
        axes.annotate(
            text, (0, row.place), (-8, lift), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha="right", va=align, fontsize=size, color=colour,
        )  # fmt: skip
