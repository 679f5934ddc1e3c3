"""A sweep, from its file to finished runs: read, checked, planned, recorded, done."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from grevy.config import RunConfig
from grevy.errors import GrevyError
from grevy.sweeps.examining import Examination, examine
from grevy.sweeps.execution import Watcher, execute, terminated_in_order
from grevy.sweeps.folder import (
    SweepFolder,
    check_place,
    check_room,
    damaged_plan,
    read_plan,
    read_recorded,
    record_sweep,
    write_plan,
)
from grevy.sweeps.places.here import WorkerDiedError
from grevy.sweeps.places.opening import check_place_name, open_place
from grevy.sweeps.planning import (
    PlannedRun,
    configurations,
    data_key,
    described,
    make_plan,
    other_data,
    raise_problems,
    settings_of_runs,
    settle,
)
from grevy.sweeps.reading import SweepFile, read_sweep
from grevy.sweeps.searching import do_trial, require_optuna, slots, trials_left
from grevy.sweeps.standing import Standing, read_standing
from grevy.sweeps.tracking.mirror import Mirror, mirrored, open_tracker
from grevy.sweeps.working import Outcome, Task, do_run

DEATHS = 3
"""A run that has ended so many workers is not tried again."""


@dataclass(frozen=True)
class Sweep:
    """A sweep that can be done: everything in it was checked.

    Attributes
    ----------
    folder : SweepFolder
    given : SweepFile
        As in the file.
    file : SweepFile
        Settled.
    checksums : dict of str to str
        Of the data, by `data_key`.
    plan : tuple of PlannedRun
    threads : int
        How many can run at once on this machine.
    """

    folder: SweepFolder
    given: SweepFile
    file: SweepFile
    checksums: dict[str, str]
    plan: tuple[PlannedRun, ...]
    threads: int


def prepare_sweep(
    path: Path,
    output: Path,
    *,
    on: str = "here",
    trust: bool = False,
    imports: Sequence[str] = (),
    to_pick: bool = False,
) -> Sweep:
    """Read and check a sweep; nothing is written.

    Parameters
    ----------
    path : Path
        Its file.
    output : Path
        Its folder, which may hold the same sweep, begun.
    on : str
        Where runs will be done.
    trust, imports
        As for `read_sweep`.
    to_pick : bool
        Whether settings are to be chosen among the runs at the end.

    Raises
    ------
    GrevyError
        Naming everything that is wrong with the file; or what of the data and models is missing;
        or if the folder holds something else; or if no settings could be chosen in the end.
    """
    check_place_name(on)
    given = read_sweep(path, trust=trust, imports=imports)
    if given.search is not None:
        require_optuna()
    check_place(output)
    folder = SweepFolder(output)
    file = settle(given, read_recorded(folder))
    configs = configurations(file)
    if to_pick:
        _check_choosable(configs)
    known = read_plan(folder)
    found = _look(file, on, models=known is None)
    settings = list(settings_of_runs(file))
    raise_problems(
        [(problem, described(settings[number], file.varied)) for number, problem in found.problems]
    )
    if known is None:
        plan = make_plan(file, configs, found.checksums)
    else:
        plan = known
        _check_plan(folder, configs, known, found)
    if to_pick and len({run.data for run in plan}) > 1:
        raise GrevyError(
            "`pick=True`: the runs are of several recordings, whose scores cannot be compared. "
            "Give each recording a sweep of its own."
        )
    return Sweep(folder, given, file, found.checksums, plan, found.threads)


def _look(file: SweepFile, on: str, models: bool) -> Examination:
    """Look at data and models in a process of its own, so that ours stays small."""
    place = "debug" if on == "debug" else "here"
    settings = list(settings_of_runs(file))
    with terminated_in_order(), open_place(place, workers=1, threads=None) as executor:
        try:
            return executor.submit(examine, settings, models).result()
        except WorkerDiedError as error:
            raise GrevyError(
                f"sweep: the data and models could not be looked at: {error}."
            ) from error


def _check_choosable(configs: Sequence[RunConfig]) -> None:
    """Refuse to choose where it would have to be by the score that is reported."""
    without = sum(not config.validation for config in configs)
    if without:
        raise GrevyError(
            f"`pick=True` chooses by a part of the training that is only watched, and {without} of "
            f"{len(configs)} runs keep none. Put `validation: 0.2`, or another fraction, into "
            f"`base` of the sweep."
        )
    for name in ("validation", "holdout", "split"):
        values = sorted({str(getattr(config, name)) for config in configs})
        if len(values) > 1:
            raise GrevyError(
                f"`pick=True`: {name!r} differs between runs ({', '.join(values)}), so their "
                f"scores are of other time steps. Give it once, in `base` of the sweep."
            )


def _check_plan(
    folder: SweepFolder,
    configs: Sequence[RunConfig],
    plan: Sequence[PlannedRun],
    found: Examination,
) -> None:
    if len(plan) != len(configs):
        raise damaged_plan(folder, f"{len(plan)} runs for {len(configs)} that were asked for")
    for config, run in zip(configs, plan, strict=True):
        if found.checksums[data_key(config)] != run.data:
            raise GrevyError(f"{folder.root}: {other_data(config)}")


class Audience(Protocol):
    """Who sees how a sweep goes."""

    def begins(self, sweep: Sweep, standing: Standing, at_once: int) -> None:
        """Take note of how it stands at the start."""

    def ended(self, outcome: Outcome) -> None:
        """Take note that a run has ended."""

    def died(self, run: PlannedRun, reason: str) -> None:
        """Take note that a run has ended its worker, and will be tried again."""

    def look(self) -> None:
        """Show how it stands."""

    def stops(self) -> None:
        """Take note that what runs is being kept, and that no more will be begun."""


def do_sweep(
    sweep: Sweep,
    audience: Audience,
    *,
    on: str = "here",
    workers: int | None = None,
    retry_failed: bool = False,
    checkpoint_minutes: float = 1.0,
    track: str | None = None,
) -> Standing:
    """Do what is missing of a sweep.

    Parameters
    ----------
    sweep : Sweep
    audience : Audience
    on : str
        Where.
    workers : int, optional
        How many runs at once; one for each core if left out.
    retry_failed : bool
        Try failed runs again.
    checkpoint_minutes : float
        How often the training of a run is kept.
    track : str, optional
        A tracker that finished runs are sent to: mlflow, tensorboard or wandb.

    Returns
    -------
    Standing
        At the end.

    Raises
    ------
    GrevyError
        If the folder cannot be written to, or somebody has just begun another sweep in it; or if
        there is no such tracker, or it cannot be reached.
    KeyboardInterrupt, SystemExit
        After Ctrl-C or SIGTERM; what was running is kept, and goes on when the sweep is started
        again.
    """
    folder = sweep.folder
    tracker = None if track is None else open_tracker(track, folder)
    sweep = _recorded(sweep)
    standing = read_standing(folder.root)
    if retry_failed:
        for run, _ in standing.failed:
            folder.forget_error(run.run_id)
        standing = read_standing(folder.root)
    left, work = _left(sweep, {run.run_id for run, _ in standing.failed})
    at_once = 1 if on == "debug" else max(1, min(workers or sweep.threads, len(left)))
    audience.begins(sweep, standing, at_once)
    tasks = [Task(folder.root, run, checkpoint_minutes) for run in left]
    with terminated_in_order(), mirrored(tracker, folder, _done(sweep)) as mirror:
        if tasks:
            threads = _threads_of_each(sweep.threads, at_once)
            place = open_place(on, workers=at_once, threads=threads, root=folder.root)
            with place as executor:
                try:
                    execute(executor, work, tasks, _Keeper(folder, audience, mirror))
                except (KeyboardInterrupt, SystemExit):
                    audience.stops()
                    raise
    return read_standing(folder.root)


def _left(
    sweep: Sweep, failed: Collection[str]
) -> tuple[list[PlannedRun], Callable[[Task], Outcome]]:
    """Return what is to be done, the runs of the same data in a row; and how."""
    runs: Sequence[PlannedRun] = sweep.plan
    work: Callable[[Task], Outcome] = do_run
    if sweep.file.search is not None:
        runs, work = trials_left(sweep.folder, sweep.file.search, sweep.plan[0]), do_trial
    left = [run for run in runs if run.run_id not in failed and not sweep.folder.done(run.run_id)]
    order = {data: number for number, data in enumerate(dict.fromkeys(run.data for run in left))}
    left.sort(key=lambda run: order[run.data])  # a worker keeps the data of its last run
    return left, work


def _done(sweep: Sweep) -> Iterator[PlannedRun]:
    """Give the runs that are finished."""
    search = sweep.file.search
    runs = sweep.plan if search is None else slots(search, sweep.plan[0])
    return (run for run in runs if sweep.folder.done(run.run_id))


def _recorded(sweep: Sweep) -> Sweep:
    """Write what was asked for into the folder, once; join who has just done so."""
    folder = sweep.folder
    if folder.begun or not record_sweep(folder, sweep.file):
        file = settle(sweep.given, read_recorded(folder))
        if file != sweep.file:  # begun since we looked, with draws of its own
            plan = make_plan(file, configurations(file), sweep.checksums)
            sweep = replace(sweep, file=file, plan=plan)
    if not folder.planned:
        write_plan(folder, sweep.plan)
    check_room(folder)
    return sweep


def _threads_of_each(available: int, workers: int) -> int:
    """Share the threads out; ``OMP_NUM_THREADS`` is for each process, and goes before that."""
    try:
        asked = int(os.environ.get("OMP_NUM_THREADS", ""))
    except ValueError:
        asked = 0
    return asked if asked > 0 else max(1, available // workers)


@dataclass(frozen=True)
class _Keeper(Watcher):
    """Keeps in the folder what happens to runs, and hands it on."""

    folder: SweepFolder
    audience: Audience
    mirror: Mirror | None

    def ended(self, outcome: Outcome) -> None:
        self.audience.ended(outcome)
        if self.mirror is not None and outcome.state == "done":
            self.mirror.send(outcome.run)

    def died(self, task: Task, reason: str) -> Outcome | None:
        deaths = self.folder.note_death(task.run.run_id, reason)
        if len(deaths) < DEATHS:
            self.audience.died(task.run, reason)
            return None
        text = f"it ended the process that did it {len(deaths)} times"
        self.folder.write_error(task.run.run_id, "\n".join([*deaths, f"{text}: {reason}"]) + "\n")
        return Outcome(task.run, "failed", f"{text}: {reason}")

    def look(self) -> None:
        self.audience.look()
