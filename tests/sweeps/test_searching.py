"""Searches: trials that follow from each other, given up early, chosen by what is not reported."""

import json
import subprocess
import sys

import pytest
from optuna.trial import TrialState

from grevy.errors import GrevyError
from grevy.report import number as written
from grevy.sweeps.drawing import Distribution
from grevy.sweeps.folder import SweepFolder
from grevy.sweeps.planning import PlannedRun
from grevy.sweeps.reading import read_sweep
from grevy.sweeps.searching import (
    FIRST,
    make_study,
    open_study,
    slots,
    suggested,
    trials_left,
    watcher,
)
from grevy.sweeps.space import Search
from grevy.sweeps.working import GivenUpError
from sweeps.on_clusters import write_sweep

MINUS = "\N{MINUS SIGN}"

SPACE = {
    "learning_rate": Distribution(low=1e-4, high=1e-2, log=True),
    "output_dimension": Distribution(low=2, high=8, whole=True),
    "distance": Distribution(among=("cosine", "euclidean")),
    "time_offsets": Distribution(among=((1, 2), (3,))),
}
SEARCH = """\
search:
  trials: 4
  learning_rate: {between: [0.00001, 0.01], scale: log}
"""


def search(**changes):
    given = {"trials": 4, "sampler": "tpe", "prune": True, "space": SPACE, **changes}
    return Search(**given)


def write_search(folder, steps=200, text=SEARCH):
    path = write_sweep(folder, steps)
    base = path.read_text().partition("grid:")[0]
    path.write_text(f"{base}  validation: 0.2\n{text}")
    return path


def test_settings_are_drawn_from_what_the_file_says():
    study = make_study(search(), seed=0)
    for _ in range(30):
        drawn = suggested(study.ask(), SPACE)
        assert 1e-4 <= drawn["learning_rate"] <= 1e-2
        assert type(drawn["output_dimension"]) is int
        assert 2 <= drawn["output_dimension"] <= 8
        assert drawn["distance"] in ("cosine", "euclidean")
        assert drawn["time_offsets"] in ((1, 2), (3,))


def test_the_same_seed_draws_the_same():
    def draws(seed):
        study = make_study(search(), seed)
        return [suggested(study.ask(), SPACE)["learning_rate"] for _ in range(3)]

    assert draws(1) == draws(1) != draws(2)


@pytest.mark.parametrize(("sampler", "closer"), [("tpe", True), ("random", False)])
def test_a_search_comes_close_to_the_best_and_drawing_does_not(sampler, closer):
    """The best is at 0.1 of a range from 0 to 1; the mean distance of draws from it is 0.41."""
    space = {"temperature": Distribution(low=0.0, high=1.0)}
    late = []
    for seed in range(5):
        study = make_study(search(sampler=sampler, space=space), seed)
        for number in range(40):
            trial = study.ask()
            distance = abs(suggested(trial, space)["temperature"] - 0.1)
            study.tell(trial, -distance)
            late += [distance] * (number >= FIRST)
    assert (sum(late) / len(late) < 0.25) == closer


def test_a_trial_worse_than_half_of_those_before_is_given_up():
    study = make_study(search(), seed=0)
    for value in range(6):
        trial = study.ask()
        seen = watcher(trial)
        seen(100, float(value))
        study.tell(trial, float(value))
    watcher(study.ask())(100, 5.0)
    with pytest.raises(GivenUpError, match=r"after 100 steps, at 0\.500 bits"):
        watcher(study.ask())(100, 0.5)
    unpruned = make_study(search(prune=False), seed=0)
    unpruned.add_trials(study.get_trials()[:6])
    watcher(unpruned.ask())(100, 0.5)


