"""The panels: the embedding in the plane, in space and over time, the labels, the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from grevy.data import TAU, Array, FloatArray
from grevy.report.figures.colours import MAX_CLASSES, colour_arguments, draw_key
from grevy.report.figures.scene import Column, Scene
from grevy.report.words import short, thousands

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec
    from mpl_toolkits.mplot3d import Axes3D  # type: ignore[import-untyped]

MAX_LINE = 2_000
MAX_LANES = 8
FAINT = "#9aa5b1"
LINE = "#33628f"
CHANCE = "#b4530a"


def draw_space(figure: Figure, scene: Scene, bottom: float) -> None:
    """Draw the upper row: 2-D, 3-D and the key to the colours."""
    key = figure.add_gridspec(1, 1, left=0.89, right=0.99, bottom=bottom, top=0.89)
    draw_key(figure.add_subplot(key[0]), scene.colour)
    if scene.embedding.shape[1] == 1:
        wide = figure.add_gridspec(1, 1, left=0.08, right=0.86, bottom=bottom, top=0.89)
        axes = figure.add_subplot(wide[0])
        axes.set_title("Embedding against time")
        _scatter(axes, scene, (scene.time, scene.embedding[:, 0]))
        axes.set_xlabel(scene.time_title)
        axes.set_ylabel("dimension 1")
        axes.margins(x=0.01)
        return
    flat = figure.add_gridspec(1, 1, left=0.08, right=0.43, bottom=bottom, top=0.89)
    deep = figure.add_gridspec(1, 1, left=0.46, right=0.86, bottom=bottom - 0.05, top=0.9)
    _draw_plane(figure.add_subplot(flat[0]), scene)
    _draw_volume(figure.add_subplot(deep[0], projection="3d"), scene)


def _draw_plane(axes: Axes, scene: Scene) -> None:
    from matplotlib.ticker import MaxNLocator

    dimension = scene.embedding.shape[1]
    axes.set_title("2-D" if dimension == 2 else f"2-D: dimensions 1, 2 of {dimension}")
    _scatter(axes, scene, (scene.embedding[:, 0], scene.embedding[:, 1]))
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel("dimension 1")
    axes.set_ylabel("dimension 2")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))


def _draw_volume(axes: Axes3D, scene: Scene) -> None:
    from matplotlib.ticker import MaxNLocator

    points = scene.embedding[:, :3]
    dimension = scene.embedding.shape[1]
    if dimension == 2:
        title = "3-D: the plane over time"
        coordinates = (points[:, 0], points[:, 1], scene.time)
        axes.set_zlabel(scene.time_title, labelpad=11)
    else:
        title = "3-D" if dimension == 3 else f"3-D: dimensions 1, 2, 3 of {dimension}"
        coordinates = (points[:, 0], points[:, 1], points[:, 2])
        axes.set_zlabel("dimension 3", labelpad=11)
    # The axes shrink to a square; the title shall still line up with its neighbour.
    axes.figure.text(0.49, 0.9, title, fontsize=15, fontweight="bold")
    _scatter(axes, scene, coordinates)
    # One scale for all embedding dimensions: a sphere shall look like one.
    low, high = points.min(axis=0), points.max(axis=0)
    reach = 0.52 * float((high - low).max()) or 0.5
    middle = (low + high) / 2
    limits = [(float(each) - reach, float(each) + reach) for each in middle]
    axes.set_xlim(limits[0])
    axes.set_ylim(limits[1])
    if dimension > 2:
        axes.set_zlim(limits[2])
    axes.set_xlabel("dimension 1", labelpad=5)
    axes.set_ylabel("dimension 2", labelpad=7)
    axes.tick_params(pad=0, labelsize=10)
    axes.zaxis.set_tick_params(pad=5)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_major_locator(MaxNLocator(3))
        axis.set_pane_color((0.97, 0.97, 0.98, 1.0))
    axes.set_box_aspect((1, 1, 1), zoom=1.0)
    axes.view_init(elev=20, azim=-55)


def _scatter(axes: Axes, scene: Scene, coordinates: tuple[Array, ...]) -> None:
    """Draw the shown points in a random order, so that no late stretch of time hides the others."""
    points = [np.asarray(each)[scene.shown] for each in coordinates]
    values = scene.colour.values[scene.shown]
    order = np.random.default_rng(0).permutation(len(values))
    size = float(np.clip(700 / np.sqrt(len(values)), 4, 28))
    axes.scatter(
        *[each[order] for each in points], c=values[order], s=size, linewidths=0,
        alpha=0.9 if len(values) <= 2000 else 0.65, rasterized=True,
        **colour_arguments(scene.colour),
    )  # type: ignore[misc]  # fmt: skip


def draw_lanes(axes: Axes, scene: Scene) -> None:
    """Draw each dimension of the embedding over time in a lane of its own, all on one scale."""
    dimension = scene.embedding.shape[1]
    drawn = np.asarray(scene.embedding[:, :MAX_LANES], dtype=np.float64)
    axes.set_title(
        "Embedding over time" + (f" (first {MAX_LANES})" if dimension > MAX_LANES else "")
    )
    low, high = np.percentile(drawn, [0.5, 99.5], axis=0)
    height = 1.1 * float((high - low).max()) or 1.0
    for lane, (values, middle) in enumerate(zip(drawn.T, (low + high) / 2, strict=True)):
        _draw_trace(axes, scene.time, lane + (values - middle) / height, LINE)
    lanes = drawn.shape[1]
    axes.set_yticks(np.arange(lanes), [str(lane + 1) for lane in range(lanes)])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(lanes - 0.4, -0.6)
    axes.set_ylabel(f"dimension (lane = {height:.2g})", fontsize=12)
    _finish_time(axes, scene, _time_title(scene))


def draw_labels(figure: Figure, cell: SubplotSpec, scene: Scene) -> None:
    """Draw up to three label dimensions over time, each in a lane of its own."""
    count = len(scene.labels)
    cells = [cell]
    if count > 1:  # below the title, each lane bears the name of its label
        rows = cell.subgridspec(count + 1, 1, height_ratios=[0.01] + [1] * count, hspace=0.6)
        heading = figure.add_subplot(rows[0])
        heading.set_axis_off()
        heading.set_title("Labels over time")
        cells = [rows[place + 1] for place in range(count)]
    for place, column in enumerate(scene.labels):
        axes = figure.add_subplot(cells[place])
        _draw_lane(axes, scene, place)
        _finish_lane(axes, column, count)
    if count == 1:
        axes.set_title("Label over time")
    traced = any(column.kind == "continuous" for column in scene.labels[1:])
    axes.set_xlabel(_time_title(scene) if traced else scene.time_title)


def _draw_lane(axes: Axes, scene: Scene, place: int) -> None:
    """Draw one label dimension; the first in the colours of the embedding's points."""
    column = scene.labels[place]
    if place == 0:
        _scatter(axes, scene, (scene.time, column.values))
    elif column.kind == "continuous":
        _draw_trace(axes, scene.time, column.values, LINE)
    else:
        axes.scatter(
            scene.time[scene.shown], column.values[scene.shown], s=4, color=LINE,
            alpha=0.65, linewidths=0, rasterized=True,
        )  # fmt: skip
    _finish_time(axes, scene, "")
    axes.tick_params(labelbottom=place == len(scene.labels) - 1)


