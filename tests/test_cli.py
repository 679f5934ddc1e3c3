"""The command line: every mistake in one message, Ctrl-C, pipes and terminals, each command."""

import errno
import fcntl
import json
import os
import pickle
import platform
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import cebra
import h5py
import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.io
import torch

import grevy
from grevy import archive, atomic, cli, engine
from grevy.data import datasets
from grevy.runs import experiment

GREVY = [sys.executable, "-c", "from grevy.cli import main; main()"]
QUICK = ["--device", "cpu", "--max-iterations", "3", "--batch-size", "16", "--holdout", "0"]
QUICK += ["--model-architecture", "offset5-model", "--num-hidden-units", "8", "--seed", "0"]


def once(arguments):
    """Arguments without those that a case gives again: no flag may be given twice."""
    left = list(map(str, arguments))
    for flag in (*QUICK[::2], "--neural"):
        if left.count(flag) > 1:
            place = left.index(flag)
            del left[place : place + 2]
    return left


@pytest.fixture
def grevy_run(monkeypatch, capsys):
    """A function that calls the command line in this process: (exit code, output, errors)."""
    monkeypatch.setenv("COLUMNS", "300")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["grevy", *once(arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return stopped.value.code or 0, captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    return {
        "spikes": rng.poisson(2, (200, 6)).astype(np.float32),
        "pos": rng.normal(size=(200, 2)),
        "angle": rng.uniform(0, 2 * np.pi, 200),
        "trial": np.arange(200) // 50,
        "side": rng.choice(["left", "right"], 200),
    }


@pytest.fixture
def data(tmp_path, arrays):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory, arrays):
    """A finished run of the file `data`."""
    root = tmp_path_factory.mktemp("finished")
    np.savez(root / "data.npz", **arrays)
    settings = {"data": str(root / "data.npz"), "neural": "spikes", "label": ["pos"]}
    settings |= {"device": "cpu", "max_iterations": 3, "batch_size": 16, "seed": 0, "holdout": 0}
    settings |= {"model_architecture": "offset5-model", "output_dir": str(root / "run")}
    config = experiment.RunConfig(**settings)
    return experiment.run_experiment(config, verbose=False).folder


@pytest.fixture
def earlier(finished, tmp_path):
    """A copy of the finished run, to be spoilt."""
    return Path(shutil.copytree(finished.root, tmp_path / "earlier"))


def tree(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(Path(root).rglob("*"))
        if path.is_file()
    }


def wide(text):
    """The text of a message, whatever frame and line breaks the terminal gives it."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", text).split())


def with_arrays(**changes):
    """A case whose data file has other arrays; None leaves one out."""

    def build(folder, arrays):
        content = {**arrays, **changes}
        path = folder / "changed.npz"
        np.savez(path, **{name: value for name, value in content.items() if value is not None})
        return ["--data", path, "--neural", "spikes"]

    return build


def with_file(name, write, *flags):
    def build(folder, arrays):
        path = folder / name
        write(path, arrays)
        return ["--data", path, *flags]

    return build


def flags(*given):
    """A case of good data and wrong flags."""

    def build(folder, arrays):
        np.savez(folder / "good.npz", **arrays)
        return ["--data", folder / "good.npz", "--neural", "spikes", *given]

    return build


def alone(*given):
    return lambda folder, arrays: [str(each).replace("FOLDER", str(folder)) for each in given]


def config(content):
    def build(folder, arrays):
        (folder / "run.yaml").write_bytes(content)
        return ["--config", folder / "run.yaml"]

    return build


class Payload:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (os.system, ("touch payload-ran",))


def changed(name, index, value):
    rng = np.random.default_rng(1)
    array = rng.normal(size=(200, 6) if name == "spikes" else 200)
    array[index] = value
    return array


def half(suffix):
    """Write a sound file of a kind, then cut it in half."""

    def write(path, arrays):
        {
            ".npy": lambda: np.save(path, arrays["spikes"]),
            ".npz": lambda: np.savez(path, **arrays),
            ".mat": lambda: scipy.io.savemat(path, {"spikes": arrays["spikes"]}),
            ".h5": lambda: h5_file(path, arrays),
            ".parquet": lambda: pd.DataFrame(arrays["pos"], columns=["a", "b"]).to_parquet(path),
            ".jl": lambda: joblib.dump({"spikes": arrays["spikes"]}, path),
        }[suffix]()
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])

    return write


def h5_file(path, arrays):
    with h5py.File(path, "w") as file:
        file["spikes"] = arrays["spikes"]


MIXED = np.array([1, "a", None] * 66 + [1, 2], dtype=object)
NAN = float("nan")

# What is given, and words that the one message must hold.
BAD = {
    "unknown data set": (
        alone("--dataset", "demo-continous"),
        ["unknown data set 'demo-continous'", "Did you mean 'demo-continuous'"],
    ),
    "unknown model": (
        flags("--model-architecture", "offset10-modle"),
        ["unknown model 'offset10-modle'", "Did you mean", "'offset10-model'"],
    ),
    "a model that is a classifier": (
        flags("--model-architecture", "offset36-model-supervised"),
        ["offset36-model-supervised"],
    ),
    "unknown flag": (flags("--max-iteration", "5"), ["--max-iteration", "--max-iterations"]),
    "words for a number": (flags("--max-iterations", "many"), ["--max-iterations", "integer"]),
    "no steps": (flags("--max-iterations", "0"), ["--max-iterations is 0", "of at least 1"]),
    "negative batch": (flags("--batch-size", "-5"), ["--batch-size is -5"]),
    "no dimensions": (flags("--output-dimension", "0"), ["--output-dimension is 0"]),
    "NaN rate": (flags("--learning-rate", "nan"), ["--learning-rate is nan"]),
    "temperature": (flags("--temperature", "-1"), ["--temperature is -1.0", "above 0"]),
    "temperature mode": (flags("--temperature-mode", "x"), ["expected constant or auto"]),
    "distance": (flags("--distance", "cosin"), ["'cosin'", "expected cosine or euclidean"]),
    "conditional": (flags("--conditional", "delta_time"), ["'delta_time'", "time_delta"]),
    "prior": (flags("--prior", "flat"), ["'flat'", "expected empirical or uniform"]),
    "time offset": (flags("--time-offsets", "0"), ["--time-offsets", "at least 1"]),
    "seed": (flags("--seed", "-1"), ["--seed is -1"]),
    "holdout": (flags("--holdout", "1"), ["--holdout is 1.0", "below 1"]),
    "device": (flags("--device", "gpu"), ["unknown device 'gpu'", "Did you mean"]),
    "absent device": (flags("--device", "cuda:99"), ["cuda:99", "'cpu'"]),
    "sampling rate": (flags("--sampling-rate", "0"), ["--sampling-rate is 0.0"]),
    "several at once": (
        flags("--max-iterations", "0", "--distance", "x"),
        ["2 problems", "--max-iterations", "--distance"],
    ),
    "no source": (alone(), ["--dataset NAME", "--data FILE"]),
    "two sources": (
        flags("--dataset", "demo-continuous"),
        ["give one of --dataset", "--data FILE"],
    ),
    "keys for a data set": (
        alone("--dataset", "demo-continuous", "--label", "x"),
        ["--label", "a data file", "a data set"],
    ),
    "kind of label": (flags("--label", "pos:continous"), ["'continous'", "'pos:continuous'"]),
    "period without a circle": (
        flags("--label", "pos", "--period", "360"),
        ["period 360", "circular"],
    ),
    "delta without its conditional": (
        flags("--label", "pos", "--delta", "0.1"),
        ["delta=0.1", "delta_normal"],
    ),
    "delta missing": (
        flags("--label", "pos", "--conditional", "delta_normal"),
        ["needs a positive delta"],
    ),
    "conditional without a label": (flags("--conditional", "time_delta"), ["needs a label"]),
    "hybrid without a label": (flags("--hybrid"), ["hybrid", "no label"]),
    "one dimension and a cosine": (
        flags("--output-dimension", "1"),
        ["output_dimension=1", "cosine", "at least 2", "euclidean"],
    ),
    "import": (alone("--import", "FOLDER/no.py", "--dataset", "x"), ["no.py", "there is no file"]),
    # Files
    "missing file": (alone("--data", "FOLDER/none.npz"), ["none.npz does not exist"]),
    "a folder": (alone("--data", "FOLDER"), ["is a folder", "expected a file"]),
    "a pipe": (with_file("x.npy", lambda p, _: os.mkfifo(p)), ["is a pipe", "expected a file"]),
    "unknown kind": (with_file("x.xyz", lambda p, _: p.write_text("a")), [".xyz", ".npz"]),
    **{
        f"empty {suffix}": (with_file("x" + suffix, lambda p, _: p.touch()), ["is empty"])
        for suffix in (".npy", ".npz", ".mat", ".h5", ".csv", ".parquet", ".jl")
    },
    **{
        f"truncated {suffix}": (
            with_file("x" + suffix, half(suffix), "--trust"),
            ["cannot be read", "truncated"],
        )
        for suffix in (".npy", ".npz", ".mat", ".h5", ".parquet", ".jl")
    },
    "no key": (flags("--neural", "spike"), ["no array 'spike'", "spikes 200x6 float32"]),
    "no key of a label": (flags("--label", "poss"), ["no array 'poss'", "pos 200x2 float64"]),
    "no key of segments": (flags("--segments", "trials"), ["no array 'trials'", "trial 200"]),
    "which is neural": (
        with_file("x.npz", lambda p, a: np.savez(p, **a)),
        ["2 arrays could be the neural data", "--neural KEY", "spikes 200x6"],
    ),
    "code in a .jl": (
        with_file("x.jl", lambda p, _: joblib.dump({"spikes": Payload()}, p), "--neural", "spikes"),
        ["x.jl", "could run code|--trust"],
    ),
    "code in a .npy": (
        with_file("x.npy", lambda p, _: np.save(p, np.array([Payload()]), allow_pickle=True)),
        ["x.npy", "object"],
    ),
    # Neural data
    "NaN": (with_arrays(spikes=changed("spikes", (17, 3), NAN)), ["1 NaN", "step 17, neuron 3"]),
    "inf": (with_arrays(spikes=changed("spikes", 9, np.inf)), ["6 NaN or inf", "step 9, neuron 0"]),
    "all zero": (with_arrays(spikes=np.zeros((200, 6))), ["zero everywhere"]),
    "one row for several time steps": (
        flags("--model-architecture", "offset40-model-4x-subsample", "--holdout", "0"),
        ["offset40-model-4x-subsample", "one row for several time steps"],
    ),
    "checkpoints at no time": (
        flags("--checkpoint-minutes", "0"),
        ["every 0 minutes", "a positive number"],
    ),
    "one row of one neuron": (
        with_arrays(spikes=np.arange(200.0)),
        ["shape (200,)", "expected (T, N)", "(200, 1)"],
    ),
    "three dimensions": (with_arrays(spikes=np.ones((200, 2, 3))), ["(200, 2, 3)", "(T, N)"]),
    "complex": (with_arrays(spikes=np.ones((200, 6), complex)), ["complex128", "real numbers"]),
    "text": (with_arrays(spikes=np.full((200, 6), "a")), ["<U1", "real numbers"]),
    "objects": (with_arrays(spikes=np.full((200, 6), None)), ["spikes", "object"]),
    "shorter than the receptive field": (
        with_arrays(spikes=np.ones((4, 6)) * np.arange(6)),
        ["4", "receptive field", "5"],
    ),
    # Labels
    "length": (
        (with_arrays(pos=np.arange(150.0)), ["--label", "pos"]),
        ["'pos' has 150 time steps", "neural data has 200"],
    ),
    "label NaN": (
        (with_arrays(pos=changed("pos", 30, NAN)), ["--label", "pos"]),
        ["1 of 200", "time step 30"],
    ),
    "constant": ((with_arrays(pos=np.ones(200)), ["--label", "pos"]), ["'pos': constant", "is 1"]),
    "one class": ((with_arrays(trial=np.zeros(200, int)), ["--label", "trial"]), ["constant"]),
    "label objects": ((with_arrays(pos=MIXED), ["--label", "pos"]), ["'pos'", "object"]),
    "label complex": ((with_arrays(pos=np.ones(200, complex)), ["--label", "pos"]), ["complex128"]),
    "strings as continuous": (
        flags("--label", "side:continuous"),
        ["'side'", "cannot be continuous", "side:discrete"],
    ),
    "booleans as continuous": (
        (with_arrays(side=np.arange(200) % 2 == 0), ["--label", "side:continuous"]),
        ["bool", "cannot be continuous"],
    ),
    "fractions as discrete": (
        flags("--label", "angle:discrete"),
        ["'angle'", "cannot be discrete", "angle:continuous"],
    ),
    "two columns as circular": (flags("--label", "pos:circular"), ["one column", "(200, 2)"]),
    "the same label twice": (flags("--label", "pos", "--label", "pos"), ["'pos' is used twice"]),
    "too short to hold out": (
        flags("--holdout", "0.2", "--time-offsets", "50"),
        ["too few for a time-blocked holdout", "Give at least"],
    ),
    # Configuration
    "no configuration": (alone("--config", "FOLDER/none.yaml"), ["none.yaml cannot be read"]),
    "unknown setting": (
        config(b"dataset: demo-continuous\nmax_iteration: 5"),
        ["unknown setting 'max_iteration'", "'max_iterations'"],
    ),
    "no YAML": (config(b"dataset: [demo"), ["run.yaml", "not valid YAML"]),
    "a list": (config(b"- dataset"), ["holds list"]),
    "no text": (config(bytes(range(128, 256))), ["not valid YAML"]),
}


@pytest.mark.parametrize(("case", "words"), BAD.values(), ids=BAD)
def test_bad_input(case, words, tmp_path, arrays, earlier, grevy_run, monkeypatch):
    """One message, exit code 2, nothing written, and an earlier run as it was."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "input").mkdir()
    build, more = case if isinstance(case, tuple) else (case, [])
    arguments = ["run", *QUICK, *build(tmp_path / "input", arrays), *more]
    before = tree(earlier)
    given = set(tmp_path.rglob("*"))
    new = tmp_path / "new"
    for place in (["--output-dir", new], ["--output-dir", earlier, "--overwrite"]):
        code, out, err = grevy_run(*arguments, *place)
        message = wide(err)
        assert code == 2, message
        assert out == ""
        assert "Traceback" not in err
        assert (err.count("grevy: ") == 1) or ("Usage:" in err and err.count("Error") == 1)
        for word in words:
            assert any(each in message for each in word.split("|")), message
    assert not new.exists()
    assert tree(earlier) == before
    assert archive.verify(archive.RunFolder(earlier)) == []
    assert set(tmp_path.rglob("*")) == given


def test_training_that_diverges_keeps_the_last_good_model(tmp_path, arrays, earlier, grevy_run):
    (tmp_path / "input").mkdir()
    arguments = ["run", *QUICK, *flags("--learning-rate", "1e30")(tmp_path / "input", arrays)]
    before = tree(earlier)
    code, out, err = grevy_run(*arguments, "--output-dir", earlier, "--overwrite")
    assert (code, out) == (2, "")
    assert "learning rate that is too high" in wide(err)
    (kept,) = (earlier / archive.CHECKPOINTS).iterdir()
    assert np.isfinite(grevy.CEBRA.load(kept).transform(arrays["spikes"])).all()
    assert {name: bits for name, bits in tree(earlier).items() if name in before} == before


def a_file(path):
    path.write_text("mine")
    return path


PLACES = {
    "a file": (lambda t: a_file(t / "x"), "is a file, where a folder is needed"),
    "below a file": (lambda t: a_file(t / "x") / "y", "is a file, where a folder is needed"),
    "not a place for folders": (lambda t: "/proc/grevy", "cannot be made"),
    "a name too long": (lambda t: t / ("x" * 300), "cannot be made: File name too long"),
    "a finished run": (lambda t: t / "earlier", "already holds a finished run"),
}


@pytest.mark.parametrize(("place", "words"), PLACES.values(), ids=PLACES)
def test_a_place_that_cannot_be_written(place, words, data, earlier, tmp_path, grevy_run):
    path = place(tmp_path)
    before = tree(tmp_path)
    code, _, err = grevy_run(
        "run", *QUICK, "--data", data, "--neural", "spikes", "--output-dir", path
    )
    assert code == 2
    assert words in err
    assert str(path) in err
    assert tree(tmp_path) == before


WORKS = {
    "integers": ({"spikes": np.arange(1200).reshape(200, 6) % 7}, [], "200 time steps x 6 neurons"),
    "booleans": ({"spikes": np.arange(1200).reshape(200, 6) % 7 < 3}, [], "x 6 neurons"),
    "one neuron": ({"spikes": np.arange(200.0)[:, None] % 7}, [], "200 time steps x 1 neurons"),
    "strings": ({}, ["--label", "side"], "labels: side (discrete)"),
    "boolean label": ({"side": np.arange(200) % 3 == 0}, ["--label", "side"], "side (discrete)"),
    "large batch": (
        {},
        ["--label", "pos", "--batch-size", "500"],
        "batch size of 500 exceeds the 200 time steps",
    ),
    "whole data": ({}, ["--label", "pos", "--batch-size", "0"], "labels: pos (continuous)"),
    "one dimension": (
        {},
        [
            *["--output-dimension", "1", "--distance", "euclidean"],
            *["--model-architecture", "offset1-model-mse"],
        ],
        "labels: none",
    ),
    "kinds": (
        {},
        ["--label", "pos", "--label", "angle:circular", "--label", "side", "--segments", "trial"],
        "4 segments, labels: pos (continuous), angle (circular), side (discrete)",
    ),
}


@pytest.mark.parametrize(("changes", "given", "words"), WORKS.values(), ids=WORKS)
def test_unusual_input_works_and_is_told(changes, given, words, tmp_path, arrays, grevy_run):
    arguments = with_arrays(**changes)(tmp_path, arrays)
    run = tmp_path / "run"
    code, out, err = grevy_run("run", *QUICK, *arguments, *given, "--output-dir", run)
    assert code == 0, err
    assert words in err
    assert "Warning" not in err
    assert str(run / archive.FIGURE) in out
    assert archive.verify(archive.RunFolder(run)) == []
    assert np.isfinite(np.load(run / archive.EMBEDDING)).all()


class TestAFullDisk:
    @pytest.mark.parametrize("number", [2, 5, 10])  # 1 is the checkpoint, which a run can spare
    def test_a_new_run(self, number, data, tmp_path, grevy_run, monkeypatch):
        calls = []

        def fsync(descriptor):
            calls.append(descriptor)
            if len(calls) == number:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(atomic.os, "fsync", fsync)
        run = tmp_path / "run"
        arguments = ["--data", data, "--neural", "spikes", "--output-dir", run]
        code, _, err = grevy_run("run", *QUICK, *arguments)
        assert code == 2
        assert "No space left on device" in err
        assert "intact" in err
        assert "no manifest" in err
        assert err.count("grevy: ") == 1
        assert len(tree(run)) == number - 1
        assert not (run / archive.MANIFEST).exists()

    def test_a_real_one(self, data, tmp_path, grevy_run):
        disk = tmp_path / "disk"
        disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)]
        if (
            shutil.which("mount") is None
            or subprocess.run(command, check=False, capture_output=True).returncode
        ):
            pytest.skip("mounting a disk needs the superuser")
        try:
            arguments = ["--data", data, "--neural", "spikes", "--output-dir", disk / "run"]
            code, _, err = grevy_run("run", *QUICK, *arguments)
            assert code == 2
            assert "No space left on device" in err
            assert not (disk / "run" / archive.MANIFEST).exists()
            assert all(tree(disk).values())
        finally:
            subprocess.run(["umount", str(disk)], check=True)


