"""Many runs from one file: planned, done where there is room, watched, and gone on with."""

from grevy.sweeps.folder import SweepFolder
from grevy.sweeps.planning import PlannedRun
from grevy.sweeps.standing import Result, Standing, read_result, read_standing, running_runs
from grevy.sweeps.sweeping import Audience, Sweep, do_sweep, prepare_sweep
from grevy.sweeps.working import Outcome

__all__ = [
    "Audience",
    "Outcome",
    "PlannedRun",
    "Result",
    "Standing",
    "Sweep",
    "SweepFolder",
    "do_sweep",
    "prepare_sweep",
    "read_result",
    "read_standing",
    "running_runs",
]
