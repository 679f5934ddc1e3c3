"""A comparison as a page: what is shown is gathered here, how it looks is the report's."""

import base64
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from grevy.archive import REPORT, read_run, without_home, write_bytes
from grevy.errors import GrevyError
from grevy.report import (
    PageContent,
    PageMetric,
    PagePicture,
    PageRow,
    PageRun,
    comparison_html,
    embedding_thumbnail,
    plural,
    short,
)
from grevy.sweeps.choosing import choose, nearest_run
from grevy.sweeps.comparing import Comparison
from grevy.sweeps.metric import RAW_LOSS, SOURCE, VALIDATION, Metric, list_metrics
from grevy.sweeps.rows import Row
from grevy.sweeps.words import choice_facts, run_name, say, say_setting, say_spread

MOST_METRICS, MOST_PICTURES = 30, 6


def write_page(
    comparison: Comparison,
    path: Path,
    places: Sequence[Path] = (),
    consistency: Sequence[str] = (),
) -> None:
    """Write the page of a comparison: one file, which opens offline and links to each report.

    Parameters
    ----------
    comparison : Comparison
    path : Path
    places : sequence of Path
        Where the runs were looked for.
    consistency : sequence of str
        How alike embeddings are, as `consistency_lines` says it.

    Raises
    ------
    WriteError
        If the file cannot be written.
    """
    content = replace(page_content(comparison, path, places), consistency=tuple(consistency))
    html = comparison_html(content)
    # A file name that is not valid text may hold what UTF-8 cannot write.
    write_bytes(path, html.encode("utf-8", errors="replace"))


def page_content(comparison: Comparison, path: Path, places: Sequence[Path] = ()) -> PageContent:
    """Gather what the page shows; `path` is where it will lie, from which it links."""
    runs, rows = comparison.runs, comparison.rows.rows
    metrics = list(_metrics(comparison))
    where = ", ".join(without_home(str(place)) for place in places)
    n_data = len({each for run in runs for each in run.checksums})
    facts = (
        ("Runs", str(len(runs))),
        ("Rows", str(len(rows))),
        ("Recordings", str(n_data)),
        ("Passed over", str(len(comparison.skipped)) if comparison.skipped else "nothing"),
    )
    return PageContent(
        title=short(where, 120) or plural(len(runs), "run"),
        facts=facts,
        verdict=tuple(_verdict(comparison)),
        notes=comparison.notes,
        skipped=tuple(short(line, 400) for line in comparison.skipped[:200]),
        settings=comparison.rows.names,
        metrics=tuple(_page_metric(comparison, metric) for metric in metrics),
        rows=tuple(_page_row(row, metrics, path, places) for row in rows),
        pictures=tuple(_pictures(rows, path)),
    )


def _metrics(comparison: Comparison) -> Iterator[Metric]:
    """Yield the metric compared by, then others that a reader may look at."""
    yield comparison.metric
    count = 1
    for name, metric in list_metrics(comparison.runs).items():
        of_label = name.startswith(f"scores.{metric.label}.blocked.{SOURCE}.")
        is_gain = name.endswith(".gain.value")
        chooses = name.startswith(f"{VALIDATION}{metric.label}.")
        wanted = not metric.label or of_label or chooses or is_gain or name.endswith(".mean")
        in_training = name.rsplit(".", 1)[-1].startswith("train_")
        if not wanted or in_training or name in (RAW_LOSS, comparison.metric.name):
            continue
        count += 1
        if count > MOST_METRICS:
            return
        yield metric


def _page_metric(comparison: Comparison, metric: Metric) -> PageMetric:
    if metric == comparison.metric:
        unit, chance = comparison.unit, comparison.chance
    else:
        found = [value for run in comparison.runs if (value := metric.chance_of(run)) is not None]
        unit = metric.unit or ("label's unit" if metric.in_label_unit else "")
        chance = tuple(dict.fromkeys((min(found), max(found)))) if found else ()
    return PageMetric(metric.name, metric.title, unit, metric.larger_is_better, chance)


def _page_row(row: Row, metrics: Sequence[Metric], path: Path, places: Sequence[Path]) -> PageRow:
    return PageRow(
        settings=tuple(_setting(value) for value in row.settings.values()),
        group=row.task,
        best=row.best,
        runs=tuple(
            PageRun(
                short(run_name(run.folder.root, places), 200),
                "" if run.seed is None else str(run.seed),
                link(run.folder / REPORT, path),
            )
            for run in row.runs
        ),
        scores=tuple(_score(row, metric) for metric in metrics),
    )


def _setting(value: Any) -> Any:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return value if plain or value is None else say_setting(value)


def _score(row: Row, metric: Metric) -> tuple[float, float | None, float | None, int] | None:
    own = row.by(metric.name)
    if own.mean is None:
        return None
    spread = own.spread
    low, high = (None, None) if spread is None else (spread.low, spread.high)
    return own.mean, low, high, len(own.known)


def link(target: Path, page: Path) -> str:
    """Return how a page links to a file, relative where that can be; empty if there is no file.

    Whatever a folder is called, the link leads to a file: what would be a scheme is escaped.
    """
    if not target.is_file():
        return ""
    try:
        relative = os.path.relpath(target.resolve(), page.resolve().parent)
    except ValueError:  # on another drive
        return target.resolve().as_uri()
    return quote(Path(relative).as_posix().encode("utf-8", "surrogateescape"))


def _verdict(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Say which rows stand out, and how good the best is by what did not choose it."""
    for row in comparison.marked:
        settings = _settings_words(row) or "the settings all alike"
        spread = say_spread(comparison, row.spread)
        yield "Best", f"{settings}, {say(comparison, row.mean, True)} ({spread} over seeds)."
    if not comparison.marked:
        yield "No row stands out", f"{comparison.unmarked}."
    if comparison.rows.n_tasks == 1 and len(comparison.rows.rows) > 1:
        try:
            choice = choose(comparison.runs, comparison.metric)
        except GrevyError as error:
            yield "Not chosen", str(error)
            return
        said = _settings_words(choice.row)
        if choice.apart is None:
            said += f", {say(comparison, choice.row.mean, True)}"
        for name, words in choice_facts(choice):
            yield name.capitalize(), (f"{said}, {words}" if name == "chosen" else words) + "."


def _settings_words(row: Row) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {say_setting(value)}" for name, value in row.settings.items()
    )


def _pictures(rows: Sequence[Row], path: Path) -> Iterator[PagePicture]:
    """Draw the embeddings of the first rows; one that cannot be read is left out."""
    drawn = 0
    for row in rows:
        if drawn == MOST_PICTURES or row.mean is None:
            return
        run = nearest_run(row)
        try:
            png, caption = embedding_thumbnail(read_run(run.folder))
        except GrevyError:
            continue
        drawn += 1
        seed = "" if run.seed is None else f", seed {run.seed}"
        title = short((_settings_words(row) or "all settings alike") + seed, 160)
        text = base64.b64encode(png).decode("ascii")
        yield PagePicture(title, caption, text, link(run.folder / REPORT, path))
