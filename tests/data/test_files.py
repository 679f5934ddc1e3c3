"""Files of every format: what is read, what is refused, and that no bytes make a traceback."""

import os
import pickle
from pathlib import Path

import h5py
import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.io
import torch

from grevy.data.files.arrays import list_arrays, read_array
from grevy.data.files.joblib_files import read_joblib
from grevy.data.files.recordings import read_recording
from grevy.errors import GrevyError

DATA = Path(os.environ.get("GREVY_TEST_DATA", Path(__file__).parents[2] / "../shared/data"))
SUFFIXES = (".npy", ".npz", ".mat", ".v73.mat", ".h5", ".csv", ".tsv", ".parquet", ".jl")
TABLES = (".csv", ".tsv", ".parquet")

RNG = np.random.default_rng(0)
T, N = 40, 6
SPIKES = RNG.poisson(2.0, (T, N)).astype(np.float32)
POSITION = RNG.normal(size=(T, 2))
ANGLE = RNG.uniform(0, 360, T)
TRIAL = np.repeat(np.arange(4), 10)


def matlab(file, name, values, kind=b"double"):
    """Store an array as MATLAB 7.3 does: transposed, with its class beside it."""
    item = file.create_dataset(name, data=np.asarray(values).T)
    item.attrs["MATLAB_class"] = np.bytes_(kind)
    return item


def write_good(folder, suffix):
    """Write the same small recording in a format; return its path."""
    path = folder / f"good{suffix}"
    arrays = {"spikes": SPIKES, "position": POSITION, "angle": ANGLE, "trial": TRIAL}
    columns = {f"unit_{i}": SPIKES[:, i] for i in range(N)}
    table = pd.DataFrame({**columns, "x": POSITION[:, 0], "angle": ANGLE, "trial": TRIAL})
    if suffix == ".npy":
        np.save(path, SPIKES)
    elif suffix == ".npz":
        np.savez_compressed(path, **arrays)
    elif suffix == ".mat":
        scipy.io.savemat(path, arrays, do_compression=True)
    elif suffix == ".v73.mat":
        with h5py.File(path, "w", userblock_size=512) as file:
            for name, values in arrays.items():
                matlab(file, name, np.atleast_2d(values))
    elif suffix == ".h5":
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file.create_dataset(name, data=values, compression="gzip")
    elif suffix == ".parquet":
        table.to_parquet(path)
    elif suffix == ".jl":
        joblib.dump({name: torch.from_numpy(values) for name, values in arrays.items()}, path)
    else:
        table.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("suffix", SUFFIXES[1:])
def test_one_recording_in_every_format(tmp_path, suffix):
    path = write_good(tmp_path, suffix)
    table = suffix in TABLES
    recording = read_recording(
        path,
        neural="unit_*" if table else "spikes",
        labels=["angle:circular", "x" if table else "position", "trial:discrete"],
        period=360,
        segments="trial",
        sampling_rate=20,
        trust=suffix == ".jl",
    )
    np.testing.assert_array_equal(recording.neural, SPIKES)
    angle, position, trial = recording.labels
    assert (angle.kind, position.kind, trial.kind) == ("circular", "continuous", "discrete")
    np.testing.assert_allclose(angle.unit_values, ANGLE)
    np.testing.assert_allclose(position.values, POSITION[:, :1] if table else POSITION)
    np.testing.assert_array_equal(trial.unit_values, TRIAL)
    np.testing.assert_array_equal(recording.segments, [[0, 10], [10, 20], [20, 30], [30, 40]])
    assert recording.sampling_rate == 20
    assert recording.source == str(path)


def test_npy_is_a_memory_map(tmp_path):
    path = write_good(tmp_path, ".npy")
    assert list_arrays(path) == {"data": ((T, N), "float32")}
    array = read_array(path, "data")
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable
    assert isinstance(read_recording(path).neural, np.memmap)


