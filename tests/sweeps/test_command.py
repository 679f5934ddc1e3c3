"""`grevy compare` and `grevy best`: runs found anywhere, damage named, bad input refused."""

import csv
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from archived_runs import HOSTILE, held_out, made_labels, made_metrics, write_run

LABELS = made_labels(300)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two temperatures by three seeds, in a sweep and by hand."""
    root = tmp_path_factory.mktemp("runs")
    for place, (temperature, seed) in enumerate((t, s) for t in (0.1, 0.5) for s in (0, 1, 2)):
        where = root / "sweep/runs" / f"{place:012x}" if place < 4 else root / f"by hand/{place}"
        metrics = made_metrics(LABELS, range(60), value=None)
        own = metrics["scores"]["velocity"]["blocked"]["embedding"]
        own["test_r2"] = temperature + 0.01 * seed
        write_run(where, LABELS, metrics=metrics, config={"temperature": temperature, "seed": seed})
    return root


@pytest.fixture
def copy(runs, tmp_path):
    return Path(shutil.copytree(runs, tmp_path / "copy"))


def test_runs_are_found_at_any_depth_and_put_side_by_side(runs, grevy_run):
    code, out, err = grevy_run("compare", runs)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0].split() == ["temperature", "mean", "seeds", "n", "run"]
    assert lines[1].split()[:7] == ["*", "0.5", "0.510", "0.500", "to", "0.520", "3"]
    assert lines[2].split()[:6] == ["0.1", "0.110", "0.100", "to", "0.120", "3"]
    assert "velocity: R2, held out: more is better; chance 0.000" in out
    assert "6 runs, 2 rows; seeds: range" in out


def test_several_folders_and_one_run_twice(runs, grevy_run):
    code, out, _ = grevy_run("compare", runs / "sweep", runs / "by hand", runs / "sweep/runs")
    assert code == 0
    assert "6 runs, 2 rows" in out


def test_a_terminal_of_80_columns_is_enough(runs):
    program = (
        "import sys; sys.stdout.isatty = lambda: True; sys.argv[0] = 'grevy'\n"
        "from grevy.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "compare", str(runs)],
        capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    lines = re.sub(r"\x1b\[\d*m", "", done.stdout).splitlines()
    assert max(map(len, lines)) <= 80
    assert "0.510" in done.stdout


def test_neither_command_loads_torch(runs):
    for command in ("compare", "best"):
        program = (
            "import sys; from grevy.cli import main\n"
            f"sys.argv = ['grevy', {command!r}, {str(runs)!r}]\n"
            "try: main()\n"
            "except SystemExit: pass\n"
            "print('loaded', *set(sys.modules) & {'torch', 'cebra', 'matplotlib', 'sklearn'})"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == "loaded"


def test_another_score_and_its_unit(runs, grevy_run):
    code, out, _ = grevy_run(
        "compare", runs, "--by", "scores.direction.blocked.embedding.mean_error"
    )
    assert code == 0
    assert "direction: mean angular error, held out (degrees): less is better; chance 90.0" in out


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("scores.velocity.blocked.embedding.test_r3", ["Did you mean", "embedding.test_r2"]),
        ("velocity.blocked.embedding", ["Did you mean scores.velocity.blocked.embedding."]),
        ("", ["unknown metric ''"]),
        ("\x1b[31m", ["unknown metric"]),
        ("holdout.train_steps", ["is no score"]),
        ("scores.velocity.blocked.chance.test_r2", ["is no score"]),
    ],
)
@pytest.mark.parametrize("command", ["compare", "best"])
def test_no_such_score(runs, grevy_run, command, by, words):
    code, out, err = grevy_run(command, runs, "--by", by)
    assert (code, out) == (2, "")
    assert all(word in err for word in words)
    assert "\x1b" not in err


def test_places_that_hold_no_runs(runs, tmp_path, grevy_run):
    for place, words in (
        (tmp_path, "no finished run lies in"),
        (tmp_path / "absent", "does not exist"),
        (next((runs / "sweep/runs").iterdir()) / "config.yaml", "is a file"),
        (next((runs / "sweep/runs").iterdir()) / "models", "no finished run lies in"),
    ):
        for command in ("compare", "best"):
            code, out, err = grevy_run(command, place)
            assert (code, out) == (2, "")
            assert words in err
            assert str(place) in err


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE = {
    "manifest.json": ["is damaged", "manifest.json"],
    "logs/metrics.json": ["is damaged", "metrics.json"],
    "config.yaml": ["config.yaml"],
}


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("how", ["truncated", "missing", "another", "binary"])
def test_a_damaged_run_is_named_and_passed_over(copy, grevy_run, name, how):
    path = copy / "sweep/runs/000000000000" / name
    if how == "truncated":
        text = path.read_text()
        path.write_text("temperature: [" if name == "config.yaml" else text[: len(text) // 2])
    elif how == "missing":
        path.unlink()
    else:
        path.write_bytes(b"[1, 2]" if how == "another" else b"\x00\xff\x80" * 9)
    code, out, err = grevy_run("compare", copy)
    assert code == 0
    assert "5 runs, 2 rows" in out
    assert "skipped" in err
    assert "000000000000" in err
    assert len(err.splitlines()) == 1


def test_a_run_of_a_newer_version_is_passed_over(copy, grevy_run):
    path = copy / "sweep/runs/000000000000/manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    code, out, err = grevy_run("best", copy)
    assert code == 0
    assert "a newer Grevy made this run" in err
    assert "5 runs" in out


def test_only_damaged_runs(copy, grevy_run):
    for path in copy.rglob("metrics.json"):
        truncated(path)
    code, out, err = grevy_run("compare", copy)
    assert (code, out) == (2, "")
    assert "none of the 6 runs found can be read" in err
    assert err.count("is damaged") == 6


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into everything")
def test_a_folder_that_may_not_be_looked_into(copy, grevy_run):
    shut = copy / "shut"
    shut.mkdir()
    shut.chmod(0)
    code, _, err = grevy_run("compare", copy)
    shut.chmod(stat.S_IRWXU)
    assert code == 0
    assert "cannot be looked into" in err


def test_links_in_a_ring_end(copy, grevy_run):
    (copy / "sweep/again").symlink_to(copy, target_is_directory=True)
    (copy / "sweep/itself").symlink_to("itself")
    code, out, _ = grevy_run("compare", copy)
    assert code == 0
    assert "6 runs, 2 rows" in out


def test_hostile_names_do_nothing(tmp_path, grevy_run):
    labels = made_labels(300, names=("\x1b[31mred\nline", HOSTILE, "=cmd()"))
    for seed in (0, 1):
        config = {"model_architecture": f"\x1b]0;owned{seed}", "seed": seed}
        write_run(tmp_path / f"=run{seed}", labels, config=config)
    table = tmp_path / "table.csv"
    code, out, err = grevy_run("compare", tmp_path, "--csv", table)
    assert code == 0
    assert "\x1b" not in out + err
    for row in csv.reader(table.open(encoding="utf-8")):
        assert not any(cell.startswith(("=", "\x1b")) for cell in row)
    assert grevy_run("best", tmp_path)[0] == 0


def test_tables_hold_every_run_and_score(runs, tmp_path, grevy_run):
    by_csv, by_parquet = tmp_path / "t.csv", tmp_path / "deep/t.parquet"
    assert grevy_run("compare", runs, "--csv", by_csv, "--parquet", by_parquet)[0] == 0
    one, other = pd.read_csv(by_csv), pd.read_parquet(by_parquet)
    assert len(one) == len(other) == 6
    assert list(one.columns) == list(other.columns)
    assert one["best"].tolist() == [True] * 3 + [False] * 3
    assert one["temperature"].tolist() == [0.5] * 3 + [0.1] * 3
    name = "scores.velocity.blocked.embedding.test_r2"
    assert one[name].tolist() == pytest.approx(other[name].tolist())
    assert one["mean"][0] == pytest.approx(0.51)
    assert one["spread"].tolist() == ["range"] * 6
    assert "scores.direction.blocked.embedding.mean_error" in one


def test_a_table_that_cannot_be_written(runs, tmp_path, grevy_run):
    (tmp_path / "file").write_text("")
    for flag in ("--csv", "--parquet", "--html"):
        code, _, err = grevy_run("compare", runs, flag, tmp_path / "file/t")
        assert code == 2
        assert "cannot be written" in err
        assert grevy_run("compare", runs, flag, tmp_path)[0] == 2


def test_consistency_is_computed_from_the_archive(runs, grevy_run):
    code, out, _ = grevy_run("compare", runs, "--consistency")
    assert code == 0
    lines = [line for line in out.splitlines() if line.startswith("temperature=")]
    assert len(lines) == 2
    assert all("1.00 (" in line for line in lines)  # all of one embedding
    assert all("over 3 seeds, held-out steps" in line for line in lines)


def test_consistency_is_on_the_page_where_it_is_asked_for(runs, tmp_path, grevy_run):
    path = tmp_path / "page.html"
    _, out, _ = grevy_run("compare", runs, "--consistency", "--html", path)
    said = [line for line in out.splitlines() if "over 3 seeds" in line]
    assert len(said) == 2
    assert all(f"<li>{line}</li>" in path.read_text() for line in said)
    grevy_run("compare", runs, "--html", path)
    assert "Consistency" not in path.read_text()


def test_recordings_are_compared_where_no_encoder_has_trained(tmp_path, grevy_run):
    rng = np.random.default_rng(0)
    for length in (2000, 3000):
        labels, steps = made_labels(length), held_out(length)
        embedding = labels[0].values.reshape(length, -1)[:, :2].astype(np.float32)
        embedding[steps] = rng.normal(size=(len(steps), 2))  # nothing holds beyond the training
        write_run(tmp_path / str(length), labels, length=length, embedding=embedding)
    code, out, _ = grevy_run("compare", tmp_path, "--consistency")
    assert code == 0
    found = re.search(r": (\S+) \(\S+\) over 2 recordings, held-out steps, by velocity$", out, re.M)
    assert float(found[1]) < 0.5


def test_the_best_is_named_with_its_command_and_how_it_was_chosen(runs, grevy_run):
    code, out, _ = grevy_run("best", runs)
    assert code == 0
    facts = {line.split()[0]: line for line in out.splitlines()}
    folder = facts["run"].split(maxsplit=1)[1]
    assert Path(folder).is_dir()
    assert f"--config '{folder}/config.yaml'" in facts["repeat"]  # a space is in it
    assert "temperature=0.5" in facts["settings"]
    assert "0.510" in facts["score"]
    assert "among 2 settings (6 runs)" in facts["chosen"]
    assert "optimistic" in facts["warning"]
    assert "did not choose, both ways" in facts["honest"]
