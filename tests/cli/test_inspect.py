"""`grevy inspect`: what is said of a file, and that the command at its end works."""

import os
import shlex
import subprocess
import unicodedata
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io

from grevy.cli.inspecting import described
from grevy.data import inspect_file
from grevy.data.files import entries
from grevy.errors import GrevyError
from nwb_files import DATA, add_series, add_units, empty, session, spike_trains, write

RNG = np.random.default_rng(0)
T, N = 600, 7
ANGLE = np.cumsum(RNG.normal(0.1, 0.1, T))
ARRAYS = {
    "spikes": RNG.poisson(2, (T, N)),
    "pos": RNG.normal(size=(T, 2)),
    "heading": ANGLE % (2 * np.pi),
    "degrees": np.rad2deg(ANGLE) % 360,
    "trial": np.arange(T) // 100,
    "side": RNG.integers(0, 2, T),
    "time": np.arange(T) / 50,
    "flat": np.ones(T),
    "holes": np.where(np.arange(T) % 9, RNG.normal(size=T), np.nan),
}
QUICK = ["--device", "cpu", "--max-iterations", "3", "--batch-size", "64", "--holdout", "0"]
QUICK += ["--seed", "0", "--quiet"]


def without(*names):
    return {name: values for name, values in ARRAYS.items() if name not in names}


def table():
    columns = {f"unit_{i}": ARRAYS["spikes"][:, i] for i in range(N)}
    return pd.DataFrame({**columns, "degrees": ARRAYS["degrees"], "trial": ARRAYS["trial"]})


def save_h5(path, arrays):
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, compression="gzip")


def transposed(path):
    np.savez(path, spikes=ARRAYS["spikes"].T, pos=ARRAYS["pos"].T, side=ARRAYS["side"])


def fluorescence(path):
    nwb = empty()
    times = np.arange(T) / 20
    values = RNG.normal(size=(T, N))
    add_series(nwb, "RoiResponse", values, into="ophys", unit="a.u.", timestamps=times)
    add_series(nwb, "heading", ARRAYS["heading"], inside="CompassDirection", unit="radians",
               starting_time=0.0, rate=20.0)  # fmt: skip
    write(nwb, path)


def two_places(path):
    """Two series that end alike: the command must say which."""
    nwb = empty()
    add_units(nwb, spike_trains())
    for place in ("behavior", "tracking"):
        add_series(nwb, "position", RNG.normal(size=(T, 2)), into=place, rate=20.0,
                   starting_time=0.0)  # fmt: skip
    write(nwb, path)


# How a file is made, and what the command must have.
FILES = {
    "a.npz": (
        lambda p: np.savez(p, **ARRAYS),
        "--neural spikes --label pos --segments trial --sampling-rate 50",
    ),
    "degrees.npz": (
        lambda p: np.savez(p, **without("pos", "heading")),
        "--neural spikes --label degrees:circular --period 360",
    ),
    "radians.npz": (
        lambda p: np.savez(p, **without("pos", "degrees", "side")),
        "--label heading:circular",
    ),
    "turned.npz": (transposed, "--neural spikes --label pos --transpose"),
    "few.npz": (lambda p: np.savez(p, x=ARRAYS["spikes"], side=ARRAYS["side"]), "--neural x"),
    "a.npy": (lambda p: np.save(p, ARRAYS["spikes"]), "--neural data"),
    "a.h5": (lambda p: save_h5(p, ARRAYS), "--neural spikes --label heading:circular"),
    "a.mat": (lambda p: scipy.io.savemat(p, ARRAYS), "--neural spikes --label pos"),
    "a.csv": (
        lambda p: table().to_csv(p, index=False),
        "--neural 'unit_*' --label degrees:circular --period 360 --segments trial",
    ),
    "a.tsv": (lambda p: table().to_csv(p, index=False, sep="\t"), "--neural 'unit_*'"),
    "a.parquet": (lambda p: table().to_parquet(p), "--neural 'unit_*'"),
    "session.nwb": (
        session,
        "--neural units --bin 0.02 --label CompassDirection/heading:circular --segments "
        "intervals/trials",
    ),
    "ophys.nwb": (
        fluorescence,
        "--neural processing/ophys/RoiResponse --label CompassDirection/heading:circular",
    ),
    "two.nwb": (two_places, "--neural units --bin 0.02 --label behavior/position"),
    "it's a $file; rm.npz": (lambda p: np.savez(p, **ARRAYS), "--neural spikes"),
    "-x.npz": (lambda p: np.savez(p, **{"-n eural": ARRAYS["spikes"]}), "--neural='-n eural'"),
    "\x1b[31mred\n.npz": (
        lambda p: np.savez(p, **{"sp\x1b[2Jikes\n'": ARRAYS["spikes"], "pos": ARRAYS["pos"]}),
        "--neural $'sp\\033[2Jikes\\012\\''",
    ),
}


