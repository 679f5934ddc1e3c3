"""The page's section of several recordings: each alone, and what the others say of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from grevy.archive import ArchivedRun, recording_names
from grevy.report.figures.panels import CHANCE, FAINT, LINE
from grevy.report.figures.rows import LOWEST_R2, OTHER
from grevy.report.page.charts import Chart, layout, reach, text
from grevy.report.page.evidence import MAX_MATRIX, matrix_chart
from grevy.report.page.packing import plain
from grevy.report.recordings import (
    FITTED_ON,
    Across,
    InRecording,
    across_sentence,
    seen_words,
)
from grevy.report.words import NOTHING, plural, probability, score, short, thousands

# In pixels: of a recording in the chart of all.
ROW_HEIGHT = 54
# Above and below the middle of a recording's row.
PLACES = {"others": -0.22, "own": 0.0, "all": 0.22}
COLOURS = {"others": LINE, "own": OTHER, "all": FAINT}


def recordings_part(run: ArchivedRun, across: list[Across]) -> dict[str, Any] | None:
    """Gather what the page says about each of several recordings; None of a lone one."""
    if not across:
        return None
    charts = [_scores_chart(each, place) for place, each in enumerate(across)]
    agreements = [
        _agreement_chart(run, each.label.name, place) for place, each in enumerate(across)
    ]
    return {
        "lead": seen_words(run.config),
        "charts": charts,
        "agreements": [each for each in agreements if isinstance(each, Chart)],
        "notes": [each for each in agreements if isinstance(each, str)],
        "each": [_alone(run, across, number) for number in range(len(across[0].each))],
        "verdicts": [
            (short(each.label.name, 60), across_sentence(each)) for each in across
        ],
    }  # fmt: skip


def _alone(run: ArchivedRun, across: list[Across], number: int) -> dict[str, Any]:
    """Gather what there is to say about one recording."""
    data = run.manifest["data"][number]
    steps = run.metrics["recordings"][number]
    said = [
        f"{plural(int(data['time_steps']), 'step')} of {plural(int(data['neurons']), 'neuron')}",
        f"{thousands(int(steps['train_steps']))} to train on",
        f"{thousands(int(steps['test_steps']))} held out",
    ]
    rows = []
    for each in across:
        one = each.each[number]
        for which, words in FITTED_ON.items():
            if which in one.scores:
                rows.append(_row(each, one, which, words))
    notes = [
        f"No p for {short(each.label.name, 40)}: {short(each.each[number].no_p, 400)}"
        for each in across
        if each.each[number].no_p
    ]
    return {
        "name": short(recording_names(run.manifest)[number], 80),
        "facts": ", ".join(said),
        "rows": rows,
        "notes": notes,
    }


def _row(across: Across, one: InRecording, which: str, words: str) -> dict[str, Any]:
    own = one.scores[which]
    null = one.null if which == "others" else None
    return {
        "label": short(across.label.name, 40),
        "measure": across.label.title(),
        "fitted_on": words,
        "is_main": which == "others",
        "score": across.label.say_bare(own.value),
        "interval": across.label.say_interval(own.interval) if own.interval else NOTHING,
        "chance": across.label.say_bare(one.chance),
        "p": probability(null.deciding_p) if null else NOTHING,
        "decoder": short(one.decoders[which] or NOTHING, 60),
    }


def _scores_chart(across: Across, place: int) -> Chart:
    """Draw the three scores of each recording, a row each, beside its chance."""
    label, count = across.label, len(across.each)
    lowest = LOWEST_R2 if label.kind == "continuous" else -np.inf
    traces = [_dots(across, which, lowest) for which in PLACES]
    chance = {
        "type": "scatter", "mode": "markers", "name": "chance",
        "x": plain([one.chance for one in across.each]), "y": list(range(count)),
        "marker": {
            "symbol": "line-ns", "size": 30, "line": {"color": CHANCE, "width": 2}, "opacity": 1,
        },
        "hovertemplate": "chance %{x:.3f}<extra></extra>",
    }  # fmt: skip
    said = "; ".join(
        f"{one.name} {label.say_main(one.scores['others'].value)}"
        for one in across.each
        if "others" in one.scores
    )
    ends = [
        max(end, lowest)
        for one in across.each
        for each in one.scores.values()
        for end in (each.value, *(each.interval or ()))
    ]
    better = "Right is better." if label.measure.larger_is_better else "Left is better."
    names = [text(short(one.name, 24)) for one in across.each]
    return Chart(
        f"recordings-{place}", f"{short(label.name, 40)}: held-out {label.title()}, by recording",
        f"Decoded by what the other recordings have taught: {said}.",
        f"Bars: 95 % intervals. {better}", [chance, *traces],
        layout(
            {"range": reach([*ends, *(one.chance for one in across.each)], 0.06)},
            {
                "tickvals": list(range(count)), "ticktext": names, "nticks": 0,
                "range": [count - 0.4, -0.6], "showgrid": False, "showline": False, "ticks": "",
            },
            showlegend=True,
        ),
        height=140 + ROW_HEIGHT * count,
    )  # fmt: skip


def _dots(across: Across, which: str, lowest: float) -> dict[str, Any]:
    shown = [(i, one.scores[which]) for i, one in enumerate(across.each) if which in one.scores]
    at = [max(each.value, lowest) for _, each in shown]
    ends = [each.interval or (each.value, each.value) for _, each in shown]
    above = [max(high, lowest) - x for x, (_, high) in zip(at, ends, strict=True)]
    below = [x - max(low, lowest) for x, (low, _) in zip(at, ends, strict=True)]
    return {
        "type": "scatter", "mode": "markers", "name": f"by {FITTED_ON[which].lower()}",
        "x": plain(at), "y": plain([i + PLACES[which] for i, _ in shown]),
        "text": [across.label.say_main(each.value) for _, each in shown],
        "marker": {"size": 11 if which == "others" else 8, "color": COLOURS[which], "opacity": 1},
        "error_x": {
            "type": "data", "symmetric": False, "thickness": 2, "width": 0,
            "color": COLOURS[which], "array": plain(above), "arrayminus": plain(below),
        },
        "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip


def _agreement_chart(run: ArchivedRun, name: str, place: int) -> Chart | str | None:
    """Draw how well each recording's embedding maps onto each other's, by a label; or why not."""
    found = (run.metrics.get("agreement") or {}).get(name)
    if not isinstance(found, Mapping):
        return None
    if found.get("reason"):
        reason = short(str(found["reason"]).removeprefix("consistency: "), 400)
        return f"No agreement of the recordings by {short(name, 40)}: {reason}"
    names = [text(short(each, 16)) for each in found.get("names", [])]
    if not 2 <= len(names) <= MAX_MATRIX:
        return None
    said = (
        f"Mean R² between different recordings: {score(found.get('mean'))}; with the labels moved "
        f"in time it would be {score(found.get('chance'))}."
    )
    return matrix_chart(
        f"alike-{place}", f"Agreement of the recordings, by {short(name, 40)}", said,
        f"{said} From each row's mean embedding at each value of the label to each column's, by a "
        f"linear map, on held-out steps.", names, np.array(found["r2"], dtype=np.float64),
    )  # fmt: skip
