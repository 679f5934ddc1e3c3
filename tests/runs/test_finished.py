"""A finished run that is asked for again."""

from pathlib import Path

import numpy as np
import pytest

from grevy import archive
from grevy.config import make_config
from grevy.runs import run_experiment


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    rng = np.random.default_rng(0)
    np.savez(folder / "d.npz", spikes=rng.normal(size=(300, 5)), place=rng.normal(size=300))
    given = {
        "data": str(folder / "d.npz"), "neural": "spikes", "label": ("place",), "device": "cpu",
        "max_iterations": 4, "batch_size": 16, "nulls": 0, "seed": 1,
        "model_architecture": "offset1-model", "output_dir": str(folder / "run"),
    }  # fmt: skip
    run_experiment(make_config(given), verbose=False)
    return given


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
