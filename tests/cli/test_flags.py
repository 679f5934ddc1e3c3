"""Flags are made from the settings, when they are needed; none can be given twice unnoticed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import grevy
from grevy.config import RunConfig, list_settings

SOURCE = Path(grevy.__file__).parent
MAIN = "from grevy.cli import main; main()"


def call(*arguments, code=MAIN, cwd=None, path=SOURCE.parent):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(path), "COLUMNS": "200", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def wider(tmp_path_factory):
    """The package with two more settings, written into `RunConfig` and nowhere else."""
    root = tmp_path_factory.mktemp("wider")
    shutil.copytree(SOURCE, root / "grevy", ignore=shutil.ignore_patterns("__pycache__"))
    config = root / "grevy" / "config" / "settings.py"
    last = "    output_dir: str ="
    more = (
        '    gain: float = _sampling(2.5, "How loud. Default {default}.", "X", gt=0)\n'
        '    max_adapt_iterations: int = _model(500, "Of adapting. Default {default}.", ge=1)\n'
    )
    text = config.read_text()
    assert text.count(last) == 1
    config.write_text(text.replace(last, more + last))
    return root


def test_a_new_setting_is_a_field_and_nothing_else(wider, tmp_path):
    """It is in the help, in flags and YAML, in the archive, in the report, and in the model."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", spikes=rng.poisson(2, (200, 6)))
    (tmp_path / "run.yaml").write_text(
        "data: data.npz\nneural: spikes\nholdout: 0\nmax_iterations: 2\nbatch_size: 16\n"
        "device: cpu\nmax_adapt_iterations: 7\n"
    )
    said = call("run", "--help", path=wider)
    panel = said.stdout.partition("─ Sampling ─")[2].partition("─ Evaluation ─")[0]
    assert re.search(r"--gain +X +How loud. Default 2\.5\.", panel), said.stdout
    done = call("run", "--config", "run.yaml", "--gain", "4", cwd=tmp_path, path=wider)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "results" / "run"
    settings = yaml.safe_load((run / "config.yaml").read_text())
    assert (settings["gain"], settings["max_adapt_iterations"]) == (4.0, 7)
    page = (run / "report.html").read_text()
    assert "--gain 4.0" in page
    assert "<dt>gain</dt><dd>4.0</dd>" in page
    model = grevy.CEBRA.load(run / "models" / "cebra_model.pt")
    assert model.max_adapt_iterations == 7
    wrong = call("run", "--config", "run.yaml", "--gain", "0", cwd=tmp_path, path=wider)
    assert wrong.returncode == 2
    assert "--gain is 0.0: expected a number above 0" in wrong.stderr


def test_every_setting_has_its_help():
    settings = {each.name: each for each in list_settings()}
    assert set(settings) == set(RunConfig.model_fields)
    for each in settings.values():
        assert each.help.endswith((".", "jl"))
        assert "{" not in each.help
    assert settings["seeds"].help.endswith("Default 1.")
    assert settings["folds"].kind is settings["nulls"].kind is int
    assert settings["distance"].help == "cosine (default) or euclidean."
    assert settings["split"].help.startswith("blocks of time (default)")
    assert settings["time_offsets"].kind is int
    assert settings["time_offsets"].several
    assert settings["period"].kind is float


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (["run", "--sessions", "a.yaml", "--sessions", "b.yaml"], "--sessions"),
        (["run", "--dataset", "x", "--seed", "1", "--seed=1"], "--seed"),
        (["run", "--dataset", "x", "--umap", "--no-umap"], "--umap"),
        (["run", "--dataset", "x", "--quiet", "--quiet"], "--quiet"),
        (["generate", "--length", "20", "--length", "30"], "--length"),
        (["evaluate", "run", "--nulls", "0", "--nulls", "20"], "--nulls"),
        (["embed", "m.pt", "x.npz", "-o", "a.npy", "--output", "b.npy"], "--output"),
    ],
)
def test_a_flag_that_cannot_repeat_refuses_to(arguments, flag, tmp_path):
    done = call(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert f"{flag} was given 2 times. Give it once." in done.stderr
    assert done.stderr.count("Error") == 1
    assert list(tmp_path.iterdir()) == []


def test_flags_that_repeat_are_kept(tmp_path):
    given = ["--label", "a", "--label", "b", "--time-offsets", "1", "--time-offsets", "2"]
    done = call("run", "--data", "none.npz", *given, cwd=tmp_path)
    assert "none.npz does not exist" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "x.npz", "--max-iterations", "0"], "--max-iterations is 0"),
        (["--dataset", "x", "--label", "y"], "--label belongs to a data file"),
        ([], "--dataset NAME"),
    ],
)
def test_bad_settings_answer_before_anything_heavy_loads(arguments, words, tmp_path):
    code = (
        "import sys\nfrom grevy.cli import main\n"
        "try:\n    main()\nfinally:\n"
        "    heavy = {'torch', 'cebra', 'pandas', 'sklearn', 'matplotlib', 'grevy.runs'}\n"
        "    print(*heavy & set(sys.modules))\n"
    )
    done = call("run", *arguments, code=code, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("shell", "typed", "offered"),
    [
        ("bash", "grevy run --max-i", "--max-iterations"),
        ("bash", "grevy ev", "evaluate"),
        ("zsh", "grevy evaluate x --nul", "--nulls"),
    ],
)
def test_the_shell_completes(shell, typed, offered, tmp_path):
    variables = {
        "_GREVY_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
        "_TYPER_COMPLETE_ARGS": typed,
    }
    code = f"import os\nos.environ.update({variables!r})\nimport sys\nsys.argv[0] = 'grevy'\n{MAIN}"
    done = call(code=code, cwd=tmp_path)
    assert offered in done.stdout, done.stderr


def test_the_shell_is_told_how(tmp_path):
    code = f"import os\nos.environ['_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION'] = '1'\n{MAIN}"
    done = call("--show-completion", "bash", code=code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "complete " in done.stdout


def test_a_run_loads_no_more_than_it_uses(tmp_path):
    arguments = ["--dataset", "continuous-label-poisson", "--offline", "--max-iterations", "2"]
    code = (
        "import gc, sys\nfrom grevy.cli import main\n"
        "try:\n    main()\nfinally:\n"
        "    assert gc.isenabled()\n"
        "    print(gc.get_freeze_count() > 100_000)\n"
        "    unused = {'cebra.datasets', 'torch._dynamo', 'sympy', 'umap', 'numba', 'IPython'}\n"
        "    print(*unused & set(sys.modules))\n"
    )
    few = ["--folds", "0", "--nulls", "0", "--quiet"]
    done = call("run", *arguments, *few, code=code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True"]
