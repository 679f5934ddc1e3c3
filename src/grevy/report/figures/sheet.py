"""A sheet of paper with axes in rows, in the style of all figures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from grevy.errors import GrevyError
from grevy.report.figures.lettering import Lettering
from grevy.report.figures.style import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# So many rows a page holds.
MAX_ROWS = 6


def need(found: object, what: str) -> None:
    """Refuse to draw nothing."""
    if not found:
        raise GrevyError(f"there is no {what} to draw. Leave this figure out.")


@contextmanager
def sheet(
    width: float,
    row: float,
    rows: int,
    columns: tuple[float, ...],
    chosen: Lettering,
    left: float = 1.1,
    right: float = 0.25,
    gap: float = 1.1,
) -> Iterator[tuple[Figure, list[list[Axes]]]]:
    """Make a figure of axes in rows, to be drawn on in the style of all figures; sizes in inches.

    The margins are fixed: finding them out would take longer than all the drawing.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    top, bottom, between = 0.45, 0.65, 0.95
    height = top + bottom + rows * row + (rows - 1) * between
    mean_width = (width - left - right) / len(columns)
    sizes: dict[Any, Any] = {"font.size": 12, "axes.titlesize": 13, "axes.labelsize": 12}
    with rc_context({**STYLE, **sizes, "font.family": list(chosen.families)}):
        figure = Figure(figsize=(width, height), dpi=150)
        cells = figure.add_gridspec(
            rows, len(columns), width_ratios=columns, left=left / width, right=1 - right / width,
            top=1 - top / height, bottom=bottom / height, hspace=between / row,
            wspace=gap / mean_width,
        )  # fmt: skip
        places = [
            [figure.add_subplot(cells[place, column]) for column in range(len(columns))]
            for place in range(rows)
        ]
        yield figure, places
