"""Charts of what the result is weighed against: baselines, nulls, chance, other seeds."""

import math
from typing import Any

import numpy as np

from grevy.archive import ArchivedRun
from grevy.data import FloatArray
from grevy.evaluation import SEEN_LABEL
from grevy.report.figures.colours import BLUES
from grevy.report.figures.panels import CHANCE, FAINT, LINE
from grevy.report.page.charts import INK, Chart, chance_line, layout, line, text
from grevy.report.page.packing import plain
from grevy.report.results import NAMES, LabelResult
from grevy.report.verdict import null_sentence
from grevy.report.words import INTERVAL, number, score, short

# An R2 can be arbitrarily bad; below this it is drawn at the edge, with its value beside it.
LOWEST_R2 = -0.5
# A number within this part of the axis from the line of chance would be crossed by it.
NEAR = 0.08
MAX_LOSS_POINTS = 2_000
MAX_MATRIX = 100
# Of more folds only the dots are drawn, without their numbers.
MAX_NAMED_FOLDS = 12


def baseline_chart(result: LabelResult, place: int) -> Chart | None:
    """Draw the score from the embedding beside those from PCA, raw data and nothing."""
    if not result.held_out:
        return None
    sources = [*result.held_out, "chance"]
    values = [*(each.value for each in result.held_out.values()), result.archived_chance]
    intervals = [*(each.interval for each in result.held_out.values()), None]
    lowest = LOWEST_R2 if result.kind == "continuous" else -math.inf
    drawn = np.maximum(values, lowest)
    names = [NAMES.get(source, source) for source in sources]
    ends = [
        (max(interval[0], lowest), max(interval[1], lowest)) if interval else (at, at)
        for at, interval in zip(drawn, intervals, strict=True)
    ]
    # With room for the numbers at the ends.
    span = _reach([*drawn, *sum(ends, ()), result.chance], 0.1)
    colours = {"embedding": LINE, "chance": CHANCE}
    trace = {
        "type": "scatter", "mode": "markers+text", "x": plain(drawn), "y": list(range(len(names))),
        "text": [
            ("◂ " if at < lowest else "") + result.say_bare(at)
            for at in values
        ],
        "textposition": _beside_the_line(result, drawn, span),
        "cliponaxis": False,
        "marker": {"size": 11, "color": [colours.get(source, "#7d8b99") for source in sources]},
        "error_x": {
            "type": "data", "symmetric": False, "thickness": 2, "width": 5, "color": FAINT,
            "array": plain([high - at for at, (_, high) in zip(drawn, ends, strict=True)]),
            "arrayminus": plain([at - low for at, (low, _) in zip(drawn, ends, strict=True)]),
        },
        "hoverinfo": "skip",
    }  # fmt: skip
    said = "; ".join(f"{n} {result.say_main(v)}" for n, v in zip(names, values, strict=True))
    better = "Right is better." if result.measure.larger_is_better else "Left is better."
    has_intervals = "Bars: 95 % intervals. " if any(intervals) else ""
    return Chart(
        f"baselines-{place}", f"Held-out {result.title()}, beside the baselines",
        f"Held-out {result.measure.name}: {said}.", has_intervals + better, [trace],
        layout(
            {"range": span, "nticks": 5, "tickangle": 0},
            {
                "tickvals": list(range(len(names))), "ticktext": [text(n) for n in names],
                "nticks": 0, "range": [len(names) - 0.4, -0.8], "showgrid": False,
                "showline": False, "ticks": "",
            },
            shapes=[_upright(result.chance, chance_line())],
        ),
        height=90 + 52 * len(names),
    )  # fmt: skip


def _beside_the_line(result: LabelResult, values: FloatArray, span: list[float]) -> list[str]:
    """Place each number above its dot, but beside the dashed line of chance where it is near.

    The last is that of knowing nothing: on the side of the line where there is more room.
    """
    low, high = span
    places = [
        "top center"
        if abs(value - result.chance) > NEAR * (high - low)
        else f"top {'right' if value >= result.chance else 'left'}"
        for value in values[:-1].tolist()
    ]
    in_left_half = result.archived_chance < (low + high) / 2
    return [*places, f"middle {'right' if in_left_half else 'left'}"]


def _reach(values: list[float], spare: float = 0.04) -> list[float]:
    """Return the range of values with some room at both ends."""
    low, high = float(min(values)), float(max(values))
    margin = spare * (high - low) or 0.1
    return [low - margin, high + margin]


