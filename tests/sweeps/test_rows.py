"""Rows over seeds: what is grouped, how spread is said, and that luck alone is not marked."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t, ttest_ind

from grevy.archive import RunFolder
from grevy.sweeps.metric import metric_of
from grevy.sweeps.records import RunRecord
from grevy.sweeps.rows import LEVEL, is_better, make_rows

NAME = "scores.pos.blocked.embedding.test_r2"


def record(value, seed=0, checksum="data", name=NAME, kind="continuous", **settings):
    numbers = {} if value is None else {name: value}
    own = {"holdout": 0.2, "split": "blocks", "batch_size": 512, **settings}
    folder = RunFolder(Path(f"{settings}-{seed}"))
    return RunRecord(
        folder, f"{settings}{seed}", seed, own, (checksum,), (f"{checksum}.npz",), {"pos": kind},
        numbers, {},
    )  # fmt: skip


def rows_of(runs):
    metric = metric_of(runs[0], next(iter(runs[0].numbers)))
    return make_rows(runs, metric)


def test_runs_alike_but_for_the_seed_are_one_row():
    runs = [
        record(0.1 * seed + size, seed, temperature=size) for size in (1, 2) for seed in (2, 0, 1)
    ]
    found = rows_of(runs)
    assert found.names == ("temperature",)
    assert [row.settings["temperature"] for row in found.rows] == [2, 1]
    assert [run.seed for run in found.rows[0].runs] == [0, 1, 2]
    assert found.rows[0].values == pytest.approx((2.0, 2.1, 2.2))
    assert found.rows[0].mean == pytest.approx(2.1)


def test_copies_of_a_run_are_no_further_seeds():
    found = rows_of([record(0.5, 3), record(0.5, 3), record(0.7, 4)])
    assert found.rows[0].values == (0.5, 0.7)
    assert len(found.repeated) == 1


def test_less_is_better_of_an_error():
    name = "scores.pos.blocked.embedding.mean_error"
    runs = [record(size, 0, name=name, kind="circular", temperature=size) for size in (30.0, 10.0)]
    assert [row.mean for row in rows_of(runs).rows] == [10.0, 30.0]


def test_what_holds_no_score_stands_last():
    runs = [record(-5.0, temperature=1), record(None, temperature=2), record(3.0, temperature=3)]
    assert [row.mean for row in rows_of(runs).rows] == [3.0, -5.0, None]


@pytest.mark.parametrize(
    "changed", [{"checksum": "other"}, {"holdout": 0.5}, {"split": "segments"}]
)
def test_scores_of_other_steps_are_not_compared(changed):
    runs = [record(0.5 + 0.001 * seed, seed) for seed in range(5)]
    runs += [record(0.1 + 0.001 * seed, seed, **changed) for seed in range(5)]
    found = rows_of(runs)
    assert found.n_tasks == 2
    assert not any(row.best for row in found.rows)


def test_fit_of_other_samples_is_not_compared():
    name = "goodness_of_fit_heldout_bits"
    runs = [record(1.0, name=name, time_offsets=1), record(2.0, name=name, time_offsets=10)]
    assert rows_of(runs).n_tasks == 2
    assert rows_of([record(run.numbers[name], time_offsets=3) for run in runs]).n_tasks == 1


def test_of_few_seeds_the_range_is_said_and_of_several_an_interval():
    values = [0.3, 0.5, 0.45, 0.41, 0.52]
    few = rows_of([record(value, seed) for seed, value in enumerate(values[:4])]).rows[0].spread
    assert (few.low, few.high, few.is_interval) == (0.3, 0.5, False)
    many = rows_of([record(value, seed) for seed, value in enumerate(values)]).rows[0].spread
    expected = t.interval(0.95, 4, np.mean(values), np.std(values, ddof=1) / np.sqrt(5))
    assert many.is_interval
    assert (many.low, many.high) == pytest.approx(expected)
    assert rows_of([record(0.3)]).rows[0].spread is None


def test_a_difference_counts_as_in_scipy():
    rng = np.random.default_rng(0)
    for _ in range(100):
        one, other = rng.normal(0.5, 1, 4), rng.normal(0, 0.5, 6)
        runs = [record(value, seed, temperature=1) for seed, value in enumerate(one)]
        runs += [record(value, seed, temperature=2) for seed, value in enumerate(other)]
        first, second = sorted(rows_of(runs).rows, key=lambda row: row.settings["temperature"])
        p = ttest_ind(one, other, equal_var=False, alternative="greater").pvalue
        metric = metric_of(runs[0], NAME)
        assert is_better(first, second, metric, 3) == (p < LEVEL / 3)


def marked(rng, means, n_seeds, scatter):
    """The place of the row that is marked among rows of these true means; None if none is."""
    runs = [
        record(mean + scatter * rng.normal(), seed, temperature=place)
        for place, mean in enumerate(means)
        for seed in range(n_seeds)
    ]
    return next((row.settings["temperature"] for row in rows_of(runs).rows if row.best), None)


@pytest.mark.parametrize("n_seeds", [2, 3, 5])
@pytest.mark.parametrize("n_rows", [2, 6])
def test_luck_alone_is_seldom_marked(n_seeds, n_rows):
    rng = np.random.default_rng(n_seeds)
    found = [marked(rng, [0.5] * n_rows, n_seeds, 0.1) for _ in range(300)]
    wrong = sum(place is not None for place in found)
    assert wrong <= 25  # 15 expected at most, give or take 4


def test_a_better_row_is_marked():
    rng = np.random.default_rng(0)
    assert [marked(rng, [0.5, 0.9, 0.5], 5, 0.05) for _ in range(20)] == [1] * 20


def test_one_seed_each_marks_nothing():
    assert not any(row.best for row in rows_of([record(x, temperature=x) for x in (0.1, 9)]).rows)


def test_seeds_that_change_nothing_mark_nothing():
    runs = [record(size, seed, temperature=size) for size in (0.1, 0.2) for seed in range(3)]
    assert not any(row.best for row in rows_of(runs).rows)
