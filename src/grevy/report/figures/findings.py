"""What a run found, as figures: decoded against true, confusion, loss, consistency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

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
from grevy.report.figures.lettering import lettering
from grevy.report.figures.panels import FAINT, LINE, draw_loss
from grevy.report.figures.scene import label_columns
from grevy.report.figures.sheet import MAX_ROWS, need, sheet
from grevy.report.figures.style import INK
from grevy.report.words import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

# Steps that a curve over time can show apart on paper, and dots that a cloud can.
MAX_TRACE, MAX_CLOUD = 500, 4_000
MAX_NAMED = 16


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
    need(rows, "decoded")
    chosen = lettering([], [label for label, _, _ in rows])
    with sheet(12, 1.7, len(rows), (2.6, 1), chosen) as (figure, cells):
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
    need(found, "discrete")
    chosen = lettering([], [label for label, _ in found])
    with sheet(7, 5, len(found), (1,), chosen, left=1.4) as (figure, cells):
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
    need(np.isfinite(loss).any(), "finite loss")
    with sheet(8, 3.5, 1, (1,), lettering([])) as (figure, ((axes,),)):
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
    need(names, "consistency")
    if r2.shape != (len(names), len(names)):
        raise GrevyError(f"{len(names)} names for a matrix of shape {r2.shape}; they must match.")
    chosen = lettering(names)
    with sheet(7, 5, 1, (1,), chosen, left=1.4) as (figure, ((axes,),)):
        axes.set_title("Consistency (R²)")
        _draw_matrix(axes, r2, [chosen.legible(name) for name in names], ".2f")
        axes.set_xlabel("to")
        axes.set_ylabel("from")
    return figure


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
