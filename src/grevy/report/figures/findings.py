"""What a run found, as figures: decoded against true, baselines and nulls, confusion, loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from grevy.data import TAU, Array, FloatArray, IntArray, Label
from grevy.errors import GrevyError
from grevy.evaluation import Decoded
from grevy.report.figures.colours import BAND, BLUES, DECODED, MAX_CLASSES, WRONG
from grevy.report.figures.heldout import (
    class_bands,
    confusion,
    middle,
    row_shares,
    stretches,
    unbroken,
)
from grevy.report.figures.lettering import Lettering, lettering
from grevy.report.figures.panels import CHANCE, FAINT, LINE, draw_loss
from grevy.report.figures.scene import label_columns
from grevy.report.figures.style import INK, STYLE
from grevy.report.words import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

# Steps that a curve over time can show apart on paper, rows that a page holds.
MAX_TRACE, MAX_ROWS, MAX_CLOUD = 500, 6, 4_000
MAX_NAMED = 16


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the score of one label is weighed against.

    Attributes
    ----------
    label, score : str
        What was decoded and how it was scored, with its unit.
    sources : tuple of str
        What it was decoded from; the first is drawn as the result, the others as baselines.
    values : tuple of float
        One score for each source.
    intervals : tuple of (float, float) or None
        The 95 % interval of each score.
    chance : float
        What knowing nothing scores.
    null : ndarray of shape (n,) or None
        Scores of moved labels.
    observed : float or None
        The score that the null is about.
    """

    label: str
    score: str
    sources: tuple[str, ...]
    values: tuple[float, ...]
    intervals: tuple[tuple[float, float] | None, ...]
    chance: float
    null: FloatArray | None = None
    observed: float | None = None


def decoded_figure(
    decoded: Sequence[tuple[Label, Decoded]], sampling_rate: float | None = None
) -> Figure:
    """Draw true and decoded values over the first stretch of held-out time, and one by the other.

    Parameters
    ----------
    decoded : sequence of (Label, Decoded)
        At most six label dimensions are drawn, of the first 500 steps or so.
    sampling_rate : float, optional
        In Hz. Time is then in seconds, else in time steps.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    GrevyError
        If there is nothing to draw.
    """
    rows = [
        (label, each, dimension)
        for label, each in decoded
        for dimension in range(label.values.shape[1] if label.kind == "continuous" else 1)
        if len(each.steps)
    ][:MAX_ROWS]
    _need(rows, "decoded")
    chosen = lettering([], [label for label, _, _ in rows])
    with _sheet(12, 1.7, len(rows), (2.6, 1), chosen) as (figure, cells):
        for place, (given, each, dimension) in enumerate(rows):
            label = chosen.of_label(given)
            column = label_columns(label, 24, 11)[dimension]
            true, guess = (
                np.mod(values, label.period) if label.kind == "circular" else values
                for values in (each.true, each.decoded)
            )
            if label.kind == "continuous":
                true, guess = true[:, dimension], guess[:, dimension]
            over, against = cells[place]
            _draw_over_time(over, label, each.steps, true, guess, sampling_rate)
            over.set_ylabel(column.title, fontsize=12)
            over.set_xlabel("time (s)" if sampling_rate else "time (steps)")
            if label.kind == "discrete":
                against.set_axis_off()  # the confusion matrix is a figure of its own
            else:
                _draw_against(against, label, true, guess)
        cells[0][0].set_title("Decoded (colour) and true, held-out time")
    return figure


def evidence_figure(evidence: Sequence[Evidence]) -> Figure:
    """Draw for each label the score beside its baselines, and beside the null distribution.

    Parameters
    ----------
    evidence : sequence of Evidence
        At most six are drawn.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    GrevyError
        If there is nothing to draw.
    """
    from matplotlib.ticker import MaxNLocator

    rows = list(evidence)[:MAX_ROWS]
    _need(rows, "evidence")
    chosen = lettering(name for each in rows for name in (each.label, *each.sources))
    with _sheet(12, 2.0, len(rows), (1, 1), chosen, left=2.3) as (figure, cells):
        for each, (left, right) in zip(rows, cells, strict=True):
            left.set_title(f"{short(chosen.legible(each.label), 28)}: baselines")
            sources = tuple(chosen.legible(source) for source in each.sources)
            _draw_baselines(left, replace(each, sources=sources))
            if each.null is None or each.observed is None:
                right.set_axis_off()
                continue
            right.set_title("Labels moved in time")
            right.hist(each.null, bins=12, color=FAINT)
            right.xaxis.set_major_locator(MaxNLocator(5))
            right.axvline(each.observed, color=LINE, linewidth=2.5)
            right.set_xlabel(each.score)
            right.set_ylabel("nulls")
    return figure