def test_listing(tmp_path):
    expected = {"spikes": ((T, N), "float32"), "position": ((T, 2), "float64")}
    for suffix in (".npz", ".mat", ".v73.mat", ".h5", ".jl"):
        found = list_arrays(write_good(tmp_path, suffix), trust=suffix == ".jl")
        assert {key: found[key] for key in expected} == expected, suffix


def test_matlab_structs_cells_text_and_logicals(tmp_path):
    path = tmp_path / "a.mat"
    names = np.array(["left", "right"], object)
    ragged = np.empty(2, object)
    ragged[:] = [np.arange(3.0), np.arange(5.0)]
    alike = np.empty(2, object)
    alike[:] = [np.arange(4.0), np.arange(4.0) + 1]
    trials = np.array([(1, 2.0), (3, 4.0)], dtype=[("p", "O"), ("q", "O")])
    inside = {"clouds": {"spikes": SPIKES}, "names": names}
    content = {"before": inside, "ragged": ragged, "alike": alike, "trials": trials, "s": "abc"}
    scipy.io.savemat(path, content)
    found = list_arrays(path)
    assert found["before.clouds.spikes"] == ((T, N), "float32")
    np.testing.assert_array_equal(read_array(path, "before/clouds/spikes"), SPIKES)
    assert read_array(path, "before.names").ravel().tolist() == ["left", "right"]
    assert found["ragged.1"][0] == (1, 5)
    assert found["alike"][0] == (2, 1, 4)
    assert read_array(path, "trials.1.q") == 4
    assert read_array(path, "s").tolist() == ["abc"]


def test_matlab73_structs_cells_text_and_logicals(tmp_path):
    path = tmp_path / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        struct = file.create_group("before")
        struct.attrs["MATLAB_class"] = np.bytes_("struct")
        matlab(struct, "spikes", SPIKES)
        matlab(struct, "good", np.array([[1, 0, 1]], np.uint8), b"logical")
        text = np.array([[ord(c) for c in "abc"]], np.uint16)
        matlab(struct, "text", text, b"char")
        empty = file.create_dataset("empty", data=np.array([0, 3], np.uint64))
        empty.attrs["MATLAB_class"] = np.bytes_("double")
        empty.attrs["MATLAB_empty"] = 1
        for number, length in enumerate((3, 5)):
            matlab(file, f"#refs#/r{number}", np.arange(float(length))[None])
            matlab(file, f"#refs#/s{number}", text + number, b"char")
        for name, letter in (("ragged", "r"), ("words", "s")):
            references = [[file[f"#refs#/{letter}{number}"].ref for number in range(2)]]
            cell = file.create_dataset(name, data=np.array(references, h5py.ref_dtype).T)
            cell.attrs["MATLAB_class"] = np.bytes_("cell")
        loop = file.create_dataset("#refs#/loop", (1, 1), h5py.ref_dtype)
        loop.attrs["MATLAB_class"] = np.bytes_("cell")
        loop[0, 0] = loop.ref
        file["loop"] = loop
        struct["itself"] = struct
    found = list_arrays(path)
    assert set(found) == {"before.good", "before.spikes", "before.text", "empty"} | {
        "ragged.0",
        "ragged.1",
        "words",
    }
    np.testing.assert_array_equal(read_array(path, "before.spikes"), SPIKES)
    assert found["before.good"] == ((1, 3), "bool")
    assert read_array(path, "before.good").tolist() == [[True, False, True]]
    assert read_array(path, "before.text").tolist() == ["abc"]
    assert read_array(path, "ragged.1").tolist() == [[0, 1, 2, 3, 4]]
    assert read_array(path, "words").tolist() == [["abc", "bcd"]]
    assert read_array(path, "empty").shape == (0, 3)