def _upright(x: float, style: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": x, "x1": x, "line": style,
        "layer": "above",
    }  # fmt: skip


def null_chart(result: LabelResult, place: int) -> Chart | None:
    """Draw how the scores of moved labels are spread, and where the true label's lies."""
    null = result.null
    if null is None:
        return None
    sign = result.measure.sign
    values, observed = sign * null.values, sign * null.observed
    counts, edges = null_histogram(values, observed)
    bars = {
        "type": "bar", "x": plain((edges[:-1] + edges[1:]) / 2), "y": counts.tolist(),
        "width": plain(np.diff(edges)), "marker": {"color": FAINT, "line": {"width": 0}},
        "hovertemplate": "%{y} nulls about %{x:.3f}<extra></extra>",
    }  # fmt: skip
    note = {
        "x": observed, "y": 1.0, "yref": "paper", "yanchor": "bottom", "showarrow": False,
        "text": f"observed {text(result.say_main(observed))}", "font": {"color": LINE},
        "xanchor": "right" if observed > np.median(values) else "left",
    }  # fmt: skip
    said = null_sentence(null)
    spread = [result.say_main(float(end)) for end in (values.min(), values.max())]
    retrained = (
        "The encoder was trained anew for each."
        if null.retrained
        else "The embedding stays; the decoder is fitted anew for each."
    )
    seen = f"{SEEN_LABEL[0].upper()}{SEEN_LABEL[1:]}." if null.is_of_seen_label else ""
    return Chart(
        f"null-{place}", "The same score for labels moved in time",
        f"Histogram of {len(values)} null scores from {spread[0]} to {spread[1]}; observed "
        f"{result.say_main(observed)}: {said}.",
        " ".join(
            part
            for part in (f"{said[0].upper()}{said[1:]}.", retrained, seen, null.note)
            if part
        ),
        [bars],
        layout(
            {"title": result.title(), "range": _reach([*edges, observed])},
            {"title": "nulls", "rangemode": "tozero"},
            shapes=[_upright(observed, {"color": LINE, "width": 3})],
            annotations=[note], bargap=0.05, margin={"l": 8, "r": 12, "t": 28, "b": 8},
        ),
    )  # fmt: skip


def null_histogram(values: FloatArray, observed: float) -> tuple[FloatArray, FloatArray]:
    """Count nulls in bins that also tell them from the observed value.

    Returns
    -------
    counts : ndarray of shape (bins,)
    edges : ndarray of shape (bins + 1,)
        About as many bins as the square root of the nulls, 8 to 30, over the nulls alone.
    """
    n_bins = int(np.clip(round(math.sqrt(len(values))) + 4, 8, 30))
    low, high = float(values.min()), float(values.max())
    if high <= low:  # one value, or none that differs
        reach = 0.02 * abs(observed - low) or 0.5
        low, high = low - reach, high + reach
    counts, edges = np.histogram(values, bins=n_bins, range=(low, high))
    return counts.astype(np.float64), edges


def folds_chart(result: LabelResult, place: int) -> Chart | None:
    """Draw the score of each fold of a K-fold evaluation, and their mean."""
    folds = result.folds
    if folds is None:
        return None
    count = len(folds.values)
    lowest = LOWEST_R2 if result.kind == "continuous" else -math.inf
    drawn, mean = np.maximum(folds.values, lowest), max(folds.mean, lowest)
    named = count <= MAX_NAMED_FOLDS
    dots = {
        "type": "scatter", "mode": "markers+text" if named else "markers",
        "x": list(range(1, count + 1)), "y": plain(drawn),
        "textposition": [f"{'top' if y >= mean else 'bottom'} center" for y in drawn],
        "text": [
            ("▾ " if value < lowest else "") + result.say_bare(value)
            for value in folds.values
        ],
        "cliponaxis": False, "marker": {"size": 11, "color": LINE}, "name": "fold",
        "hovertemplate": "fold %{x}: %{text}<extra></extra>",
    }  # fmt: skip
    ends = np.array([0.5, count + 0.5])
    chance = result.chance if folds.chance is None else folds.chance
    level = {"xref": "paper", "x0": 0, "x1": 1, "y0": chance, "y1": chance}
    said = f"Mean of {count} folds {result.say_main(folds.mean)}; "
    said += f"all test steps together {result.say_main(folds.pooled.value)}"
    if folds.pooled.interval:
        said += f" ({INTERVAL} {result.say_interval(folds.pooled.interval)})"
    title = result.title()
    reach = [result.say_main(end) for end in (min(folds.values), max(folds.values))]
    return Chart(
        f"folds-{place}", f"{title[0].upper()}{title[1:]}, by fold",
        f"{said}; from {reach[0]} to {reach[1]}.",
        f"{said}. Encoder and decoder of a fold have not seen it. Line: the mean. Dashed: chance.",
        [line(ends, np.repeat(mean, 2), "mean", LINE, hoverinfo="skip"), dots],
        layout(
            {
                "title": "fold", "range": ends.tolist(), "showgrid": False,
                **({"dtick": 1} if named else {}),
            },
            {"range": _reach([*drawn, mean, chance], 0.2)},
            shapes=[{"type": "line", **level, "line": chance_line()}],
        ),
        height=260,
    )  # fmt: skip


