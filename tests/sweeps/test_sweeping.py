"""A sweep from its file to finished runs, and what the command says on the way."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml

from grevy import archive
from grevy.archive import RunFolder, read_run, verify
from grevy.atomic import WriteError
from grevy.cli.sweeping import _Lines, _Table
from grevy.config import make_config
from grevy.model import Checkpoints
from grevy.runs import load_recordings, make_model, run_experiment, settle_offsets
from grevy.sweeps import Result, do_sweep, prepare_sweep, read_standing
from grevy.sweeps.folder import SweepFolder, read_plan
from tiny_sweeps import BASE, write_data, write_sweep


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished sweep of three runs on two data sets, and its file."""
    folder = tmp_path_factory.mktemp("finished")
    other = str(write_data(folder / "other.npz", length=90, seed=1))
    path = write_sweep(
        folder,
        list=[{"data": str(write_data(folder / "data.npz"))}, {"data": other}],
        grid={"seed": [3, 4]},
    )
    command = [sys.executable, "-m", "grevy", "sweep", path, "-o", folder / "S", "--on", "debug"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path, folder / "S", done


@pytest.fixture
def begun(finished, tmp_path):
    """A copy of it, that a test may spoil."""
    path, folder, _ = finished
    shutil.copytree(folder, tmp_path / "S")
    return path, tmp_path / "S"


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


class TestFinished:
    def test_every_run_is_a_whole_run(self, finished):
        _, folder, done = finished
        plan = read_plan(SweepFolder(folder))
        assert {path.name for path in (folder / "runs").iterdir()} == {r.run_id for r in plan}
        for run in plan:
            place = RunFolder(folder / "runs" / run.run_id)
            assert verify(place) == []
            assert (place / archive.REPORT).is_file()
            assert read_run(place).config["seed"] == run.settings["seed"]
            assert f"{run.run_id}  " in done.stderr
        assert "4 of 4 done, 0 running, 0 failed, 0 left\nscores are of 2 recordings" in done.stdout
        assert list((folder / "claims").iterdir()) == []

    def test_runs_are_the_same_as_by_themselves(self, finished, tmp_path):
        run = read_plan(SweepFolder(finished[1]))[3]
        alone = run_experiment(
            make_config({**run.settings, "output_dir": str(tmp_path / "alone")}), verbose=False
        )
        swept = read_run(RunFolder(finished[1] / "runs" / run.run_id))
        assert swept.metrics == alone.metrics
        name = archive.EMBEDDING
        assert (swept.folder / name).read_bytes() == (alone.folder / name).read_bytes()

    def test_again_it_changes_nothing(self, begun, grevy_run):
        before = times(begun[1])
        for path in (begun[0], begun[1] / "sweep.yaml"):
            code, out, err = grevy_run("sweep", path, "-o", begun[1], "--on", "debug")
            assert (code, out.splitlines()[0]) == (0, "4 of 4 done, 0 running, 0 failed, 0 left")
            assert "4 done, 0 failed, 0 to do" in err
        assert times(begun[1]) == before

    def test_what_is_missing_is_done_again_to_the_same_bits(self, begun, grevy_run):
        path, folder = begun
        names = [run.run_id for run in read_plan(SweepFolder(folder))]
        expected = (folder / "runs" / names[1] / archive.EMBEDDING).read_bytes()
        shutil.rmtree(folder / "runs" / names[1])  # never begun
        (folder / "runs" / names[2] / archive.REPORT).unlink()  # cut off after it was sealed
        manifest = folder / "runs" / names[2] / archive.MANIFEST
        found = json.loads(manifest.read_text())
        found["files"] = {name: it for name, it in found["files"].items() if name != "report.html"}
        manifest.write_text(json.dumps(found))
        code, out, _ = grevy_run("status", folder)
        assert (code, out.splitlines()[0]) == (0, "2 of 4 done, 0 running, 0 failed, 2 left")
        code, _, err = grevy_run("sweep", path, "-o", folder, "--on", "debug", "--quiet")
        assert (code, err) == (0, "")
        assert (folder / "runs" / names[1] / archive.EMBEDDING).read_bytes() == expected
        assert all(verify(RunFolder(folder / "runs" / name)) == [] for name in names)

    def test_a_page_that_the_manifest_does_not_know_is_entered(self, begun, grevy_run):
        path, folder = begun
        place = RunFolder(folder / "runs" / read_plan(SweepFolder(folder))[0].run_id)
        manifest = json.loads((place / archive.MANIFEST).read_text())
        del manifest["files"]["report.html"]
        (place / archive.MANIFEST).write_text(json.dumps(manifest))
        assert verify(place)
        assert grevy_run("sweep", path, "-o", folder, "--on", "debug")[0] == 0
        assert verify(place) == []

    def test_other_data_are_noticed(self, finished, tmp_path, grevy_run):
        _, folder, _ = finished
        moved = tmp_path / "other.npz"
        text = (folder / "sweep.yaml").read_text()
        shutil.copytree(folder, tmp_path / "S")
        other = yaml.safe_load(text)["list"][1]["data"]
        for path in (tmp_path / "sweep.yaml", tmp_path / "S" / "sweep.yaml"):
            path.write_text(text.replace(other, str(moved)))
        write_data(moved, length=90, seed=2)
        code, _, err = grevy_run(
            "sweep", tmp_path / "sweep.yaml", "-o", tmp_path / "S", "--on", "debug"
        )
        assert code == 2
        assert "not those that the sweep was begun with" in err
        assert "other.npz" in err

    def test_a_plan_that_is_cut_short_is_noticed(self, begun, grevy_run):
        path, folder = begun
        plan = folder / "plan.jsonl"
        plan.write_text("".join(plan.read_text().splitlines(keepends=True)[:3]))
        code, _, err = grevy_run("sweep", path, "-o", folder, "--on", "debug")
        assert code == 2
        assert "plan.jsonl is damaged (3 runs for 4 that were asked for)" in err
        plan.write_text("")
        code, _, err = grevy_run("status", folder)
        assert code == 2
        assert "plan.jsonl is damaged (it is empty)" in err

    def test_a_dry_run_knows_how_long_runs_took(self, begun, grevy_run):
        path, folder = begun
        shutil.rmtree(folder / "runs" / read_plan(SweepFolder(folder))[0].run_id)
        code, out, _ = grevy_run("sweep", path, "-o", folder, "--on", "debug", "--dry-run")
        assert code == 0
        assert len(re.findall("^[0-9a-f]{12}  .*seed=[34]  done$", out, re.MULTILINE)) == 3
        assert re.search(r"^1 runs? to do, 1 at once\. Time: about \d+ s\.$", out, re.MULTILINE)

    def test_status_is_there_for_programs(self, finished, grevy_run):
        code, out, _ = grevy_run("status", finished[1], "--json")
        found = json.loads(out)
        assert code == 0
        assert (found["total"], found["done"], found["left"]) == (4, 4, 0)
        assert found["leading"] is None
        assert found["notes"] == ["scores are of 2 recordings, not compared here: `grevy compare`"]


def test_of_one_recording_the_highest_score_is_said(tmp_path, grevy_run):
    path, folder = write_sweep(tmp_path, grid={"seed": [3, 4, 5]}), tmp_path / "S"
    code, out, _ = grevy_run("sweep", path, "-o", folder, "--on", "debug")
    scores = {
        path.name: read_run(RunFolder(path)).metrics["scores"]["position"]["random"]["test_r2"]
        for path in (folder / "runs").iterdir()
    }
    best = max(scores, key=scores.get)
    said = f"highest so far: R² of position, random split {scores[best]:.4g}, by {best}"
    assert (code, said in out) == (0, True)
    found = json.loads(grevy_run("status", folder, "--json")[1])["leading"]
    assert found == {
        "run_id": best, "metric": "R² of position, random split", "value": scores[best],
        "is": "highest",
    }  # fmt: skip


def test_settings_are_picked_by_validation_blocks(tmp_path, grevy_run):
    """By the label decoded there, in runs too short for a look at the loss."""
    path = write_sweep(
        tmp_path, base={"validation": 0.2, "holdout": 0.2}, grid={"num_hidden_units": [2, 4, 8]}
    )
    sweep = ("sweep", path, "-o", tmp_path / "S", "--on", "debug")
    code, out, _ = grevy_run(*sweep, "--pick")
    assert code == 0
    inside = {}
    for each in (tmp_path / "S" / "runs").iterdir():
        metrics = read_run(RunFolder(each)).metrics
        inside[each.name] = metrics["validation"]["scores"]["position"]["test_r2"]
    said = {line.split()[0]: line.split(maxsplit=1)[1] for line in out.splitlines()}
    assert said["run"].endswith(max(inside, key=inside.get))
    assert said["repeat"].startswith("grevy run --config ")
    assert "by position: R2, validation blocks, inside the training, among 3 settings" in out
    assert "which chose nothing" in said["honest"]
    assert "where it chose; the mean over all 3" in said["apart"]
    best = grevy_run("best", tmp_path / "S")[1]
    assert out.endswith(best)
    assert "chosen" not in grevy_run(*sweep)[1]  # unless it was asked for


def test_where_nothing_is_held_out_a_pick_has_no_honest_score(tmp_path, grevy_run):
    path = write_sweep(tmp_path, base={"validation": 0.2}, grid={"num_hidden_units": [2, 4]})
    code, out, _ = grevy_run("sweep", path, "-o", tmp_path / "S", "--on", "debug", "--pick")
    assert code == 0
    assert "honest    no score is left that took no part: nothing was held out" in out


def test_the_live_table_leaves_room_for_what_ctrl_c_echoes(finished, monkeypatch):
    """A line that fills an 80-column terminal would be wrapped by ``^C``, and one left behind."""
    monkeypatch.setenv("COLUMNS", "80")
    path, folder, _ = finished
    sweep, standing = prepare_sweep(path, folder), read_standing(folder)
    run = replace(sweep.plan[0], settings={"seed": 3, "data": "long/" * 40})
    table = _Table()
    table.begins(sweep, replace(standing, leading=Result(run, "R² of position", 0.9, True)), 2)
    lines = table._console.render_lines(table._table(), pad=False)
    table._live.stop()
    text = ["".join(part.text for part in line) for line in lines]
    assert "highest so far  R² of position" in "\n".join(text)
    assert max(map(len, text)) <= 76
    assert len(text) <= 12


def test_a_dry_run_writes_nothing(tmp_path, grevy_run):
    path = write_sweep(tmp_path, random={"runs": 3, "seed": {"between": [0, 99]}})
    code, out, _ = grevy_run("sweep", path, "-o", tmp_path / "S", "--on", "debug", "--dry-run")
    assert code == 0
    assert len(re.findall("^[0-9a-f]{12}  seed=", out, re.MULTILINE)) == 3
    assert "3 runs to do, 1 at once. Time: unknown" in out
    assert "drawn anew" in out
    assert not (tmp_path / "S").exists()


def test_a_run_that_fails_stops_no_other_and_is_tried_again_when_asked(tmp_path, grevy_run):
    path = write_sweep(tmp_path, grid={"seed": [0, 1]})
    sweep = ("sweep", path, "-o", tmp_path / "S", "--on", "debug")
    names = re.findall("^[0-9a-f]{12}", grevy_run(*sweep, "--dry-run")[1], re.MULTILINE)
    in_the_way = tmp_path / "S" / "runs" / names[0] / "models"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("")
    (tmp_path / "S" / "sweep.yaml").write_text(path.read_text())
    for attempt in range(2):
        code, out, err = grevy_run(*sweep)
        assert code == 1
        assert "1 of 2 done, 0 running, 1 failed, 0 left" in out
        assert ("models is a file" in err) == (attempt == 0)
        assert "GrevyError: " in out
    error = tmp_path / "S" / "runs" / names[0] / "logs" / "error.txt"
    assert error.read_text().startswith("Traceback")
    in_the_way.unlink()
    assert grevy_run(*sweep, "--retry-failed")[0] == 0
    assert not error.exists()
    assert verify(RunFolder(error.parents[1])) == []


class TestRefused:
    @pytest.mark.parametrize(
        ("sections", "words"),
        [
            ({"grid": {"seed": [1, 2], "model_architecture": ["offset1-modle"]}},
             "2 runs, first seed=1 model_architecture=offset1-modle: unknown model"),
            ({"grid": {"data": ["none.npz", "nothing.npz"]}}, "2 problems"),
            ({"grid": {"dataset": ["none"]}, "base": {"data": None, "neural": None, "label": ()}},
             "unknown data set 'none'"),
            ({"grid": {"label": ["position", "heading"]}}, "heading"),
            ({"grid": {"holdout": [0.2]}, "base": {"split": "segments", "folds": 0}}, "segment"),
            ({"grid": {"seed": [1, 1]}}, "would be the same"),
            ({"grid": {"seed": list(range(101)), "batch_size": list(range(1, 101))}}, "10100 runs"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_done_is_said_before_anything_runs(
        self, tmp_path, grevy_run, sections, words
    ):
        path = write_sweep(tmp_path, **sections)
        code, out, err = grevy_run("sweep", path, "-o", tmp_path / "S", "--on", "debug")
        assert (code, out) == (2, "")
        assert words in err
        assert not (tmp_path / "S").exists()

    @pytest.mark.parametrize(
        ("sections", "words"),
        [
            ({"grid": {"seed": [1, 2]}}, "2 of 2 runs keep none. Put `validation: 0.2`"),
            ({"grid": {"validation": [0.2, 0]}}, "1 of 2 runs keep none"),
            ({"grid": {"validation": [0.2, 0.3]}}, "'validation' differs between runs (0.2, 0.3)"),
            (
                {"base": {"validation": 0.2}, "grid": {"holdout": [0, 0.2]}},
                "'holdout' differs between runs",
            ),
        ],
    )
    def test_what_could_not_be_picked_from_is_said_before_anything_runs(
        self, tmp_path, grevy_run, sections, words
    ):
        path = write_sweep(tmp_path, **sections)
        sweep = ("sweep", path, "-o", tmp_path / "S", "--on", "debug")
        for flags in (["--pick"], ["--pick", "--dry-run"]):
            code, out, err = grevy_run(*sweep, *flags)
            assert (code, out) == (2, "")
            assert words in err
            assert "--pick" in err
        assert not (tmp_path / "S").exists()

    def test_nothing_is_picked_from_several_recordings(self, tmp_path, grevy_run):
        data = [{"data": str(write_data(tmp_path / f"{n}.npz", seed=n))} for n in (0, 1)]
        path = write_sweep(tmp_path, base={"validation": 0.2}, list=data)
        code, out, err = grevy_run("sweep", path, "-o", tmp_path / "S", "--on", "debug", "--pick")
        assert (code, out) == (2, "")
        assert "several recordings" in err
        assert not (tmp_path / "S").exists()

    def test_a_folder_of_something_else(self, finished, tmp_path, grevy_run):
        path = write_sweep(tmp_path, grid={"seed": [1]})
        run = next((finished[1] / "runs").iterdir())
        for place, words in (
            (tmp_path, "holds other things"), (run, "holds a run"), (path, "cannot be used"),
            (finished[1], "it differs in"),
        ):  # fmt: skip
            code, out, err = grevy_run("sweep", path, "-o", place, "--on", "debug")
            assert (code, out) == (2, "")
            assert words in err
            assert "--output" in err or place == finished[1]

    def test_flags_that_make_no_sense(self, tmp_path, grevy_run):
        path = write_sweep(tmp_path, grid={"seed": [1]})
        for flags, words in (
            (["--on", "moon"], "unknown place 'moon'"),
            (["--workers", "0"], "--workers"),
            (["--checkpoint-minutes", "nan"], "above 0"),
            (["--checkpoint-minutes", "-1"], "above 0"),
        ):
            code, out, err = grevy_run("sweep", path, "-o", tmp_path / "S", *flags)
            assert (code, out) == (2, "")
            assert words in err
        assert not (tmp_path / "S").exists()

    def test_status_of_what_is_no_sweep(self, tmp_path, grevy_run):
        code, out, err = grevy_run("status", tmp_path)
        assert (code, out) == (2, "")
        assert "holds no sweep" in err
        (tmp_path / "file").touch()
        assert "holds no sweep" in grevy_run("status", tmp_path / "file")[2]
        (tmp_path / "plan.jsonl").write_text('{"run_id": "../../etc"}\n')
        code, out, err = grevy_run("status", tmp_path)
        assert (code, out) == (2, "")
        assert "plan.jsonl is damaged" in err

    def test_a_full_disk(self, tmp_path):
        path = write_sweep(tmp_path, grid={"seed": [1]})
        command = f"ulimit -f 0; exec {sys.executable} -m grevy sweep {path} -o {tmp_path}/S"
        done = subprocess.run(
            ["bash", "-c", command + " --on debug"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert done.stdout == ""
        assert re.search(
            "^grevy: .*/S/sweep.yaml cannot be written: .*\n$", done.stderr, re.MULTILINE
        )
        assert not list((tmp_path / "S").iterdir())


def test_deaths_are_counted_across_sweeps_and_said_where_they_cannot_be(tmp_path):
    folder = SweepFolder(tmp_path / "S")
    assert folder.note_death("0" * 12, "one\nline") == ["one\nline"]
    assert folder.note_death("0" * 12, "two") == ["one\nline", "two"]
    (tmp_path / "T").mkdir()
    (tmp_path / "T" / "claims").touch()
    with pytest.raises(WriteError, match="cannot be written"):
        SweepFolder(tmp_path / "T").note_death("0" * 12, "one")


@pytest.mark.parametrize("seed", [5, 6])
def test_a_run_cut_off_goes_on_from_its_checkpoint(tmp_path, grevy_run, seed):
    path = write_sweep(tmp_path, grid={"seed": [5]}, base={"max_iterations": 9})
    sweep = ("sweep", path, "-o", tmp_path / "S", "--on", "debug")
    name = re.findall("^[0-9a-f]{12}", grevy_run(*sweep, "--dry-run")[1], re.MULTILINE)[0]
    asked = make_config({**BASE, "data": str(tmp_path / "data.npz"), "seed": seed})
    recordings = load_recordings(asked)
    model = make_model(settle_offsets(asked, recordings), verbose=False)
    place = tmp_path / "S" / "runs" / name
    model.set_params(max_iterations=4)
    model.fit(recordings[0], checkpoints=Checkpoints(place / archive.CHECKPOINTS, steps=4))
    (tmp_path / "S" / "sweep.yaml").write_text(path.read_text())
    code, _, err = grevy_run(*sweep)
    if seed == 6:  # so it has been read
        assert (code, "is of another training: it differs in seed" in err) == (1, True)
        return
    assert code == 0, err
    whole = asked.model_copy(update={"max_iterations": 9, "output_dir": str(tmp_path / "alone")})
    run_experiment(whole, verbose=False)
    for each in (archive.EMBEDDING, archive.HISTORY):
        assert (place / each).read_bytes() == (tmp_path / "alone" / each).read_bytes()


def test_two_that_begin_at_once_do_the_same_runs(tmp_path):
    path = write_sweep(tmp_path, random={"runs": 2, "temperature": {"between": [0.1, 1]}})
    both = [prepare_sweep(path, tmp_path / "S", on="debug") for _ in range(2)]
    assert both[0].plan != both[1].plan  # nothing is recorded yet
    for sweep in both:
        assert do_sweep(sweep, _Lines(quiet=True), on="debug").done == 2
    names = {run.run_id for run in both[0].plan}
    assert {each.name for each in (tmp_path / "S" / "runs").iterdir()} == names
