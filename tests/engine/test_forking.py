"""Real forks, each with a time limit: a process without its threads must not wait for them."""

import subprocess
import sys

import pytest

# In a process of its own, so that what OpenMP and torch have begun is known.
START = """
import os, signal, sys, threading, time, warnings
import numpy as np
import torch
torch.set_num_threads(2)
import grevy

rng = np.random.default_rng(0)
X, y = rng.normal(size=(400, 40)).astype(np.float32), np.cumsum(rng.normal(size=(400, 2)), axis=0)

def embedding():
    settings = dict(batch_size=256, max_iterations=3, device="cpu", seed=1)
    return grevy.CEBRA(sys.argv[1], **settings).fit(X, y).transform(X)

def warned_embedding():
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        result = embedding()
    return result, [str(each.message) for each in found if each.category is RuntimeWarning]

def forked(act):
    child = os.fork()
    if not child:
        signal.alarm(30)  # which kills, where a loop waits for ever
        try:
            act()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""
AFTER_A_FIT = """
alone = embedding()
def act():
    again, messages = warned_embedding()
    if sys.argv[1] == "offset5-model" and grevy.engine.instructions():  # no torch in its sums
        np.testing.assert_array_equal(again, alone)
    np.testing.assert_allclose(again, alone, rtol=1e-3, atol=1e-4)
    assert torch.get_num_threads() == 1
    assert any("spawn" in each for each in messages)
    assert forked(lambda: np.testing.assert_array_equal(embedding(), again)) == 0
assert forked(act) == 0
assert torch.get_num_threads() == 2
assert not any("spawn" in each for each in warned_embedding()[1])
"""
BEFORE_ANY = """
def act():
    assert not any("spawn" in each for each in warned_embedding()[1])
    assert torch.get_num_threads() == 2
assert forked(act) == 0
"""
WHILE_ANOTHER_THREAD_DRAWS = """
from grevy.data import seeded
began = threading.Event()
def draw():
    with seeded(1):
        began.set()
        time.sleep(1)
thread = threading.Thread(target=draw)
thread.start()
began.wait()
assert forked(embedding) == 0
thread.join()
"""


def outcome(code, architecture="offset5-model"):
    command = [sys.executable, "-W", "ignore", "-c", START + code, architecture]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    "architecture", ["offset5-model", "offset36-model-dropout", "offset4-model-2x-subsample"]
)
def test_a_process_forked_after_a_fit_fits(architecture):
    found = outcome(AFTER_A_FIT, architecture)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("code", [BEFORE_ANY, WHILE_ANOTHER_THREAD_DRAWS])
def test_a_process_forked_before_or_meanwhile_fits(code):
    found = outcome(code)
    assert found.returncode == 0, found.stderr
