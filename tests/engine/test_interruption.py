"""SIGTERM where it comes: an exception that context managers see, and the handler put back."""

import signal
import threading

import pytest

from grevy.engine.interruption import interruptible, terminable


def test_sigterm_ends_a_block_by_an_exception():
    before = signal.getsignal(signal.SIGTERM)
    closed = []
    with pytest.raises(SystemExit) as stopped:  # noqa: PT012
        with terminable():
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                closed.append(True)
        pytest.fail("the block went on")
    assert stopped.value.code == 128 + signal.SIGTERM
    assert closed
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_is_left_as_it_is():
    before = signal.getsignal(signal.SIGINT)
    with terminable():
        assert signal.getsignal(signal.SIGINT) is before


def test_steps_inside_meet_it_between_two_of_them():
    """Training inside a block that ends at once still ends between two steps."""
    with terminable():
        outer = signal.getsignal(signal.SIGTERM)
        with interruptible() as interruption:
            signal.raise_signal(signal.SIGTERM)
            with pytest.raises(SystemExit) as stopped:
                interruption.raise_if_requested()
        assert stopped.value.code == 128 + signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) is outer


@pytest.mark.parametrize("block", [terminable, interruptible])
def test_another_thread_changes_nothing(block):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    inside = []

    def work():
        with block():
            inside.extend(signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == before


def test_a_second_sigterm_does_not_cut_off_what_is_being_kept():
    """Slurm sends it to every process of a job, and each hands it on to those that it started."""
    outer = signal.getsignal(signal.SIGTERM)
    with interruptible() as interruption:
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)
        assert interruption.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is outer


@pytest.fixture
def ctrl_c():
    """Ctrl-C as a program has it, also where the tests are a shell's background job."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_a_second_ctrl_c_interrupts_at_once():
    with interruptible() as interruption:
        signal.raise_signal(signal.SIGINT)
        assert interruption.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