def test_plain_hdf5_is_not_turned(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["day/one/spikes"] = SPIKES
        file["words"] = ["a", "b"]
        file["fixed"] = np.array([b"a", "é".encode()])
        file["elsewhere"] = h5py.ExternalLink("/none.h5", "x")
    assert set(list_arrays(path)) == {"day.one.spikes", "words", "fixed"}
    np.testing.assert_array_equal(read_array(path, "day/one/spikes"), SPIKES)
    np.testing.assert_array_equal(read_array(path, "day.one.spikes"), SPIKES)
    assert read_array(path, "words").tolist() == ["a", "b"]
    assert read_array(path, "fixed").tolist() == ["a", "é"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n1,2.5\n3,4.5\n", {"a": [1, 3], "b": [2.5, 4.5]}),
        ("1.0,1.0\n3.0,4.0\n", {"0": [1, 3], "1": [1, 4]}),
        ("0,1\n3,4\n", {"0": [3], "1": [4]}),
        (",a\n0,5\n1,6\n", {"a": [5, 6]}),
        ("side\nleft\nright\n", {"side": ["left", "right"]}),
    ],
)
def test_csv_headers(tmp_path, text, expected):
    (tmp_path / "a.csv").write_text(text)
    found = {key: read_array(tmp_path / "a.csv", key).tolist() for key in expected}
    assert found == expected
    assert set(list_arrays(tmp_path / "a.csv")) == set(expected)


def test_parquet_strings_and_categories(tmp_path):
    frame = pd.DataFrame({"s": ["a", "b"], "c": pd.Categorical(["x", "y"]), "i": [1, 2]})
    frame.index = [5, 6]
    frame.to_parquet(tmp_path / "a.parquet")
    assert list(list_arrays(tmp_path / "a.parquet")) == ["s", "c", "i"]
    assert read_array(tmp_path / "a.parquet", "s").tolist() == ["a", "b"]
    assert read_array(tmp_path / "a.parquet", "c").tolist() == ["x", "y"]


def test_pattern_keeps_the_order_and_never_takes_a_label(tmp_path):
    frame = pd.DataFrame({"b": [1.0, 2], "a": [3.0, 4], "y": [0.5, 0.7]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    recording = read_recording(tmp_path / "a.csv", neural="*", labels=["y"])
    assert recording.neural.tolist() == [[1, 3], [2, 4]]
    assert read_array(tmp_path / "a.csv", "[ab]").tolist() == [[1, 3], [2, 4]]
    with pytest.raises(GrevyError, match="has no array 'z\\*'"):
        read_array(tmp_path / "a.csv", "z*")


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_pattern_of_unlike_columns(tmp_path):
    path = save(tmp_path / "a.npz", u1=np.ones(3), u2=np.ones(4))
    with pytest.raises(GrevyError, match=r"u1 3 float64, u2 4 float64\. Expected columns"):
        read_array(path, "u*")


@pytest.mark.parametrize(
    ("spec", "name", "kind"),
    [
        ("angle", "angle", "continuous"),
        ("angle:circular", "angle", "circular"),
        ("a:b", "a:b", "continuous"),
        ("a:b:circular", "a:b", "circular"),
        ("odd:circular", "odd:circular", "continuous"),
        ("g/angle", "g/angle", "continuous"),
    ],
)
def test_label_specs(tmp_path, spec, name, kind):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["spikes"] = SPIKES
        for key in ("angle", "a:b", "odd:circular", "g/angle"):
            file[key] = ANGLE
    recording = read_recording(tmp_path / "a.h5", neural="spikes", labels=[spec])
    assert [(label.name, label.kind) for label in recording.labels] == [(name, kind)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ["angle:circluar"]}, "unknown kind 'circluar'. Did you mean 'angle:circular'"),
        ({"labels": ["angle:zzz"]}, "Choose from continuous, circular, discrete"),
        ({"labels": ["angel"]}, "no array 'angel'. It holds angle 40 float64, "),
        ({"neural": "spike"}, "no array 'spike'. It holds spikes 40x6 float32, "),
        ({"segments": "trials"}, "no array 'trials'. It holds trial 40 int64, "),
        ({"labels": ["angle"], "period": 360}, "no label is circular"),
        ({"neural": "turned", "labels": ["angle"]}, r"looks transposed, \(N, T\)"),
        ({"neural": "spikes", "labels": ["turned_position"]}, r"looks transposed, \(L, T\)"),
        ({"neural": "spikes", "labels": ["short"]}, "'short' has 7 time steps"),
        ({"neural": "angle"}, "For one neuron use shape"),
        ({}, r"3 arrays could be the neural data; say which with `neural=KEY`"),
    ],
)
def test_recording_refusals(tmp_path, options, message):
    path = save(
        tmp_path / "a.npz",
        spikes=SPIKES,
        turned=SPIKES.T,
        turned_position=POSITION.T,
        angle=ANGLE,
        trial=TRIAL,
        short=ANGLE[:7],
    )
    with pytest.raises(GrevyError, match=message):
        read_recording(path, **options)


