"""What is no ordinary file is refused at once, wherever a file is asked for."""

import os
import shutil
import signal
import socket

import numpy as np
import pytest

from archived_runs import write_run
from grevy import CEBRA, archive
from grevy.archive import RunFolder, read_run
from grevy.config import read_config
from grevy.data import list_arrays, require_file
from grevy.data.files.joblib_files import read_joblib
from grevy.errors import GrevyError
from grevy.runs import EvaluationRequest, evaluate_target

SUFFIXES = (".npy", ".npz", ".mat", ".h5", ".hdf5", ".csv", ".tsv", ".parquet", ".jl")


@pytest.fixture(autouse=True)
def impatient():
    """A test that waits for a pipe fails, where it would wait for ever."""

    def give_up(*_):
        raise TimeoutError("a pipe was waited for")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def pipe(path):
    os.mkfifo(path)
    return path


def link_to_a_pipe(path):
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")
    return path


def link_to_a_device(path):
    path.symlink_to("/dev/zero")
    return path


ODD = {pipe: "a pipe", link_to_a_pipe: "a pipe", link_to_a_device: "a device"}
odd = pytest.mark.parametrize("make", ODD, ids=lambda make: make.__name__)


def evaluated(target, data=None):
    return evaluate_target(
        EvaluationRequest(target, data, None, (), None, False, None, None, 0, 0, False, 0)
    )


READERS = {suffix: (list_arrays, suffix) for suffix in SUFFIXES} | {
    "a cached data set": (lambda path: read_joblib(path, trust=False), ".jl"),
    "a trusted file": (lambda path: read_joblib(path, trust=True), ".jl"),
    "an embedding": (evaluated, ".npy"),
    "a model": (CEBRA.load, ".pt"),
    "a configuration": (read_config, ".yaml"),
}


@odd
@pytest.mark.parametrize("name", READERS)
def test_it_is_named_and_not_waited_for(tmp_path, name, make):
    read, suffix = READERS[name]
    path = make(tmp_path / f"a{suffix}")
    with pytest.raises(GrevyError) as caught:
        read(path)
    assert f"{path} is {ODD[make]}; expected a file. Write what it gives" in str(caught.value)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run")


@odd
@pytest.mark.parametrize(
    "name",
    [
        archive.CONFIG, archive.EMBEDDING, archive.LABELS, archive.DECODED, archive.METRICS,
        archive.HISTORY,
    ],
)  # fmt: skip
def test_files_of_a_run(finished, tmp_path, name, make):
    copy = RunFolder(shutil.copytree(finished.root, tmp_path / "copy"))
    (copy / name).unlink()
    make(copy / name)
    with pytest.raises(GrevyError, match=f"{name} is {ODD[make]}"):
        read_run(copy)
    states = {link_to_a_device: "outside the folder, not read"}
    assert archive.verify(copy) == [f"{name}: {states.get(make, 'no ordinary file')}"]


def test_what_is_an_ordinary_file_passes(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(3))
    (tmp_path / "link.npy").symlink_to("a.npy")
    (tmp_path / "broken.npy").symlink_to("nowhere")
    for name in ("a.npy", "link.npy", "broken.npy", "missing.npy", "null\0.npy"):
        require_file(tmp_path / name)
    assert list_arrays(tmp_path / "link.npy") == {"data": ((3, 3), "float64")}
    with pytest.raises(GrevyError, match=f"{tmp_path} is a folder; expected a file.$"):
        require_file(tmp_path)


def test_a_socket(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.npy")
        with pytest.raises(GrevyError, match=r"s\.npy is a socket"):
            list_arrays("s.npy")
