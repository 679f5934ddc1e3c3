"""Charts of what the result is weighed against: nulls, chance, other encoders."""

import math
from typing import Any

import numpy as np

from grevy.archive import ArchivedRun
from grevy.data import FloatArray
from grevy.report.figures.colours import BLUES
from grevy.report.figures.panels import CHANCE, FAINT, LINE
from grevy.report.figures.rows import LOWEST_R2
from grevy.report.page.charts import INK, Chart, chance_line, layout, line, reach, text, upright
from grevy.report.page.packing import plain
from grevy.report.results import LabelResult, Null
from grevy.report.verdict import null_sentence
from grevy.report.words import INTERVAL, listed, number, plural, score, short

MAX_LOSS_POINTS = 2_000
MAX_MATRIX = 100
# Of more folds only the dots are drawn, without their numbers.
MAX_NAMED_FOLDS = 12


def evidence_lead(results: list[LabelResult]) -> str:
    """Say what a label was decoded from beside the embedding, and what nulls are."""
    sources = {name for result in results for name in result.held_out}
    steps = next((result.window_steps for result in results), None)
    what = ["principal components with as many dimensions"] if "pca" in sources else []
    what += ["the raw activity"] if "raw" in sources else []
    what += ["UMAP with as many (fitted on training steps alone)"] if "umap" in sources else []
    said = [f"The same decoding from {listed(what)}, on the same held-out steps."] if what else []
    if what and steps is not None and steps > 1:
        said.append(
            f"These baselines see the {plural(steps, 'step')} that the encoder sees, summed or "
            f"side by side (lagged), whichever was better inside the training; what one step alone "
            f"gives stands below in grey."
        )
    elif what:
        said.append(
            "These baselines see one step at a time" + (", as the encoder does." if steps else ".")
        )
    if any(result.null is not None for result in results):
        said.append(
            "Nulls are the same score for labels that keep their own course in time but are moved "
            "against the neural data."
        )
    return " ".join(said)


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
    return Chart(
        f"null-{place}", "The same score for labels moved in time",
        f"Histogram of {len(values)} null scores from {spread[0]} to {spread[1]}; observed "
        f"{result.say_main(observed)}: {said}.",
        f"{said[0].upper()}{said[1:]}. {method_sentence(null)}".rstrip(),
        [bars],
        layout(
            {"title": result.title(), "range": reach([*edges, observed])},
            {"title": "nulls", "rangemode": "tozero"},
            shapes=[upright(observed, {"color": LINE, "width": 3})],
            annotations=[note], bargap=0.05, margin={"l": 8, "r": 12, "t": 28, "b": 8},
        ),
    )  # fmt: skip


def method_sentence(null: Null) -> str:
    """Say plainly what was decoded, and what moved; empty if the run does not say."""
    folds = "Each fold" if null.n_folds is None else f"Each of {null.n_folds} folds"
    near = " Steps so near to the training that the label remembers it are left out."
    return {
        "folds": f"{folds} of the recording was decoded by an encoder and a decoder that had not "
        f"seen it; then the label of the whole recording was moved in time against what was "
        f"decoded.",
        "held-out": f"Encoder and decoder stay as they are; the label was moved in time "
        f"against what was decoded on held-out steps.{near if null.is_shifted else ''}",
        "retrained": "The encoder was trained anew on each moved label.",
    }.get(null.method, "")


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
    extremes = [result.say_main(end) for end in (min(folds.values), max(folds.values))]
    return Chart(
        f"folds-{place}", f"{title[0].upper()}{title[1:]}, by fold",
        f"{said}; from {extremes[0]} to {extremes[1]}.",
        f"{said}. Encoder and decoder of a fold have not seen it. Line: the mean. Dashed: chance.",
        [line(ends, np.repeat(mean, 2), "mean", LINE, hoverinfo="skip"), dots],
        layout(
            {
                "title": "fold", "range": ends.tolist(), "showgrid": False,
                **({"dtick": 1} if named else {}),
            },
            {"range": reach([*drawn, mean, chance], 0.2)},
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
    return matrix_chart(
        "consistency", "Consistency between trainings", said,
        f"{said} From each row's embedding to each column's, by a linear map.", names, r2,
    )  # fmt: skip


def matrix_chart(
    id: str, title: str, said: str, caption: str, names: list[str], r2: FloatArray
) -> Chart:
    """Draw an R2 from each embedding to each.

    Parameters
    ----------
    id, title, said, caption : str
        See `Chart`.
    names : list of K str
        Safe for plotly.
    r2 : ndarray of shape (K, K)
    """
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
        id, title, said, caption, [trace],
        layout(
            {"title": "to", **ticks, "showline": False},
            {"title": "from", "autorange": "reversed", **ticks, "showline": False},
            font={"color": INK},
        ),
        height=min(480, 180 + 44 * len(names)),
    )  # fmt: skip