def words(command):
    """What a shell makes of a command."""
    script = 'grevy() { printf "%s\\0" "$@"; }\n' + command
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    return [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]]


@pytest.mark.parametrize("name", FILES)
def test_the_command_at_its_end_works(name, tmp_path, grevy_run, monkeypatch):
    make, expected = FILES[name]
    monkeypatch.chdir(tmp_path)
    make(Path(name) if name.endswith(".nwb") else name)
    code, out, err = grevy_run("inspect", "--", name)
    assert code == 0, err
    start = out.index("grevy run ")
    command = out[start:]
    assert expected in " ".join(command.replace("\\\n", " ").split())
    for line in out.splitlines():
        wide = sum(1 + (unicodedata.east_asian_width(sign) in "WF") for sign in line)
        assert wide <= 80
        assert line.isprintable()
    code, _, err = grevy_run(*words(command), *QUICK)
    assert code == 0, err
    assert list(tmp_path.glob("results/*/report.html"))


def test_what_is_said_of_arrays(tmp_path, grevy_run):
    np.savez(tmp_path / "a.npz", **ARRAYS, turned=ARRAYS["spikes"].T)
    out = " ".join(grevy_run("inspect", tmp_path / "a.npz")[1].split())
    for said in (
        "spikes 600 x 7 int64; fits as neural data",
        "pos 600 x 2 float64; fits as a continuous label",
        "heading 600 float64; looks like an angle in radians; fits as a circular label",
        "degrees 600 float64; looks like an angle in degrees; fits as a circular label",
        "trial 600 int64; fits as segments",
        "side 600 int64; fits as a discrete label",
        "time 600 float64; counts up at 50 Hz",
        "flat 600 float64; is constant",
        "holes 600 float64; holds 67 NaN",
        "turned 7 x 600 int64; looks transposed, (N, T)",
    ):
        assert said in out


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"x": np.arange(9.0)}, "no array here can be neural data"),
        ({"x": np.full((90, 5), np.nan)}, "x could be neural data, but holds 450 NaN"),
        ({"x": np.ones((90, 5))}, "no array here can be neural data"),
        ({"spike_times": RNG.normal(size=9)}, "counted in bins first, by grevy.bin_spikes"),
        ({}, "It holds no arrays. No command"),
    ],
)
def test_no_command_where_none_would_work(arrays, why, tmp_path, grevy_run):
    np.savez(tmp_path / "a.npz", **arrays)
    code, out, _ = grevy_run("inspect", tmp_path / "a.npz")
    assert code == 0
    assert why in " ".join(out.split())
    assert "grevy run" not in out


def test_names_are_safe_and_fit(tmp_path, grevy_run):
    names = ["\x1b[31mred", "a\nb", "神经" * 60, "x" * 300, "\u202eabc"]
    faulty = {"神经" * 99: np.full((50, 5), np.nan)}
    np.savez(tmp_path / "a.npz", **dict.fromkeys(names, np.arange(5)), **faulty)
    out = grevy_run("inspect", tmp_path / "a.npz")[1]
    assert "could be neural data, but holds 250 NaN" in out
    assert "\\x1b[31mred" in out
    assert "a\\nb" in out
    for line in out.splitlines():
        assert line.isprintable()
        assert sum(1 + (unicodedata.east_asian_width(sign) in "WF") for sign in line) <= 80