class Terminal:
    """A command that believes it talks to a person at a terminal of 80 columns."""

    def __init__(self, arguments, cwd):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        environment |= {"TERM": "xterm", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [*GREVY, *once(arguments)],
            stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.ours = ours
        self.text = ""

    def read_until(self, pattern, seconds=120):
        until = time.monotonic() + seconds
        while not (pattern and re.search(pattern, self.text)):
            assert time.monotonic() < until, self.text
            try:
                part = os.read(self.ours, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            self.text += part.decode()
        return self.text

    def end(self):
        self.read_until(None)
        os.close(self.ours)
        return self.process.wait(60)


def visible(text):
    """The lines that a terminal ever showed, without the codes between them."""
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text))


def test_a_bar_on_a_terminal(data, tmp_path):
    arguments = ["run", *QUICK, "--data", data, "--neural", "spikes", "--max-iterations", "2000"]
    terminal = Terminal([*arguments, "--output-dir", "run"], tmp_path)
    assert terminal.end() == 0, terminal.text
    lines = visible(terminal.text)
    bars = [line for line in lines if line.startswith("training")]
    assert len(bars) > 2
    assert "2000/2000" in bars[-1]
    for bar in bars:
        assert len(bar.rstrip()) <= 80
        assert re.fullmatch(
            r"training [━╸╺ ]+ \d+/2000"
            r"( +loss -?\d+\.\d{3}, [+-]\d+\.\d\d bits, \d+ steps/s)? +[\d:-]+",
            bar.rstrip(),
        ), bar