def loss_chart(run: ArchivedRun) -> Chart | None:
    """Draw the training loss, its running mean, and the loss of knowing nothing."""
    loss = run.history.get("loss")
    if loss is None or not np.isfinite(loss).any():
        return None
    steps = np.arange(1, len(loss) + 1, dtype=np.float64)
    every = max(1, -(-len(loss) // MAX_LOSS_POINTS))
    width = len(loss) // 50
    traces = [
        line(
            steps[::every], loss[::every], "each step", FAINT if width > 1 else LINE,
            width=1 if width > 1 else 1.8,
        )
    ]  # fmt: skip
    if width > 1:
        mean = np.convolve(loss, np.full(width, 1 / width), mode="valid")
        at = steps[width // 2 :][: len(mean)]
        traces.append(line(at[::every], mean[::every], "running mean", LINE, width=2.5))
    chance = chance_loss(run)
    said = f"The loss ends at {number(float(loss[-max(width, 1) :].mean()))} nats"
    more: dict[str, Any] = {}
    if chance is not None:
        said += f"; chance is {number(chance)} nats"
        ends = {"x0": 0, "x1": 1, "y0": chance, "y1": chance}
        more["shapes"] = [{"type": "line", "xref": "paper", **ends, "line": chance_line()}]
        more["annotations"] = [
            {
                "x": 1, "xref": "paper", "xanchor": "right", "y": chance, "yanchor": "bottom",
                "text": "chance", "showarrow": False, "font": {"color": CHANCE},
            }
        ]  # fmt: skip
    return Chart(
        "loss", "Training loss", f"{said}.", f"{said}.", traces,
        layout({"title": "training step"}, {"title": "InfoNCE (nats)"}, showlegend=True, **more),
    )  # fmt: skip


def chance_loss(run: ArchivedRun) -> float | None:
    """Return the loss of an encoder that knows nothing, in nats; None if it is not known."""
    archived = run.metrics.get("chance_nats")
    return float(archived) if isinstance(archived, int | float) else None


def consistency_chart(run: ArchivedRun) -> Chart | None:
    """Draw how well each embedding follows from each other by a linear map."""
    found = run.metrics.get("consistency")
    if not isinstance(found, dict) or not found.get("r2"):
        return None
    r2 = np.array(found["r2"], dtype=np.float64)
    names = [text(short(str(name), 16)) for name in found.get("names", [])]
    if r2.shape != (len(names), len(names)) or len(names) > MAX_MATRIX:
        return None
    mean = found.get("mean")
    said = f"Mean R² between different embeddings: {score(mean)}."
    at_chance = found.get("chance")
    if isinstance(at_chance, int | float):
        said += f" Embeddings with nothing in common would reach {score(float(at_chance))}."
    codes = list(range(len(names)))
    ticks = {"tickvals": codes, "ticktext": names, "nticks": 0, "showgrid": False}
    trace = {
        "type": "heatmap", "z": plain(r2), "x": codes, "y": codes, "zmin": 0, "zmax": 1,
        "colorscale": [[i / (len(BLUES) - 1), colour] for i, colour in enumerate(BLUES)],
        "showscale": False, "xgap": 1, "ygap": 1,
        "hovertemplate": "R² %{z:.3f}<extra></extra>",
        **({"texttemplate": "%{z:.2f}"} if len(names) <= 12 else {}),
    }  # fmt: skip
    return Chart(
        "consistency", "Consistency between trainings", said,
        f"{said} From each row's embedding to each column's, by a linear map.", [trace],
        layout(
            {"title": "to", **ticks, "showline": False},
            {"title": "from", "autorange": "reversed", **ticks, "showline": False},
            font={"color": INK},
        ),
        height=min(480, 180 + 44 * len(names)),
    )  # fmt: skip
