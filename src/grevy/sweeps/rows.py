"""Runs alike but for their seed made into one row, with mean and spread; and which row is best.

A row counts as the best only where no other can be: runs with other seeds scatter, and the highest
of many means is high by luck in part. The best mean is compared with each other one by Welch's t
(Biometrika 1947), one-sided, at level 0.05 over the number of rows. A row that is not truly best
is then marked in at most one of twenty comparisons: it would have to beat the true one by that
test, and there are fewer such pairs than rows (Bonferroni).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from grevy.config import RunConfig
from grevy.sweeps.metric import Metric
from grevy.sweeps.records import RunRecord

LEVEL = 0.05
FEWEST_FOR_T = 5
"""Of fewer seeds the range is shown: no interval of so few can be checked for what it takes."""

# What says which samples are positive, so that goodness of fit is of one task.
_SAMPLING = ("conditional", "time_offsets", "delta", "hybrid", "prior", "label")
_TASK = ("holdout", "split")


@dataclass(frozen=True)
class Spread:
    """How far seeds differ: a 95 % interval of their mean, or of few seeds their range."""

    low: float
    high: float
    is_interval: bool


@dataclass(frozen=True, eq=False)
class Row:
    """Runs of the same settings and data, each with another seed.

    Attributes
    ----------
    settings : dict
        Those in which the rows differ.
    runs : tuple of RunRecord
        By seed; of several with one seed the first.
    values : tuple of float or None
        Of the metric; None where a run does not hold it.
    task : int
        Rows of different tasks (other data, another part held out) are not compared.
    best : bool
        Whether it is better than every other of its task by more than seeds explain.
    """

    settings: dict[str, Any]
    runs: tuple[RunRecord, ...]
    values: tuple[float | None, ...]
    task: int
    best: bool = False

    @property
    def known(self) -> tuple[float, ...]:
        """The values that there are."""
        return tuple(value for value in self.values if value is not None)

    @property
    def mean(self) -> float | None:
        """Over seeds; None if no run holds the metric."""
        return sum(self.known) / len(self.known) if self.known else None

    def by(self, name: str) -> "Row":
        """Return the row with another number of its runs as values."""
        return replace(self, values=tuple(run.numbers.get(name) for run in self.runs))

    @property
    def spread(self) -> Spread | None:
        """How far the seeds differ; None of one seed."""
        values = self.known
        if len(values) < 2:
            return None
        if len(values) < FEWEST_FOR_T:
            return Spread(min(values), max(values), False)
        from scipy.special import stdtrit

        mean = sum(values) / len(values)
        error = float(np.std(values, ddof=1)) / len(values) ** 0.5
        reach = float(stdtrit(len(values) - 1, 1 - LEVEL / 2)) * error
        return Spread(mean - reach, mean + reach, True)


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows, the best mean first within each task, and what is to be said of them.

    Attributes
    ----------
    rows : tuple of Row
    names : tuple of str
        Of the settings that differ.
    n_tasks : int
    repeated : tuple of str
        Folders of runs that have settings, data and seed of another one, and are left out.
    """

    rows: tuple[Row, ...]
    names: tuple[str, ...]
    n_tasks: int
    repeated: tuple[str, ...]


def make_rows(runs: Sequence[RunRecord], metric: Metric, units: Sequence[str] = ()) -> Rows:
    """Group runs by what they share, and mark the best where there is one.

    Parameters
    ----------
    runs : sequence of RunRecord
    metric : Metric
    units : sequence of str, optional
        The unit of the metric in each run, where it is in a label's.
    """
    named = _recording_names(runs)
    names = differing_settings(runs, named)
    groups: dict[tuple[Any, ...], dict[Any, int]] = {}
    repeated = []
    for place, run in enumerate(runs):
        seeds = groups.setdefault((run.checksums or run.run_id, _text(run.settings)), {})
        seed = run.run_id if run.seed is None else run.seed
        if seed in seeds:
            repeated.append(str(run.folder.root))
        else:
            seeds[seed] = place
    tasks: dict[Any, int] = {}
    rows = []
    for seeds in groups.values():
        own = [
            runs[place]
            for _, place in sorted(seeds.items(), key=lambda each: str(each[0]).zfill(20))
        ]
        first = next(iter(seeds.values()))
        unit = units[first] if units else ""
        task = tasks.setdefault(_task(runs[first], metric, unit), len(tasks))
        settings = {**own[0].settings, "recording": named.get(own[0].checksums, "")}
        rows.append(
            Row(
                {name: settings.get(name) for name in names},
                tuple(own),
                tuple(run.numbers.get(metric.name) for run in own),
                task,
            )
        )
    marked = [row for task in tasks.values() for row in _marked(rows, task, metric)]
    return Rows(tuple(marked), names, len(tasks), tuple(repeated))