def _draw_trace(axes: Axes, time: FloatArray, values: Array, colour: str) -> None:
    """Draw a line, or where it would be a solid block, the median and spread of each stretch."""
    every = -(-len(time) // MAX_LINE)
    if every == 1:
        axes.plot(time, values, color=colour, linewidth=1.1)
        return
    # Stretches long enough that their percentiles mean something.
    every = len(time) // (MAX_LINE // 10)
    whole = len(time) // every * every
    low, middle, high = np.percentile(values[:whole].reshape(-1, every), [10, 50, 90], axis=1)
    centre = time[:whole].reshape(-1, every).mean(axis=1)
    axes.fill_between(centre, low, high, color=colour, alpha=0.3, linewidth=0)
    axes.plot(centre, middle, color=colour, linewidth=1.3)


def _time_title(scene: Scene) -> str:
    if len(scene.time) <= MAX_LINE:
        return scene.time_title
    every = len(scene.time) // (MAX_LINE // 10)
    return f"{scene.time_title}\nmedian, 10-90 % of each {thousands(every)} steps"


def _finish_time(axes: Axes, scene: Scene, title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(scene.time[0], scene.time[-1])
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel(title)


def _finish_lane(axes: Axes, column: Column, lanes: int) -> None:
    """Set the vertical axis of one label: quarters of a turn, names of classes, or numbers."""
    from matplotlib.ticker import MaxNLocator

    if lanes == 1:
        axes.set_ylabel(column.title, fontsize=11)
    else:
        small = {"fontsize": 11, "fontweight": "normal"}
        axes.set_title(column.title, loc="right", pad=2, fontdict=small)
    if column.kind == "circular":
        half = "π" if column.period == TAU else f"{column.period / 2:g}"
        full = "2π" if column.period == TAU else f"{column.period:g}"
        axes.set_yticks([0, column.period / 2, column.period], ["0", half, full])
        axes.set_ylim(-0.03 * column.period, 1.03 * column.period)
    elif column.kind == "discrete":
        count = len(column.classes)
        room = MAX_CLASSES // lanes
        codes = np.unique(np.linspace(0, count - 1, min(count, room)).round().astype(int))
        axes.set_yticks(codes, [short(column.classes[code], 7) for code in codes], fontsize=11)
        # The order of the key: a legend reads downwards, a bar upwards.
        axes.set_ylim((count - 0.4, -0.6) if count <= MAX_CLASSES else (-0.6, count - 0.4))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5 if lanes == 1 else 3))


def draw_loss(axes: Axes, loss: FloatArray, chance: float | None) -> None:
    """Draw the loss of each step, its running mean, and what knowing nothing would give."""
    from matplotlib.ticker import MaxNLocator

    steps = np.arange(1, len(loss) + 1)
    axes.set_title("Training loss")
    width = len(loss) // 50
    axes.plot(steps, loss, color=FAINT if width > 1 else LINE, linewidth=0.8 if width > 1 else 1.5)
    if width > 1:
        mean = np.convolve(loss, np.full(width, 1 / width), mode="valid")
        axes.plot(steps[width // 2 :][: len(mean)], mean, color=LINE, linewidth=2)
    if chance is not None:
        axes.axhline(chance, color=CHANCE, linestyle=(0, (4, 2)), linewidth=1.5)
        axes.annotate(
            "chance", (1, chance), xycoords=("axes fraction", "data"), xytext=(0, 3),
            textcoords="offset points", ha="right", va="bottom", color=CHANCE,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1},
        )  # fmt: skip
    axes.margins(x=0.01, y=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlabel("training step")
    axes.set_ylabel("InfoNCE (nats)", fontsize=12)