def test_many_arrays_are_not_all_listed(tmp_path, grevy_run):
    np.savez(tmp_path / "a.npz", **{f"a{i}b": np.zeros(i + 1) for i in range(200)})
    out = grevy_run("inspect", tmp_path / "a.npz")[1]
    assert "... and 140 more" in out
    assert len(out.splitlines()) < 140


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".mat", ".nwb", ".npy", ".parquet"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_a_truncated_file_is_one_message(suffix, share, tmp_path, grevy_run):
    name = next(name for name in FILES if name.endswith(suffix))
    path = tmp_path / f"a{suffix}"
    FILES[name][0](path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    code, out, err = grevy_run("inspect", path)
    assert (code, out) == (2, "")
    assert err.startswith("grevy: ")
    assert err.count("\n") == 1


def test_a_pickle_is_not_opened(tmp_path, grevy_run):
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    code, _, err = grevy_run("inspect", tmp_path / "a.npy")
    assert code == 2
    assert "give --trust" in err


class TestLargeArrays:
    """Of which the first rows are read, and no more."""

    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch):
        for module in ("hdf5", "formats"):
            monkeypatch.setattr(f"grevy.data.files.{module}.SAMPLE_BYTES", 1000)
        monkeypatch.setattr(entries, "SAMPLE_ROWS", 50)
        monkeypatch.setattr("grevy.data.files.formats.SAMPLE_ROWS", 50)

    def check(self, path, monkeypatch, **more):
        inspection = inspect_file(path, **more)
        found = {each.name: each for each in inspection.found}
        assert found["spikes"].shape == (T, N)
        assert found["spikes"].sampled == 50
        assert found["pos"].kind == "continuous"
        return found

    def test_hdf5(self, tmp_path, monkeypatch):
        save_h5(tmp_path / "a.h5", {"spikes": ARRAYS["spikes"], "pos": ARRAYS["pos"]})
        monkeypatch.setattr("grevy.data.files.hdf5.read_dataset", None)
        self.check(tmp_path / "a.h5", monkeypatch)

    def test_a_limit_holds_for_what_is_read_alone(self, tmp_path, monkeypatch):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            for name in ("spikes", "pos"):
                file.create_dataset(name, data=ARRAYS[name], chunks=(10, 1))
        self.check(tmp_path / "a.h5", monkeypatch, max_bytes=4000)

    def test_matlab(self, tmp_path, monkeypatch):
        with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
            for name in ("spikes", "pos"):
                item = file.create_dataset(name, data=ARRAYS[name].T)
                item.attrs["MATLAB_class"] = np.bytes_("double")
        self.check(tmp_path / "a.mat", monkeypatch)

    def test_npz(self, tmp_path, monkeypatch):
        np.savez_compressed(tmp_path / "a.npz", spikes=ARRAYS["spikes"], pos=ARRAYS["pos"])
        monkeypatch.setattr("grevy.data.files.formats._npz_reader", lambda *_: None)
        self.check(tmp_path / "a.npz", monkeypatch)

    def test_npz_that_has_no_rows_is_not_read(self, tmp_path):
        np.savez(tmp_path / "a.npz", spikes=np.asfortranarray(ARRAYS["spikes"]))
        (found,) = inspect_file(tmp_path / "a.npz").found
        assert (found.shape, found.kind, found.faults) == ((T, N), None, ())

    def test_parquet(self, tmp_path):
        pd.DataFrame({"x": np.r_[np.ones(50), np.zeros(50)]}).to_parquet(tmp_path / "a.parquet")
        (found,) = inspect_file(tmp_path / "a.parquet").found
        assert (found.shape, found.sampled, found.faults) == ((100,), 50, ("constant",))


def test_a_chunk_that_unpacks_to_more_is_refused(tmp_path, grevy_run):
    import zlib

    with h5py.File(tmp_path / "a.h5", "w") as file:
        item = file.create_dataset("x", (100, 3), "f4", chunks=(10, 3), compression="gzip")
        item.id.write_direct_chunk((0, 0), zlib.compress(bytes(10**6)))
    code, _, err = grevy_run("inspect", tmp_path / "a.h5")
    assert code == 2
    assert "unpacks to more" in err


def test_real_recordings(grevy_run):
    path = DATA / "s1-reach" / "s1_data.mat"
    if not path.exists():
        pytest.skip("s1_data.mat is not here: set GREVY_TEST_DATA to the folder of recordings")
    out = grevy_run("inspect", path)[1]
    assert "--neural spikes" in " ".join(out.replace("\\\n", " ").split())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["a.npz", "a.h5", "a.mat", "a.npy", "a.parquet", "session.nwb"])
def test_no_bytes_make_a_traceback(name, tmp_path):
    FILES[name][0](tmp_path / name)
    path, rng = tmp_path / name, np.random.default_rng(0)
    good, refused = path.read_bytes(), 0
    for _ in range(60):
        content = bytearray(good)
        span = len(content) if rng.random() < 0.5 else min(len(content), 600)
        for place in rng.integers(span, size=int(rng.integers(1, 12))):
            content[place] = int(rng.integers(256))
        path.write_bytes(content)
        try:
            described(inspect_file(path))
        except GrevyError:
            refused += 1
    assert refused < 60


@pytest.mark.parametrize("together", [True, False])
def test_holes_in_time_are_no_reason_not_to_start(tmp_path, grevy_run, together):
    spikes = RNG.poisson(2, (300, 4)).astype(float)
    spikes[40:60] = np.nan
    place = np.cumsum(RNG.normal(size=300))
    place[[7, 250]] = np.nan
    arrays = {f"unit_{k}": column for k, column in enumerate(spikes.T)}
    arrays = {"spikes": spikes} if together else arrays
    np.savez(tmp_path / "gaps.npz", **arrays, position=place)
    code, out, _ = grevy_run("inspect", tmp_path / "gaps.npz")
    assert code == 0
    command = out[out.index("grevy run") :].replace("\\\n", " ")
    _, *words = shlex.split(command)
    assert words[-4:-2] == ["--gaps", "nan"]
    few = ["--max-iterations", 2, "--batch-size", 32, "--folds", 0, "--nulls", 0, "--device", "cpu"]
    code, _, err = grevy_run(*words[:-1], tmp_path / "run", *few)
    assert code == 0, err
    assert "22 of 300 steps hold NaN" in err
