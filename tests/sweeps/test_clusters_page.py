"""Every command of docs/clusters.md is run, on a real Dask and a real Slurm; its files are read."""

import re
import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from grevy.sweeps.places.jobs import read_jobs
from sweeps.on_clusters import N_RUNS, children, ended, kill, wait_until, write_sweep
from sweeps.slurm_here import slurm, why_not

PAGE = (Path(__file__).parents[2] / "docs" / "clusters.md").read_text()
ADDRESS = "tcp://10.0.0.1:8786"


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def commands():
    return [line for block in blocks("bash") for line in block.splitlines()]


def cluster_file():
    (text,) = [each for each in blocks("yaml") if "system:" in each]
    return text


def test_the_file_of_a_job_is_read(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text(cluster_file())
    system, settings = read_jobs(str(path))
    assert system == "slurm"
    assert settings.keys() == yaml.safe_load(cluster_file()).keys() - {"system"}
    for other in re.search(r"# or (.*)", cluster_file())[1].split(", "):
        path.write_text(f"system: {other}\ncores: 4\nqueue: main\n")
        assert read_jobs(str(path)) == (other, {"cores": 4, "queue": "main"})


def test_every_command_is_one_of_those_that_are_run_here():
    assert [line.partition(" --on ")[2] for line in commands()] == [
        ADDRESS, "slurm --workers 20", "cluster.yaml --workers 20",
    ]  # fmt: skip


def done_in(folder, line, environment=None):
    """Run a command of the page, and return what it printed."""
    program, *words = shlex.split(line)
    assert program == "grevy"
    process = subprocess.Popen(
        [sys.executable, "-m", "grevy", *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, env=environment,
    )  # fmt: skip
    code, printed = ended(process)
    assert code == 0
    return printed


@pytest.mark.slow
def test_dask(tmp_path):
    write_sweep(tmp_path, steps=20)
    words = [shlex.split(each) for each in re.findall(r"`(dask [^`]*)`", PAGE.replace("\n", " "))]
    scheduler, worker = words
    log = tmp_path / "log"
    with ExitStack() as stack:
        out = stack.enter_context(log.open("w"))

        def start(program, *arguments):
            process = subprocess.Popen(
                [Path(sys.executable).with_name(program), *arguments],
                stdout=out, stderr=out, cwd=tmp_path,
            )  # fmt: skip
            stack.callback(lambda: (kill(children(process.pid)), process.kill(), process.wait()))

        start(*scheduler, "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        wait_until(lambda: "Scheduler at:" in log.read_text(), "the scheduler")
        address = re.search(r"Scheduler at: +(tcp://127\S+)", log.read_text())[1]
        start(*(address if each == ADDRESS else each for each in worker), "--no-dashboard")
        wait_until(lambda: "Registered to" in log.read_text(), "the worker")
        printed = done_in(tmp_path, commands()[0].replace(ADDRESS, address))
    assert f"{N_RUNS} of {N_RUNS} done" in printed


@pytest.mark.slow
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_slurm(tmp_path):
    write_sweep(tmp_path, steps=20)
    file = yaml.safe_load(cluster_file()) | {"cores": 1, "memory": "1GB"}  # one node of two here
    (tmp_path / "cluster.yaml").write_text(yaml.safe_dump(file))
    with slurm(tmp_path / "slurm") as environment:
        for number, line in enumerate(commands()[1:]):
            again = line.replace("results/dimensions", f"results/{number}")
            printed = done_in(tmp_path, again, environment)
            assert f"{N_RUNS} of {N_RUNS} done" in printed
            assert list((tmp_path / "results" / str(number) / "jobs").iterdir())
