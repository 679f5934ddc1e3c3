"""A real Slurm of one node with two processors, and what `scancel` does to its jobs."""

import json
import os
import signal
import subprocess

import pytest

from sweeps.on_clusters import (
    N_RUNS,
    assert_nothing_is_left,
    assert_same_results,
    ended,
    sealed,
    start_sweep,
    steps_kept,
    wait_until,
    write_sweep,
)
from sweeps.slurm_here import slurm, why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    with slurm(tmp_path_factory.mktemp("slurm")) as found:
        found.pop("OMP_NUM_THREADS", None)  # jobs inherit it, and it would go before Slurm's
        yield found


def jobs(environment):
    asked = ["squeue", "--noheader", "--states=RUNNING,PENDING", "--format=%i"]
    found = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True)
    return found.stdout.split()


def test_results_are_those_of_runs_one_by_one(tmp_path, environment):
    file = write_sweep(tmp_path, steps=200)
    there = start_sweep(file, tmp_path / "there", "slurm", "--workers", "2", env=environment)
    code, _ = ended(there)
    assert code == 0
    code, _ = ended(start_sweep(file, tmp_path / "here", "debug"))
    assert code == 0
    assert_same_results(tmp_path / "here", tmp_path / "there")
    assert_nothing_is_left(tmp_path / "there")
    wait_until(lambda: not jobs(environment), "the jobs to end")


@pytest.mark.parametrize("whom", ["--full", "--batch", None])
def test_a_preempted_run_is_kept_and_goes_on(tmp_path, environment, whom):
    file, output = write_sweep(tmp_path, steps=10**6), tmp_path / "there"
    cluster, minutes = tmp_path / "cluster.yaml", 60 if whom else 3
    cluster.write_text(
        f"system: slurm\ncores: 2\nmemory: 1GB\nwalltime: '{minutes}'\n"
        "job_extra_directives: ['--signal=B:TERM@120']\n"
    )
    client = start_sweep(file, output, str(cluster), "--workers", "1", minutes=0.1, env=environment)
    wait_until(lambda: steps_kept(output), "a checkpoint", client)
    ((name, before),) = steps_kept(output).items()
    (job,) = jobs(environment)
    if whom is not None:  # else its time is up
        subprocess.run(["scancel", "--signal=TERM", whom, job], env=environment, check=True)
    wait_until(lambda: job not in jobs(environment), "the job to end")
    kept = steps_kept(output)[name]
    assert before < kept < 10**6
    assert not list((output / "claims").glob("*.claim"))  # it had time to tidy up
    wait_until(lambda: steps_kept(output)[name] > kept, "another job to go on", client)
    assert jobs(environment) != [job]
    assert not sealed(output)  # it went on before others were begun
    client.send_signal(signal.SIGINT)
    code, printed = ended(client)
    assert code == 130
    assert "again  " not in printed  # to be preempted is no fault of the run
    wait_until(lambda: not jobs(environment), "the jobs to end")


def test_it_has_all_processors_of_its_job(tmp_path, environment):
    file, output = write_sweep(tmp_path, steps=20), tmp_path / "there"
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text("system: slurm\ncores: 2\nmemory: 1GB\n")
    code, _ = ended(start_sweep(file, output, str(cluster), "--workers", "1", env=environment))
    assert code == 0
    manifests = [json.loads(path.read_text()) for path in output.glob("runs/*/manifest.json")]
    assert len(manifests) == N_RUNS
    assert {each["computing"]["threads"] for each in manifests} == {2}


def test_a_job_that_cannot_be_is_one_message(tmp_path, environment):
    file = write_sweep(tmp_path, steps=20)
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text("system: slurm\ncores: 1\nmemory: 1GB\nqueue: nowhere\n")
    code, printed = ended(start_sweep(file, tmp_path / "there", str(cluster), env=environment))
    assert code == 2
    assert "Traceback" not in printed
    assert "no job could be submitted" in printed
    assert "invalid partition" in printed


def test_jobs_that_end_before_they_begin_are_given_up(tmp_path, environment):
    file, output = write_sweep(tmp_path, steps=20), tmp_path / "there"
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text(
        "system: slurm\njob_script_prologue: ['echo there is no such module >&2; exit 1']\n"
    )
    code, printed = ended(
        start_sweep(file, output, str(cluster), "--workers", "2", env=environment)
    )
    assert code == 2
    assert "Traceback" not in printed
    assert "jobs have ended before they could do anything" in printed
    assert f"{output}/jobs; it ends with: there is no such module" in printed
    wait_until(lambda: not jobs(environment), "the jobs to end")


def test_a_job_that_is_cancelled_before_it_begins_is_replaced(tmp_path, environment):
    file, output = write_sweep(tmp_path, steps=20), tmp_path / "there"
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text("system: slurm\njob_extra_directives: [--hold]\n")
    client = start_sweep(file, output, str(cluster), "--workers", "1", env=environment)
    wait_until(lambda: jobs(environment), "a job", client)
    (job,) = jobs(environment)
    subprocess.run(["scancel", job], env=environment, check=True)
    wait_until(lambda: jobs(environment) not in ([], [job]), "another job", client)
    (other,) = jobs(environment)
    subprocess.run(["scontrol", "release", other], env=environment, check=True)
    code, printed = ended(client)
    assert code == 0
    assert f"{N_RUNS} of {N_RUNS} done" in printed
    wait_until(lambda: not jobs(environment), "the jobs to end")


def test_no_slurm_is_one_message(tmp_path):
    bare = {**os.environ, "PATH": str(tmp_path)}
    code, printed = ended(
        start_sweep(write_sweep(tmp_path, 20), tmp_path / "there", "slurm", env=bare)
    )
    assert code == 2
    assert "no program sbatch" in printed
