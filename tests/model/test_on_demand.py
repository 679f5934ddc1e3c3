"""Trainings on recordings that stay on the disk: the same as in memory, reading batches alone."""

import dataclasses
import errno
import os
from functools import partial

import numpy as np
import pytest
import torch

from grevy.data import Stored, make_recording
from grevy.engine.encoding.encoder import encode, pack
from grevy.engine.encoding.on_demand import OnDemand, covered
from grevy.engine.kernels.calls import read_stretches
from grevy.engine.kernels.library import load
from grevy.errors import GrevyError
from grevy.model import CEBRA, Validation
from grevy.model.assembly import make_training
from grevy.model.states import fresh_state

RNG = np.random.default_rng(0)
LENGTH, NEURONS = 900, 5
COUNTS = RNG.poisson(1, (LENGTH, NEURONS)).astype(np.uint8)
LINE = np.cumsum(RNG.normal(size=(LENGTH, 1)), axis=0)
KLASS = RNG.integers(0, 3, LENGTH)
SMALL = {
    "model_architecture": "offset10-model", "max_iterations": 12, "batch_size": 16,
    "num_hidden_units": 8, "output_dimension": 3, "device": "cpu", "seed": 0, "learning_rate": 0.01,
}  # fmt: skip


def mapped(values, path):
    np.save(path, values)
    return np.load(path, mmap_mode="r")


@pytest.fixture
def little_room(monkeypatch):
    """Memory in which no recording can be held."""
    monkeypatch.setattr("grevy.data.stored.HELD", 0)


KINDS = {
    "label": ((LINE,), {}),
    "causal": ((LINE,), {"causal": True}),
    "time": ((), {"conditional": "time"}),
    "hybrid": ((LINE,), {"hybrid": True}),
    "one step": ((LINE,), {"model_architecture": "offset1-model"}),
    "dropout": ((LINE,), {"model_architecture": "offset36-model-dropout"}),
    "window by window": ((LINE,), {"model_architecture": "offset4-model-2x-subsample"}),
    "masks": ((LINE,), {"masking_kwargs": (("RandomNeuronMask", 0.3),)}),
    "whole data": ((LINE,), {"batch_size": None, "max_iterations": 3}),
    "bf16": ((LINE,), {"precision": "bf16", "max_iterations": 3}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_is_that_in_memory(kind, tmp_path, monkeypatch):
    labels, options = KINDS[kind]
    expected = CEBRA(**{**SMALL, **options}).fit(COUNTS, *labels)
    monkeypatch.setattr("grevy.data.stored.HELD", 0)
    model = CEBRA(**{**SMALL, **options})
    model.fit(mapped(COUNTS, tmp_path / "x.npy"), *labels)
    tolerance = 1e-2 if kind == "bf16" else 1e-4
    np.testing.assert_allclose(model.solver_.history, expected.solver_.history, rtol=tolerance)
    assert len(set(model.solver_.history)) > 2


def test_several_recordings_of_which_some_are_held(tmp_path, monkeypatch):
    other = RNG.normal(size=(300, 3)).astype(np.float32)
    labels = [LINE, LINE[:300]]
    expected = CEBRA(**SMALL).fit([COUNTS, other], labels)
    monkeypatch.setattr("grevy.data.stored.HELD", 0)
    model = CEBRA(**SMALL).fit([mapped(COUNTS, tmp_path / "x.npy"), other], labels)
    np.testing.assert_allclose(model.solver_.history, expected.solver_.history, rtol=1e-4)


def test_validation_reads_its_own_steps(tmp_path, monkeypatch):
    def fitted(neural):
        watched = Validation([[700, 900]], every=4)
        return CEBRA(**SMALL).fit(neural, LINE, segments=[[0, 650]], validation=watched)

    expected = fitted(COUNTS)
    monkeypatch.setattr("grevy.data.stored.HELD", 0)
    model = fitted(mapped(COUNTS, tmp_path / "x.npy"))
    np.testing.assert_allclose(model.validation_, expected.validation_, rtol=1e-4)


@pytest.fixture
def source(tmp_path):
    """The counts in a file, as a training reads them, eight windows of ten steps at most."""
    stored = Stored(mapped(COUNTS, tmp_path / "x.npy"))
    return OnDemand.made(stored, 80, "cpu", torch.float32)


def ways(source):
    """Reading by compiled loops, where there are any, and without."""
    return [source, dataclasses.replace(source, library=None)]


@pytest.mark.parametrize("dtype", ["u1", ">i2", "<f8"])
@pytest.mark.parametrize("seed", range(5))
def test_windows_are_those_of_the_array(dtype, seed, tmp_path):
    values = (COUNTS * 200).astype(dtype)
    stored = Stored(mapped(values, tmp_path / "x.npy"))
    rng = np.random.default_rng(seed)
    # So many that threads share them.
    start = rng.integers(0, LENGTH - 1, 800 if seed else 1)
    for each in ways(OnDemand.made(stored, LENGTH, "cpu", torch.float32)):
        neural, first = each.around(start, 2)
        for lag in range(2):
            np.testing.assert_array_equal(neural[first + lag], values[start + lag])


def test_a_file_that_changes_meanwhile_is_said(source, tmp_path):
    start = np.array([0, 890])
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-1])
    for each in ways(source):
        with pytest.raises(GrevyError, match=r"x\.npy was open .* over before.*leave the file"):
            each.around(start, 10)
        each.around(np.array([0, 889]), 10)
    (tmp_path / "x.npy").unlink()
    for each in ways(source):
        with pytest.raises(GrevyError, match=r"x\.npy was open .* No such file"):
            each.around(start, 10)


