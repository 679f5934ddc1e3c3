"""Runs side by side: rows, what their numbers are in, what knowing nothing scores, what to mind."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from grevy.archive import read_label_notes
from grevy.errors import GrevyError
from grevy.report import plural, unit_name
from grevy.sweeps.metric import FIT, RAW_LOSS, Metric, find_metric
from grevy.sweeps.records import RunRecord, read_records
from grevy.sweeps.rows import FEWEST_FOR_T, Row, Rows, make_rows, number_of_negatives

RULE = (
    "A row is marked (*) as the best only if its mean over seeds is better than that of every "
    "other row: Welch's t, one-sided, 0.05 divided by the number of rows."
)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs compared by one number.

    Attributes
    ----------
    runs : tuple of RunRecord
    metric : Metric
    unit : str
        Of the metric; empty if it has none, or runs differ in it.
    rows : Rows
    chance : tuple of float
        The lowest and the highest that knowing nothing scores in the runs; empty if unknown.
    unmarked : str
        Why no row is marked as the best; empty if one is.
    notes : tuple of str
        What else a reader has to know of the rows; the first says by what rule one is marked.
    skipped : tuple of str
        One line for each folder that was passed over, with the reason.
    """

    runs: tuple[RunRecord, ...]
    metric: Metric
    unit: str
    rows: Rows
    chance: tuple[float, ...]
    unmarked: str
    notes: tuple[str, ...]
    skipped: tuple[str, ...] = field(default=())

    @property
    def marked(self) -> tuple[Row, ...]:
        """The rows marked as the best of their task."""
        return tuple(row for row in self.rows.rows if row.best)


def compare_folders(places: Sequence[Path], by: str | None = None) -> Comparison:
    """Compare all finished runs below some folders.

    Parameters
    ----------
    places : sequence of Path
    by : str, optional
        The dotted name of a number in ``logs/metrics.json``. If left out, the score that decides of
        the first label on held-out steps.

    Raises
    ------
    GrevyError
        If there is no run, no such score, or its values cannot be compared.
    """
    records = read_records(places)
    return compare_runs(records.runs, find_metric(records.runs, by), records.skipped)


def compare_runs(
    runs: Sequence[RunRecord], metric: Metric, skipped: Sequence[str] = ()
) -> Comparison:
    """Compare runs by one number; see `compare_folders`."""
    refuse_raw_losses(runs, metric)
    units = _units(runs, metric)
    known = sorted(set(units) - {""})
    rows = make_rows(runs, metric, units)
    chances = [value for run in runs if (value := metric.chance_of(run)) is not None]
    return Comparison(
        tuple(runs),
        metric,
        metric.unit or (known[0] if len(known) == 1 else ""),
        rows,
        tuple(dict.fromkeys((min(chances), max(chances)))) if chances else (),
        _why_unmarked(rows),
        tuple(_notes(runs, metric, rows, known)),
        tuple(skipped),
    )


def refuse_raw_losses(runs: Sequence[RunRecord], metric: Metric) -> None:
    """Refuse to compare losses that differ by the number of negatives alone.

    Raises
    ------
    GrevyError
        Saying what to compare instead.
    """
    found = sorted({str(number_of_negatives(run)) for run in runs if metric.name in run.numbers})
    if metric.name == RAW_LOSS and len(found) > 1:
        raise GrevyError(
            f"`by={RAW_LOSS}`: the loss of knowing nothing is the logarithm of the number of "
            f"negatives, which differs here ({', '.join(found)}), so these losses cannot be "
            f"compared. Use `by={FIT}`, the distance from that."
        )


def _units(runs: Sequence[RunRecord], metric: Metric) -> list[str]:
    """Return the unit of the metric in each run; empty where it has none or none is known."""
    if not metric.in_label_unit:
        return []
    found = []
    for run in runs:
        try:
            notes = read_label_notes(run.folder).get(metric.label)
        except GrevyError:
            notes = None
        found.append(unit_name(*notes) if notes else "")
    return found


def _notes(
    runs: Sequence[RunRecord], metric: Metric, rows: Rows, units: Sequence[str]
) -> list[str]:
    notes = [RULE]
    without = sum(metric.name not in run.numbers for run in runs)
    if without:
        notes.append(f"{plural(without, 'run')} of {len(runs)} without this number.")
    if rows.n_tasks > 1:
        differing = "units" if len(units) > 1 else "recordings, or other parts of them held out"
        if metric.is_fit:
            differing = "recordings, held-out parts or ways of drawing samples"
        notes.append(
            f"{rows.n_tasks} groups of rows with different {differing}: their scores are not "
            f"compared, and each group stands by itself."
        )
    if rows.repeated:
        notes.append(
            f"{plural(len(rows.repeated), 'run')} left out that repeat settings, data and seed of "
            f"another: {', '.join(rows.repeated[:3])}{', ...' * (len(rows.repeated) > 3)}."
        )
    negatives = sorted({str(number_of_negatives(run)) for run in runs})
    if metric.is_fit and len(negatives) > 1:
        notes.append(
            f"Numbers of negatives differ ({', '.join(negatives)}), and the bits of a run end at "
            f"log2 of its own: a low end may be that."
        )
    if any(row.spread and not row.spread.is_interval for row in rows.rows):
        notes.append(f"Of fewer than {FEWEST_FOR_T} seeds the range is shown, not an interval.")
    return notes


def _why_unmarked(rows: Rows) -> str:
    """Say why no row is marked as the best; empty if one is."""
    if any(row.best for row in rows.rows):
        return ""
    if len(rows.rows) == rows.n_tasks:
        return "there is one row alone" + " in each group" * (rows.n_tasks > 1)
    if not any(len(row.known) > 1 for row in rows.rows):
        return "one seed each says nothing of how far seeds differ"
    if any(len(row.known) == 1 for row in rows.rows):
        return "seeds explain the differences, or rows have one seed alone, which says nothing"
    return "seeds explain the differences"
