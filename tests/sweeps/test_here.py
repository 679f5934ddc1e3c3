"""Workers on this machine: they die alone, stop in order, and never stay behind."""

import math
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError

import pytest

from grevy.errors import GrevyError
from grevy.sweeps.claims import process_start
from grevy.sweeps.places.here import WorkerDiedError, Workers, processes
from grevy.sweeps.places.opening import open_place


def test_the_work_is_done_elsewhere():
    with processes(workers=2, threads=None) as executor:
        futures = [executor.submit(math.factorial, number) for number in range(8)]
        owners = {executor.submit(os.getpid).result() for _ in range(4)}
        assert [each.result() for each in futures] == [math.factorial(n) for n in range(8)]
    assert os.getpid() not in owners
    assert len(owners) <= 2
    assert not any(map(process_start, owners))


def test_threads_are_granted():
    with processes(workers=1, threads=3) as executor:
        assert executor.submit(os.getenv, "OMP_NUM_THREADS").result() == "3"


def test_what_is_raised_comes_back_and_the_worker_goes_on():
    with processes(workers=1, threads=None) as executor:
        pid = executor.submit(os.getpid).result()
        with pytest.raises(RuntimeError, match="ValueError: "):
            executor.submit(math.sqrt, -1).result()
        assert executor.submit(os.getpid).result() == pid


def test_a_worker_that_dies_takes_one_task_with_it():
    with processes(workers=1, threads=None) as executor:
        first = executor.submit(os.getpid).result()
        dying = executor.submit(os._exit, 7)
        after = executor.submit(os.getpid)
        with pytest.raises(WorkerDiedError, match="ended with code 7"):
            dying.result()
        assert after.result() != first
        with pytest.raises(WorkerDiedError, match="was ended by SIGKILL"):
            executor.submit(signal.raise_signal, signal.SIGKILL).result()


def test_its_last_words_are_kept():
    with (
        processes(workers=1, threads=None) as executor,
        pytest.raises(WorkerDiedError, match="it said last: out of luck"),
    ):
        executor.submit(
            exec, "import sys, os; print('out of luck', flush=True); os._exit(1)"
        ).result()


def test_an_interrupt_stops_what_runs_and_what_waits():
    futures = []

    def interrupted():
        with processes(workers=1, threads=None) as executor:
            futures.append(executor.submit(os.getpid))
            futures.extend(executor.submit(time.sleep, 600) for _ in range(3))
            while not futures[1].running():
                time.sleep(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert process_start(futures[0].result()) is None
    with pytest.raises(WorkerDiedError):
        futures[1].result()
    with pytest.raises(CancelledError):
        futures[3].result()


def test_a_worker_that_will_not_stop_is_ended(monkeypatch):
    monkeypatch.setattr("grevy.sweeps.places.here.GRACE", 0.1)
    pool = Workers(1, None)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    pid = pool.submit(os.getpid).result()
    pool.submit(exec, deaf)
    time.sleep(0.5)
    pool.stop()
    assert process_start(pid) is None


@pytest.mark.parametrize("busy", [False, True])
def test_workers_end_with_their_parent_however_it_ends(busy):
    program = (
        "import os, time\n"
        "from grevy.sweeps.places.here import processes\n"
        "with processes(workers=2, threads=None) as executor:\n"
        "    pids = {executor.submit(os.getpid).result() for _ in range(9)}\n"
        f"    [executor.submit(time.sleep, 600) for _ in range({2 if busy else 0})]\n"
        "    time.sleep(0.2)\n"
        "    print(*pids, flush=True)\n"
        "    time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert any(map(process_start, pids))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    while any(map(process_start, pids)):  # a minute at most, which pytest does not count
        time.sleep(0.05)


def test_a_place_that_there_is_not_is_refused():
    with pytest.raises(GrevyError, match=r"unknown place 'her'\. Did you mean 'here'"):
        open_place("her")