@pytest.mark.usefixtures("little_room")
def test_a_training_ends_with_what_it_has_where_its_file_ends(tmp_path):
    path = tmp_path / "x.npy"
    model = CEBRA(**SMALL)

    def cut(step, _solver):
        if step == 5:
            path.write_bytes(path.read_bytes()[:1000])

    with pytest.raises(GrevyError, match="can no longer be read"):
        model.fit(mapped(COUNTS, path), callback=cut, callback_frequency=1)
    assert model.n_steps_ == 6
    assert np.isfinite(model.transform(COUNTS)).all()


@pytest.mark.skipif(load() is None, reason="no compiled loops")
def test_what_the_system_says_of_reading_is_handed_on(tmp_path):
    into = np.empty(10, np.uint8)
    read = partial(read_stretches, load(), into=into, threads=1)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        read(999, np.array([0]), np.array([10]))
    with (tmp_path / "x").open("w+b", buffering=0) as file:
        file.write(b"0123456789")
        read(file.fileno(), np.array([7, 0]), np.array([3, 7]))
        assert into.tobytes() == b"7890123456"
        for places, sizes in (([0], [11]), ([-1], [2]), ([0], [-1])):
            with pytest.raises(ValueError, match="do not fit"):
                read(file.fileno(), np.array(places), np.array(sizes))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.usefixtures("little_room")
def test_no_more_is_read_than_a_batch_needs(dtype, tmp_path):
    recording = make_recording(mapped(COUNTS.astype(dtype), tmp_path / "x.npy"))
    parameters = CEBRA(**{**SMALL, "batch_size": 4}).parameters
    state = fresh_state(parameters, [recording], False, seed=0)
    training = make_training(parameters, state, [recording])
    (source,) = training.encoder.neural
    assert isinstance(source, OnDemand)
    assert source.buffer.shape == (12 * 10, NEURONS)
    read = []

    class Watched(Stored):
        def rows(self, index):
            read.append(index)
            return super().rows(index)

    watched = Watched(source.stored.array)
    source = dataclasses.replace(source, stored=watched, library=None)
    encoder = dataclasses.replace(training.encoder, neural=(source,))
    positions = np.array([5, 7, 500, 895])
    encode(encoder, positions)
    (steps,) = read
    np.testing.assert_array_equal(steps, [*range(12), *range(495, 505), *range(890, 900)])
    for outside in (4, 896):
        with pytest.raises(IndexError, match="leaves its recording"):
            encode(encoder, np.array([outside]))


@pytest.mark.parametrize("seed", range(20))
def test_steps_in_windows_are_found_as_by_looking_at_all(seed):
    rng = np.random.default_rng(seed)
    width, length = int(rng.integers(1, 12)), int(rng.integers(12, 200))
    start = rng.integers(0, length - width + 1, rng.integers(1, 40))
    first, kept = covered(start, width)
    expected, steps = pack(start, width, length, len(kept))
    np.testing.assert_array_equal(first, expected)
    np.testing.assert_array_equal(kept, steps)
    assert len(kept) <= width * len(start)


def test_what_fits_is_held(tmp_path):
    recording = make_recording(mapped(COUNTS, tmp_path / "x.npy"))
    parameters = CEBRA(**SMALL).parameters
    state = fresh_state(parameters, [recording], False, seed=0)
    (held,) = make_training(parameters, state, [recording]).encoder.neural
    assert isinstance(held, torch.Tensor)
    np.testing.assert_array_equal(held, COUNTS)
