"""What a run says of the machine, and how much of it the command line takes."""

import subprocess
import sys

import pytest
import torch

import grevy.runs
from grevy import cli
from grevy.engine import thread_count, threads
from grevy.runs.provenance import environment

# In a process of its own, for it changes the process: threads of torch, those named, and those of
# products of numpy and of scipy.
KEPT = """
import numpy, scipy.linalg, torch
from threadpoolctl import threadpool_info, threadpool_limits
from grevy.engine import threads
from grevy.runs import environment, keep_to_granted_threads

def blas():
    return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]

threads.available = lambda: 2
for given, products in [(5, 3), (5, 1), (1, 3)]:
    torch.set_num_threads(given)
    threadpool_limits(products, user_api="blas")
    before = blas()
    keep_to_granted_threads()
    kept = min(given, 2)
    assert torch.get_num_threads() == environment()["computing"]["threads"] == kept
    assert len(before) >= 2
    assert blas() == [min(each, kept) for each in before]
"""


def test_torch_and_numpy_keep_to_what_is_granted():
    subprocess.run([sys.executable, "-c", KEPT], check=True)


def test_the_threads_named_are_those_in_use(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    monkeypatch.setattr(threads, "available", lambda: 3)
    assert environment()["computing"]["threads"] == thread_count() == 3


@pytest.mark.parametrize(
    ("arguments", "computes"),
    [
        (["run", "--data", "absent.npz", "--output-dir", "out"], True),
        (["evaluate", "absent"], True),
        (["embed", "absent.pt", "absent.npz", "-o", "out.npy"], True),
        (["verify", "absent"], False),
        (["datasets", "demo"], False),
    ],
)
def test_commands_that_compute_keep_to_it(arguments, computes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["grevy", *arguments])
    calls = []
    monkeypatch.setattr(grevy.runs, "keep_to_granted_threads", lambda: calls.append(1))
    with pytest.raises(SystemExit):
        cli.main()
    assert bool(calls) is computes
