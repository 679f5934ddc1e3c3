"""Charts of one label: decoded against true over held-out time, and where the errors are."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from grevy.archive import ArchivedRun, recording_names
from grevy.data import TAU, Array, IntArray, Label, end_to_end
from grevy.evaluation import MAX_CONFUSED, Decoded
from grevy.report.figures.colours import BAND, BLUES, DECODED, MAX_CLASSES, WRONG
from grevy.report.figures.heldout import (
    best_constant,
    class_bands,
    confusion,
    error_by_value,
    middle,
    row_shares,
    stretches,
    unbroken,
)
from grevy.report.figures.panels import CHANCE, FAINT, LINE
from grevy.report.page.charts import (
    INK,
    QUIET,
    RULE,
    Chart,
    chance_line,
    layout,
    line,
    points,
    text,
)
from grevy.report.page.packing import plain
from grevy.report.results import LabelResult
from grevy.report.words import listed, number, score, short, thinning, thousands, unit_of

MAX_DIMENSIONS = 12
# Over all stretches and dimensions of one label, to keep the page light.
MAX_DRAWN, MAX_STRETCH = 60_000, 800
MAX_CLOUD = 4_000
# Stretches to choose from, of several recordings together.
MAX_SEVERAL = 24


def decoded_charts(run: ArchivedRun, result: LabelResult, place: int) -> list[Chart]:
    """Draw one label: over time, true against decoded (or confusion), error by label value.

    Parameters
    ----------
    run : ArchivedRun
    result : LabelResult
    place : int
        The number of the label on the page.

    Returns
    -------
    list of Chart
        Empty if nothing decoded was archived.
    """
    label = next((each for each in run.labels if each.name == result.name), None)
    decoded = run.decoded.get(result.name)
    if label is None or decoded is None or not len(decoded.steps):
        return []
    over_time = _over_time(run, label, decoded, result, place)
    if label.kind == "discrete":
        matrix = [] if has_no_matrix(label) else [_confusion(label, decoded, place)]
        return [over_time, *matrix, _recall(label, decoded, place)]
    return [over_time, _agreement(label, decoded, result, place), _errors(label, decoded, place)]


def has_no_matrix(label: Label) -> bool:
    """Tell whether a label has too many classes for a confusion matrix that could be read."""
    return label.kind == "discrete" and len(label.classes) > MAX_CONFUSED


def _over_time(
    run: ArchivedRun, label: Label, decoded: Decoded, result: LabelResult, place: int
) -> Chart:
    rate = run.sampling_rate
    count = _n_dimensions(label)
    cut = _stretches(run, decoded.steps)
    longest = min(MAX_STRETCH, max(50, MAX_DRAWN // (len(cut) * count)))
    shown = [middle(each.part, longest) for each in cut]
    traces = [
        trace
        for i, (each, part) in enumerate(zip(cut, shown, strict=True))
        for j in range(count)
        for trace in _stretch_traces(
            label, decoded, part, each.start, rate, {"stretch": i, "dimension": j}
        )
    ]
    own = result.held_out.get("embedding")
    alternative = f"True and decoded {short(label.name, 60)} over {result.where}."
    if own:
        alternative += f" {result.measure.name} {result.say_main(own.score.value)}."
    cropped = any(each.part != kept for each, kept in zip(cut, shown, strict=True))
    caption = f"The middle {thousands(longest)} steps of each stretch." if cropped else ""
    title = "time (s)" if rate else "time (steps)"
    return Chart(
        f"decoded-{place}", "Decoded against true, over " + result.where, alternative, caption,
        traces, layout({"title": title}, _value_axis(label), showlegend=True),
        choices={
            "stretch": [
                _stretch_name(each.name or str(i + 1), decoded.steps[each.part] - each.start, rate)
                for i, each in enumerate(cut)
            ],
            "dimension": [str(j + 1) for j in range(count)],
        },
    )  # fmt: skip


@dataclass(frozen=True)
class _Stretch:
    """Held-out steps in a row: of which recording, if there are several, and where that begins."""

    name: str
    start: int
    part: slice


def _stretches(run: ArchivedRun, steps: IntArray) -> list[_Stretch]:
    """Cut held-out steps into stretches to look at one by one, none of two recordings."""
    data = run.manifest.get("data", [])
    if len(data) < 2:
        return [_Stretch("", 0, part) for part in stretches(steps)]
    edges = end_to_end(int(each["time_steps"]) for each in data)
    found = []
    for name, start, stop in zip(recording_names(run.manifest), edges, edges[1:], strict=False):
        first, last = np.searchsorted(steps, [start, stop]).tolist()
        cut = stretches(steps[first:last]) if last > first else []
        for part in cut[: max(1, MAX_SEVERAL // len(data))]:
            own = slice(first + part.start, first + part.stop)
            found.append(_Stretch(short(name, 24), int(start), own))
    return found


def _stretch_name(called: str, steps: IntArray, rate: float | None) -> str:
    if rate:
        return f"{called}: {number(steps[0] / rate)} to {number((steps[-1] + 1) / rate)} s"
    return f"{called}: steps {thousands(int(steps[0]))} to {thousands(int(steps[-1]))}"


def _stretch_traces(
    label: Label,
    decoded: Decoded,
    part: slice,
    start: int,
    rate: float | None,
    meta: dict[str, int],
) -> list[dict[str, Any]]:
    steps = decoded.steps[part] - start
    time = steps / rate if rate else steps.astype(np.float64)
    true, guess = (values[part] for values in _pair(label, decoded, meta["dimension"]))
    about: dict[str, Any] = {"meta": meta, "visible": not any(meta.values())}
    if label.kind == "discrete":
        return _class_traces(steps, rate, true, guess, about)
    true_time, true_line = unbroken(steps, time, true, label)
    if label.kind == "continuous":
        decoded_line = unbroken(steps, time, guess, label)
        decoded_trace = line(*decoded_line, "decoded", DECODED, width=1.6, **about)
    else:
        size = {"size": 5 if len(steps) < 400 else 4}
        decoded_trace = points(time, guess, "decoded", DECODED, marker=size, **about)
    return [decoded_trace, line(true_time, true_line, "true", INK, width=1.4, **about)]


def _class_traces(
    steps: IntArray, rate: float | None, true: Array, guess: Array, about: dict[str, Any]
) -> list[dict[str, Any]]:
    """Draw the true class as a broad band, the decoded one as ticks: beside the band is wrong."""
    scale = rate or 1.0
    start, stop, code = class_bands(steps, true)
    gap = np.full(len(code), np.nan)
    band = line(
        np.stack([start / scale, stop / scale, gap], axis=1).ravel(),
        np.stack([code, code, gap], axis=1).ravel(),
        "true", BAND, width=16, **{**about, "hoverinfo": "skip"},
    )  # fmt: skip
    traces = [band]
    for name, chosen, colour in (
        ("decoded, right", true == guess, LINE),
        ("decoded, wrong", true != guess, WRONG),
    ):
        tick = {"symbol": "line-ns", "size": 11, "opacity": 0.8}
        tick |= {"line": {"width": 1.5, "color": colour}}
        at = steps[chosen] / scale
        traces.append(points(at, guess[chosen], name, colour, marker=tick, **about))
    return traces


def _agreement(label: Label, decoded: Decoded, result: LabelResult, place: int) -> Chart:
    """Draw decoded against true: on the diagonal where they agree."""
    every = max(1, -(-len(decoded.steps) // MAX_CLOUD))
    traces = []
    for j in range(_n_dimensions(label)):
        true, guess = (values[::every] for values in _pair(label, decoded, j))
        low, high = (0.0, label.period) if label.kind == "circular" else (true.min(), true.max())
        about = {"meta": {"dimension": j}, "visible": j == 0}
        ends = np.array([low, high])
        traces += [
            points(true, guess, "held-out step", LINE, marker={"opacity": 0.35}, **about),
            line(ends, ends, "agreement", INK, width=1, hoverinfo="skip", **about),
        ]
    name = short(label.name, 60)
    thin = f" Drawn: {thinning(every, len(decoded.steps))}." if every > 1 else ""
    axes = {**_value_axis(label), "title": f"decoded {_unit(label)}".strip()}
    return Chart(
        f"agreement-{place}", "True against decoded",
        f"Decoded against true {name}, {_per_dimension(result)}",
        f"On the line, decoded and true agree.{thin}", traces,
        layout({**_value_axis(label), "title": f"true {_unit(label)}".strip()}, axes),
        choices={"dimension": [str(j + 1) for j in range(_n_dimensions(label))]},
    )  # fmt: skip


def _per_dimension(result: LabelResult) -> str:
    values = result.tables.get("blocked", {}).get("embedding", {}).get("per_dimension_test_r2")
    if isinstance(values, list) and len(values) > 1:
        return "R² by dimension: " + ", ".join(score(value) for value in values) + "."
    own = result.held_out.get("embedding")
    return f"{result.measure.name} {result.say_main(own.score.value)}." if own else ""


def _errors(label: Label, decoded: Decoded, place: int) -> Chart:
    """Draw how large the error is at each value of the label, and what knowing nothing gives."""
    traces, said = [], ""
    for j in range(_n_dimensions(label)):
        true, guess = _pair(label, decoded, j)
        centre, quartiles, blind = error_by_value(label, true, guess)
        about = {"meta": {"dimension": j}, "visible": j == 0}
        whiskers = {
            "type": "data", "symmetric": False, "array": plain(quartiles[2] - quartiles[1]),
            "arrayminus": plain(quartiles[1] - quartiles[0]), "color": FAINT, "thickness": 1.5,
            "width": 0,
        }  # fmt: skip
        name = "median and middle half"
        traces += [
            line(centre, blind, "knowing nothing", CHANCE, line=chance_line(), **about),
            line(
                centre, quartiles[1], name, LINE, mode="lines+markers", error_y=whiskers,
                marker={"size": 7}, **about,
            ),
        ]  # fmt: skip
        if j == 0:
            said = f"The median error lies between {number(float(quartiles[1].min()))} and "
            said += f"{number(float(quartiles[1].max()))} {_unit(label)}".strip() + "."
    what, constant = "absolute error", "the middle of the label"
    if label.kind == "circular":
        what = "angular error"
        best = best_constant(label, _pair(label, decoded, 0)[0])
        constant = f"{number(best)} {_unit(label).strip('()')}".strip()
        constant += ", the one answer with the least mean error"
    return Chart(
        f"errors-{place}", "Error by label value",
        f"Size of the error by the true {short(label.name, 60)}. {said}",
        f"Dashed: always answering {constant}.", traces,
        layout(
            {**_value_axis(label), "title": f"true {_unit(label)}".strip()},
            {"title": f"{what} {_unit(label)}".strip(), "rangemode": "tozero"}, showlegend=True,
        ),
        choices={"dimension": [str(j + 1) for j in range(_n_dimensions(label))]},
    )  # fmt: skip


def _confusion(label: Label, decoded: Decoded, place: int) -> Chart:
    counts = confusion(label, decoded.true, decoded.decoded)
    share = row_shares(counts)
    untested = np.flatnonzero(np.isnan(share[:, 0])).tolist()
    names = [text(short(str(each), 16)) for each in label.classes]
    codes = np.arange(len(names))
    cell: dict[str, Any] = {}
    if len(names) <= MAX_CLASSES:
        cell = {"texttemplate": "%{z:.0%}", "textfont": {"size": 11}}
    scale = [[i / (len(BLUES) - 1), colour] for i, colour in enumerate(BLUES)]
    trace = {
        "type": "heatmap", "z": plain(share), "x": codes.tolist(), "y": codes.tolist(),
        "colorscale": scale, "zmin": 0, "zmax": 1, "showscale": False, "xgap": 1, "ygap": 1,
        "hovertemplate": "%{z:.1%} of the steps of the row<extra></extra>", **cell,
    }  # fmt: skip
    each = max(1, -(-len(names) // 16))
    ticks = {
        "tickvals": codes[::each].tolist(), "ticktext": names[::each], "showgrid": False,
        "nticks": 0,
    }  # fmt: skip
    worst = _commonest_confusion(label, counts)
    lacking = _lacking(label, untested)
    return Chart(
        f"confusion-{place}", "Confusion matrix",
        f"Share of the held-out steps of each class that is decoded as each class. {worst}"
        + lacking,
        f"Each row is a true class and adds up to 100 %.{lacking}",
        [trace, _hatching(untested, len(names))] if untested else [trace],
        layout(
            {"title": "decoded", **ticks, "showline": False},
            {
                "title": "true", "range": [len(names) - 0.5, -0.5], **ticks, "showline": False,
            },
            annotations=[
                {
                    "x": (len(names) - 1) / 2, "y": code, "text": "not tested", "showarrow": False,
                    "bgcolor": "white", "borderpad": 1, "font": {"size": 11, "color": QUIET},
                }
                for code in untested
                if len(names) <= MAX_CLASSES
            ],
        ),
        height=380,
    )  # fmt: skip


def _lacking(label: Label, untested: list[int]) -> str:
    """Name the classes that the test lacks."""
    if not untested:
        return ""
    names = [short(str(label.classes[code]), 32) for code in untested[:MAX_CLASSES]]
    if len(untested) > MAX_CLASSES:
        names.append(f"{len(untested) - MAX_CLASSES} more")
    return f" Not tested, for no held-out step is of it: {listed(names)}."


def _hatching(rows: list[int], width: int) -> dict[str, Any]:
    """Fill the rows of a matrix that hold nothing."""
    return {
        "type": "bar", "orientation": "h", "y": rows, "x": [width] * len(rows), "base": -0.5,
        "width": 0.96, "hovertemplate": "not tested<extra></extra>",
        "marker": {
            "color": "white", "line": {"width": 0},
            "pattern": {"shape": "/", "fgcolor": RULE, "bgcolor": "white", "size": 7},
        },
    }  # fmt: skip


def _commonest_confusion(label: Label, counts: IntArray) -> str:
    wrong = counts - np.diag(np.diag(counts))
    if not wrong.any():
        return "No step is decoded wrongly."
    true, guess = np.unravel_index(wrong.argmax(), wrong.shape)
    names = [short(str(label.classes[code]), 32) for code in (true, guess)]
    return f"The commonest confusion: {names[0]} decoded as {names[1]}."


def _recall(label: Label, decoded: Decoded, place: int) -> Chart:
    """Draw for each class how many of its steps are decoded rightly."""
    count = len(label.classes)
    steps = np.bincount(decoded.true, minlength=count)
    right = np.bincount(decoded.true[decoded.true == decoded.decoded], minlength=count)
    tested = np.flatnonzero(steps)
    share = right[tested] / steps[tested]
    names = [text(short(str(label.classes[code]), 16)) for code in tested]
    level = 1 / max(len(tested), 1)
    each = max(1, -(-len(names) // 16))
    bars = {
        "type": "bar", "x": list(range(len(names))), "y": plain(share), "marker": {"color": LINE},
        "hovertemplate": "%{y:.1%} decoded rightly<extra></extra>",
    }  # fmt: skip
    chance = {
        "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": level, "y1": level,
        "line": chance_line(),
    }  # fmt: skip
    return Chart(
        f"errors-{place}", "Decoded rightly, by class",
        f"Share of each class that is decoded rightly, from {score(float(share.min()))} to "
        f"{score(float(share.max()))}.",
        f"Dashed: chance, one in {len(tested)}.", [bars],
        layout(
            {
                "title": "true class", "tickvals": list(range(len(names)))[::each],
                "ticktext": names[::each], "nticks": 0, "showgrid": False,
            },
            {"title": "decoded rightly", "range": [0, 1], "tickformat": ".0%"},
            shapes=[chance], bargap=0.35,
        ),
        height=380,
    )  # fmt: skip


def _n_dimensions(label: Label) -> int:
    return min(MAX_DIMENSIONS, label.values.shape[1]) if label.kind == "continuous" else 1


def _pair(label: Label, decoded: Decoded, dimension: int) -> tuple[Array, Array]:
    """Return the true and the decoded values of one dimension; angles within one turn."""
    if label.kind == "continuous":
        return decoded.true[:, dimension], decoded.decoded[:, dimension]
    if label.kind == "circular":
        return np.mod(decoded.true, label.period), np.mod(decoded.decoded, label.period)
    return decoded.true, decoded.decoded


def _unit(label: Label) -> str:
    unit = unit_of(label)
    return f"({unit})" if unit else ""


def _value_axis(label: Label) -> dict[str, Any]:
    """Describe an axis that shows the label itself."""
    name = short(label.name, 32)
    if label.kind == "circular":
        quarters = [quarter * label.period / 4 for quarter in range(5)]
        shown = ["0", "π/2", "π", "3π/2", "2π"]
        if label.period != TAU:
            shown = [f"{quarter:g}" for quarter in quarters]
        margin = 0.03 * label.period
        return {
            "title": f"{name} {_unit(label)}".strip(), "tickvals": quarters,
            "ticktext": shown, "range": [-margin, label.period + margin],
        }  # fmt: skip
    if label.kind == "discrete":
        count = len(label.classes)
        codes = np.unique(np.linspace(0, count - 1, min(count, MAX_CLASSES)).round().astype(int))
        names = [text(short(str(label.classes[code]), 16)) for code in codes]
        return {
            "title": name, "tickvals": codes.tolist(), "ticktext": names, "nticks": 0,
            "range": [count - 0.5, -0.5], "linecolor": RULE,
        }  # fmt: skip
    return {"title": f"{name} {_unit(label)}".strip()}
