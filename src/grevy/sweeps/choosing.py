"""Which settings to go on with, and how good they are by what did not choose them.

The best of many scores is high by luck in part: reported by itself it promises too much, the more
runs it was chosen among. So what chooses is kept apart from what is reported, by the best means
that the folders leave:

1. *validation*: all runs kept blocks of their training apart. What chooses is the label decoded
   there, by decoders that have seen the other training steps alone. Without labels, or in runs that
   did not decode there, it is the goodness of fit on these blocks, if samples were drawn alike and
   met as many negatives. The score on held-out steps, which took no part, is reported.
2. *folds*: all runs have a score for each of K folds. The means choose; for the report, settings
   are chosen on all folds but one and scored on that one, each in turn.
3. *halves*: decoded values on held-out steps are archived. The score on all of them chooses; for
   the report, settings are chosen on one half of the held-out blocks and scored on the other, both
   ways.
4. *score*: nothing is left. The score chooses, and is reported with the warning that it is
   optimistic.

Bits do not choose where there is a label: how many there are to be had depends on temperature and
dimension, and they order settings hardly as what can be decoded does (`benchmarks/search.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from grevy.archive import read_decoded
from grevy.data import Array, FloatArray, IntArray
from grevy.errors import GrevyError
from grevy.evaluation import MEASURES, statistic
from grevy.sweeps.comparing import Comparison, compare_runs
from grevy.sweeps.metric import (
    FIT,
    HELD_OUT_FIT,
    OF_HELD_OUT,
    SOURCE,
    VALIDATION,
    Metric,
    find_metric,
    metric_of,
)
from grevy.sweeps.records import RunRecord, read_records
from grevy.sweeps.rows import Row, number_of_negatives

Means = Literal["validation", "folds", "halves", "score", "nothing"]

_Scores = Callable[[Sequence[Row], Metric], FloatArray]

FEWEST_STEPS = 20
"""A half of fewer held-out steps is none to judge by."""


@dataclass(frozen=True)
class Apart:
    """One score of the settings chosen, where it chose and where nothing chose.

    Attributes
    ----------
    metric : Metric
        By which validation blocks chose.
    chose : float
        On these.
    held_out : float or None
        On held-out steps; None if there are none.
    usual : float or None
        By how much all settings are better where it chose, in the mean: what blocks and decoders
        differ by, without any choice.
    """

    metric: Metric
    chose: float
    held_out: float | None
    usual: float | None

    @property
    def better(self) -> float | None:
        """By how much the score is better where it chose; below 0 if it is worse there."""
        return None if self.held_out is None else self.metric.sign * (self.chose - self.held_out)


@dataclass(frozen=True, eq=False)
class Choice:
    """The settings chosen among several, and what is known of their worth.

    Attributes
    ----------
    comparison : Comparison
    row : Row
        The settings chosen, with all their seeds.
    run : RunRecord
        Of these the one whose score is nearest to their mean: no choice among seeds.
    by : str
        By what means: see above; "nothing" where there was only one row.
    apart : Apart or None
        Of a choice by validation.
    independent : float or None
        The score by what did not choose: of the row itself (validation), or of the choice as such,
        made again on parts (folds, halves); None if there is none.
    on_own : float or None
        The score by the parts that chose, beside `independent` of halves and folds: how much the
        choosing flatters.
    why_not : tuple of str
        Why better means could not be used.
    """

    comparison: Comparison
    row: Row
    run: RunRecord
    by: Means
    apart: Apart | None
    independent: float | None
    on_own: float | None
    why_not: tuple[str, ...]

    @property
    def n_rows(self) -> int:
        """Among how many settings the choice was made."""
        return len(self.comparison.rows.rows)


def choose(runs: Sequence[RunRecord], metric: Metric) -> Choice:
    """Choose among the settings of some runs, and say how good the choice is.

    Parameters
    ----------
    runs : sequence of RunRecord
        As `read_records` returns them: alike in data and in what is held out.
    metric : Metric
        As `find_metric` returns it: what is to be reported, and what chooses where nothing better
        can.

    Returns
    -------
    Choice

    Raises
    ------
    GrevyError
        If no run holds the metric, or its values are of different recordings or held-out parts.
    """
    runs = [run for run in runs if metric.name in run.numbers]
    comparison = compare_runs(runs, metric)
    rows = comparison.rows.rows
    if not rows:
        raise GrevyError(f"no run holds {metric.name}, so none can be chosen by it.")
    if comparison.rows.n_tasks > 1:
        raise GrevyError(
            f"the runs are of {comparison.rows.n_tasks} different recordings, held-out parts or "
            f"kinds of samples, whose scores cannot be compared. Give a folder of runs that are "
            f"alike in these (`grevy compare` shows what differs)."
        )
    if len(rows) == 1:
        return _chosen(comparison, rows[0], "nothing", None, None, ())
    why_not = []
    for by in _validation_metrics(runs, metric):
        if isinstance(by, str):
            why_not.append(by)
            continue
        row = _row_of(rows, compare_runs(runs, by).rows.rows[0])
        independent = row.mean if _is_unseen(metric, runs) else None
        choice = _chosen(comparison, row, "validation", independent, None, tuple(why_not))
        return replace(choice, apart=_apart(rows, row, by))
    ways: tuple[tuple[Means, _Scores], ...] = (("folds", _fold_scores), ("halves", _half_scores))
    for means, scores_of in ways:
        try:
            scores = scores_of(rows, metric)
        except _NotPossibleError as error:
            why_not.append(str(error))
            continue
        row = rows[int(np.argmax(scores.mean(axis=1)))] if means == "folds" else rows[0]
        independent, on_own = (metric.sign * value for value in cross_chosen(scores))
        return _chosen(comparison, row, means, independent, on_own, tuple(why_not))
    return _chosen(comparison, rows[0], "score", None, None, tuple(why_not))


def pick(place: Path) -> Choice:
    """Choose among all runs below a folder, by the score that decides; see `choose`."""
    runs = read_records([place]).runs
    return choose(runs, find_metric(runs, None))


def cross_chosen(scores: Array) -> tuple[float, float]:
    """Choose on all parts but one and score on that one, each in turn.

    Parameters
    ----------
    scores : ndarray of shape (rows, parts)
        Larger is better.

    Returns
    -------
    tuple of float
        The mean score on the parts left out, and on those that chose.
    """
    left_out, on_own = [], []
    for part in range(scores.shape[1]):
        others = np.delete(scores, part, axis=1).mean(axis=1)
        best = int(np.argmax(others))
        left_out.append(scores[best, part])
        on_own.append(others[best])
    return float(np.mean(left_out)), float(np.mean(on_own))


def nearest_run(row: Row) -> RunRecord:
    """Return the run of a row whose score is nearest to their mean: typical, not the luckiest."""
    distance = [
        np.inf if value is None or row.mean is None else abs(value - row.mean)
        for value in row.values
    ]
    return row.runs[int(np.argmin(distance))]


class _NotPossibleError(Exception):
    """A way of choosing for which the folders hold too little."""


def _chosen(
    comparison: Comparison,
    row: Row,
    by: Means,
    independent: float | None,
    on_own: float | None,
    why_not: tuple[str, ...],
) -> Choice:
    return Choice(comparison, row, nearest_run(row), by, None, independent, on_own, why_not)


def _row_of(rows: Sequence[Row], other: Row) -> Row:
    """Find the row that holds the runs of a row made by another metric."""
    return next(row for row in rows if row.runs[0] is other.runs[0])


def choosing_score(run: RunRecord) -> tuple[Metric, float] | None:
    """Return the score by which validation blocks choose among runs like this one, if it has any.

    The first label decoded there; the goodness of fit where there is no label.
    """
    name = _decoded_there(run, find_metric([run], None)) or FIT
    metric = metric_of(run, name)
    return None if metric is None or name not in run.numbers else (metric, run.numbers[name])


def _decoded_there(run: RunRecord, metric: Metric) -> str | None:
    """Name the score on validation blocks that is nearest to a metric; None without labels."""
    label = metric.label or next(iter(run.kinds), None)
    if label is None:
        return None
    measures = MEASURES[run.kinds[label]]
    key = metric.name.rsplit(".", 1)[-1] if metric.label else ""
    if key not in {measure.key for measure in measures}:
        key = measures[0].key
    return f"{VALIDATION}{label}.{key}"


def _validation_metrics(runs: Sequence[RunRecord], metric: Metric) -> Iterator[Metric | str]:
    """Yield by what validation can choose, or why it cannot, the better first."""
    if metric.name.startswith("validation."):
        yield "the score asked for is of the validation blocks themselves"
        return
    if metric.name.startswith("folds."):
        yield "the folds test the validation blocks too"
        return
    name = None if metric.name == HELD_OUT_FIT else _decoded_there(runs[0], metric)
    without = sum(not {FIT, name} & set(run.numbers) for run in runs)
    if without:
        yield f"{without} of {len(runs)} runs kept nothing of their training for validation"
        return
    if name is not None:
        decoded = metric_of(runs[0], name)
        without = sum(name not in run.numbers for run in runs)
        if decoded is None or without:
            yield f"{without} of {len(runs)} runs did not decode the label on validation blocks"
        elif compare_runs(runs, decoded).rows.n_tasks > 1:
            yield "runs cut blocks for validation in different ways"
        else:
            yield decoded
    fit = metric_of(runs[0], FIT)
    without = sum(FIT not in run.numbers for run in runs)
    if fit is None or without:
        yield f"{without} of {len(runs)} runs did not look at the loss on validation blocks"
    elif compare_runs(runs, fit).rows.n_tasks > 1:
        yield "runs drew positives, or blocks for validation, in different ways"
    elif len({str(number_of_negatives(run)) for run in runs}) > 1:
        yield "runs met different numbers of negatives, which bound the goodness of fit"
    else:
        yield fit


def _is_unseen(metric: Metric, runs: Sequence[RunRecord]) -> bool:
    """Tell whether a score is of held-out time alone, of which validation blocks are no part."""
    if metric.label:
        return metric.name.startswith(f"scores.{metric.label}.blocked.")
    held_out = all(run.settings.get("holdout") for run in runs)
    return metric.name == HELD_OUT_FIT or (held_out and metric.name in OF_HELD_OUT)


def _apart(rows: Sequence[Row], row: Row, by: Metric) -> Apart:
    """Say how far the score that chose is from the same one on held-out steps."""
    start = f"{VALIDATION}{by.label}."
    there = HELD_OUT_FIT
    if by.label:
        there = f"scores.{by.label}.blocked.{SOURCE}.{by.name[len(start) :]}"
    pairs = [(each.by(by.name).mean, each.by(there).mean) for each in rows]
    known = [by.sign * (a - b) for a, b in pairs if a is not None and b is not None]
    chose = row.by(by.name).mean
    assert chose is not None
    usual = float(np.mean(known)) if known else None
    return Apart(by, chose, row.by(there).mean, usual)


def _fold_scores(rows: Sequence[Row], metric: Metric) -> FloatArray:
    """Return the score of each fold, larger better, of each row: the mean over its seeds."""
    is_theirs = metric.held_out or metric.name == f"folds.{metric.label}.mean"
    runs = [run for row in rows for run in row.runs]
    values = [run.folds.get(metric.label, ()) for run in runs]
    if not is_theirs or not all(values):
        raise _NotPossibleError("not all runs have folds in this score")
    if len({len(each) for each in values}) > 1 or len(values[0]) < 2:
        raise _NotPossibleError("runs have different numbers of folds")
    if runs[0].settings.get("split") == "segments" and len({run.seed for run in runs}) > 1:
        raise _NotPossibleError("seeds cut folds of segments in different ways")
    means = [np.mean([run.folds[metric.label] for run in row.runs], axis=0) for row in rows]
    scores = metric.sign * np.array(means)
    if not np.isfinite(scores).all():
        raise _NotPossibleError("a fold without a score")
    return scores


def _half_scores(rows: Sequence[Row], metric: Metric) -> FloatArray:
    """Return the score on each half of the held-out blocks, larger better, of each row."""
    if not metric.held_out:
        raise _NotPossibleError("only the score that decides can be computed on parts again")
    common: IntArray | None = None
    held = []
    for row in rows:
        for run in row.runs:
            try:
                labels, decoded = read_decoded(run.folder)
            except GrevyError as error:
                raise _NotPossibleError(str(error)) from error
            each = decoded.get(metric.label)
            if each is None:
                raise _NotPossibleError(f"{run.folder.root} archived no decoded values")
            held.append((labels[metric.label], each))
            common = each.steps if common is None else np.intersect1d(common, each.steps)
    assert common is not None
    first, second = halves(common)
    if min(len(first), len(second)) < FEWEST_STEPS:
        raise _NotPossibleError("the runs have too few held-out steps in common to halve them")
    scores = []
    for label, each in held:
        order = np.argsort(each.steps)
        places = [order[np.searchsorted(each.steps[order], half)] for half in (first, second)]
        scores.append([statistic(label, each.true[at], each.decoded[at]) for at in places])
    ends = np.cumsum([0, *(len(row.runs) for row in rows)])
    return np.array([np.mean(scores[a:b], axis=0) for a, b in pairwise(ends)])


def halves(steps: IntArray) -> tuple[IntArray, IntArray]:
    """Cut held-out steps into two halves of whole blocks, taken in turn; one block in its middle.

    Parameters
    ----------
    steps : ndarray of shape (n,)
        Sorted. What follows on without a gap is one block.
    """
    block = np.cumsum(np.diff(steps, prepend=steps[:1]) > 1)
    if len(block) and block[-1] == 0:
        return steps[: len(steps) // 2], steps[len(steps) // 2 :]
    return steps[block % 2 == 0], steps[block % 2 == 1]
