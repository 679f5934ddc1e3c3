"""One HTML page from an archived run: opens by itself, asks nothing of any network."""

import math
from datetime import datetime
from typing import Any

from grevy.archive import ArchivedRun, recording_names, without_home
from grevy.evaluation import MAX_CONFUSED
from grevy.report.page.baselines import baseline_chart, gain_chart
from grevy.report.page.decoded import decoded_charts, has_no_matrix
from grevy.report.page.document import document
from grevy.report.page.evidence import (
    consistency_chart,
    evidence_lead,
    folds_chart,
    loss_chart,
    null_chart,
)
from grevy.report.page.methods import bibtex, command, methods
from grevy.report.page.packing import script_json
from grevy.report.page.recordings import recordings_part
from grevy.report.page.space import space_data
from grevy.report.page.table import score_table
from grevy.report.recordings import across_recordings
from grevy.report.results import LabelResult, held_out_words, label_results
from grevy.report.summary import said_settings
from grevy.report.verdict import latent_sentence, run_verdicts
from grevy.report.words import NOTHING, duration, listed, number, plural, short
from grevy.version import __version__

SCRIPTS = ("arrays.js", "legend.js", "embedding.js", "player.js", "charts.js", "start.js")
# Time windows to choose from: so many make up the recording.
WINDOWS = {
    1: "All",
    2: "A half",
    5: "A fifth",
    10: "A tenth",
    20: "A 20th",
    50: "A 50th",
    100: "A 100th",
}
# Names from data are cut to this length wherever they appear.
NAME_LENGTH = 80
TIMES, PLUS_MINUS = "\N{MULTIPLICATION SIGN}", "\N{PLUS-MINUS SIGN}"


def report_html(run: ArchivedRun) -> str:
    """Write the report of a run as one HTML page.

    Everything that comes from data, file names or the archive is escaped, and the page's own
    security policy lets no other script run and nothing be fetched.

    Parameters
    ----------
    run : ArchivedRun
        As `grevy.read_run` returns it; labels, decoded values and any of the metrics may
        be missing.

    Returns
    -------
    str
        Under 8 MB, of which plotly.js is 5, however long the recording is.
    """
    from markupsafe import Markup

    results = label_results(run)
    labels = [_label_part(run, result, place) for place, result in enumerate(results)]
    loss, consistency = loss_chart(run), consistency_chart(run)
    recordings = recordings_part(run, across_recordings(run, results))
    charts = [chart for part in labels for chart in (*part["decoded"], *part["evidence"])]
    charts += [chart for chart in (loss, consistency) if chart is not None]
    charts += [] if recordings is None else [*recordings["charts"], *recordings["agreements"]]
    space = space_data(run)
    return document(
        "report.html.j2",
        SCRIPTS,
        space=space,
        space_json=Markup(script_json(space)),
        windows={n: name for n, name in WINDOWS.items() if n == 1 or space["count"] >= 10 * n},
        charts=Markup(script_json({chart.id: chart.specification for chart in charts})),
        verdicts=run_verdicts(results, run.metrics),
        latent=latent_sentence(run.metrics),
        notes=[_sentence(short(str(run.metrics["note"]), 2000))] if run.metrics.get("note") else [],
        labels=labels,
        most_classes=MAX_CONFUSED,
        evidence_lead=evidence_lead(results),
        loss=loss,
        consistency=consistency,
        recordings=recordings,
        bits=_bits(run),
        dimension=run.embedding.shape[1],
        **_about(run),
        methods=methods(run, results),
        bibtex=bibtex(str(run.manifest.get("versions", {}).get("grevy", __version__))),
    )


def _label_part(run: ArchivedRun, result: LabelResult, place: int) -> dict[str, Any]:
    """Gather what the page says about one label."""
    evidence = [
        draw(result, place) for draw in (baseline_chart, gain_chart, null_chart, folds_chart)
    ]
    label = next((each for each in run.labels if each.name == result.name), None)
    return {
        "name": short(result.name, NAME_LENGTH),
        "kind": result.kind,
        "place": place,
        "decoded": decoded_charts(run, result, place),
        "classes_in_the_way": len(label.classes) if label and has_no_matrix(label) else 0,
        "evidence": [chart for chart in evidence if chart is not None],
        "table": score_table(result),
        "leaky": result.leaky,
        "is_without_p": result.is_without_p,
        "per_dimension": _per_dimension(result),
    }


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _per_dimension(result: LabelResult) -> str:
    """Say the R2 of each dimension of a label that has several."""
    values = (result.tables.get("blocked") or {}).get("embedding", {}).get("per_dimension_test_r2")
    if not isinstance(values, list) or len(values) < 2:
        return ""
    return "Held-out R² by dimension: " + ", ".join(result.say_bare(v) for v in values) + "."