def number_of_negatives(run: RunRecord) -> Any:
    """Say how many negatives each reference of a run met, as its settings have it."""
    settings = run.settings
    given = settings.get("num_negatives")
    batch = settings.get("batch_size")
    return given if given is not None else "all steps" if batch is None else batch


def differing_settings(
    runs: Sequence[RunRecord], named: dict[tuple[str, ...], str]
) -> tuple[str, ...]:
    """Name the settings in which runs differ, in the order of `RunConfig`; recordings first."""
    names = dict.fromkeys(
        [*RunConfig.model_fields, *(name for run in runs for name in run.settings)]
    )
    found = []
    for name in names:
        values = {_text(run.settings.get(name)) for run in runs}
        if len(values) > 1 and not (name == "dataset" and named):
            found.append(name)
    return ("recording", *found) if named else tuple(found)


def _recording_names(runs: Sequence[RunRecord]) -> dict[tuple[str, ...], str]:
    """Name the data of each run, by checksums, where they are not all the same."""
    sources = {run.checksums: run.sources for run in runs}
    if len(sources) < 2:
        return {}
    short = {
        key: " + ".join(each.replace("\\", "/").rsplit("/", 1)[-1] for each in names) or "arrays"
        for key, names in sources.items()
    }
    taken = list(short.values())
    return {
        key: name if taken.count(name) == 1 else f"{name} ({''.join(key)[:8]})"
        for key, name in short.items()
    }


def _task(run: RunRecord, metric: Metric, unit: str) -> Any:
    """Say what a score is of: scores of other things cannot be better or worse than it."""
    names = [*_TASK, *(_SAMPLING if metric.is_fit else ())]
    if metric.name.startswith("validation."):
        names.append("validation")
    if metric.name.startswith("folds."):
        names.append("folds")
    return run.checksums, unit, _text([run.settings.get(name) for name in names])


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _marked(rows: Iterable[Row], task: int, metric: Metric) -> list[Row]:
    """Sort the rows of one task, best first and without a value last; mark the best."""
    own = [row for row in rows if row.task == task]
    own.sort(key=lambda row: (row.mean is None, -metric.sign * (row.mean or 0.0)))
    scored = [row for row in own if row.mean is not None]
    if len(scored) > 1 and all(
        is_better(scored[0], row, metric, len(scored)) for row in scored[1:]
    ):
        own[0] = replace(own[0], best=True)
    return own


def is_better(one: Row, other: Row, metric: Metric, n_rows: int) -> bool:
    """Tell whether a row is better than another one by more than seeds explain.

    Parameters
    ----------
    n_rows : int
        Among how many rows the better one was looked for.
    """
    if min(len(one.known), len(other.known)) < 2:
        return False
    parts = [float(np.var(row.known, ddof=1)) / len(row.known) for row in (one, other)]
    rounding = 1e-12 * max(map(abs, (*one.known, *other.known)))
    if sum(parts) <= rounding**2:
        return False  # seeds that change nothing say nothing of how far seeds differ
    from scipy.special import stdtrit

    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(row.known) - 1) for part, row in zip(parts, (one, other), strict=True)
    )
    difference = metric.sign * (float(np.mean(one.known)) - float(np.mean(other.known)))
    return difference > float(stdtrit(freedom, 1 - LEVEL / n_rows)) * sum(parts) ** 0.5
