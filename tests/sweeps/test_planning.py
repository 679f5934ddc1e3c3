"""From a file to runs: combined, drawn once, named, refused where they make no sense."""

import json

import pytest

from grevy.config import make_config, run_id
from grevy.errors import GrevyError
from grevy.sweeps.planning import (
    configurations,
    count_runs,
    data_key,
    make_plan,
    settings_of_runs,
    settle,
)
from grevy.sweeps.reading import SweepFile, read_sweep
from tiny_sweeps import write_sweep


def swept(tmp_path, **sections):
    return read_sweep(write_sweep(tmp_path, **sections))


def test_every_entry_meets_every_combination_and_every_draw(tmp_path):
    file = settle(
        swept(
            tmp_path,
            list=[{"distance": "cosine"}, {"distance": "euclidean", "temperature": 2}],
            grid={"seed": [1, 2], "output_dimension": [2, 3, 4]},
            random={"runs": 2, "learning_rate": {"between": [0.001, 0.1]}},
        )
    )
    names = ("distance", "temperature", "seed", "output_dimension", "learning_rate")
    found = [tuple(each.get(name) for name in names) for each in settings_of_runs(file)]
    draws = [each["learning_rate"] for each in file.drawn]
    assert found == [
        (*entry, seed, dimension, drawn)
        for entry in (("cosine", None), ("euclidean", 2))
        for seed in (1, 2)
        for dimension in (2, 3, 4)
        for drawn in draws
    ]
    assert count_runs(file) == len(found) == 24


def test_a_run_has_the_settings_of_the_base_unless_it_has_its_own(tmp_path):
    file = swept(tmp_path, base={"seed": 7, "output_dimension": 5}, grid={"seed": [1, None]})
    assert [each["seed"] for each in settings_of_runs(file)] == [1, 7]
    assert all(each["output_dimension"] == 5 for each in settings_of_runs(file))


RANDOM = {"runs": 3, "learning_rate": {"between": [0.001, 0.1]}}


class TestSettle:
    def test_chance_is_settled_once(self, tmp_path):
        file = swept(tmp_path, random=RANDOM)
        first = settle(file)
        assert isinstance(first.base["seed"], int)
        assert len(first.drawn) == 3
        assert settle(file, first) == first  # started again
        assert settle(first, first) == first  # by the file in the folder
        assert settle(file) != first  # in another folder

    def test_a_seed_that_is_there_is_not_drawn(self, tmp_path):
        assert "seed" not in settle(swept(tmp_path, grid={"seed": [1, 2]})).base

    def test_another_sweep_is_refused_by_what_differs(self, tmp_path):
        first = settle(swept(tmp_path, grid={"output_dimension": [2, 3]}))
        other = swept(tmp_path, base={"max_iterations": 5}, grid={"output_dimension": [2, 3]})
        with pytest.raises(GrevyError, match="another sweep: it differs in base"):
            settle(other, first)
        with pytest.raises(GrevyError, match="it differs in drawn, grid, random"):
            settle(swept(tmp_path, random=RANDOM), first)

    def test_no_draw_comes_twice(self, tmp_path):
        random = {"runs": 6, "seed": {"between": [1, 6]}}
        drawn = settle(swept(tmp_path, random=random)).drawn
        assert sorted(each["seed"] for each in drawn) == [1, 2, 3, 4, 5, 6]
        with pytest.raises(GrevyError, match="about 6 different draws"):
            settle(swept(tmp_path, random={**random, "runs": 7}))

    def test_millions_are_refused_before_they_are_counted_out(self):
        values = list(range(2, 1002))
        grid = {"seed": values, "output_dimension": values, "num_hidden_units": values}
        with pytest.raises(GrevyError, match=r"1000000000 runs .*1000 of seed.* more than 10000"):
            settle(SweepFile({}, grid=grid))


class TestConfigurations:
    def test_what_does_not_go_together_is_said_once_for_all(self, tmp_path):
        grid = {"patience": [None, 2, 3], "null_retrain": [False, True], "seed": [0]}
        with pytest.raises(GrevyError) as caught:
            configurations(swept(tmp_path, grid=grid))
        assert "2 problems" in str(caught.value)
        assert "2 runs, first patience=2 null_retrain=False seed=0: " in str(caught.value)
        assert "3 runs, first patience=None null_retrain=True seed=0: " in str(caught.value)

    @pytest.mark.parametrize(
        "sections",
        [
            {"grid": {"seed": [1, 2, 1]}},
            {"grid": {"learning_rate": ["1e-3", 0.001]}, "base": {"seed": 0}},
            {"list": [{"seed": 1}, {"seed": 1, "distance": "cosine"}]},
            {"grid": {"device": ["cpu", "auto"]}, "base": {"seed": 0}},
        ],
    )
    def test_two_runs_that_are_the_same_are_refused(self, tmp_path, sections):
        with pytest.raises(GrevyError, match=r"runs 1 and [23] would be the same"):
            configurations(swept(tmp_path, **sections))


class TestMakePlan:
    def test_a_run_is_named_by_what_was_asked_and_the_data(self, tmp_path):
        file = swept(tmp_path, grid={"seed": [1, 2]})
        configs = configurations(file)
        plan = make_plan(file, configs, {data_key(configs[0]): "sum"})
        assert [run.label for run in plan] == ["seed=1", "seed=2"]
        for run in plan:
            asked = make_config(run.settings).model_dump(mode="json")
            assert run.run_id == run_id(asked, "sum")

    def test_two_files_with_the_same_data_are_the_same_run(self, tmp_path):
        file = swept(tmp_path, base={"seed": 0}, grid={"data": ["a.npz", "b.npz"]})
        configs = configurations(file)
        keys = [data_key(config) for config in configs]
        assert len(set(keys)) == 2
        assert len(make_plan(file, configs, dict(zip(keys, "xy", strict=True)))) == 2
        with pytest.raises(GrevyError, match="runs 1 and 2 would be the same"):
            make_plan(file, configs, dict.fromkeys(keys, "x"))


def test_the_data_of_a_run_are_all_that_says_what_to_load(tmp_path):
    config = configurations(swept(tmp_path, grid={"seed": [1]}))[0]
    assert set(json.loads(data_key(config))) >= {"data", "label", "neural", "imports", "trust"}
    other = config.model_copy(update={"learning_rate": 0.5, "holdout": 0.1})
    assert data_key(other) == data_key(config)
    assert data_key(config.model_copy(update={"transpose": True})) != data_key(config)