def test_only_candidate(tmp_path):
    arrays = {"spikes": SPIKES, "angle": ANGLE, "row": ANGLE[None], "names": [["a"] * 2] * 3}
    recording = read_recording(save(tmp_path / "a.npz", **arrays), labels=["angle", "row"])
    np.testing.assert_array_equal(recording.neural, SPIKES)
    path = save(tmp_path / "b.npz", **arrays, position=POSITION)
    assert read_recording(path, labels=["position"]).n_neurons == N
    with pytest.raises(GrevyError, match="no array could be the neural data"):
        read_recording(save(tmp_path / "c.npz", angle=ANGLE))


def test_runs_kept_as_floats(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(
        path, {"spikes": SPIKES, "runs": [[0.0, 10.0], [20.0, 40.0]], "one": [[0.0, 9.0]]}
    )
    for key, expected in (("runs", [[0, 10], [20, 40]]), ("one", [[0, 9]])):
        recording = read_recording(path, neural="spikes", segments=key)
        np.testing.assert_array_equal(recording.segments, expected)


def read_everything(path, **options):
    return {key: read_array(path, key, **options) for key in list_arrays(path, **options)}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_missing_folder_empty_truncated(tmp_path, suffix):
    good = write_good(tmp_path, suffix)
    path = tmp_path / f"bad{suffix}"
    with pytest.raises(GrevyError, match=f"does not exist. That folder holds good{suffix}"):
        list_arrays(path, trust=True)
    path.mkdir()
    with pytest.raises(GrevyError, match="is a folder"):
        list_arrays(path, trust=True)
    path.rmdir()
    path.touch()
    with pytest.raises(GrevyError, match="is empty"):
        list_arrays(path, trust=True)
    path.write_bytes(b"\0\xff\xfe garbage \x80" * 20)
    if suffix not in (".csv", ".tsv"):
        with pytest.raises(GrevyError, match="cannot be read as a"):
            list_arrays(path, trust=True)
        path.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
        with pytest.raises(GrevyError, match="cannot be read as a"):
            read_everything(path, trust=True)


def test_header_without_rows(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n")
    with pytest.raises(GrevyError, match="header but no rows"):
        list_arrays(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["a.xyz", "a"])
def test_unknown_suffix(tmp_path, name):
    (tmp_path / name).write_text("x")
    with pytest.raises(GrevyError, match=r"unknown kind .* expected one of .npy, .npz, .mat"):
        list_arrays(tmp_path / name)


def test_unreadable(tmp_path, monkeypatch):
    path = write_good(tmp_path, ".npz")

    def refuse(self, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(GrevyError, match="cannot be opened: Permission denied"):
        list_arrays(path)


def test_a_header_that_claims_too_much(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (10**7, 10**6), "f4", chunks=(1000, 1000))
    with pytest.raises(GrevyError, match=r"36\.4 TiB of memory, and a file of .* may take 1 GiB"):
        read_array(path, "x")


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def objects(payload):
    array = np.empty(2, object)
    array[:] = [payload, 1]
    return array


def test_objects_in_npy_and_npz_need_trust(tmp_path):
    words = np.array(["a", "b"], object)
    np.save(tmp_path / "a.npy", words)
    np.savez(tmp_path / "a.npz", words=words, x=SPIKES)
    planted = tmp_path / "planted"
    np.save(tmp_path / "p.npy", objects(Payload(planted)))
    np.savez(tmp_path / "p.npz", x=objects(Payload(planted)))
    for name, key in (("a.npy", "data"), ("a.npz", "words"), ("p.npy", "data"), ("p.npz", "x")):
        with pytest.raises(GrevyError, match="`trust=True`"):
            read_array(tmp_path / name, key)
        if name.startswith("a"):
            assert read_array(tmp_path / name, key, trust=True).tolist() == ["a", "b"]
    np.testing.assert_array_equal(read_array(tmp_path / "a.npz", "x"), SPIKES)
    assert not planted.exists()


def test_a_pickle_named_npy_is_no_array(tmp_path):
    planted = tmp_path / "planted"
    (tmp_path / "a.npy").write_bytes(pickle.dumps(Payload(planted)))
    with pytest.raises(GrevyError, match="cannot be read"):
        read_array(tmp_path / "a.npy", "data", trust=True)
    assert not planted.exists()


def test_jl_needs_trust(tmp_path):
    path = write_good(tmp_path, ".jl")
    with pytest.raises(GrevyError, match=r"runs whatever code it holds.*`trust=True`"):
        read_array(path, "spikes")
    nested = {"a": {"b": [1.0, 2.0]}, "ragged": [[1], [1, 2]], "n": 3}
    joblib.dump(nested, tmp_path / "n.jl", compress=3)
    assert list_arrays(tmp_path / "n.jl", trust=True) == {"a.b": ((2,), "float64")}


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_restricted_reader_reads_data(tmp_path, protocol):
    content = {
        "tensor": torch.randn(3, 2),
        "turned": torch.randn(2, 4).T,
        "part": torch.arange(20)[5:15:3],
        "floats": np.ones((2, 3), np.float32),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "empty": np.arange(0),
        "zero_d": np.array(3.0),
        "big_endian": np.arange(3, dtype=">i4"),
        "words": np.array(["a", "bc"]),
        "scalar": np.float64(2.5),
        "number": 7,
        "text": "x",
        "nested": {"list": [1, (2.5, None, True)]},
    }
    joblib.dump(content, tmp_path / "a.jl", protocol=protocol)
    found = read_joblib(tmp_path / "a.jl", trust=False)
    assert found.keys() == content.keys()
    assert found["nested"] == content["nested"]
    for key in content.keys() - {"nested"}:
        np.testing.assert_array_equal(found[key], np.asarray(content[key]), err_msg=key)
    assert found["big_endian"].dtype == np.int32


def test_restricted_reader_reads_a_plain_pickle_of_arrays(tmp_path):
    (tmp_path / "a.jl").write_bytes(pickle.dumps({"x": POSITION, "y": np.array([True])}, 4))
    found = read_joblib(tmp_path / "a.jl", trust=False)
    np.testing.assert_array_equal(found["x"], POSITION)
    assert found["y"].tolist() == [True]


def storage_with_payload(payload):
    """A tensor's storage whose bytes are a pickle of something else."""

    class Storage:
        def __reduce__(self):
            return torch.storage._load_from_bytes, (pickle.dumps(payload),)

    return Storage()


def wrapper_with_payload(payload):
    """A description of an array that carries a payload among its attributes."""
    wrapper = joblib.numpy_pickle.NumpyArrayWrapper(payload, (1,), "C", np.dtype("f4"))
    wrapper.read = payload
    return wrapper


class Statement:
    """Sets a state on something that is no stand-in."""

    def __reduce__(self):
        return __import__("collections").OrderedDict, (), {"__class__": 1}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda payload: payload,
        lambda payload: {"x": [payload]},
        objects,
        lambda payload: {"x": objects(payload), "y": SPIKES},
        storage_with_payload,
        wrapper_with_payload,
        lambda payload: torch.utils.data.TensorDataset(torch.ones(2)),
        lambda payload: np.array([(1, payload)], dtype=[("a", "i4"), ("b", "O")]),
        lambda payload: np.zeros(2, dtype=[("a", "i4"), ("b", "f4")]),
        lambda payload: Statement(),
    ],
)
def test_restricted_reader_runs_nothing(tmp_path, wrap):
    planted = tmp_path / "planted"
    path = tmp_path / "a.jl"
    joblib.dump(wrap(Payload(planted)), path)
    with pytest.raises(GrevyError):
        read_joblib(path, trust=False)
    assert not planted.exists()


def test_payload_is_live_when_trusted(tmp_path):
    """The payload above does run once the user says so: the test can fail."""
    planted = tmp_path / "planted"
    joblib.dump(Payload(planted), tmp_path / "a.jl")
    read_joblib(tmp_path / "a.jl", trust=True)
    assert planted.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", b"\x80\x04", b"\x80\x04\x8e" + b"\xff" * 7 + b"\x0f.", b"\x1f\x8b\x08"],
)
def test_restricted_reader_on_damage(tmp_path, content):
    (tmp_path / "a.jl").write_bytes(content)
    with pytest.raises(GrevyError, match="cannot be read as a joblib file"):
        read_joblib(tmp_path / "a.jl", trust=False)


