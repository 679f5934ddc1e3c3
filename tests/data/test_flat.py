"""Rows read where they lie in a file: those of the array, and no pages stay mapped."""

import shutil
from collections import namedtuple
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

from grevy.data.flat import opened_flat, spooled
from grevy.data.recording import data_checksum, make_recording
from grevy.data.stored import Stored
from grevy.errors import GrevyError

ROWS = np.random.default_rng(0).integers(0, 200, (500, 3)).astype(np.int16)


def mapped(folder):
    np.save(folder / "x.npy", ROWS)
    return np.load(folder / "x.npy", mmap_mode="r")


def data_set(folder, mode="r", **options):
    with h5py.File(folder / "x.h5", "w", userblock_size=512) as file:
        file["before"] = np.arange(9)
        file.create_dataset("x", data=ROWS, **options)
    return h5py.File(folder / "x.h5", mode)["x"]


def is_flat(array):
    with opened_flat(array) as flat:
        return flat is not None


def check_reading(array):
    stored = Stored(array)
    for index in (
        slice(10, 20), slice(None), slice(490, 900), slice(5, 5), slice(1, 50, 7),
        np.array([3, 4, 5, 90, 91, 400]), np.array([9, 2, 2, 499]), np.array([], np.int64),
    ):  # fmt: skip
        found = stored.rows(index)
        np.testing.assert_array_equal(found, ROWS[index])
        assert found.dtype == ROWS.dtype


def test_a_memory_map(tmp_path):
    assert is_flat(mapped(tmp_path))
    check_reading(mapped(tmp_path))


def test_much_is_asked_for_in_parts(tmp_path, monkeypatch):
    """The system gives less than 2 GiB in one call."""
    for most in (1, 7, 60):
        monkeypatch.setattr("grevy.data.flat.MOST", most)
        check_reading(mapped(tmp_path))


def test_what_was_changed_in_memory_alone_is_read_from_there(tmp_path):
    mapped(tmp_path)
    changed = np.load(tmp_path / "x.npy", mmap_mode="c")
    changed[7] = 99
    assert not is_flat(changed)
    assert Stored(changed).rows(slice(7, 8)).tolist() == [[99, 99, 99]]


def test_a_part_of_a_memory_map_is_read_as_it_is(tmp_path):
    whole = mapped(tmp_path)
    for part in (whole[100:], whole[:, 1:], whole.T):
        assert not is_flat(part)
    np.testing.assert_array_equal(Stored(whole[100:]).rows(slice(0, 9)), ROWS[100:109])


def test_a_data_set_in_one_piece(tmp_path):
    assert is_flat(data_set(tmp_path))
    check_reading(data_set(tmp_path))


def test_what_may_still_change_is_read_by_its_library(tmp_path):
    item = data_set(tmp_path, "r+")
    assert not is_flat(item)
    item[7] = 99
    assert Stored(item).rows(slice(7, 8)).tolist() == [[99, 99, 99]]


def in_chunks(folder):
    return data_set(folder, chunks=(64, 3), compression="gzip")


def of_zarr(folder):
    array = zarr.create_array(folder / "x.zarr", shape=ROWS.shape, dtype="i2", chunks=(64, 3))
    array[:] = ROWS
    return array


@pytest.mark.parametrize("make", [in_chunks, of_zarr])
def test_chunks_are_laid_flat(tmp_path, make):
    array = make(tmp_path)
    assert not is_flat(array)
    check_reading(array)
    copy = Stored(array).laid_flat()
    assert is_flat(copy.array)
    check_reading(copy.array)
    assert copy.laid_flat() is copy


def test_no_room_for_a_copy(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10, 10, 9)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(GrevyError, match=r"3000 bytes of neural data .* Set TMPDIR"):
        spooled(in_chunks(tmp_path))


def mapped_pages():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssFile"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells what is mapped")
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_no_pages_stay_mapped(tmp_path, dtype):
    np.save(tmp_path / "x.npy", np.ones((2**25 // np.dtype(dtype).itemsize, 2), dtype))
    before = mapped_pages()
    recording = make_recording(np.load(tmp_path / "x.npy", mmap_mode="r"))
    assert not recording.silent
    data_checksum([recording])
    assert mapped_pages() - before < 2**23