def test_trials_are_kept_in_the_folder(tmp_path):
    base = PlannedRun("0" * 12, {"seed": 3}, (), "x")
    folder = SweepFolder(tmp_path)
    runs = slots(search(), base)
    assert trials_left(folder, search(), base) == runs
    for slot, state in zip(runs, (TrialState.COMPLETE, TrialState.PRUNED), strict=False):
        study = open_study(folder, search(), 3)
        trial = study.ask()
        suggested(trial, SPACE)
        trial.set_user_attr("slot", slot.run_id)
        trial.set_user_attr("steps", 100)
        study.tell(trial, 1.0 if state is TrialState.COMPLETE else None, state)
    assert trials_left(folder, search(), base) == runs[2:]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("search:\n  learning_rate: {between: [1, 2]}\n", "'trials' is None"),
        ("search:\n  trials: 0\n  learning_rate: {between: [1, 2]}\n", "whole number from 1"),
        ("search:\n  trials: 3\n", "give names with what to draw from"),
        ("search: 3\n", "expected settings"),
        (f"{SEARCH}  sampler: grid\n", "expected tpe or random"),
        (f"{SEARCH}  prune: maybe\n", "expected true or false"),
        (f"{SEARCH}  batch_size: {{between: [8, 64]}}\n", "could not be compared"),
        (f"{SEARCH}  seed: {{among: [0, 1]}}\n", "could not be compared"),
        (f"{SEARCH}  temperture: {{among: [0, 1]}}\n", "Did you mean 'temperature'"),
        (f"{SEARCH}grid:\n  seed: [0, 1]\n", "search has to be alone, without grid"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path, text, words):
    with pytest.raises(GrevyError, match="line ") as refused:
        read_sweep(write_search(tmp_path, text=text))
    assert words in str(refused.value)


def test_without_validation_nothing_could_choose(tmp_path):
    path = write_search(tmp_path)
    path.write_text(path.read_text().replace("  validation: 0.2\n", ""))
    with pytest.raises(GrevyError, match=r"validation: 0\.2"):
        read_sweep(path)


def test_a_search_reads_back_the_same(tmp_path):
    file = read_sweep(write_search(tmp_path))
    assert file.search is not None
    (tmp_path / "again.yaml").write_text(json.dumps(file.as_mapping()))
    assert read_sweep(tmp_path / "again.yaml") == file


def test_what_is_not_installed_is_said(tmp_path, monkeypatch, grevy_run):
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, _, said = grevy_run("sweep", write_search(tmp_path), "-o", tmp_path / "out")
    assert code == 2
    assert "pip install 'grevy[search]'" in said


@pytest.mark.slow
def test_a_search_from_its_file_to_its_choice(tmp_path):
    """Two at once; both numbers are shown: what chose, and what did not."""
    file, output = write_search(tmp_path), tmp_path / "out"
    command = [sys.executable, "-m", "grevy", "sweep", str(file), "-o", str(output)]
    done = subprocess.run([*command, "--workers", "2"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "4 of 4 done" in done.stdout
    inside, outside = {}, {}
    for path in output.glob("runs/trial_*/logs/metrics.json"):
        metrics, name = json.loads(path.read_text()), path.parents[1].name
        inside[name] = metrics["validation"]["scores"]["position"]["test_r2"]
        outside[name] = metrics["scores"]["position"]["blocked"]["embedding"]["test_r2"]
    best = max(inside, key=inside.get)
    said = {line.split()[0]: line.split(maxsplit=1)[1] for line in done.stdout.splitlines()}
    assert said["run"].endswith(f"/{best}")
    assert said["chosen"].startswith("by position: R2, validation blocks")
    assert said["choosing"].startswith(f"{written(inside[best])} ".replace(MINUS, "-"))
    assert said["honest"].startswith(f"{written(outside[best])} on held".replace(MINUS, "-"))
    assert said["highest"].endswith(f"by {best}  " + said["highest"].split(f"{best}  ")[1])
    study = open_study(SweepFolder(output), read_sweep(file).search, 0)
    told = {t.user_attrs["slot"]: t.value for t in study.get_trials() if t.value is not None}
    assert told == inside
    kept = {path: path.stat().st_mtime_ns for path in output.glob("runs/*/manifest.json")}
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0
    assert {path: path.stat().st_mtime_ns for path in output.glob("runs/*/manifest.json")} == kept
    assert not list((output / "claims").iterdir())
