"""Many runs: found, read, put side by side, and chosen from without fooling oneself."""

from grevy.sweeps.alike import Alike, consistency_lines, over_recordings, over_seeds
from grevy.sweeps.choosing import Choice, choose, cross_chosen
from grevy.sweeps.comparing import Comparison, compare_folders, compare_runs
from grevy.sweeps.finding import find_runs
from grevy.sweeps.metric import Metric, find_metric, list_metrics
from grevy.sweeps.page import write_page
from grevy.sweeps.records import Records, RunRecord, make_record, read_records
from grevy.sweeps.rows import Row, make_rows
from grevy.sweeps.tables import run_table, write_csv, write_parquet
from grevy.sweeps.words import below_table, cells, choice_lines, head

__all__ = [
    "Alike",
    "Choice",
    "Comparison",
    "Metric",
    "Records",
    "Row",
    "RunRecord",
    "below_table",
    "cells",
    "choice_lines",
    "choose",
    "compare_folders",
    "compare_runs",
    "consistency_lines",
    "cross_chosen",
    "find_metric",
    "find_runs",
    "head",
    "list_metrics",
    "make_record",
    "make_rows",
    "over_recordings",
    "over_seeds",
    "read_records",
    "run_table",
    "write_csv",
    "write_page",
    "write_parquet",
]
