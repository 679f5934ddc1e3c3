"""Every command of docs/sweeps.md and of the tutorial is run; their files are sweeps."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import yaml

from grevy.sweeps.planning import count_runs, settle
from grevy.sweeps.reading import read_sweep

DOCS = Path(__file__).parents[2] / "docs"


def blocks(kind, page="sweeps.md"):
    text = (DOCS / page).read_text()
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("number", "runs"), [(0, 6), (1, 12), (2, 20), (3, 4)])
def test_every_file_is_a_sweep(tmp_path, number, runs):
    path = tmp_path / "sweep.yaml"
    path.write_text(blocks("yaml")[number])
    file = settle(read_sweep(path))
    assert count_runs(file) == runs
    assert len(blocks("yaml")) == 4


def test_the_search_is_one(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(blocks("yaml", "clusters.md")[-1])
    search = read_sweep(path).search
    assert search.trials == 30
    assert set(search.space) == {"learning_rate", "num_hidden_units", "distance"}


@pytest.mark.slow
def test_every_command_works(tmp_path, monkeypatch, grevy_run):
    monkeypatch.chdir(tmp_path)
    for name, text in (("sweep.yaml", blocks("yaml")[0]), ("pick.yaml", blocks("yaml")[3])):
        asked = yaml.safe_load(text)
        asked["base"] |= {"max_iterations": 2, "folds": 0, "nulls": 0}
        Path(name).write_text(yaml.safe_dump(asked))
    lines = [shlex.split(line) for block in blocks("bash") for line in block.splitlines()]
    said = []
    for program, *words in lines:
        assert program == "grevy"
        code, out, err = grevy_run(*words)
        assert code == 0, err
        said.append(out)
    assert "6 runs to do" in said[0]
    assert all(each.startswith("6 of 6 done") for each in said[1:3])
    assert len(list(Path("results/dimensions/tensorboard").iterdir())) == 6
    assert "6 runs, 3 rows" in said[4]
    assert "<html" in Path("comparison.html").read_text()
    assert said[5].startswith("run ")
    assert "by u: R2, validation blocks, inside the training, among 2 settings (4 runs)" in said[6]
    assert len(said) == 7


def sweeps_of_tutorial():
    return dict(zip(("grid", "search", "seeds"), blocks("yaml", "sweeps-tutorial.md"), strict=True))


def test_files_of_the_tutorial_are_sweeps(tmp_path):
    path, found = tmp_path / "sweep.yaml", {}
    for name, text in sweeps_of_tutorial().items():
        path.write_text(text)
        file = read_sweep(path)
        found[name] = file.search.trials if file.search else count_runs(settle(file))
    assert found == {"grid": 36, "search": 24, "seeds": 20}


@pytest.mark.slow
def test_commands_of_the_tutorial_work(tmp_path, monkeypatch, grevy_run):
    """With a recording of the same names and next to no steps."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    velocity = np.cumsum(rng.normal(size=(400, 2)), axis=0) * 0.1
    scipy.io.savemat("s1_data.mat", {"spikes": rng.poisson(1, (400, 6)), "vel": velocity})
    for name, text in sweeps_of_tutorial().items():
        asked = yaml.safe_load(text)
        asked["base"] |= {"max_iterations": 2, "nulls": 0, "batch_size": 32}
        Path(f"{name}.yaml").write_text(yaml.safe_dump(asked))
    for block in blocks("bash", "sweeps-tutorial.md"):
        for line in block.splitlines():
            code, out, err = grevy_run(*shlex.split(line)[1:])
            assert code == 0, err
    assert len(re.findall(r"over 5 seeds, held-out steps", out)) == 4
    for name in ("grid", "search", "seeds"):
        assert "<html" in Path(f"{name}.html").read_text()