def damaged(good, rng):
    """Cut a file off, flip some of its bytes, or both."""
    content = bytearray(good)
    if rng.random() < 0.4:
        del content[int(rng.integers(1, len(content))) :]
    if rng.random() < 0.8:
        for _ in range(int(rng.integers(1, 9))):
            # Headers lie at either end; damage them as often as the bulk.
            span = len(content) if rng.random() < 0.5 else min(len(content), 600)
            place = int(rng.integers(span))
            content[place if rng.random() < 0.5 else -1 - place] = int(rng.integers(256))
    return bytes(content)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", SUFFIXES[:-1])
def test_no_bytes_make_a_traceback(tmp_path, suffix):
    good = write_good(tmp_path, suffix).read_bytes()
    path = tmp_path / f"bad{suffix}"
    rng = np.random.default_rng(len(suffix))
    options = {"neural": "unit_*"} if suffix in TABLES else {"neural": "spikes"}
    options = {} if suffix == ".npy" else {**options, "labels": ["angle:circular"]}
    messages, accepted = [], 0
    for _ in range(120):
        path.write_bytes(damaged(good, rng))
        try:
            read_everything(path)
            read_recording(path, **options)
            accepted += 1
        except GrevyError as error:
            messages.append(str(error))
    assert len(messages) > 10
    assert accepted > 2
    assert all(str(path) in message or message.startswith("label ") for message in messages)


