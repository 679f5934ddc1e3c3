"""A finished run that is asked for again."""

from pathlib import Path

import numpy as np
import pytest

from grevy import archive
from grevy.config import make_config, read_config
from grevy.errors import GrevyError
from grevy.runs import run_experiment


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    rng = np.random.default_rng(0)
    np.savez(folder / "d.npz", spikes=rng.normal(size=(300, 5)), place=rng.normal(size=300))
    given = {
        "data": str(folder / "d.npz"), "neural": "spikes", "label": ("place",), "device": "cpu",
        "max_iterations": 4, "batch_size": 16, "seed": 1,
        "model_architecture": "offset1-model", "output_dir": str(folder / "run"),
    }  # fmt: skip
    run_experiment(make_config(given), verbose=False)
    return given


def test_what_was_left_open_is_archived_as_it_was_settled(settings):
    archived = read_config(Path(settings["output_dir"]) / archive.CONFIG)
    assert archived["folds"] == 5
    assert archived["nulls"] == 1000
    assert archived["time_offsets"] == [2]


@pytest.mark.parametrize(
    ("asked", "differing"),
    [
        ({}, None),
        ({"folds": 5, "nulls": 1000, "time_offsets": 2}, None),
        ({"folds": 3}, "`folds` is 5 there and 3 here"),
        ({"folds": 0}, "`folds` is 5 there and 0 here"),
        ({"nulls": 50}, "`nulls` is 1000 there and 50 here"),
        ({"null_retrain": True}, "`null_retrain` is False there and True here"),
        ({"time_offsets": 10}, "`time_offsets` is 2 there and 10 here"),
    ],
)
def test_what_was_left_open_is_any(settings, asked, differing):
    config = make_config({**settings, **asked})
    if differing is None:
        assert run_experiment(config, resume=True, verbose=False).config.folds == 5
        return
    with pytest.raises(GrevyError, match=f"another one: {differing}"):
        run_experiment(config, resume=True, verbose=False)


@pytest.mark.parametrize("gone", [archive.REPORT, archive.SUMMARY])
def test_what_a_cut_left_out_is_no_obstacle(settings, gone):
    folder = archive.RunFolder(Path(settings["output_dir"]))
    (folder / gone).unlink()
    again = run_experiment(make_config(settings), resume=True, verbose=False)
    assert "Grevy run" in again.summary
    assert (folder / archive.REPORT).is_file()


def test_a_setting_of_ones_own_in_the_archive_is_left_alone(settings):
    folder = archive.RunFolder(Path(settings["output_dir"]))
    with (folder / archive.CONFIG).open("a") as file:
        file.write("my_own: 3\n")
    again = run_experiment(make_config(settings), resume=True, verbose=False)
    assert again.config.seed == 1