def test_ctrl_c_in_training(data, earlier, tmp_path, arrays):
    before = tree(earlier)
    arguments = ["run", *QUICK, "--data", data, "--neural", "spikes", "--label", "pos"]
    arguments += ["--max-iterations", "100000000", "--output-dir", earlier, "--overwrite"]
    terminal = Terminal(arguments, tmp_path)
    terminal.read_until(r"[1-9]\d*/100000000")
    os.kill(terminal.process.pid, signal.SIGINT)
    assert terminal.end() == 130
    said = " ".join(terminal.text.split())
    assert "Traceback" not in said
    assert re.search(r"interrupted after step \d+ of 100000000", said)
    (kept,) = (earlier / archive.CHECKPOINTS).iterdir()
    assert str(kept) in terminal.text
    assert "--resume to go on" in said
    left = tree(earlier)
    left.pop(kept.relative_to(earlier).as_posix())
    assert left == before  # the earlier run is as it was
    assert archive.verify(archive.RunFolder(earlier)) == []
    for library in (grevy.CEBRA, cebra.CEBRA):
        embedding = library.load(kept).transform(arrays["spikes"])
        assert embedding.shape == (200, 3)
        assert np.isfinite(embedding).all()


def test_resume_goes_on_to_the_same_bits(data, tmp_path):
    common = ["run", *QUICK, "--data", data, "--neural", "spikes", "--label", "pos"]
    common += ["--max-iterations", "4000", "--seed", "1"]
    terminal = Terminal([*common, "--output-dir", "cut"], tmp_path)
    terminal.read_until(r"[1-9]\d*/4000")
    os.kill(terminal.process.pid, signal.SIGTERM)
    assert terminal.end() == 128 + signal.SIGTERM
    assert list((tmp_path / "cut" / archive.CHECKPOINTS).iterdir())
    for folder, more in (("cut", ["--resume"]), ("whole", [])):
        terminal = Terminal([*common, "--output-dir", folder, *more], tmp_path)
        assert terminal.end() == 0, terminal.text
        assert not (tmp_path / folder / archive.CHECKPOINTS).exists()
    cut, whole = (
        (tmp_path / folder / archive.EMBEDDING).read_bytes() for folder in ("cut", "whole")
    )
    assert cut == whole