def test_no_bytes_make_a_traceback_in_a_cached_file(tmp_path):
    path = tmp_path / "bad.jl"
    planted = {"z": torch.ones(3, 2), "x": SPIKES, "t": (1, "a")}
    joblib.dump(planted, path)
    good = path.read_bytes()
    rng = np.random.default_rng(1)
    messages = []
    for _ in range(400):
        path.write_bytes(damaged(good, rng))
        try:
            read_joblib(path, trust=False)
        except GrevyError as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert all(str(path) in message for message in messages)


@pytest.mark.skipif(not (DATA / "s1-reach").is_dir(), reason="no real recordings on this computer")
def test_real_recording():
    recording = read_recording(
        DATA / "s1-reach" / "s1_data.mat", neural="spikes", labels=["vel", "pos"]
    )
    assert recording.neural.shape == (35129, 52)
    assert [label.values.shape for label in recording.labels] == [(35129, 2)] * 2


@pytest.mark.skipif(not (DATA / "bci-8dir").is_dir(), reason="no real recordings on this computer")
def test_real_structs():
    found = list_arrays(DATA / "bci-8dir" / "exampleData.mat")
    assert any(key.startswith("beforeLearning.clouds.spikes") for key in found)


def test_time_last_throughout(tmp_path):
    path = save(tmp_path / "a.npz", spikes=SPIKES.T, position=POSITION.T, angle=ANGLE[None])
    labels = ["position", "angle:circular"]
    both = r"both look transposed, \(N, T\) and \(L, T\)\. Give `transpose=True`"
    with pytest.raises(GrevyError, match=both):
        read_recording(path, neural="spikes", labels=["position"])
    with pytest.raises(GrevyError, match=r"neural data looks transposed.* Give `transpose=True`"):
        read_recording(path, neural="spikes", labels=["angle"])
    recording = read_recording(path, neural="spikes", labels=labels, period=360, transpose=True)
    np.testing.assert_array_equal(recording.neural, SPIKES)
    np.testing.assert_array_equal(recording.labels[0].values, POSITION)
    np.testing.assert_allclose(recording.labels[1].unit_values, ANGLE)
    assert recording.neural.flags.c_contiguous


