"""Texts of an HDF5 file, which are read without the library: as it does, and no damaged one."""

import struct

import h5py
import numpy as np
import pytest

from grevy.data import inspect_file, list_arrays, read_array
from grevy.data.files.hdf5_texts import read_text_beside, read_texts
from grevy.data.files.limits import Limit
from grevy.errors import GrevyError

KIND = h5py.string_dtype()
FORMS = {
    "old": {}, "new": {"libver": "latest"}, "behind a block": {"userblock_size": 512},
    "tracked": {"libver": "latest", "track_order": True},
}  # fmt: skip


def compact(file, name, values):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((len(values),))
    kind = h5py.h5t.py_create(KIND, logical=True)
    h5py.Dataset(h5py.h5d.create(file.id, name, kind, space, plist))[:] = values


def every_way(path, **options):
    """Write texts in every way in which they can lie in a file."""
    words = np.array(["one", "thräe", "", "four"] * 9, object).reshape(12, 3)
    with h5py.File(path, "w", **options) as file:
        file["single"] = "hello"
        file["several"] = np.array(["one", "three"], KIND)
        file["long"] = np.array(["x" * length for length in range(0, 9000, 7)], KIND)
        packed = {"chunks": (5, 2), "compression": "gzip", "shuffle": True}
        file.create_dataset("packed", data=words, dtype=KIND, **packed)
        file.create_dataset("chunks", data=words, dtype=KIND, chunks=(4, 3))
        file.create_dataset("unwritten", (3, 2), dtype=KIND)
        file.create_dataset("none", (0,), dtype=KIND)
        partly = file.create_dataset("partly", (10,), dtype=KIND, chunks=(3,))
        partly[4:6] = ["a", "b"]
        compact(file, b"compact", ["aa", "bbbb"])
        for number in range(6):
            file["single"].attrs[f"text {number}"] = "y" * number


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_texts_are_those_of_the_library(tmp_path, options):
    path = tmp_path / "a.h5"
    every_way(path, **options)
    limit = Limit(path)
    with h5py.File(path) as file:
        for name, item in file.items():
            expected = np.asarray(item[()], object)
            found = read_texts(item, limit)
            assert found.shape == expected.shape, name
            assert found.tolist() == expected.tolist(), name
        for name, value in file["single"].attrs.items():
            assert read_text_beside(file["single"], name, limit) == value.encode()


def spoil(path, name, place, values):
    """Write into the references of a data set, which lie side by side."""
    with h5py.File(path) as file:
        offset = file[name].id.get_offset()
    whole = bytearray(path.read_bytes())
    struct.pack_into(values[0], whole, offset + place, *values[1:])
    path.write_bytes(whole)


@pytest.mark.parametrize(
    ("place", "values", "words"),
    [
        (0, ("<I", 2**31), "a text of 2147483648 bytes where"),
        (16, ("<I", 2**32 - 1), "a text of 4294967295 bytes where"),
        (4, ("<Q", 2**63), "in a file of"),
        (4, ("<Q", 8), "no heap of texts at 8"),
        (12, ("<I", 999), "a text of 3 bytes where 0 are"),
    ],
)
def test_a_damaged_reference(tmp_path, place, values, words):
    every_way(tmp_path / "a.h5")
    spoil(tmp_path / "a.h5", "several", place, values)
    with pytest.raises(GrevyError, match=words):
        read_array(tmp_path / "a.h5", "several")
    with pytest.raises(GrevyError, match=words):
        inspect_file(tmp_path / "a.h5")
    assert read_array(tmp_path / "a.h5", "long")[1] == "x" * 7


def test_a_heap_that_leads_round_ends(tmp_path):
    """An object as long as to lead back to its beginning: the library goes round for ever."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.array(["one", "three"], KIND)
    whole = bytearray((tmp_path / "a.h5").read_bytes())
    place = whole.index(b"GCOL") + 16
    struct.pack_into("<Q", whole, place + 8, 2**64 - 16)
    (tmp_path / "a.h5").write_bytes(whole)
    with pytest.raises(GrevyError, match="bytes in a heap of 4096"):
        read_array(tmp_path / "a.h5", "x")


def test_texts_in_an_unusual_packing(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=np.array(["a", "b"], object), dtype=KIND, chunks=(2,),
                            compression="lzf")  # fmt: skip
    with pytest.raises(GrevyError, match="packed in an unusual way"):
        read_array(tmp_path / "a.h5", "x")


def test_a_damaged_place_of_chunks_does_not_crash(tmp_path):
    """Asked how large an object is, the library follows what has no address."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("x", data=np.eye(6), chunks=(2, 3), maxshape=(None, None))
    whole = bytearray(path.read_bytes())
    place = whole.index(b"BTHD")
    whole[place] = 0
    path.write_bytes(whole)
    assert list_arrays(path) == {"x": ((6, 6), "float64")}
    with pytest.raises(GrevyError, match=r"cannot be read as a \.h5 file"):
        read_array(path, "x")
