"""Files made to harm: sizes are compared before anything is unpacked."""

import subprocess
import sys
import zipfile
import zlib

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from grevy.data import list_arrays, read_array, read_recording
from grevy.data.files.limits import Limit, said
from grevy.errors import GrevyError

GIB = 2**30


def npz(path, member="x.npy", header=None, size=9 * GIB // 8):
    """Write an archive whose member unpacks to so many zeros, without holding them."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(member, "w", force_zip64=True) as stream,
    ):
        if header is None:
            np.lib.format.write_array_header_1_0(
                stream, {"descr": "<f4", "fortran_order": False, "shape": (size // 64, 16)}
            )
        else:
            stream.write(header)
        for _ in range(size // 2**24):
            stream.write(bytes(2**24))


def long_header(path):
    npz(path, header=b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little"), size=2**26)


def other_member(path):
    """A member beside the array's, by the name without its ending, which numpy prefers."""
    np.savez(path, x=np.eye(3))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("x", b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little") + bytes(2**26))


def chunk_bomb(path):
    """A chunk that unpacks to a thousand times what it declares."""
    with h5py.File(path, "w") as file:
        item = file.create_dataset("x", (1024, 16), "f4", chunks=(1024, 16), compression="gzip")
        item.id.write_direct_chunk((0, 0), zlib.compress(bytes(4 * GIB // 4), 1))


def large_chunk(path):
    with h5py.File(path, "w") as file:
        side = (2**15, 2**15 - 1)
        file.create_dataset("x", (16, 16), "f4", chunks=side, maxshape=(None, None))


def many_chunks(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (2**14, 2**14), "i1", chunks=(1, 1))


def twice_deflated(path):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((1000, 1000))
    plist.set_deflate(9)
    plist.set_deflate(9)
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple((1000, 1000))
        h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_INT32, space, plist)
        file["x"][:] = 1


def ladder_of_links(path):
    """Groups, each of which holds the next one ten times."""
    with h5py.File(path, "w") as file:
        inner = file.create_group("#0")
        inner["x"] = np.eye(3)
        for level in range(1, 12):
            outer = file.create_group(f"#{level}")
            for name in range(10):
                outer[f"g{name}"] = inner
            inner = outer
        file["top"] = inner


def matlab_cell(file, name, references):
    cell = file.create_dataset(name, data=np.array([references], h5py.ref_dtype))
    cell.attrs["MATLAB_class"] = np.bytes_("cell")
    return cell


def one_reference_often(path):
    """A cell all of whose elements are one and the same large array."""
    with h5py.File(path, "w", userblock_size=512) as file:
        item = file.create_dataset(
            "#refs#/r", (1024, 2**13), "f8", chunks=(1024, 2**13), compression="gzip"
        )
        item.attrs["MATLAB_class"] = np.bytes_("double")
        item[:] = 1
        matlab_cell(file, "x", [item.ref] * 100)


def ladder_of_cells(path):
    with h5py.File(path, "w", userblock_size=512) as file:
        inner = file.create_dataset("#refs#/r", data=np.eye(3))
        inner.attrs["MATLAB_class"] = np.bytes_("double")
        for level in range(12):
            inner = matlab_cell(file, f"#refs#/c{level}", [inner.ref] * 10)
        matlab_cell(file, "x", [inner.ref] * 10)


def reference_without_end(path):
    with h5py.File(path, "w", userblock_size=512) as file:
        shape = (1, 2**27)
        item = file.create_dataset("x", shape, h5py.ref_dtype, chunks=(1, 2**22), compression=1)
        item.attrs["MATLAB_class"] = np.bytes_("cell")


def one_text_often(path):
    with h5py.File(path, "w") as file:
        file["x"] = np.array(["a" * 10**6] + ["b"] * 5000, h5py.string_dtype())


def large_attribute(path):
    with h5py.File(path, "w", userblock_size=512) as file:
        item = file.create_dataset("x", data=np.eye(30))
        item.attrs["MATLAB_class"] = np.array(["double"] * 3000, h5py.string_dtype())


def element(kind, content):
    return np.array([kind, len(content)], "<u4").tobytes() + content + bytes(-len(content) % 8)


def mat5(path, kind, shape, rest, name=b"x"):
    flags = element(6, np.array([kind, 0], "<u4").tobytes())
    inside = flags + element(5, np.array(shape, "<i4").tobytes()) + element(1, name) + rest
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    path.write_bytes(head + np.array([14, len(inside)], "<u4").tobytes() + inside)


def endless_cell(path):
    mat5(path, 1, (2**30, 1), bytes(64))


def fieldless_struct(path):
    mat5(path, 2, (2**30, 1), element(5, np.int32(32).tobytes()) + element(1, b""))


def blank_text(path):
    mat5(path, 4, (1, 2**31 - 1), element(16, b""))


def packed_zeros(path):
    """A compressed element of 4 GiB."""
    rest = np.array([9, 2**32 - 64], "<u4").tobytes()
    mat5(path, 6, (2**29 - 8, 1), rest)
    whole = path.read_bytes()
    inside = bytearray(whole[128:])
    inside[4:8] = np.uint32(2**32 - 8).tobytes()
    packer = zlib.compressobj(1)
    packed = packer.compress(bytes(inside)) + packer.compress(bytes(2**26)) + packer.flush()
    path.write_bytes(whole[:128] + np.array([15, len(packed)], "<u4").tobytes() + packed)


def version_4(path):
    path.write_bytes(np.array([0, 2**20, 2**20, 0, 2], "<i4").tobytes() + b"x\0" + bytes(64))


def wide_table(path):
    path.write_bytes(b"1" + b",1" * 2_000_000 + b"\n")


def long_text_in_a_table(path):
    path.write_bytes(b"x,y\n" + b"a" * 10**6 + b",1\n" + b"b,2\n" * 2000)


def repeated_number(path):
    """Run lengths: a thousand million numbers in a few kilobytes."""
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(10**6, np.int32)), pa.array([1.5]))
    with pyarrow.parquet.ParquetWriter(path, pa.schema([("x", column.type)])) as writer:
        for _ in range(300):
            writer.write_table(pa.table({"x": column}))


def repeated_text(path):
    column = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(10**5, np.int32)), pa.array(["a" * 10**5])
    )
    pyarrow.parquet.write_table(pa.table({"x": column}), path)