def test_columns_of_a_pattern_are_not_turned(tmp_path):
    path = write_good(tmp_path, ".csv")
    recording = read_recording(path, neural="unit_*", labels=["x"], transpose=True)
    np.testing.assert_array_equal(recording.neural, SPIKES)


TURNING = np.arange(200) * 0.2


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.mod(TURNING, 2 * np.pi), True),
        (np.mod(TURNING, 2 * np.pi) - np.pi, True),
        (np.mod(-TURNING, 2 * np.pi).astype(np.float32), True),
        (np.round(np.mod(TURNING, 2 * np.pi), 4), True),
        (np.sin(TURNING) * 3.1, False),  # no jumps
        (TURNING / 40 * 2 * np.pi, False),  # one turn, once
        (np.random.default_rng(0).uniform(0, 2 * np.pi, 200), False),  # jumps all the time
        (np.mod(TURNING, 5.0), False),
        (np.mod(TURNING, 2 * np.pi) * 2, False),
        (np.stack([np.mod(TURNING, 2 * np.pi)] * 2, axis=1), False),
    ],
)
def test_angles_in_radians_are_noticed(tmp_path, caplog, values, said):
    path = save(tmp_path / "a.npz", spikes=np.ones((200, 3)), a=values)
    read_recording(path, neural="spikes", labels=["a"])
    assert ("look like angles in radians; give a:circular" in caplog.text) == said
    caplog.clear()
    read_recording(path, neural="spikes", labels=["a:continuous"])
    assert not caplog.text


@pytest.mark.parametrize(
    ("spec", "name", "kind", "unit"),
    [
        ("x:continuous:m", "x", "continuous", "m"),
        ("x:circular:mm/s", "x", "circular", "mm/s"),
        ("x:continuous", "x", "continuous", ""),
        ("x", "x", "continuous", ""),
        ("a:b:continuous:cm", "a:b", "continuous", "cm"),
    ],
)
def test_units_of_labels(tmp_path, spec, name, kind, unit):
    path = save(tmp_path / "a.npz", spikes=SPIKES, x=ANGLE, **{"a:b": ANGLE})
    (label,) = read_recording(path, neural="spikes", labels=[spec]).labels
    assert (label.name, label.kind, label.unit) == (name, kind, unit)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("trial:discrete:m", "a discrete label has no unit, and 'm' was given"),
        ("angle:circluar:deg", "unknown kind 'circluar'. Did you mean 'angle:circular:deg'"),
    ],
)
def test_units_that_do_not_fit(tmp_path, spec, message):
    path = save(tmp_path / "a.npz", spikes=SPIKES, angle=ANGLE, trial=TRIAL)
    with pytest.raises(GrevyError, match=message):
        read_recording(path, neural="spikes", labels=[spec])


