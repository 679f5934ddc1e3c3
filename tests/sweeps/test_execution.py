"""One way in which runs are done: what dies is tried again, what is done elsewhere waited for."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from grevy.sweeps import execution
from grevy.sweeps.execution import execute, terminated_in_order
from grevy.sweeps.places.debug import InThisProcess
from grevy.sweeps.planning import PlannedRun
from grevy.sweeps.working import Outcome, Task


def tasks(count):
    runs = [PlannedRun(f"{number:012x}", {}, (), "") for number in range(count)]
    return [Task(Path(), run, 1.0) for run in runs]


class Kept:
    """Keeps what it is told."""

    def __init__(self, patience=3):
        self.patience, self.deaths, self.outcomes, self.looks = patience, [], [], 0

    def ended(self, outcome):
        self.outcomes.append((outcome.run.run_id, outcome.state))

    def died(self, task, reason):
        self.deaths.append(task.run.run_id)
        if self.deaths.count(task.run.run_id) < self.patience:
            return None
        return Outcome(task.run, "failed", reason)

    def look(self):
        self.looks += 1


@pytest.fixture(params=["one after the other", "several"])
def executor(request):
    if request.param == "several":
        with ThreadPoolExecutor(3) as pool:
            yield pool
    else:
        yield InThisProcess()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(execution, "PATIENCE", 0.01)
    monkeypatch.setattr(execution, "LOOK", 0.01)


def test_every_task_is_done(executor):
    kept, asked = Kept(), tasks(20)
    execute(executor, lambda task: Outcome(task.run, "done"), asked, kept)
    assert sorted(kept.outcomes) == [(task.run.run_id, "done") for task in asked]
    assert kept.deaths == []


def test_a_task_that_ends_its_worker_is_tried_again_and_given_up(executor):
    kept, asked = Kept(), tasks(6)
    tried = []

    def work(task):
        number = int(task.run.run_id, 16)
        tried.append(number)
        if number == 2 or (number == 4 and tried.count(4) == 1):
            raise RuntimeError("gone")
        return Outcome(task.run, "done")

    execute(executor, work, asked, kept)
    states = {int(name, 16): state for name, state in kept.outcomes}
    assert states == {0: "done", 1: "done", 2: "failed", 3: "done", 4: "done", 5: "done"}
    assert (tried.count(2), tried.count(4), tried.count(0)) == (3, 2, 1)


def test_what_is_done_elsewhere_is_waited_for(executor):
    kept, asked, tried = Kept(), tasks(3), []

    def work(task):
        tried.append(task.run.run_id)
        busy = task is asked[1] and tried.count(task.run.run_id) < 4
        return Outcome(task.run, "elsewhere" if busy else "done")

    execute(executor, work, asked, kept)
    assert sorted(state for _, state in kept.outcomes) == ["done"] * 3
    assert tried.count(asked[1].run.run_id) == 4


def test_ctrl_c_in_this_process_goes_through():
    def work(task):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(InThisProcess(), work, tasks(2), Kept())


def test_what_was_cancelled_is_not_waited_for():
    begun, submitted, over = (threading.Event() for _ in range(3))

    def work(task):
        begun.set()
        over.wait()
        return Outcome(task.run, "done")

    def given():
        yield from tasks(4)
        submitted.set()

    kept = Kept()
    with ThreadPoolExecutor(1) as pool:
        doing = threading.Thread(target=execute, args=(pool, work, given(), kept))
        doing.start()
        begun.wait()
        submitted.wait()
        pool.shutdown(wait=False, cancel_futures=True)
        over.set()
        doing.join()
    assert len(kept.outcomes) == 1


def test_a_batch_systems_signal_ends_a_block_in_order():
    import signal

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stopped, terminated_in_order():
        signal.raise_signal(signal.SIGTERM)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
