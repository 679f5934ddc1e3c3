"""The commands that put runs side by side: `grevy compare` and `grevy best`."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from shutil import get_terminal_size
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from grevy.errors import columns, cut_to, shown_line

if TYPE_CHECKING:
    from grevy.sweeps import Comparison

_LOG = logging.getLogger(__name__)
MOST_ROWS = 50
"""So many rows a terminal shows; a file or a pipe gets all."""
MOST_SKIPPED = 20
WIDEST_CELL = 60

By = Annotated[
    str | None,
    typer.Option(
        help="Dotted name of a score in metrics.json. Default: the first label's, held out.",
        metavar="METRIC",
    ),
]


def compare(
    places: Annotated[
        list[Path], typer.Argument(help="Folders of runs, at any depth.", metavar="DIR...")
    ],
    by: By = None,
    consistency: Annotated[
        bool,
        typer.Option(
            "--consistency", help="How alike embeddings are between seeds, and recordings."
        ),
    ] = False,
    csv: Annotated[Path | None, typer.Option(help="Write every run and score as CSV.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="The same as Parquet.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page that opens offline.")] = None,
) -> None:
    """Compare finished runs: what differs, scores over seeds, and which is best, if any is."""
    from grevy.sweeps import (
        compare_folders,
        consistency_lines,
        write_csv,
        write_page,
        write_parquet,
    )

    found = compare_folders(places, by)
    _tell_skipped(found.skipped)
    _print_table(found, places)
    alike = consistency_lines(found) if consistency else []
    if alike:
        print("\n".join(["", *alike]))
    for path, write in ((csv, write_csv), (parquet, write_parquet)):
        if path is not None:
            write(found, path, places)
            print(shown_line(str(path)))
    if html is not None:
        write_page(found, html, places, alike)
        print(shown_line(str(html)))


def best(
    place: Annotated[Path, typer.Argument(help="Folder of runs, at any depth.", metavar="DIR")],
    by: By = None,
) -> None:
    """Choose the best of many runs, and say how good it is by what did not choose it."""
    from grevy.sweeps import choice_lines, choose, find_metric, read_records

    records = read_records([place])
    _tell_skipped(records.skipped)
    choice = choose(records.runs, find_metric(records.runs, by))
    print("\n".join(choice_lines(choice)))


def _tell_skipped(skipped: Sequence[str]) -> None:
    for line in skipped[:MOST_SKIPPED]:
        _LOG.warning(f"skipped {shown_line(line)}")
    if len(skipped) > MOST_SKIPPED:
        _LOG.warning(f"skipped {len(skipped) - MOST_SKIPPED} more")


def _print_table(found: "Comparison", places: Sequence[Path]) -> None:
    """Print the table: for a terminal as wide as it is, else in plain columns."""
    from grevy.sweeps import below_table, cells, head

    is_terminal = sys.stdout.isatty()
    titles = head(found, is_terminal)
    rows = [cells(found, row, places, is_terminal) for row in found.rows.rows]
    if is_terminal:
        _print_rich(titles, rows[:MOST_ROWS])
        if len(rows) > MOST_ROWS:
            print(f"... and {len(rows) - MOST_ROWS} more rows; `--csv FILE` writes them all.")
    else:
        print("\n".join(_aligned([titles, *rows])))
    print()
    lines = below_table(found)
    if is_terminal:
        width = get_terminal_size().columns
        lines = [part for line in lines for part in wrap(line, width, subsequent_indent="  ")]
    print("\n".join(lines))


def _print_rich(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    last = len(titles) - 1
    for place, title in enumerate(titles):
        is_number = title in ("mean", "n")
        is_run = place == last
        table.add_column(
            Text(title),
            justify="right" if is_number else "left",
            overflow="ellipsis" if is_run else "fold",
            no_wrap=is_run or is_number or title == "seeds",
        )
    for row in rows:
        table.add_row(*map(Text, row), style="bold" if row[0] else "")
    Console().print(table)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    cut = [[cut_to(cell, WIDEST_CELL) for cell in row] for row in rows]
    widths = [max(map(columns, column)) for column in zip(*cut, strict=True)]
    return [
        "  ".join(
            cell + " " * (width - columns(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in cut
    ]