def _bits(run: ArchivedRun) -> list[tuple[str, str]]:
    """Say the goodness of fit, in bits below chance, in training and on held-out time."""
    said = []
    held_out = f"on {held_out_words(run.metrics)}"
    for key, where in (("", "at the end of training"), ("_heldout", held_out)):
        bits = run.metrics.get(f"goodness_of_fit{key}_bits")
        error = run.metrics.get(f"goodness_of_fit{key}_error")
        if isinstance(bits, int | float):
            known = isinstance(error, int | float) and math.isfinite(error)
            spread = f" {PLUS_MINUS} {number(error)}" if known else ""
            said.append((where, f"{number(float(bits))}{spread}"))
    return said


def _about(run: ArchivedRun) -> dict[str, Any]:
    """Gather what the page says about data, settings and provenance."""
    manifest = run.manifest
    data = [
        {
            "name": short(str(each.get("name") or ""), NAME_LENGTH),
            "source": short(without_home(str(each.get("source", ""))), 200),
            "shape": f"{plural(int(each['time_steps']), 'step')} {TIMES} "
            f"{plural(int(each['neurons']), 'neuron')}",
            "sha256": str(each.get("sha256", "")),
        }
        for each in manifest.get("data", [])
    ]
    title = data[0]["source"] if data else "Arrays"
    if len(data) > 1:
        called = [short(name, 24) for name in recording_names(manifest)]
        more = [f"{len(called) - 5} more"] if len(called) > 6 else called[5:]
        title = f"{plural(len(data), 'recording')}: {listed([*called[:5], *more])}"
    return {
        "title": title,
        "facts": _facts(run),
        "data": data,
        "settings": _settings(run.config),
        "command": command(run.config),
        "versions": dict(manifest.get("versions", {})),
        "provenance": _provenance(run),
    }


def _facts(run: ArchivedRun) -> list[tuple[str, str]]:
    held = run.metrics.get("holdout")
    test = f"{plural(int(held['test_steps']), 'step')}" if isinstance(held, dict) else "nothing"
    if isinstance(held, dict) and held.get("split") == "segments":
        test += f" in {plural(int(held.get('test_segments', 0)), 'whole segment')}"
    elif isinstance(held, dict):
        test += " in blocks"
    steps = len(run.embedding)
    lasting = f", {duration(steps / run.sampling_rate)}" if run.sampling_rate else ""
    neurons = {int(each["neurons"]) for each in run.manifest.get("data", [])}
    ends = sorted({min(neurons), max(neurons)}) if neurons else []
    labels = [f"{short(label.name, 40)} ({label.kind})" for label in run.labels[:6]]
    more = [f"{len(run.labels) - 6} more"] if len(run.labels) > 6 else []
    return [
        ("Recorded", f"{plural(steps, 'step')}{lasting}"),
        ("Neurons", " to ".join(map(str, ends)) or NOTHING),
        ("Labels", ", ".join([*labels, *more]) or "none"),
        ("Embedding", plural(run.embedding.shape[1], "dimension")),
        ("Held out", test),
        ("Training", plural(len(run.history.get("loss", ())), "step")),
    ]


def _provenance(run: ArchivedRun) -> list[tuple[str, str]]:
    manifest = run.manifest
    finished = str(manifest.get("finished", ""))
    try:
        finished = f"{datetime.fromisoformat(finished):%d %B %Y, %H:%M} UTC".lstrip("0")
    except ValueError:
        finished = NOTHING
    seconds = manifest.get("seconds")
    platform = manifest.get("platform", {})
    built_for = [str(platform[key]) for key in ("system", "machine") if key in platform]
    return [
        ("Run", short(str(manifest.get("run_id", NOTHING)), 40)),
        ("Finished", finished),
        ("Duration", duration(seconds) if isinstance(seconds, int | float) else NOTHING),
        ("Seed", _setting(run.config.get("seed"))),
        ("Device", _setting(run.config.get("device"))),
        ("Platform", " ".join(built_for) or NOTHING),
        ("Checksums", "of every file in manifest.json"),
    ]  # fmt: skip


def _settings(config: dict[str, Any]) -> list[tuple[str, str]]:
    """List the settings; of several recordings each has a line."""
    several = config.get("sessions") or ()
    said = [(name, _setting(value)) for name, value in config.items() if name != "sessions"]
    return said + [("session", short(without_home(said_settings(each)), 200)) for each in several]


def _setting(value: Any) -> str:
    """Write a setting as its flag would take it."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value)) or NOTHING
    return short(without_home(str(value)), 200)


__all__ = ["report_html"]
