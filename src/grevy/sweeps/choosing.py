"""Which settings to go on with, and how good they are by what did not choose them.

The best of many scores is high by luck in part: reported by itself it promises too much, the more
runs it was chosen among. So what chooses is kept apart from what is reported, by the best means
that the folders leave:

1. *validation*: all runs kept blocks of their training apart, drew samples alike and met as many
   negatives. The goodness of fit on these blocks chooses, and the score on held-out steps, which
   took no part, is reported.
2. *folds*: all runs have a score for each of K folds. The means choose; for the report, settings
   are chosen on all folds but one and scored on that one, each in turn.
3. *halves*: decoded values on held-out steps are archived. The score on all of them chooses; for
   the report, settings are chosen on one half of the held-out blocks and scored on the other, both
   ways.
4. *score*: nothing is left. The score chooses, and is reported with the warning that it is
   optimistic.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from grevy.archive import read_decoded
from grevy.data import Array, FloatArray, IntArray
from grevy.errors import GrevyError
from grevy.evaluation import statistic
from grevy.sweeps.comparing import Comparison, compare_runs
from grevy.sweeps.metric import FIT, Metric, metric_of
from grevy.sweeps.records import RunRecord
from grevy.sweeps.rows import Row, number_of_negatives

Means = Literal["validation", "folds", "halves", "score", "nothing"]

_Scores = Callable[[Sequence[Row], Metric], FloatArray]

FEWEST_STEPS = 20
"""A half of fewer held-out steps is none to judge by."""


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
    why = _no_validation(runs, metric)
    if not why:
        fit = metric_of(runs[0], FIT)
        assert fit is not None
        row = _row_of(rows, compare_runs(runs, fit).rows.rows[0])
        return _chosen(comparison, row, "validation", row.mean, None, ())
    why_not.append(why)
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
    return Choice(comparison, row, nearest_run(row), by, independent, on_own, why_not)


def _row_of(rows: Sequence[Row], other: Row) -> Row:
    """Find the row that holds the runs of a row made by another metric."""
    return next(row for row in rows if row.runs[0] is other.runs[0])


def _no_validation(runs: Sequence[RunRecord], metric: Metric) -> str:
    """Say why validation cannot choose; empty if it can."""
    if metric.is_fit and not metric.name.startswith("goodness_of_fit_heldout"):
        return "the score asked for is made of the training's own loss"
    without = sum(FIT not in run.numbers for run in runs)
    if without:
        return f"{without} of {len(runs)} runs kept nothing of their training for validation"
    fit = metric_of(runs[0], FIT)
    assert fit is not None
    if compare_runs(runs, fit).rows.n_tasks > 1:
        return "runs drew positives, or blocks for validation, in different ways"
    if len({str(number_of_negatives(run)) for run in runs}) > 1:
        return "runs met different numbers of negatives, which bound the goodness of fit"
    return ""


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