def confusion_figure(decoded: Sequence[tuple[Label, Decoded]]) -> Figure:
    """Draw the confusion matrix of each discrete label; each row adds up to 1.

    The row of a class that was not tested is hatched.

    Parameters
    ----------
    decoded : sequence of (Label, Decoded)
        At most six discrete labels are drawn; others are left out.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    GrevyError
        If none of the labels is discrete.
    """
    found = [(label, each) for label, each in decoded if label.kind == "discrete"][:MAX_ROWS]
    _need(found, "discrete")
    chosen = lettering([], [label for label, _ in found])
    with _sheet(7, 5, len(found), (1,), chosen, left=1.4) as (figure, cells):
        for (given, each), (axes,) in zip(found, cells, strict=True):
            label = chosen.of_label(given)
            axes.set_title(short(label.name, 40))
            _draw_confusion(axes, label, confusion(label, each.true, each.decoded))
    return figure


def loss_figure(history: npt.ArrayLike, chance: float | None = None) -> Figure:
    """Draw the training loss against that of an encoder that knows nothing.

    Parameters
    ----------
    history : array_like of shape (steps,)
        In nats.
    chance : float, optional
        In nats.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    GrevyError
        If no value of the history is finite.
    """
    loss = np.asarray(history, dtype=np.float64)
    _need(np.isfinite(loss).any(), "finite loss")
    with _sheet(8, 3.5, 1, (1,), lettering([])) as (figure, ((axes,),)):
        draw_loss(axes, loss, chance)
    return figure


def consistency_figure(names: Sequence[str], r2: FloatArray) -> Figure:
    """Draw the R2 of the linear map from each embedding (row) to each other (column).

    Parameters
    ----------
    names : sequence of K str
    r2 : ndarray of shape (K, K)

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    GrevyError
        If there are no embeddings, or names and matrix do not match.
    """
    _need(names, "consistency")
    if r2.shape != (len(names), len(names)):
        raise GrevyError(f"{len(names)} names for a matrix of shape {r2.shape}; they must match.")
    chosen = lettering(names)
    with _sheet(7, 5, 1, (1,), chosen, left=1.4) as (figure, ((axes,),)):
        axes.set_title("Consistency (R²)")
        _draw_matrix(axes, r2, [chosen.legible(name) for name in names], ".2f")
        axes.set_xlabel("to")
        axes.set_ylabel("from")
    return figure


def _need(found: object, what: str) -> None:
    if not found:
        raise GrevyError(f"there is no {what} to draw. Leave this figure out.")


