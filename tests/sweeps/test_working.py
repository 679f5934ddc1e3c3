"""One run where it is done: a signal is never taken for a failure."""

import signal

import pytest

from grevy.sweeps import prepare_sweep
from grevy.sweeps.working import Task, do_run, last_line, unswallowed_signals
from tiny_sweeps import write_data, write_sweep


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
@pytest.mark.parametrize("then", ["nothing", "an error", "the interrupt"])
def test_a_signal_that_something_swallows_ends_the_block(number, kind, then):
    def handler(_number, _frame):
        raise kind(3)

    def work():
        try:
            signal.raise_signal(number)
        except BaseException:
            if then == "the interrupt":
                raise
        if then == "an error":
            raise AttributeError("half imported")

    before = signal.signal(number, handler)
    try:
        with pytest.raises(kind), unswallowed_signals():
            work()
    finally:
        signal.signal(number, before)
    assert signal.set_wakeup_fd(-1) == -1


def test_without_a_signal_nothing_changes():
    with unswallowed_signals():
        pass
    with pytest.raises(ValueError, match="mine"), unswallowed_signals():
        raise ValueError("mine")


def test_the_last_line_of_a_traceback_is_the_error():
    assert last_line("Traceback\n  File\nValueError: no\n\n") == "ValueError: no"
    assert last_line("\n") == ""


def test_data_that_were_changed_after_the_plan_are_not_run(tmp_path):
    path = write_sweep(tmp_path, grid={"seed": [0]})
    ready = prepare_sweep(path, tmp_path / "S", on="debug")
    write_data(tmp_path / "data.npz", seed=9)
    outcome = do_run(Task(tmp_path / "S", ready.plan[0], 1.0))
    assert outcome.state == "failed"
    assert "data.npz are not those that the sweep was begun with" in outcome.message
    assert not ready.folder.done(ready.plan[0].run_id)
    write_data(tmp_path / "data.npz")
    ready.folder.forget_error(ready.plan[0].run_id)
    assert do_run(Task(tmp_path / "S", ready.plan[0], 1.0)).state == "done"
