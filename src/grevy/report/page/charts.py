"""The look that all charts of the page share, and the parts that they are made of."""

from dataclasses import dataclass, field
from typing import Any

from grevy.data import Array
from grevy.report.figures.panels import CHANCE
from grevy.report.page.packing import plain

INK, QUIET, RULE, GRID = "#1f2a37", "#56636f", "#c5ced6", "#e9edf1"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Chart:
    """One chart: what plotly draws, and what it shows in words.

    Attributes
    ----------
    id : str
        Made by us, never from data.
    title : str
    alternative : str
        What a reader who does not see it needs to know.
    caption : str
        How to read it.
    traces : list of dict
        A trace whose ``meta`` names choices is shown while they are chosen; see charts.js.
    layout : dict
    height : int
        In pixels.
    choices : dict of str to list of str
        What a menu offers, by the name that ``meta`` knows it by.
    """

    id: str
    title: str
    alternative: str
    caption: str
    traces: list[dict[str, Any]]
    layout: dict[str, Any]
    height: int = 300
    choices: dict[str, list[str]] = field(default_factory=dict)

    @property
    def specification(self) -> dict[str, Any]:
        """What the page's script needs."""
        return {"data": self.traces, "layout": self.layout}


def layout(x: dict[str, Any], y: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Lay out one pair of axes."""
    return {
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "autosize": True,
        "dragmode": False,
        "hovermode": "closest",
        "showlegend": False,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
        "hoverlabel": {"bgcolor": "white", "bordercolor": RULE, "font": {"color": INK}},
        "xaxis": axis(**x),
        "yaxis": axis(**y),
        **more,
    }


def axis(title: str = "", **more: Any) -> dict[str, Any]:
    """Describe one axis; its title is plain text."""
    return {
        "title": {"text": text(title), "standoff": 8},
        "automargin": True,
        "gridcolor": GRID,
        "linecolor": RULE,
        "showline": True,
        "zeroline": False,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": RULE,
        "fixedrange": True,
        "nticks": 6,
        **more,
    }


def text(words: str) -> str:
    """Make a text safe for plotly, which reads a little HTML in names and titles."""
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        words = words.replace(sign, entity)
    return words


def line(x: Array, y: Array, name: str, colour: str, **more: Any) -> dict[str, Any]:
    """Make a line; NaN breaks it."""
    width = more.pop("width", 1.5)
    return {
        "type": "scatter", "mode": "lines", "x": plain(x), "y": plain(y), "name": text(name),
        "line": {"color": colour, "width": width, **more.pop("line", {})}, "hoverinfo": "x+y+name",
        **more,
    }  # fmt: skip


def points(x: Array, y: Array, name: str, colour: str, **more: Any) -> dict[str, Any]:
    """Make a cloud of small points."""
    marker = {"color": colour, "size": 4, "opacity": 0.6, **more.pop("marker", {})}
    return {
        "type": "scatter", "mode": "markers", "x": plain(x), "y": plain(y), "name": text(name),
        "marker": marker, "hoverinfo": "x+y+name", **more,
    }  # fmt: skip


def chance_line(**more: Any) -> dict[str, Any]:
    """Style a line that says what knowing nothing gives."""
    return {"color": CHANCE, "width": 1.5, "dash": "dash", **more}


def upright(x: float, style: dict[str, Any]) -> dict[str, Any]:
    """Make a line from the bottom of a chart to its top."""
    return {
        "type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": x, "x1": x, "line": style,
        "layer": "above",
    }  # fmt: skip


def reach(values: list[float], spare: float = 0.04) -> list[float]:
    """Return the range of values with some room at both ends."""
    low, high = float(min(values)), float(max(values))
    margin = spare * (high - low) or 0.1
    return [low - margin, high + margin]
