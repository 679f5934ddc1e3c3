"""Small sound files of every format that is read, to be damaged."""

import datetime

import h5py
import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import scipy.io
import scipy.sparse
import torch
import yaml

import nwb_files

RNG = np.random.default_rng(0)
T, N = 60, 6
SPIKES = RNG.poisson(2.0, (T, N)).astype(np.float32)
ARRAYS = {
    "spikes": SPIKES, "position": RNG.normal(size=(T, 2)), "angle": RNG.uniform(0, 360, T),
    "trial": np.repeat(np.arange(4), 15),
}  # fmt: skip


def npy(path):
    np.save(path, SPIKES)


def npy_by_columns(path):
    np.save(path, np.asfortranarray(SPIKES.astype(np.uint8)))


def npy_of_objects(path):
    np.save(path, np.array([{}, "x"], object), allow_pickle=True)


def npz(path):
    np.savez(path, names=np.array(["a", "bc"]), **ARRAYS)


def npz_packed(path):
    np.savez_compressed(path, **ARRAYS)


def matlab_kinds():
    ragged = np.empty(2, object)
    ragged[:] = [np.arange(3.0), np.arange(5.0)]
    several = np.array([(1, 2.0), (3, 4.0)], dtype=[("p", "O"), ("q", "O")])
    return {
        **ARRAYS, "text": "abc", "ragged": ragged, "z": np.array([1 + 2j]), "several": several,
        "nested": {"a": {"b": np.eye(2)}, "c": "xy"}, "flags": np.array([True, False]),
        "sparse": scipy.sparse.csc_matrix(np.eye(3)),
    }  # fmt: skip


def mat5(path):
    scipy.io.savemat(path, matlab_kinds())


def mat5_packed(path):
    scipy.io.savemat(path, matlab_kinds(), do_compression=True)


def mat4(path):
    scipy.io.savemat(path, {**ARRAYS, "text": "abc", "z": np.array([1 + 2j])}, format="4")


def mat73(path):
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in ARRAYS.items():
            _of_matlab(file, name, values, b"double")
        _of_matlab(file, "flags", np.ones((5, 1), np.uint8), b"logical")
        _of_matlab(file, "text", np.frombuffer(b"abc", np.uint8)[None].astype("u2"), b"char")
        empty = _of_matlab(file, "empty", np.zeros(2, np.uint64), b"double")
        empty.attrs["MATLAB_empty"] = np.uint8(1)
        targets = [
            _of_matlab(file, f"#refs#/{i}", np.arange(3.0 + i)[None], b"double") for i in (0, 1)
        ]
        references = np.array([[target.ref for target in targets]], h5py.ref_dtype)
        cell = file.create_dataset("cell", data=references)
        cell.attrs["MATLAB_class"] = np.bytes_("cell")
        struct = file.create_group("struct")
        struct.attrs["MATLAB_class"] = np.bytes_("struct")
        _of_matlab(struct, "field", np.eye(2), b"double")


def _of_matlab(file, name, values, kind):
    item = file.create_dataset(name, data=np.atleast_2d(values).T)
    item.attrs["MATLAB_class"] = np.bytes_(kind)
    return item


def hdf5(path):
    with h5py.File(path, "w") as file:
        for name, values in ARRAYS.items():
            file[f"session/{name}"] = values
        file["texts"] = np.array(["one", "two", "three"], h5py.string_dtype())
        file["fixed"] = np.array([b"one", b"two"])
        file["kinds"] = np.array([0, 1, 0], h5py.enum_dtype({"left": 0, "right": 1}))
        file["pairs"] = np.zeros(4, [("a", "f4"), ("b", "i2")])
        file["link"] = h5py.SoftLink("/session")
        file.attrs["about"] = "made for a test"


def hdf5_packed(path):
    with h5py.File(path, "w") as file:
        for name, values in ARRAYS.items():
            chunks = (20, *values.shape[1:])
            file.create_dataset(name, data=values, chunks=chunks, compression="gzip", shuffle=True)
        file.create_dataset("lzf", data=SPIKES, chunks=(20, N), compression="lzf", fletcher32=True)
        whole = ARRAYS["trial"]
        file.create_dataset("offset", data=whole, chunks=(20,), scaleoffset=0)


def hdf5_new(path):
    """As written by the newest form of the format, with its other trees and heaps."""
    with h5py.File(path, "w", libver="latest") as file:
        for name, values in ARRAYS.items():
            chunks, most = (20, *values.shape[1:]), (None, *values.shape[1:])
            file.create_dataset(name, data=values, chunks=chunks, maxshape=most, compression="gzip")
        group = file.create_group("many", track_order=True)
        for number in range(20):
            group[f"member {number}"] = np.arange(number + 1)
            group.attrs[f"attribute {number}"] = number
        file.create_dataset("both", data=SPIKES, chunks=(20, 3), maxshape=(None, None))


def csv(path):
    _table().to_csv(path, index=False)


def tsv(path):
    _table().to_csv(path, sep="\t")


def parquet(path):
    table = _table()
    table["when"] = [datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)] * T
    table["kind"] = pd.Categorical(table["side"])
    table.to_parquet(path)


def parquet_packed(path):
    table = pa.Table.from_pandas(_table()).append_column("pairs", pa.array([[1, 2]] * T))
    pyarrow.parquet.write_table(
        table, path, compression="zstd", row_group_size=25, data_page_version="2.0",
        use_dictionary=["side"], column_encoding={"unit_0": "BYTE_STREAM_SPLIT"},
    )  # fmt: skip


def _table():
    columns = {f"unit_{index}": SPIKES[:, index] for index in range(N)}
    side = np.where(ARRAYS["trial"] % 2, "left", "right")
    return pd.DataFrame(
        {**columns, "angle": ARRAYS["angle"], "trial": ARRAYS["trial"], "side": side}
    )


def jl(path):
    joblib.dump({**ARRAYS, "t": (1, "a", None, 2.5), "texts": np.array(["a", "bc"])}, path)


def jl_of_tensors(path):
    joblib.dump({name: torch.from_numpy(values) for name, values in ARRAYS.items()}, path)


def nwb(path):
    nwb_files.session(path)


def pt(path):
    from grevy import CEBRA

    model = CEBRA(
        model_architecture="offset5-model", output_dimension=3, num_hidden_units=4,
        max_iterations=2, batch_size=8, device="cpu", seed=0,
    )  # fmt: skip
    model.fit(SPIKES, ARRAYS["position"])
    model.save(path)


def settings(path):
    from grevy.config import RunConfig

    given = RunConfig(data="a.npz", label=("position", "angle:circular"), period=360)
    path.write_text(yaml.safe_dump(given.model_dump(mode="json"), sort_keys=False))


FILES = {
    npy: ".npy", npy_by_columns: ".npy", npy_of_objects: ".npy", npz: ".npz", npz_packed: ".npz",
    mat4: ".mat", mat5: ".mat", mat5_packed: ".mat", mat73: ".mat", hdf5: ".h5",
    hdf5_packed: ".h5", hdf5_new: ".hdf5", csv: ".csv", tsv: ".tsv", parquet: ".parquet",
    parquet_packed: ".parquet", jl: ".jl", jl_of_tensors: ".jl", nwb: ".nwb", pt: ".pt",
    settings: ".yaml",
}  # fmt: skip


def write_all(folder, without=()):
    """Write a file of each kind but of some suffixes; return their paths."""
    paths = []
    for make, suffix in FILES.items():
        if suffix in without:
            continue
        paths.append(folder / f"{make.__name__}{suffix}")
        make(paths[-1])
    return paths
