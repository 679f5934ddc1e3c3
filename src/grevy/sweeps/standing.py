"""How a sweep stands, read from its folder alone: by another shell, or another machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grevy.archive import read_manifest, read_metrics, read_outcome
from grevy.errors import GrevyError
from grevy.evaluation import MEASURES
from grevy.sweeps.choosing import choosing_score
from grevy.sweeps.claims import Owner, holders
from grevy.sweeps.folder import SweepFolder, read_plan, read_recorded
from grevy.sweeps.metric import Metric
from grevy.sweeps.planning import PlannedRun
from grevy.sweeps.records import make_record
from grevy.sweeps.working import last_line


@dataclass(frozen=True)
class Result:
    """What a finished run has come to, in one number.

    Attributes
    ----------
    run : PlannedRun
    metric : str
        Which score it is, for readers.
    value : float
    larger_is_better : bool
    """

    run: PlannedRun
    metric: str
    value: float
    larger_is_better: bool

    def beats(self, other: "Result | None") -> bool:
        """Tell whether it is better than another, by the same score."""
        if other is None:
            return True
        if self.metric != other.metric:
            return False
        return self.sign * self.value > self.sign * other.value

    @property
    def sign(self) -> int:
        """What turns a value into one that is better when larger, and back."""
        return 1 if self.larger_is_better else -1

    @property
    def extreme(self) -> str:
        """What the first of many by this score is."""
        return "highest" if self.larger_is_better else "lowest"


@dataclass(frozen=True)
class Standing:
    """How a sweep stands.

    Attributes
    ----------
    total : int
        How many runs it has.
    done : int
    running : tuple of (PlannedRun, Owner)
    failed : tuple of (PlannedRun, str)
        With the reason, in a line.
    leading : Result or None
        The first of all done, if their data are the same, by the score that decides for the first
        label; of a search, by the one that chooses. It is no choice: the first of many is so by
        luck in part.
    seconds : float or None
        How long a finished run has taken, in the mean.
    notes : tuple of str
        What else there is to say, in lines: of a search, what it has chosen.
    """

    total: int
    done: int
    running: tuple[tuple[PlannedRun, Owner], ...]
    failed: tuple[tuple[PlannedRun, str], ...]
    leading: Result | None
    seconds: float | None
    notes: tuple[str, ...] = ()

    @property
    def left(self) -> int:
        """How many runs nobody has begun, or somebody has left undone."""
        return self.total - self.done - len(self.failed) - len(self.running)

    def seconds_left(self, at_once: int | None = None) -> float | None:
        """Estimate how long the rest takes; None while no run is finished.

        Parameters
        ----------
        at_once : int, optional
            How many runs are done at once; as many as are running now if left out.
        """
        lanes = len(self.running) if at_once is None else at_once
        if self.seconds is None or not lanes:
            return None
        return self.seconds * (self.left + len(self.running) / 2) / lanes


def read_standing(root: Path) -> Standing:
    """Read how a sweep stands.

    Raises
    ------
    GrevyError
        If the folder holds no sweep.
    """
    folder = SweepFolder(root)
    plan = read_plan(folder)
    if plan is None:
        raise GrevyError(
            f"{root} holds no sweep. Give the folder that `grevy sweep` was told to write to."
        )
    file = read_recorded(folder)
    if file is not None and file.search is not None:
        from grevy.sweeps.searching import read_standing_of_search

        return read_standing_of_search(folder, file.search, plan[0])
    done, times, leading = 0, [], None
    failed, running = [], []
    at_work = holders(folder.claims)
    for run in plan:
        place = folder.run(run.run_id)
        if folder.done(run.run_id):
            done += 1
            times += [seconds for seconds in [read_manifest(place)["seconds"]] if seconds]
            result = read_result(folder, run) if comparable(plan) else None
            leading = result if result is not None and result.beats(leading) else leading
        elif owner := at_work.get(run.run_id):
            running.append((run, owner))
        elif error := folder.error(run.run_id):
            failed.append((run, last_line(error)))
    seconds = sum(times) / len(times) if times else None
    notes = []
    if not comparable(plan):
        count = len({run.data for run in plan})
        notes.append(f"scores are of {count} recordings, not compared here: `grevy compare`")
    return Standing(len(plan), done, tuple(running), tuple(failed), leading, seconds, tuple(notes))


def comparable(plan: Sequence[PlannedRun]) -> bool:
    """Tell whether runs are of the same data, so that one score can be higher than another."""
    return len({run.data for run in plan}) == 1


def running_runs(folder: SweepFolder) -> tuple[str, ...]:
    """Name the runs that somebody is at."""
    return tuple(holders(folder.claims))


def read_result(folder: SweepFolder, run: PlannedRun, in_search: bool = False) -> Result | None:
    """Read what a finished run has come to; None if it was not scored, or is damaged.

    Parameters
    ----------
    folder : SweepFolder
    run : PlannedRun
    in_search : bool
        Whether it is a trial, whose score is the one that chooses.
    """
    place = folder.run(run.run_id)
    try:
        if in_search:
            chose = choosing_score(make_record(read_outcome(place)))
            return None if chose is None else Result(run, *_as_result(*chose))
        found = decisive_score(read_metrics(place))
    except GrevyError:
        return None
    return None if found is None else Result(run, *found)


def _as_result(metric: Metric, value: float) -> tuple[str, float, bool]:
    return metric.title, value, metric.larger_is_better


def decisive_score(metrics: Mapping[str, Any]) -> tuple[str, float, bool] | None:
    """Choose the score that decides: the first label's, on held-out time where there is some.

    Returns
    -------
    tuple of (str, float, bool), or None
        Its name, its value, and whether larger is better. Without labels it is the goodness of
        fit.
    """
    for label, scores in metrics.get("scores", {}).items():
        measure = MEASURES[scores["kind"]][0]
        held_out = scores.get("blocked", {}).get("embedding")
        value = (held_out or scores["random"]).get(measure.key)
        if value is not None:
            where = "held out" if held_out else "random split"
            return f"{measure.name} of {label}, {where}", float(value), measure.larger_is_better
    value = metrics.get("goodness_of_fit_heldout_bits", metrics.get("goodness_of_fit_bits"))
    return None if value is None else ("goodness of fit, bits", float(value), True)
