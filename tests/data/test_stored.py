"""Neural data that is read by rows: the same numbers as in memory, and never all of them."""

import h5py
import numpy as np
import pytest

from grevy.data import make_recording, read_recording
from grevy.data.recording import data_checksum
from grevy.data.stored import Stored
from grevy.errors import GrevyError
from grevy.model import CEBRA

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(1, (300, 4)).astype(np.uint8)


@pytest.fixture(params=["map", "hdf5", "zarr"])
def stored(request, tmp_path):
    """The counts, kept in a file of each kind."""
    if request.param == "map":
        np.save(tmp_path / "x.npy", COUNTS)
        yield np.load(tmp_path / "x.npy", mmap_mode="r")
    elif request.param == "hdf5":
        with h5py.File(tmp_path / "x.h5", "w") as file:
            yield file.create_dataset("x", data=COUNTS, chunks=(32, 4), compression="gzip")
    else:
        zarr = pytest.importorskip("zarr")
        array = zarr.create_array(
            tmp_path / "x.zarr", shape=COUNTS.shape, chunks=(32, 4), dtype="u1"
        )
        array[:] = COUNTS
        yield array


INDICES = {
    "slice": slice(5, 40),
    "beyond the end": slice(290, 400),
    "all": slice(None),
    "in order": np.array([0, 1, 2, 77, 78, 299]),
    "repeated": np.array([0, 0, 0, 1, 2, 2]),
    "out of order": np.array([200, 3, 200, 4]),
    "none": np.array([], np.int64),
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_rows_are_those_of_the_array(stored, index):
    neural = make_recording(stored).neural
    assert isinstance(neural, Stored)
    assert (neural.shape, neural.ndim, len(neural), neural.size) == ((300, 4), 2, 300, 1200)
    assert neural[index].dtype == neural.dtype == np.float32
    np.testing.assert_array_equal(neural[index], COUNTS[index])
    np.testing.assert_array_equal(np.asarray(neural), COUNTS)


def test_a_recording_is_the_one_of_the_array(stored):
    one, other = make_recording(stored), make_recording(COUNTS)
    assert data_checksum([one]) == data_checksum([other])
    assert not one.silent
    again = make_recording(one.neural)
    assert again.neural.array is stored


def test_a_model_is_the_same(stored):
    settings = {"max_iterations": 3, "batch_size": 16, "device": "cpu", "seed": 0}
    labels = np.arange(300) // 10 % 3
    model = CEBRA("offset10-model", **settings).fit(stored, labels)
    expected = CEBRA("offset10-model", **settings).fit(COUNTS, labels)
    assert model.solver_.history == expected.solver_.history
    for batch_size in (None, 70):
        np.testing.assert_array_equal(
            model.transform(stored, batch_size), expected.transform(COUNTS)
        )
    cut = [[0, 100], [100, 110], [200, 300]]
    np.testing.assert_array_equal(
        model.transform(stored, segments=cut), expected.transform(COUNTS, segments=cut)
    )


class Watched(np.memmap):
    """A memory map that knows how many rows were read at once."""

    most = 0

    def __getitem__(self, index):
        found = super().__getitem__(index)
        Watched.most = max(Watched.most, len(found) if getattr(found, "ndim", 0) else 0)
        return found


def test_a_recording_is_embedded_in_chunks(tmp_path):
    COUNTS.tofile(tmp_path / "x.bin")
    mapped = Watched(tmp_path / "x.bin", np.uint8, "r", shape=COUNTS.shape)
    model = CEBRA("offset10-model", max_iterations=2, batch_size=16, device="cpu").fit(COUNTS)
    Watched.most = 0
    model.transform(mapped, batch_size=50)
    assert 0 < Watched.most <= 60


@pytest.mark.parametrize(("value", "words"), [(np.nan, "1 NaN"), (1e300, r"1\.0e\+300")])
def test_what_is_no_number_is_found(value, words, tmp_path):
    values = np.ones((9000, 2))
    values[8888, 1] = value
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(GrevyError, match=rf"{words}.*time step 8888, neuron 1"):
        make_recording(np.load(tmp_path / "x.npy", mmap_mode="r"))


def test_other_shapes_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", COUNTS[:, 0])
    with pytest.raises(GrevyError, match=r"shape \(300,\)"):
        make_recording(np.load(tmp_path / "x.npy", mmap_mode="r"))


def test_a_large_array_keeps_its_type(monkeypatch):
    assert isinstance(make_recording(COUNTS).neural, np.ndarray)
    monkeypatch.setattr("grevy.data.stored.HELD", COUNTS.size * 4 - 1)
    assert make_recording(COUNTS).neural.array is COUNTS


def test_a_file_of_counts_is_read_by_rows(tmp_path):
    np.save(tmp_path / "x.npy", COUNTS)
    neural = read_recording(tmp_path / "x.npy").neural
    assert isinstance(neural, Stored)
    assert isinstance(neural.array, np.memmap)
    assert neural.array.dtype == np.uint8
