"""A comparison as a table for other programs: one line for each run, every score a column."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grevy.archive import write_bytes
from grevy.errors import shown_line
from grevy.sweeps.comparing import Comparison
from grevy.sweeps.metric import RAW_LOSS, list_metrics
from grevy.sweeps.words import run_name

# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@")


def run_table(comparison: Comparison, places: Sequence[Path] = ()) -> list[dict[str, Any]]:
    """Lay out one dictionary for each run, all with the same keys.

    Raw losses are left out: they cannot be compared between numbers of negatives.

    Returns
    -------
    list of dict
        ``run``, ``run_id``, ``seed``; the settings that differ; every score by its dotted name; of
        the row: ``mean``, ``low``, ``high`` (over its seeds), ``n``, ``spread`` ("interval",
        "range" or ""), ``best``.
    """
    metrics = [name for name in list_metrics(comparison.runs) if name != RAW_LOSS]
    table = []
    for row in comparison.rows.rows:
        spread = row.spread
        of_row = {
            "mean": row.mean,
            "low": None if spread is None else spread.low,
            "high": None if spread is None else spread.high,
            "n": len(row.known),
            "spread": "" if spread is None else "interval" if spread.is_interval else "range",
            "best": row.best,
        }
        settings = {
            name: value if isinstance(value, int | float | str | None) else str(value)
            for name, value in row.settings.items()
        }
        for run in row.runs:
            table.append(
                {
                    "run": run_name(run.folder.root, places),
                    "run_id": run.run_id,
                    "seed": run.seed,
                    **settings,
                    **{name: run.numbers.get(name) for name in metrics},
                    **of_row,
                }
            )
    return table


def write_csv(comparison: Comparison, path: Path, places: Sequence[Path] = ()) -> None:
    """Write `run_table` as CSV; text that a spreadsheet would run is kept from it by a quote.

    Raises
    ------
    WriteError
        If the file cannot be written.
    """
    table = run_table(comparison, places)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(map(_inert, table[0]))
    rows.writerows([_inert(value) for value in row.values()] for row in table)
    write_bytes(path, text.getvalue().encode())


def write_parquet(comparison: Comparison, path: Path, places: Sequence[Path] = ()) -> None:
    """Write `run_table` as Parquet.

    Raises
    ------
    WriteError
        If the file cannot be written.
    """
    import pyarrow
    from pyarrow import parquet

    table = run_table(comparison, places)
    columns = {name: _alike([row[name] for row in table]) for name in table[0]}
    sink = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), sink)
    write_bytes(path, sink.getvalue())


def _inert(value: Any) -> Any:
    """Keep text from doing anything where it is read: on a terminal, or in a spreadsheet."""
    if not isinstance(value, str):
        return value
    text = shown_line(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _alike(values: list[Any]) -> list[Any]:
    """Make the values of a column be of one kind: numbers, or text where they are not."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    if len(kinds) == 1 and kinds <= {int, float, bool}:
        return values
    return [None if value is None else _writable(str(value)) for value in values]


def _writable(text: str) -> str:
    """Spell out lone halves of surrogate pairs, which UTF-8 cannot write."""
    return text.encode("utf-8", "backslashreplace").decode()