@contextmanager
def _sheet(
    width: float,
    row: float,
    rows: int,
    columns: tuple[float, ...],
    chosen: Lettering,
    left: float = 1.1,
) -> Iterator[tuple[Figure, list[list[Axes]]]]:
    """Make a figure of axes in rows, to be drawn on in the style of all figures; sizes in inches.

    The margins are fixed: finding them out would take longer than all the drawing.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    top, bottom, between = 0.45, 0.65, 0.95
    height = top + bottom + rows * row + (rows - 1) * between
    mean_width = (width - left - 0.25) / len(columns)
    sizes: dict[Any, Any] = {"font.size": 12, "axes.titlesize": 13, "axes.labelsize": 12}
    with rc_context({**STYLE, **sizes, "font.family": list(chosen.families)}):
        figure = Figure(figsize=(width, height), dpi=150)
        cells = figure.add_gridspec(
            rows, len(columns), width_ratios=columns, left=left / width, right=1 - 0.25 / width,
            top=1 - top / height, bottom=bottom / height, hspace=between / row,
            wspace=1.1 / mean_width,
        )  # fmt: skip
        places = [
            [figure.add_subplot(cells[place, column]) for column in range(len(columns))]
            for place in range(rows)
        ]
        yield figure, places


def _draw_over_time(
    axes: Axes, label: Label, steps: IntArray, true: Array, guess: Array, rate: float | None
) -> None:
    part = middle(stretches(steps)[0], MAX_TRACE)
    steps, true, guess = steps[part], true[part], guess[part]
    time = steps / (rate or 1.0)
    if label.kind == "discrete":
        start, stop, code = class_bands(steps, true)
        axes.hlines(code, start / (rate or 1), stop / (rate or 1), color=BAND, linewidth=9)
        colours = np.where(true == guess, LINE, WRONG)
        axes.scatter(time, guess, s=60, marker="|", color=colours, linewidths=1.2, zorder=3)
        _name_classes(axes, label)
    else:
        if label.kind == "continuous":
            axes.plot(*unbroken(steps, time, guess, label), color=DECODED, linewidth=1.4)
        else:
            axes.scatter(time, guess, s=10, color=DECODED, linewidths=0)
        axes.plot(*unbroken(steps, time, true, label), color=INK, linewidth=1.2)
    if label.kind == "circular":
        _turn_axis(axes.yaxis, label)
    axes.set_xlim(time[0], max(time[-1], time[0] + 1e-9))


def _draw_against(axes: Axes, label: Label, true: Array, guess: Array) -> None:
    every = max(1, -(-len(true) // MAX_CLOUD))
    axes.scatter(
        true[::every], guess[::every], s=8, color=LINE, alpha=0.3, linewidths=0, rasterized=True
    )
    low, high = (0.0, label.period) if label.kind == "circular" else (true.min(), true.max())
    axes.plot([low, high], [low, high], color=INK, linewidth=1)
    if label.kind == "circular":
        _turn_axis(axes.xaxis, label)
        _turn_axis(axes.yaxis, label)
    axes.set_xlabel("true")
    axes.set_ylabel("decoded")


def _turn_axis(axis: object, label: Label) -> None:
    half, full = (
        ("π", "2π") if label.period == TAU else (f"{label.period / 2:g}", f"{label.period:g}")
    )
    axis.set_ticks([0, label.period / 2, label.period], ["0", half, full])  # type: ignore[attr-defined]


def _name_classes(axes: Axes, label: Label) -> None:
    count = len(label.classes)
    codes = np.unique(np.linspace(0, count - 1, min(count, MAX_CLASSES)).round().astype(int))
    axes.set_yticks(codes, [short(str(label.classes[code]), 11) for code in codes])
    axes.set_ylim(count - 0.5, -0.5)


def _draw_confusion(axes: Axes, label: Label, counts: IntArray) -> None:
    share = row_shares(counts)
    _draw_matrix(axes, share, [short(str(each), 11) for each in label.classes], ".0%")
    for row in np.flatnonzero(np.isnan(share[:, 0])).tolist():
        axes.barh(
            row, len(share), 0.96, left=-0.5, facecolor="white", edgecolor=FAINT, hatch="//",
            linewidth=0,
        )  # fmt: skip
        if len(share) <= MAX_CLASSES:
            axes.text(
                (len(share) - 1) / 2, row, "not tested", ha="center", va="center", color=INK,
                size=10, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )  # fmt: skip
    axes.set_xlabel("decoded")
    axes.set_ylabel("true")


def _draw_matrix(axes: Axes, values: FloatArray, names: list[str], form: str) -> None:
    axes.imshow(values, cmap=_blues(), vmin=0, vmax=1, aspect="auto")
    size = len(names)
    codes = np.unique(np.linspace(0, size - 1, min(size, MAX_NAMED)).round().astype(int))
    shown = [short(names[code], 11) for code in codes]
    axes.set_xticks(codes, shown, rotation=30 if size > 5 else 0, fontsize=10)
    axes.set_yticks(codes, shown, fontsize=10)
    axes.tick_params(length=0)
    if size > MAX_CLASSES:
        return
    for row, column in np.argwhere(np.isfinite(values)):
        value = values[row, column]
        colour = "white" if value > 0.55 else INK
        axes.text(column, row, format(value, form), ha="center", va="center", color=colour, size=10)


def _blues() -> Colormap:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("grevy_blues", list(BLUES))


def _draw_baselines(axes: Axes, each: Evidence) -> None:
    from matplotlib.ticker import MaxNLocator

    places = np.arange(len(each.sources))
    for place, value, interval in zip(places, each.values, each.intervals, strict=True):
        if interval is not None:
            axes.plot(interval, [place, place], color=FAINT, linewidth=3, solid_capstyle="butt")
        axes.plot(value, place, "o", markersize=8, color=LINE if place == 0 else "#7d8b99")
        axes.annotate(
            f"{value:.2f}", (value, place), (0, 8), textcoords="offset points", ha="center",
            fontsize=11,
        )  # fmt: skip
    axes.axvline(each.chance, color=CHANCE, linestyle=(0, (4, 2)), linewidth=1.5)
    axes.set_yticks(places, [short(source, 22) for source in each.sources])
    axes.set_ylim(len(places) - 0.5, -0.7)
    axes.margins(x=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(f"{each.score}   (dashed: chance)")
