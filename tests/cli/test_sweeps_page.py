"""Every command of docs/sweeps.md is run; its files, and that of docs/clusters.md, are sweeps."""

import re
import shlex
from pathlib import Path

import pytest
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