def test_an_unfinished_training_is_not_replaced_unasked(data, tmp_path, monkeypatch, grevy_run):
    """Its checkpoints are hours of somebody's time."""
    monkeypatch.chdir(tmp_path)
    common = ["run", *QUICK, "--data", data, "--neural", "spikes", "--output-dir", "run"]
    kept = tmp_path / "run" / archive.CHECKPOINTS / "step_000000120.pt"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"cut off")
    code, _, err = grevy_run(*common)
    assert code == 2
    assert (
        "run holds a training at step 120: give --resume to go on, or --overwrite to start anew."
    ) in err
    assert kept.read_bytes() == b"cut off"
    code, _, err = grevy_run(*common, "--overwrite")
    assert code == 0, err
    assert not kept.exists()
    code, _, err = grevy_run(*common)
    assert code == 2
    assert "already holds a finished run" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_evaluating_keeps_the_training(data, tmp_path, number):
    """Outside of any extra training too: where labels are decoded."""
    program = (
        "import sys, time\n"
        "from grevy.runs import experiment\n"
        "from grevy.cli import main\n"
        "def slow(*_):\n"
        "    print('evaluating', flush=True)\n"
        "    time.sleep(60)\n"
        "if 'slow' in sys.argv:\n"
        "    sys.argv.remove('slow')\n"
        "    experiment.assess = slow\n"
        "main()\n"
    )
    common = [sys.executable, "-c", program, "run", *QUICK, "--data", data, "--neural", "spikes"]
    common += ["--output-dir", "run"]
    process = subprocess.Popen(
        [*common, "slow"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )  # fmt: skip
    assert process.stdout.readline() == "evaluating\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    (kept,) = (tmp_path / "run" / archive.CHECKPOINTS).iterdir()
    assert f"kept in run/{archive.CHECKPOINTS}/{kept.name}; run the same command with --resume" in (
        err
    )
    done = subprocess.run([*common, "--resume"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert archive.verify(archive.RunFolder(tmp_path / "run")) == []


def test_ctrl_c_before_training(tmp_path):
    """While the user's own module is imported, say."""
    (tmp_path / "slow.py").write_text("import time\nprint('slow', flush=True)\ntime.sleep(60)\n")
    process = subprocess.Popen(
        [*GREVY, "run", "--import", "slow.py", "--dataset", "x"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job, such as a test run may be, hands on that SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    assert process.stdout.readline() == "slow\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "grevy: interrupted\n"
    assert {path.name for path in tmp_path.iterdir()} <= {"slow.py", "__pycache__"}


def test_a_command_in_a_process_of_its_own(data, tmp_path):
    """As a script calls it: JSON alone on the output, plain lines on the errors."""
    done = subprocess.run(
        [
            *GREVY,
            "run",
            *QUICK,
            "--data",
            str(data),
            "--label",
            "pos",
            "--neural",
            "spikes",
            "--json",
            "--output-dir",
            "run",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["output_dir"] == "run"
    assert result["config"]["seed"] == 0
    assert {"train_r2", "test_r2", "prediction_r2"} <= set(result["metrics"])
    assert "\x1b" not in done.stderr
    assert "\r" not in done.stderr
    lines = done.stderr.splitlines()
    assert "200 time steps x 6 neurons" in lines[0]
    assert re.fullmatch(
        r"step 3/3, loss \d+\.\d+, [+-]\d+\.\d\d bits, \d+ steps/s, \d+\.\d s in all", lines[-1]
    )
    assert len(lines) == 2


def test_a_mistake_in_a_process_of_its_own(tmp_path):
    done = subprocess.run(
        [*GREVY, "run", "--data", "none.npz"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from grevy import cli\n"
        "sys.argv = ['grevy', *sys.argv[1:]]\n"
        "try:\n    cli.main()\n"
        "except SystemExit as stop:\n    assert not stop.code\n"
        "heavy = {'torch', 'cebra', 'numpy', 'pandas', 'sklearn', 'matplotlib', 'scipy', 'yaml', "
        "'h5py'}\n"
        "if 'run' not in sys.argv:  # its flags are made from what needs these\n"
        "    heavy.add('pydantic')\n"
        "else:\n"
        "    heavy -= {'numpy', 'yaml', 'scipy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    for arguments in (["--help"], ["run", "--help"], ["-h"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "Usage:" in done.stdout


@pytest.mark.parametrize("command", ["datasets", "models --json"])
def test_a_reader_that_has_seen_enough(command):
    """The pipe is closed before anything is written, which is worse than `| head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    arguments = command.split()
    done = subprocess.run(
        [*GREVY, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 0


def test_quiet_says_nothing(data, tmp_path, grevy_run):
    arguments = ["--data", data, "--neural", "spikes", "--output-dir", tmp_path / "run", "--quiet"]
    assert grevy_run("run", *QUICK, *arguments) == (0, "", "")


RED = "\x1b[31mpos\x1b]0;title\x07"


@pytest.mark.parametrize("flags", [[], ["--holdout", "0.2", "--nulls", "0"]])
def test_names_from_a_file_do_not_act_on_the_terminal(flags, tmp_path, arrays, grevy_run):
    """In what is logged, in metrics, in paths; of a data file and of a run."""
    np.savez(tmp_path / "data.npz", **{"spikes": arrays["spikes"], RED: arrays["pos"]})
    run = tmp_path / "\x1b[2Jrun"
    given = ["--data", tmp_path / "data.npz", "--neural", "spikes", "--label", RED]
    code, out, err = grevy_run("run", *QUICK, *given, "--output-dir", run, *flags)
    assert code == 0, err
    scored = grevy_run("evaluate", run)
    assert scored[0] == 0, scored[2]
    for text in (out, err, *scored[1:], *grevy_run("verify", run)[1:], grevy_run("report", run)[1]):
        assert not set(text) & {"\x1b", "\x07"}
    assert "\\x1b[31mpos" in err
    assert "\\x1b[2Jrun" in out


def test_help_shows_the_extra_in_its_brackets(grevy_run):
    code, out, _ = grevy_run("run", "--help")
    assert code == 0
    assert "needs `pip install 'grevy[umap]'`" in wide(out)


def test_it_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "grevy", "run", "--help"], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout


def test_the_version_says_what_computes(grevy_run):
    code, out, err = grevy_run("--version")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"grevy {grevy.__version__}"
    assert lines[1] == f"python {platform.python_version()}"
    assert f"torch {torch.__version__}" in lines
    assert lines[-1] == f"compiled loops: {engine.instructions()}"


def test_no_command_is_help(grevy_run):
    code, out, err = grevy_run()
    assert "Usage:" in out + err
    assert code in (0, 2)


class TestConfiguration:
    def test_flags_win_over_the_file(self, finished, tmp_path, grevy_run):
        given = ["run", "--config", finished / archive.CONFIG, "--output-dir", tmp_path / "run"]
        given += ["--max-iterations", "2", "--label", "angle:circular", "--json"]
        code, out, _ = grevy_run(*given)
        assert code == 0
        config = json.loads(out)["config"]
        assert config["max_iterations"] == 2
        assert config["label"] == ["angle:circular"]
        assert config["batch_size"] == 16
        assert config["output_dir"] == str(tmp_path / "run")

    def test_a_flag_for_the_source_replaces_that_of_the_file(self, finished, tmp_path, grevy_run):
        given = ["run", "--config", finished / archive.CONFIG, "--output-dir", tmp_path / "run"]
        code, out, err = grevy_run(*given, "--dataset", "demo-discrete", "--json")
        assert code == 0, err
        config = json.loads(out)["config"]
        assert config["dataset"] == "demo-discrete"
        assert config["data"] is config["neural"] is None

    def test_code_named_in_a_file_runs_if_asked_for(self, finished, tmp_path, grevy_run):
        module, ran = tmp_path / "theirs.py", tmp_path / "ran"
        module.write_text(f"import pathlib\npathlib.Path({str(ran)!r}).touch()\n")
        text = (finished / archive.CONFIG).read_text()
        (tmp_path / "run.yaml").write_text(text.replace("imports: []", f"imports: [{module}]"))
        given = ["run", "--config", tmp_path / "run.yaml", "--output-dir", tmp_path / "run"]
        code, _, err = grevy_run(*given)
        assert code == 2
        assert err.count("grevy: ") == 1
        for words in (f"asks to import {module}", f"--import {module}", "--trust"):
            assert words in err
        assert not ran.exists()
        assert not (tmp_path / "run").exists()
        assert grevy_run(*given, "--import", module, "--quiet")[0] == 0
        assert ran.exists()

    def test_trust_is_enough_for_it(self, finished, tmp_path, grevy_run):
        module, ran = tmp_path / "theirs.py", tmp_path / "ran"
        module.write_text(f"import pathlib\npathlib.Path({str(ran)!r}).touch()\n")
        text = (finished / archive.CONFIG).read_text()
        (tmp_path / "run.yaml").write_text(text.replace("imports: []", f"imports: [{module}]"))
        given = ["run", "--config", tmp_path / "run.yaml", "--output-dir", tmp_path / "run"]
        assert grevy_run(*given, "--trust", "--quiet")[0] == 0
        assert ran.exists()

    def test_the_archived_file_runs_again_to_the_same_bits(self, finished, tmp_path, grevy_run):
        given = ["run", "--config", finished / archive.CONFIG, "--output-dir", tmp_path / "run"]
        assert grevy_run(*given, "--quiet")[0] == 0
        for name in (archive.EMBEDDING, archive.HISTORY, archive.METRICS):
            assert (tmp_path / "run" / name).read_bytes() == (finished / name).read_bytes()

    def test_without_a_seed_runs_differ_and_say_theirs(self, data, tmp_path, grevy_run):
        seeds = []
        for name in "ab":
            given = ["--data", data, "--neural", "spikes", "--output-dir", tmp_path / name]
            given += ["--device", "cpu", "--max-iterations", "2", "--batch-size", "8", "--json"]
            code, out, _ = grevy_run("run", *given)
            assert code == 0
            seeds.append(json.loads(out)["config"]["seed"])
        assert seeds[0] != seeds[1]
        a, b = (np.load(tmp_path / name / archive.EMBEDDING) for name in "ab")
        assert not np.array_equal(a, b)

    def test_overwriting_replaces_the_run(self, data, earlier, grevy_run):
        given = ["--data", data, "--neural", "spikes", "--output-dir", earlier, "--overwrite"]
        before = tree(earlier)
        assert grevy_run("run", *QUICK, "--seed", "7", *given)[0] == 0
        assert tree(earlier)[archive.EMBEDDING] != before[archive.EMBEDDING]
        assert archive.verify(archive.RunFolder(earlier)) == []


class TestAskedForAgain:
    """`--resume` of what is finished is success if it is the same run, and an error if not."""

    def asked(self, folder, *more):
        data = folder.parent / "data.npz"
        given = ["run", *QUICK, "--data", data, "--neural", "spikes", "--label", "pos"]
        given += ["--num-hidden-units", "32", "--output-dir", folder, "--resume"]
        return [*given, *more]

    @pytest.fixture
    def again(self, finished, tmp_path):
        shutil.copy(finished.root.parent / "data.npz", tmp_path)
        return Path(shutil.copytree(finished.root, tmp_path / "again"))

    def test_the_same_is_done_already(self, again, grevy_run):
        before = tree(again)
        code, out, err = grevy_run(*self.asked(again))
        assert code == 0, err
        assert f"{again} is already finished; nothing was changed." in err
        assert str(again / archive.REPORT) in out
        assert tree(again) == before

    def test_what_was_left_open_may_have_been_settled(self, again, grevy_run):
        arguments = [str(each) for each in self.asked(again)]
        place = arguments.index("--seed")
        code, _, err = grevy_run(*arguments[:place], *arguments[place + 2 :])
        assert code == 0, err

    @pytest.mark.parametrize(
        ("more", "words"),
        [
            (["--seed", "4"], ["--seed is 0 there and 4 here"]),
            (
                ["--distance", "euclidean", "--time-offsets", "3"],
                ["--distance is cosine there", "--time-offsets is 2 there and 3 here"],
            ),
            (["--label", "angle"], ["--label is pos there and pos angle here"]),
        ],
    )
    def test_another_run_is_not(self, again, more, words, grevy_run):
        before = tree(again)
        code, out, err = grevy_run(*self.asked(again, *more))
        assert (code, out) == (2, "")
        for each in (*words, "--overwrite"):
            assert each in err
        assert tree(again) == before

    def test_nor_are_other_data(self, again, arrays, grevy_run):
        changed = {**arrays, "spikes": arrays["spikes"] + 1}
        np.savez(again.parent / "data.npz", **changed)
        code, _, err = grevy_run(*self.asked(again))
        assert code == 2
        assert "the data are others" in err


class TestVerify:
    def test_ok(self, finished, grevy_run):
        code, out, err = grevy_run("verify", finished.root)
        assert (code, err) == (0, "")
        assert "files are as archived" in out

    def test_changed_and_missing(self, earlier, grevy_run):
        (earlier / archive.SUMMARY).write_text("changed")
        (earlier / archive.MODEL).unlink()
        code, out, err = grevy_run("verify", earlier)
        assert code == 1
        assert out == ""
        assert f"{archive.SUMMARY}: changed" in err
        assert f"{archive.MODEL}: missing" in err
        assert "Traceback" not in err

    @pytest.mark.parametrize("place", [".", "none"])
    def test_no_run(self, tmp_path, place, grevy_run):
        code, _, err = grevy_run("verify", tmp_path / place)
        assert code == 2
        assert "holds no finished run" in err

    @pytest.mark.parametrize(
        "content", [b"", b"not JSON", b"[" * 10**5, b'{"files": 3, "format": 1}']
    )
    def test_a_damaged_manifest(self, earlier, content, grevy_run):
        (earlier / archive.MANIFEST).write_bytes(content)
        code, _, err = grevy_run("verify", earlier)
        assert code == 2
        assert "is damaged" in err

    def test_a_malicious_manifest(self, earlier, grevy_run):
        manifest = json.loads((earlier / archive.MANIFEST).read_text())
        names = ["../../../../../../etc/passwd", "/etc/shadow", "\x1b[2J", "a\0b", "x" * 9999]
        manifest["files"].update(dict.fromkeys(names, "0"))
        (earlier / archive.MANIFEST).write_text(json.dumps(manifest))
        code, _, err = grevy_run("verify", earlier)
        assert code == 1
        assert err.count("outside the folder, not read") == 2
        assert "\x1b" not in err
        assert "\0" not in err


class TestLists:
    def test_datasets(self, grevy_run):
        code, out, _ = grevy_run("datasets")
        assert code == 0
        assert {"demo-continuous", "demo-mixed", "continuous-label-poisson"} <= set(out.split())
        assert len(out.splitlines()) < 40
        everything = grevy_run("datasets", "--all")[1].split()
        assert json.loads(grevy_run("datasets", "--json")[1]) == everything
        assert len(everything) > 2000
        some = [name for name in everything if name.startswith("area2-")]
        assert grevy_run("datasets", "area2-*")[1].split() == some
        assert grevy_run("datasets", "zebra")[0] == 2

    def test_datasets_of_the_users_own(self, tmp_path, grevy_run):
        (tmp_path / "mine.py").write_text(
            "import cebra.datasets\n"
            "@cebra.datasets.register('listed-in-a-test')\n"
            "class Mine: pass\n"
        )
        code, out, _ = grevy_run("datasets", "--import", tmp_path / "mine.py")
        assert code == 0
        assert "listed-in-a-test" in out.split()

    def test_models(self, grevy_run):
        code, out, _ = grevy_run("models", "--neurons", "10")
        assert code == 0
        rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()[1:]}
        model = cebra.models.init("offset10-model", 10, 32, 3)
        parameters = sum(each.numel() for each in model.parameters())
        assert rows["offset10-model"] == ["10", str(parameters)]
        listed = json.loads(grevy_run("models", "--neurons", "10", "--json")[1])
        assert {row["name"] for row in listed} == set(rows)
        assert listed[0].keys() == {"name", "receptive_field", "parameters"}
        assert all("supervised" not in name for name in rows)


class TestGenerate:
    def test_where_cebra_finds_it(self, tmp_path, monkeypatch, grevy_run):
        monkeypatch.setenv("CEBRA_DATADIR", str(tmp_path))
        code, out, _ = grevy_run("generate", "--noise", "t", "--length", "50", "--neurons", "8")
        assert code == 0
        path = tmp_path / "synthetic" / "continuous_label_t.jl"
        assert out == f"{path}\n"
        (recording,) = datasets.load("continuous-label-t", offline=True)
        assert recording.neural.shape == (50, 8)

    def test_all_of_them_and_the_seed(self, tmp_path, grevy_run):
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            given = ["--length", "20", "--neurons", "4", "--seed", seed]
            code, out, _ = grevy_run("generate", *given, "--save-path", tmp_path / name)
            assert code == 0
            assert len(out.splitlines()) == 5
        a, b, c = (
            joblib.load(tmp_path / name / "continuous_label_gaussian.jl")["x"].numpy()
            for name in "abc"
        )
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            (["--noise", "poison"], "unknown noise 'poison'. Did you mean 'poisson'?"),
            (["--neurons", "7"], "7 neurons; expected an even number"),
            (["--noise", "t", "--noise", "poison"], "unknown noise 'poison'"),
        ],
    )
    def test_mistakes(self, given, words, tmp_path, grevy_run):
        code, _, err = grevy_run("generate", *given, "--length", "20", "--save-path", tmp_path)
        assert code == 2
        assert words in err
        assert list(tmp_path.iterdir()) == []


class TestEmbed:
    def embed(self, grevy_run, model, data, output, *given):
        return grevy_run("embed", model, data, "-o", output, "--device", "cpu", *given)

    def test_it_equals_the_archived_embedding(self, finished, data, tmp_path, grevy_run):
        output = tmp_path / "emb.npy"
        model = finished / archive.MODEL
        code, out, err = self.embed(grevy_run, model, data, output, "--neural", "spikes")
        assert (code, err) == (0, "")
        assert out == f"{output}: 200 time steps x 3 dimensions\n"
        np.testing.assert_array_equal(np.load(output), np.load(finished / archive.EMBEDDING))

    def test_a_model_of_plain_cebra(self, arrays, data, tmp_path, grevy_run):
        model = cebra.CEBRA("offset5-model", max_iterations=2, batch_size=16, device="cpu")
        model.fit(arrays["spikes"])
        model.save(tmp_path / "plain.pt")
        output = tmp_path / "emb.npy"
        code, _, err = self.embed(
            grevy_run, tmp_path / "plain.pt", data, output, "--neural", "spikes"
        )
        assert code == 0, err
        np.testing.assert_allclose(np.load(output), model.transform(arrays["spikes"]), atol=1e-5)

    def test_several_sessions(self, tmp_path, grevy_run):
        name = "demo-continuous-multisession"
        run = tmp_path / "run"
        given = ["--dataset", name, "--output-dir", run, "--quiet"]
        assert grevy_run("run", *QUICK, *given)[0] == 0
        model, output = run / archive.MODEL, tmp_path / "emb.npy"
        code, _, err = self.embed(grevy_run, model, name, output)
        assert code == 2
        assert "Choose with --session, from 0 to " in err
        code, _, err = self.embed(grevy_run, model, name, output, "--session", "99")
        assert code == 2
        assert "--session 99 is none of them" in err
        assert not output.exists()
        parts = []
        for session in range(len(datasets.load(name))):
            assert self.embed(grevy_run, model, name, output, "--session", session)[0] == 0
            parts.append(np.load(output))
        np.testing.assert_array_equal(np.concatenate(parts), np.load(run / archive.EMBEDDING))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"neural": "pos"}, ["2 neurons", "trained on 6"]),
            ({"neural": "spike"}, ["no array 'spike'"]),
            ({"data": "demo-continuous"}, ["4 neurons", "trained on 6"]),
            ({"data": "demo-continous"}, ["unknown data set", "'demo-continuous'"]),
            ({"data": "none.npz"}, ["none.npz does not exist"]),
            ({"model": "none.pt"}, ["none.pt does not exist"]),
            ({"model": "data.npz"}, ["data.npz"]),
            ({"model": "empty.pt"}, ["empty.pt"]),
            ({"model": "half.pt"}, ["half.pt", "truncated"]),
            ({"model": "evil.pt"}, ["evil.pt", "pickled Python objects", "--trust"]),
            ({"model": "evil-too.pt"}, ["evil-too.pt", "pickled Python objects", "--trust"]),
            ({"output": "emb.txt"}, ["emb.txt", "expected a .npy file"]),
            ({"output": "nowhere/emb.npy"}, ["nowhere", "a folder that exists"]),
            ({"output": "/proc/emb.npy"}, ["/proc/emb.npy cannot be written"]),
            ({"more": ["--session", "1"]}, ["--session 1", "one recording"]),
            (
                {"data": "demo-continuous", "more": ["--neural", "x", "--segments", "y"]},
                ["--neural, --segments: for a data file only"],
            ),
            ({"more": ["--device", "gpu"]}, ["unknown device 'gpu'"]),
        ],
        ids=lambda value: str(value) if isinstance(value, dict) else "",
    )
    def test_mistakes(self, change, words, finished, data, tmp_path, grevy_run, monkeypatch):
        monkeypatch.chdir(tmp_path)
        content = (finished / archive.MODEL).read_bytes()
        Path("half.pt").write_bytes(content[: len(content) // 2])
        Path("empty.pt").touch()
        torch.save({"args": Payload()}, "evil.pt")
        Path("evil-too.pt").write_bytes(pickle.dumps(Payload()))
        Path("model.pt").write_bytes(content)
        given = {"model": "model.pt", "data": data, "output": "emb.npy", "neural": "spikes"}
        given |= change
        before = tree(tmp_path)
        neural = [] if str(given["data"]).startswith("demo") else ["--neural", given["neural"]]
        code, out, err = self.embed(
            grevy_run,
            given["model"],
            given["data"],
            given["output"],
            *neural,
            *given.get("more", []),
        )
        assert code == 2, err
        assert out == ""
        assert err.count("grevy: ") == 1
        assert "Traceback" not in err
        for word in words:
            assert word in err
        assert tree(tmp_path) == before  # the payload did not run either

    def test_with_trust_it_is_opened(self, finished, data, tmp_path, grevy_run):
        """A whole estimator, as `cebra` pickled it in its old format."""
        model = cebra.CEBRA.load(finished / archive.MODEL)
        torch.save(model, tmp_path / "old.pt")
        output = tmp_path / "emb.npy"
        given = [grevy_run, tmp_path / "old.pt", data, output, "--neural", "spikes"]
        code, _, err = self.embed(*given)
        assert code == 2
        assert "--trust" in err
        code, _, err = self.embed(*given, "--trust")
        assert code == 0, err
        np.testing.assert_allclose(
            np.load(output), np.load(finished / archive.EMBEDDING), atol=1e-5
        )
