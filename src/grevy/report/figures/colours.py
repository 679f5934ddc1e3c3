"""The colours of the points, and the key that explains them.

They are told apart by eyes that miss red or green too: lightness and blue against yellow carry
the difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from grevy.data import TAU
from grevy.report.figures.scene import Column
from grevy.report.words import wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

MAX_CLASSES = 12

# Up to eight classes the colours of Okabe and Ito (2008), the yellow a little darker for white
# paper; beyond, twelve after M. Krzywinski's palette for deuteranopes, with its light blue and
# pink moved apart for protanopes.
EIGHT = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#222222", "#e8dc2e",
)  # fmt: skip
TWELVE = (
    "#9f0162", "#009f81", "#ff5aaf", "#00fccf", "#8400cd", "#008df9",
    "#00c8ff", "#ff8ee6", "#a40122", "#e20134", "#ff6e3a", "#ffc33b",
)  # fmt: skip

# A closed loop through dark blue, light blue, gold and brick red, smooth in the Oklab space. No
# colour is too pale for white paper, and without red and green it still is a loop.
WHEEL = (
    "#2b2e8c", "#0148b0", "#0073cf", "#3f9fd8", "#87bfbf", "#c5c988",
    "#edb93c", "#f49200", "#de6105", "#b23a3a", "#7d2c54", "#4e296d",
)  # fmt: skip

# From paper to ink through the blue of the lines; lightness falls all the way.
BLUES = ("#f6f9fc", "#dbe7f1", "#b4cee3", "#86aecf", "#5788b5", "#33628f", "#1c3f63")

# Beside the black of what is true: what is decoded, wrongly decoded, and the band of a true class.
DECODED, WRONG, BAND = "#3f86c9", "#a8420b", "#d5dde4"


def cyclic_colours() -> Colormap:
    """Make the colour map of circular labels: closed, readable on white, colour-blind safe."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("grevy_cyclic", [*WHEEL, WHEEL[0]], N=360)


def class_colours(n_classes: int) -> Colormap:
    """Make the colour map of class codes 0..K-1: distinct up to twelve classes, ordered beyond."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    if n_classes > MAX_CLASSES:
        return colormaps["viridis"]
    palette = EIGHT if n_classes <= len(EIGHT) else TWELVE
    return ListedColormap(palette[:n_classes])


def colour_arguments(column: Column) -> dict[str, Any]:
    """Choose the colour map and its limits."""
    from matplotlib import colormaps

    if column.kind == "circular":
        return {"cmap": cyclic_colours(), "vmin": 0.0, "vmax": column.period}
    if column.kind == "discrete":
        count = len(column.classes)
        return {"cmap": class_colours(count), "vmin": -0.5, "vmax": count - 0.5}
    low, inner_low, inner_high, high = np.percentile(column.values, [0, 1, 99, 100])
    # A few outliers must not wash out all others: they share the end colours.
    if 0 < inner_high - inner_low < (high - low) / 2:
        low, high = inner_low, inner_high
    return {"cmap": colormaps["viridis"], "vmin": low, "vmax": high}


def draw_key(axes: Axes, column: Column) -> None:
    """Explain the colours: a wheel for angles, a legend for classes, a bar for numbers."""
    axes.set_axis_off()
    if column.kind == "circular":
        _wheel(axes, column)
    elif column.kind == "discrete" and len(column.classes) <= MAX_CLASSES:
        _legend(axes, column)
    else:
        _bar(axes, column)


def _wheel(axes: Axes, column: Column) -> None:
    ring = axes.inset_axes((0.0, 0.25, 0.9, 0.5), projection="polar")
    angles = np.linspace(0, TAU, 181)
    ring.pcolormesh(
        angles, [0.6, 1.0], angles[None, :-1], cmap=cyclic_colours(), vmin=0, vmax=TAU,
        rasterized=True,
    )  # fmt: skip
    ring.set_ylim(0, 1)
    ring.set_yticks([])
    ring.set_xticks(np.arange(4) * TAU / 4, _quarters(column.period))
    ring.tick_params(pad=1)
    ring.spines["polar"].set_visible(False)
    ring.grid(visible=False)
    axes.text(0.45, 0.78, wrapped(column.title), ha="center", va="bottom", fontsize=13)


def _quarters(period: float) -> list[str]:
    if period == TAU:
        return ["0", "π/2", "π", "3π/2"]
    return [f"{quarter * period / 4:g}" for quarter in range(4)]


def _legend(axes: Axes, column: Column) -> None:
    from matplotlib.lines import Line2D

    colours = class_colours(len(column.classes))
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=9, color=colours(code))
        for code in range(len(column.classes))
    ]
    legend = axes.legend(
        handles, ["class"] * len(handles), title=wrapped(column.title), title_fontsize=13,
        loc="center left", bbox_to_anchor=(-0.1, 0.5), borderpad=0, handletextpad=0.2,
        alignment="left",
    )  # fmt: skip
    # Written afterwards: matplotlib leaves out legend entries whose name begins with "_".
    for text, name in zip(legend.get_texts(), column.classes, strict=True):
        text.set_text(name)


def _bar(axes: Axes, column: Column) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.ticker import MaxNLocator

    colours = colour_arguments(column)
    limits = Normalize(colours["vmin"], colours["vmax"])
    below, above = column.values.min() < limits.vmin, column.values.max() > limits.vmax
    beyond = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}
    bar = axes.figure.colorbar(
        ScalarMappable(limits, colours["cmap"]), cax=axes.inset_axes((0.0, 0.1, 0.14, 0.68)),
        extend=beyond[int(below), int(above)],
    )  # fmt: skip
    bar.outline.set_visible(False)
    heading = wrapped(column.title)
    if column.kind == "discrete":
        count = len(column.classes)
        codes = np.unique(np.linspace(0, count - 1, 5).round().astype(int))
        bar.set_ticks(codes.tolist(), labels=[column.classes[code] for code in codes])
        bar.minorticks_off()
        heading = f"{heading}\n{count} classes"
    else:
        bar.locator = MaxNLocator(5)
        bar.update_ticks()
    axes.text(-0.05, 0.84, heading, ha="left", va="bottom", fontsize=13)
