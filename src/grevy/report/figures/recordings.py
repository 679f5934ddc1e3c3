"""Several recordings, as a figure: each in the one space, and how it is decoded by the others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from grevy.data import FloatArray, IntArray, Label
from grevy.report.figures.colours import colour_arguments
from grevy.report.figures.lettering import lettering
from grevy.report.figures.panels import CHANCE, FAINT, LINE
from grevy.report.figures.rows import LOWEST_R2, OTHER
from grevy.report.figures.scene import Column, label_columns
from grevy.report.figures.sheet import MAX_ROWS, need, sheet
from grevy.report.figures.style import INK
from grevy.report.recordings import FITTED_ON, Across
from grevy.report.words import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Panels in a row, and in all: more recordings would be stamps.
COLUMNS, MAX_PANELS = 4, 12
MAX_CLOUD = 4_000
# Above and below the middle of a recording's row, and how each decoder's dot looks.
PLACES = {"others": (0.2, 8.0, LINE), "own": (0.0, 5.0, OTHER), "all": (-0.2, 5.0, FAINT)}


def space_figure(
    embedding: FloatArray, edges: IntArray, names: Sequence[str], label: Label | None
) -> Figure:
    """Draw the first two dimensions of each recording, over those of all in grey.

    Parameters
    ----------
    embedding : ndarray of shape (T, D)
        Steps that are NaN are left out.
    edges : ndarray of shape (R + 1,)
        Where each recording starts, and where all end. Twelve are drawn at most.
    names : sequence of R str
    label : Label or None
        Its first dimension colours the points, by one scale for all; else they are blue.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    GrevyError
        If there are no recordings.
    """
    need(list(names), "recordings")
    chosen = lettering(list(names), [label] if label else [])
    column = label_columns(chosen.of_label(label), 24, 11)[0] if label else None
    parts = list(pairwise(edges.tolist()))[:MAX_PANELS]
    rows = -(-len(parts) // COLUMNS)
    plane = embedding[:, :2] if embedding.shape[1] > 1 else _over_time(embedding)
    inside = np.flatnonzero(np.isfinite(embedding).all(axis=1))
    every = inside[:: max(1, len(inside) // MAX_CLOUD)]
    with sheet(14, 2.9, rows, (1.0,) * COLUMNS, chosen, left=0.7, gap=0.8) as (figure, cells):
        flat = [axes for row in cells for axes in row]
        for axes in flat[len(parts) :]:
            axes.set_axis_off()
        for axes, name, (start, stop) in zip(flat, names, parts, strict=False):
            own = inside[(inside >= start) & (inside < stop)]
            own = own[:: max(1, len(own) // MAX_CLOUD)]
            axes.scatter(
                plane[every, 0],
                plane[every, 1],
                s=3,
                color="#e3e8ed",
                linewidths=0,
                rasterized=True,
            )
            _draw_points(axes, plane[own], column, own)
            axes.set_title(short(chosen.legible(name), 24))
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_aspect("equal" if embedding.shape[1] > 1 else "auto", adjustable="datalim")
        if column is not None:
            text = f"dimensions 1 and 2; colour: {column.title}"
            figure.text(0.05, 0.02, text, fontsize=11, color=INK)
    return figure


def _over_time(embedding: FloatArray) -> FloatArray:
    return np.stack([np.arange(len(embedding), dtype=embedding.dtype), embedding[:, 0]], axis=1)


def _draw_points(axes: Axes, points: FloatArray, column: Column | None, steps: IntArray) -> None:
    order = np.random.default_rng(0).permutation(len(points))
    look: dict[str, Any] = {"s": 6, "linewidths": 0, "rasterized": True, "color": LINE}
    if column is not None:
        del look["color"]
        look |= {"c": column.values[steps][order], **colour_arguments(column)}
    axes.scatter(points[order, 0], points[order, 1], **look)


def across_figure(across: Sequence[Across]) -> Figure:
    """Draw how each recording is decoded: by what the others taught, by its own steps, by all.

    Parameters
    ----------
    across : sequence of Across
        At most six labels are drawn.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    GrevyError
        If there is nothing to draw.
    """
    need(list(across), "recordings")
    drawn = list(across)[:MAX_ROWS]
    names = [one.name for one in drawn[0].each]
    chosen = lettering([*names, *(each.label.name for each in drawn)])
    height = 0.5 * len(names) + 0.5
    with sheet(10, height, len(drawn), (1.0,), chosen, left=2.4) as (figure, cells):
        for each, (axes,) in zip(drawn, cells, strict=True):
            lowest = LOWEST_R2 if each.label.kind == "continuous" else -np.inf
            for place, one in enumerate(each.each):
                axes.plot([one.chance] * 2, [place - 0.35, place + 0.35], color=CHANCE, linewidth=2)
                for which, score in one.scores.items():
                    offset, size, colour = PLACES[which]
                    low, high = score.interval or (score.value, score.value)
                    at = [place - offset] * 2
                    ends = [max(low, lowest), max(high, lowest)]
                    axes.plot(ends, at, color=colour, linewidth=1.6)
                    axes.plot(max(score.value, lowest), at[0], "o", color=colour, markersize=size)
            axes.set_yticks(range(len(names)), [short(chosen.legible(name), 22) for name in names])
            axes.set_ylim(len(names) - 0.4, -0.6)
            axes.tick_params(axis="y", length=0)
            axes.set_title(f"{short(chosen.legible(each.label.name), 28)}: decoded, by recording")
            axes.set_xlabel(f"held-out {chosen.legible(each.label.title())}")
        handles = [
            cells[0][0].plot([], [], "o-", color=colour, label=FITTED_ON[which].lower())[0]
            for which, (_, _, colour) in PLACES.items()
        ]
        handles += cells[0][0].plot([], [], color=CHANCE, linewidth=2, label="chance")
        cells[0][0].legend(handles=handles, fontsize=9, loc="best", title="decoder fitted on")
    return figure
