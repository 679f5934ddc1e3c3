"""Files of settings for batch systems: what may stand in them, and what job becomes of it."""

import subprocess
import sys

import pytest

from grevy.errors import GrevyError
from grevy.sweeps.places.jobs import SYSTEMS, _whole, read_jobs
from grevy.sweeps.places.opening import BATCH_SYSTEMS, check_place_name


def test_the_batch_systems_are_those_that_are_named():
    assert set(SYSTEMS) == set(BATCH_SYSTEMS)


@pytest.mark.parametrize("system", sorted(SYSTEMS))
def test_a_job_is_a_worker_that_does_one_run(tmp_path, system):
    path = tmp_path / "cluster.yaml"
    path.write_text(
        f"system: {system}\ncores: 3\nmemory: 6GB\nqueue: long\nwalltime: '02:00'\n"
        "worker_extra_args: [--resources, GPU=1]\njob_script_prologue: [module load python]\n"
    )
    found, settings = read_jobs(str(path))
    assert found == system
    job = SYSTEMS[system].job_cls(
        "tcp://10.0.0.1:8786", name="x", **_whole(system, settings, tmp_path)
    )
    script = job.job_script()
    lines = script.splitlines()
    assert "module load python" in lines
    (command,) = [line for line in lines if "dask_worker" in line]
    assert command.startswith(f"exec {sys.executable} -m ")
    assert command.endswith("--resources GPU=1 --nthreads 1")
    assert "--no-nanny" in command
    assert "long" in script
    if system != "sge":  # there, cores are asked for as each site has it
        asked = script.replace(command, "").replace(str(tmp_path), "")
        assert "3" in asked  # cores


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("system: slum\n", "expected one of slurm, pbs, lsf, sge"),
        ("cores: 2\n", "'system' is None"),
        ("system: slurm\nwaltime: 1\n", "Did you mean 'walltime'"),
        ("system: slurm\nnanny: true\nprocesses: 4\n", "2 problems"),
        ("[1, 2]\n", "expected settings, one a line"),
        ("", "expected settings, one a line"),
        ("system: [\n", "cannot be read"),
        ("system: !!python/object/apply:os.system [echo]\n", "cannot be read"),
        ("\x00", "cannot be read"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path, text, words):
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with pytest.raises(GrevyError, match=r"cluster\.yaml") as refused:
        check_place_name(str(path))
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere.yaml", "cannot be read: No such file"),
        ("slrum", "Did you mean 'slurm'"),
        ("hear", "Did you mean 'here'"),
        ("tcp://127.0.0.1:x", "expected tcp://HOST:PORT"),
        ("tcp://127.0.0.1", "expected tcp://HOST:PORT"),
        ("ftp://127.0.0.1:9", "expected tcp://HOST:PORT"),
    ],
)
def test_a_place_that_there_is_not_is_refused(name, words):
    with pytest.raises(GrevyError) as refused:
        check_place_name(name)
    assert words in str(refused.value)


def test_a_folder_that_batch_systems_do_not_take_is_refused(tmp_path):
    with pytest.raises(GrevyError, match=r"no folder with a space.*`log_directory`"):
        _whole("slurm", {}, tmp_path / "a b")
    settings = {"log_directory": str(tmp_path)}
    assert _whole("slurm", settings, tmp_path / "a b")["log_directory"] == str(tmp_path)


def test_what_is_left_empty_is_left_out(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text("system: slurm\nqueue:\nlog_directory: null\ncores: 2\n")
    assert read_jobs(str(path)) == ("slurm", {"cores": 2})


def test_what_is_not_installed_is_said(monkeypatch):
    for name in ("grevy.sweeps.places.dask", "grevy.sweeps.places.jobs"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    for name in ("tcp://10.0.0.1:8786", "slurm"):
        with pytest.raises(GrevyError, match=r"pip install 'grevy\[cluster\]'"):
            check_place_name(name)


def test_ctrl_c_does_what_it_did():
    code = (
        "import signal; before = signal.getsignal(signal.SIGINT); import grevy.sweeps.places.jobs;"
        "assert signal.getsignal(signal.SIGINT) is before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