def test_labels_in_a_second_file(tmp_path):
    np.save(tmp_path / "spikes.npy", SPIKES)
    pd.DataFrame({"angle": ANGLE, "trial": TRIAL}).to_csv(tmp_path / "l.csv", index=False)
    recording = read_recording(
        tmp_path / "spikes.npy", labels=["angle"], segments="trial", label_data=tmp_path / "l.csv"
    )
    np.testing.assert_allclose(recording.labels[0].values[:, 0], ANGLE)
    assert len(recording.segments) == 4
    assert recording.source == f"{tmp_path / 'spikes.npy'}, labels from {tmp_path / 'l.csv'}"
    save(tmp_path / "short.npz", angle=ANGLE[:7], runs=[[0, 10]])
    with pytest.raises(
        GrevyError,
        match=r"short\.npz: the array 'angle' has shape \(7,\), and the neural data of "
        r".*spikes\.npy has 40 time steps",
    ):
        read_recording(tmp_path / "spikes.npy", labels=["angle"], label_data=tmp_path / "short.npz")
    found = read_recording(
        tmp_path / "spikes.npy", segments="runs", label_data=tmp_path / "short.npz"
    )
    assert found.segments.tolist() == [[0, 10]]
    with pytest.raises(GrevyError, match=r"l\.csv has no array 'x'"):
        read_recording(tmp_path / "spikes.npy", labels=["x"], label_data=tmp_path / "l.csv")


def test_a_single_number_is_no_array_over_time(tmp_path):
    np.savez(tmp_path / "d.npz", spikes=np.ones((20, 3)), rate=30.0)
    with pytest.raises(GrevyError, match="'rate' is a single number"):
        read_recording(tmp_path / "d.npz", neural="spikes", labels=["rate"])
    with pytest.raises(GrevyError, match="'rate' is a single number"):
        read_recording(tmp_path / "d.npz", neural="rate")


def test_runs_have_no_time_axis_to_turn(tmp_path):
    spikes, runs = np.random.default_rng(0).normal(size=(20, 3)), [[0, 8], [8, 14], [14, 20]]
    np.savez(tmp_path / "d.npz", spikes=spikes.T, runs=runs)
    found = read_recording(tmp_path / "d.npz", neural="spikes", segments="runs", transpose=True)
    np.testing.assert_array_equal(found.segments, runs)
    assert found.neural.shape == (20, 3)


def test_what_was_turned_in_vain_is_said(tmp_path):
    place = np.random.default_rng(0).normal(size=20)
    np.savez(tmp_path / "d.npz", spikes=np.ones((20, 3)), place=place)
    with pytest.raises(GrevyError, match="Leave `transpose=True` out"):
        read_recording(tmp_path / "d.npz", neural="spikes", labels=["place"], transpose=True)


def test_a_sparse_matrix_of_matlab_is_read_whole(tmp_path):
    import scipy.io
    import scipy.sparse

    counts = np.random.default_rng(0).poisson(0.3, size=(30, 4)).astype(float)
    scipy.io.savemat(tmp_path / "d.mat", {"spikes": scipy.sparse.csc_matrix(counts)})
    found = read_recording(tmp_path / "d.mat", neural="spikes")
    np.testing.assert_array_equal(found.neural, counts)


def test_empty_cells_of_a_text_column_are_counted(tmp_path):
    import pandas as pd

    texts = ["a", None, "b"] * 10
    pd.DataFrame({"n1": np.arange(30.0), "odour": texts}).to_parquet(tmp_path / "d.parquet")
    with pytest.raises(GrevyError, match="'odour' has 10 empty cells"):
        read_recording(tmp_path / "d.parquet", neural="n1", labels=["odour"])
