"""A real Dask cluster: a scheduler and two workers, each a process of its own."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from sweeps.on_clusters import (
    N_RUNS,
    assert_nothing_is_left,
    assert_same_results,
    children,
    ended,
    kill,
    sealed,
    start_sweep,
    steps_kept,
    wait_until,
    write_sweep,
)

pytestmark = pytest.mark.slow
SOURCE = Path(__file__).parents[2] / "src"


class Dask:
    """A scheduler, and workers that can be lost."""

    def __init__(self, folder):
        self._folder, self._stack, self.workers = folder, ExitStack(), []
        log = folder / "scheduler.log"
        self._start("scheduler", log, "--host", "127.0.0.1", "--port", "0")
        wait_until(lambda: "Scheduler at:" in log.read_text(), "the scheduler")
        (line,) = [each for each in log.read_text().splitlines() if "Scheduler at:" in each]
        self.address = line.split()[-1]

    def _start(self, what, log, *arguments, env=None):
        stream = self._stack.enter_context(log.open("w"))
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{what}", "--no-dashboard", *arguments],
            stdout=stream, stderr=stream, env=env, cwd=self._folder,
        )  # fmt: skip
        self._stack.callback(self._end, process)
        return process

    @staticmethod
    def _end(process):
        kill(children(process.pid))
        process.kill()
        process.wait()

    def add_worker(self, *arguments, env=None):
        log = self._folder / f"worker_{len(self.workers)}.log"
        usual = [self.address, "--nthreads", "1", "--local-directory", str(self._folder / "w")]
        self.workers.append(self._start("worker", log, *usual, *arguments, env=env))
        wait_until(lambda: "Registered to" in log.read_text(), "a worker")

    def worker_below(self, number):
        """Return the process that a nanny has started to do the work; it starts another if lost."""
        for pid in children(self.workers[number].pid):
            with suppress(OSError):
                if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
        return None

    def close(self):
        self._stack.close()


@pytest.fixture
def dask(tmp_path):
    folder = tmp_path / "dask"
    folder.mkdir()
    cluster = Dask(folder)
    yield cluster
    cluster.close()


@contextmanager
def other_version(folder, version):
    """Make a copy of Grevy that says it has another version; yields the environment."""
    shutil.copytree(SOURCE / "grevy", folder / "grevy")
    (folder / "grevy" / "version.py").write_text(f'__version__ = "{version}"\n')
    yield {**os.environ, "PYTHONPATH": str(folder)}


def test_results_are_those_of_runs_one_by_one(tmp_path, dask):
    file = write_sweep(tmp_path, steps=200)
    dask.add_worker()
    dask.add_worker()
    code, _ = ended(start_sweep(file, tmp_path / "there", dask.address))
    assert code == 0
    code, _ = ended(start_sweep(file, tmp_path / "here", "debug"))
    assert code == 0
    assert_same_results(tmp_path / "here", tmp_path / "there")
    assert_nothing_is_left(tmp_path / "there")
    code, printed = ended(start_sweep(file, tmp_path / "there", dask.address))
    assert code == 0
    assert f"{N_RUNS} done, 0 failed, 0 to do" in printed


def test_workers_and_client_are_lost_and_nothing_else(tmp_path, dask):
    """A worker is killed three times, then the client, and everything is done once."""
    file, output = write_sweep(tmp_path, steps=20_000), tmp_path / "there"
    dask.add_worker()
    dask.add_worker()
    client = start_sweep(file, output, dask.address)
    finished, lost = {}, []
    for _ in range(3):
        before = steps_kept(output)
        wait_until(lambda before=before: steps_kept(output) != before, "a checkpoint", client)
        wait_until(lambda: dask.worker_below(-1) not in (None, *lost), "another worker")
        lost.append(dask.worker_below(-1))
        kill(lost[-1:])
        finished.update(sealed(output))
    before = steps_kept(output)
    assert client.poll() is None
    kill([client.pid])
    client.communicate()
    # Within the sign of life's time what ran is kept and ends; here the next client says so.
    again = start_sweep(file, output, dask.address)
    code, printed = ended(again)
    assert code == 0
    assert f"{N_RUNS} of {N_RUNS} done" in printed
    assert before  # something was on its way when the client was lost
    for name, seal in finished.items():
        assert sealed(output)[name] == seal, "a finished run was done again"
    assert len(set(lost)) == 3
    assert_nothing_is_left(output)
    code, _ = ended(start_sweep(file, tmp_path / "here", "here"))
    assert code == 0
    assert_same_results(tmp_path / "here", output)


def test_what_a_worker_has_begun_goes_on_before_others_begin(tmp_path, dask):
    file, output = write_sweep(tmp_path, steps=200_000), tmp_path / "there"
    dask.add_worker("--no-nanny")
    client = start_sweep(file, output, dask.address)
    wait_until(lambda: steps_kept(output), "a checkpoint", client)
    dask.workers[0].terminate()  # as a batch system does before it ends a job
    dask.workers[0].wait()
    ((name, kept),) = steps_kept(output).items()
    assert not list((output / "claims").glob("*.claim"))
    dask.add_worker("--no-nanny")
    wait_until(lambda: steps_kept(output)[name] > kept, "the run to go on", client)
    assert [path.name for path in (output / "runs").iterdir()] == [name]
    client.send_signal(signal.SIGINT)
    code, printed = ended(client)
    assert code == 130
    assert "again  " not in printed


def test_ctrl_c_keeps_what_runs(tmp_path, dask):
    file, output = write_sweep(tmp_path, steps=200_000), tmp_path / "there"
    dask.add_worker()
    client = start_sweep(file, output, dask.address)
    wait_until(lambda: steps_kept(output), "a checkpoint", client)
    before = steps_kept(output)
    client.send_signal(signal.SIGINT)
    code, printed = ended(client)
    assert code == 130
    assert "The same command goes on" in printed
    ((name, step),) = steps_kept(output).items()
    assert step >= before[name]
    assert not list((output / "claims").iterdir())  # the run has ended, and given its claim back


def test_a_run_that_ends_its_process_is_given_up(tmp_path, dask):
    deadly = tmp_path / "deadly.py"
    deadly.write_text(
        "import os, signal\nif 'DEADLY' in os.environ:\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    file = write_sweep(tmp_path, steps=20)
    file.write_text(file.read_text().replace("base:", f"base:\n  imports: [{deadly}]"))
    dask.add_worker(env={**os.environ, "DEADLY": "1"})
    code, printed = ended(
        start_sweep(file, tmp_path / "there", dask.address, "--import", str(deadly))
    )
    assert code == 1
    assert f"0 of {N_RUNS} done, 0 running, {N_RUNS} failed" in printed
    assert "SIGKILL" in printed
    assert "3 times" in printed


@pytest.mark.parametrize("version", ["0.0.1", None])
def test_another_version_is_refused(tmp_path, dask, version):
    (tmp_path / "other").mkdir()
    if version is None:  # none at all: a folder that stands before the installed one
        (tmp_path / "other" / "grevy.py").write_text("raise ModuleNotFoundError('grevy')\n")
        dask.add_worker(env={**os.environ, "PYTHONPATH": str(tmp_path / "other")})
    else:
        with other_version(tmp_path / "other", version) as environment:
            dask.add_worker(env=environment)
    file = write_sweep(tmp_path, steps=20)
    code, printed = ended(start_sweep(file, tmp_path / "there", dask.address))
    assert code == 2
    assert "Traceback" not in printed
    assert (f"Grevy {version}" if version else "no Grevy") in printed
    assert "pip install grevy==" in printed


def test_another_version_that_comes_later_is_refused(tmp_path, dask):
    file, output = write_sweep(tmp_path, steps=20), tmp_path / "there"
    client = start_sweep(file, output, dask.address)
    wait_until(lambda: list((output / "claims").glob("*.client")), "the client", client)
    (tmp_path / "other").mkdir()
    with other_version(tmp_path / "other", "0.0.1") as environment:
        dask.add_worker(env=environment)
    code, printed = ended(client)
    assert code == 2
    assert "Traceback" not in printed
    assert "Grevy 0.0.1" in printed
    assert not list(output.glob("runs/*"))  # no run has failed by that


def test_no_scheduler_is_one_message(tmp_path):
    file = write_sweep(tmp_path, steps=20)
    code, printed = ended(start_sweep(file, tmp_path / "there", "tcp://127.0.0.1:9"))
    assert code == 2
    assert "Traceback" not in printed
    assert "no Dask scheduler answers" in printed
