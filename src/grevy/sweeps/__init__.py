"""Many runs: planned, done where there is room, watched; found, compared, and chosen among."""

from grevy.sweeps.alike import Alike, consistency_lines, over_recordings, over_seeds
from grevy.sweeps.choosing import Choice, choose, cross_chosen, pick
from grevy.sweeps.comparing import Comparison, compare_folders, compare_runs
from grevy.sweeps.finding import find_runs
from grevy.sweeps.folder import SweepFolder
from grevy.sweeps.metric import Metric, find_metric, list_metrics
from grevy.sweeps.page import write_page
from grevy.sweeps.planning import PlannedRun
from grevy.sweeps.records import Records, RunRecord, make_record, read_records
from grevy.sweeps.rows import Row, make_rows
from grevy.sweeps.standing import (
    Result,
    Standing,
    comparable,
    read_result,
    read_standing,
    running_runs,
)
from grevy.sweeps.sweeping import Audience, Sweep, do_sweep, prepare_sweep
from grevy.sweeps.tables import run_table, write_csv, write_parquet
from grevy.sweeps.words import below_table, cells, choice_lines, head
from grevy.sweeps.working import Outcome

__all__ = [
    "Alike",
    "Audience",
    "Choice",
    "Comparison",
    "Metric",
    "Outcome",
    "PlannedRun",
    "Records",
    "Result",
    "Row",
    "RunRecord",
    "Standing",
    "Sweep",
    "SweepFolder",
    "below_table",
    "cells",
    "choice_lines",
    "choose",
    "comparable",
    "compare_folders",
    "compare_runs",
    "consistency_lines",
    "cross_chosen",
    "do_sweep",
    "find_metric",
    "find_runs",
    "head",
    "list_metrics",
    "make_record",
    "make_rows",
    "over_recordings",
    "over_seeds",
    "pick",
    "prepare_sweep",
    "read_records",
    "read_result",
    "read_standing",
    "run_table",
    "running_runs",
    "write_csv",
    "write_page",
    "write_parquet",
]