HARMFUL = {
    npz: ".npz", long_header: ".npz", chunk_bomb: ".h5", large_chunk: ".h5", many_chunks: ".h5",
    twice_deflated: ".h5", ladder_of_links: ".h5", one_reference_often: ".mat",
    ladder_of_cells: ".mat", reference_without_end: ".mat", one_text_often: ".h5",
    endless_cell: ".mat", fieldless_struct: ".mat", blank_text: ".mat", packed_zeros: ".mat",
    version_4: ".mat", wide_table: ".csv", long_text_in_a_table: ".csv",
    repeated_number: ".parquet", repeated_text: ".parquet",
}  # fmt: skip

READ = """
import resource, sys, time
import h5py, pandas, pyarrow.parquet, scipy.io
from grevy.data import read_array
from grevy.errors import GrevyError
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
try:
    read_array(sys.argv[1], "x")
    print("read")
except GrevyError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, time.monotonic() - began)
"""


@pytest.mark.parametrize("make", HARMFUL, ids=lambda make: make.__name__)
def test_what_is_made_to_harm_is_refused_before_it_does(tmp_path, make):
    path = tmp_path / f"x{HARMFUL[make]}"
    make(path)
    done = subprocess.run(
        [sys.executable, "-c", READ, path], capture_output=True, text=True, check=True, timeout=60
    )
    *message, used = done.stdout.strip().splitlines()
    memory, seconds = map(float, used.split())
    assert len(message) == 1
    assert message[0].startswith(str(path))
    assert memory < 2**19  # KiB, of which most is what Python needs for a list of columns
    assert seconds < 15


def test_the_message_says_how_to_allow_it(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((1000, 50)), y=np.zeros(3))
    with pytest.raises(GrevyError, match=r"the array 'x' would take 391 KiB of memory, and `max_"):
        read_array(tmp_path / "a.npz", "x", max_bytes=1000)
    with pytest.raises(GrevyError, match=r"allow as much with `max_bytes=400128`"):
        read_recording(tmp_path / "a.npz", neural="x", max_bytes=1000)
    assert read_array(tmp_path / "a.npz", "x", max_bytes=400_128).shape == (1000, 50)
    assert read_recording(tmp_path / "a.npz", neural="x", max_bytes=400_128).n_neurons == 50
    assert len(list_arrays(tmp_path / "a.npz", max_bytes=1000)) == 2
    with pytest.raises(GrevyError, match="`max_bytes` is 0; expected a number above 0"):
        list_arrays(tmp_path / "a.npz", max_bytes=0)


def test_the_columns_of_a_pattern_count_together(tmp_path):
    np.savez(tmp_path / "a.npz", **{f"u{i}": np.zeros(1000) for i in range(20)})
    assert read_array(tmp_path / "a.npz", "u1", max_bytes=20_000).shape == (1000,)
    with pytest.raises(GrevyError, match=r"the 20 arrays 'u\*' would take 159 KiB"):
        read_array(tmp_path / "a.npz", "u*", max_bytes=20_000)


def test_how_much_a_file_may_take(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(bytes(2**25))
    monkeypatch.setattr("grevy.data.files.limits.free_memory", lambda: 64 * GIB)
    Limit(path).check(3 * GIB, "it")
    with pytest.raises(GrevyError, match=r"a file of 32 MiB may take 3\.12 GiB"):
        Limit(path).check(4 * GIB, "it")
    Limit(path, 4 * GIB).check(4 * GIB, "it")
    monkeypatch.setattr("grevy.data.files.limits.free_memory", lambda: 2 * GIB)
    with pytest.raises(GrevyError, match="and 2 GiB is free"):
        Limit(path).check(3 * GIB, "it")
    monkeypatch.setattr("grevy.data.files.limits.free_memory", lambda: 0)
    Limit(path).check(GIB, "it")


def test_sizes_as_a_person_says_them():
    assert [said(size) for size in (0, 1023, 1024, 5 * GIB, 2**70)] == [
        "0 bytes", "1.02e+03 bytes", "1 KiB", "5 GiB", "1.05e+06 PiB",
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_spikes_that_are_mostly_silent_are_read(tmp_path, suffix):
    spikes = np.zeros((200_000, 50), np.float32)
    spikes[::1000] = 1
    path = tmp_path / f"a{suffix}"
    if suffix == ".npz":
        np.savez_compressed(path, x=spikes)
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=spikes, compression=9, shuffle=True, fletcher32=True)
    assert spikes.nbytes > 100 * path.stat().st_size
    np.testing.assert_array_equal(read_array(path, "x"), spikes)


def test_an_array_that_lies_in_another_file_is_not_fetched(tmp_path):
    (tmp_path / "secret").write_bytes(np.arange(12.0).tobytes())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (12,), "f8", external=[(str(tmp_path / "secret"), 0, 96)])
    with pytest.raises(GrevyError, match="lies in other files; copy it into this one"):
        read_array(tmp_path / "a.h5", "x")
