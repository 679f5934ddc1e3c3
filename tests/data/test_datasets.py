"""Data sets by name: where they come from, what is refused, and that no server is waited for."""

import gzip
import hashlib
import http.server
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import cebra.data
import cebra.datasets
import joblib
import numpy as np
import pytest
import requests
import torch
from cebra.datasets import hippocampus, monkey_reaching, synthetic_data

from grevy.data import datasets
from grevy.data.datasets import downloads, synthetic
from grevy.data.datasets.downloads import Published, download
from grevy.data.datasets.sources import needed_files
from grevy.errors import GrevyError
from logged import logged

POISSON = "continuous-label-poisson"
FILE = "synthetic/continuous_label_poisson.jl"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty home and no variable that names a data folder; nothing beyond this computer."""
    for name in ("CEBRA_DATADIR", "CEBRA_DATA_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "home"


@pytest.fixture
def silent():
    """The address of a server that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x.jl.gz"


@pytest.fixture
def serve(tmp_path):
    """A function that puts content on a real server and returns its address."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def put(name, content):
            (folder / name).write_bytes(content)
            return f"http://127.0.0.1:{server.server_address[1]}/{name}"

        yield put
        server.shutdown()


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def entry(url, content, packed):
    return {"url": url, "checksum": md5(content), "gzipped_checksum": md5(packed)}


def make_file(path, seed=0, length=50):
    made = synthetic.generate("poisson", seed, length)
    synthetic.write(made, path)
    return made


def test_cache_directories_are_read_at_call_time(home, monkeypatch):
    assert datasets.cache_directories() == [home / ".cebra"]
    monkeypatch.setenv("CEBRA_DATA_PATH", "/b")
    assert datasets.cache_directories() == [Path("/b"), home / ".cebra"]
    monkeypatch.setenv("CEBRA_DATADIR", "~/a")
    assert datasets.cache_directories() == [home / "a", Path("/b"), home / ".cebra"]
    monkeypatch.setenv("CEBRA_DATADIR", "/b")
    assert datasets.cache_directories() == [Path("/b"), home / ".cebra"]


def test_names():
    found = datasets.names()
    assert {"demo-mixed", POISSON, "rat-hippocampus-single", "area2-bump"} <= set(found)
    assert found == sorted(found)
    left_out = set(cebra.datasets.get_options()) - set(found)
    assert "rat-hippocampus-buddy-corrupt-7" in left_out
    assert all(re.search(r"-corrupt-\d+$", name) for name in left_out)


def test_unknown_name():
    with pytest.raises(
        GrevyError, match=r"unknown data set 'demo-mxed'. Did you mean 'demo-mixed'"
    ):
        datasets.load("demo-mxed")


@pytest.mark.parametrize(
    ("name", "neurons", "labels"),
    [
        ("demo-continuous", [4], [("continuous", 3)]),
        ("demo-discrete", [4], [("discrete", None)]),
        ("demo-mixed", [4], [("continuous", 3), ("discrete", None)]),
        ("demo-discrete-multisession", [3, 4, 5], [("discrete", None)]),
        ("demo-continuous-multisession", [3, 4, 5], [("continuous", 5)]),
        ("demo-continuous-unified", [3, 4, 5], [("continuous", 5)]),
    ],
)
def test_demo(name, neurons, labels):
    sessions = datasets.load(name)
    assert [session.n_neurons for session in sessions] == neurons
    for session in sessions:
        assert len(session) == 1000
        assert [label.kind for label in session.labels] == [kind for kind, _ in labels]
        for label, (_, width) in zip(session.labels, labels, strict=True):
            assert label.values.shape == ((1000, width) if width else (1000,))
        assert session.source.startswith(name)


def test_demo_leaves_the_generator_alone_and_repeats():
    torch.manual_seed(5)
    expected = torch.randn(3)
    torch.manual_seed(5)
    first = datasets.load("demo-mixed")[0]
    assert torch.equal(torch.randn(3), expected)
    again = datasets.load("demo-mixed")[0]
    np.testing.assert_array_equal(first.neural, again.neural)
    np.testing.assert_array_equal(first.labels[1].values, again.labels[1].values)


def test_demo_is_the_same_in_another_process():
    code = (
        "from grevy import load; import hashlib; "
        "print(hashlib.sha256(load('demo-mixed')[0].neural.tobytes()).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    here = hashlib.sha256(datasets.load("demo-mixed")[0].neural.tobytes()).hexdigest()
    assert done.stdout.split()[-1] == here


@pytest.mark.parametrize("variable", ["CEBRA_DATADIR", "CEBRA_DATA_PATH", "HOME"])
def test_cached_file_is_found(tmp_path, monkeypatch, variable):
    folder = tmp_path / "elsewhere"
    monkeypatch.setenv(variable, str(folder))
    root = folder / ".cebra" if variable == "HOME" else folder
    made = make_file(root / FILE, seed=3)
    for name in (POISSON, "continuous-gaussian-mixture", "continuous-gaussian-mixture-poisson"):
        (recording,) = datasets.load(name, offline=True)
        np.testing.assert_array_equal(recording.neural, made.x)
        np.testing.assert_allclose(recording.labels[0].values, made.u, rtol=1e-6)
        np.testing.assert_allclose(recording.latent, made.z, rtol=1e-6)
        assert (recording.labels[0].name, recording.labels[0].kind) == ("u", "continuous")
        assert str(root / FILE) in recording.source
        assert "not the published file" in recording.source


def test_published_checksum_is_recognised(home, monkeypatch):
    path = home / ".cebra" / FILE
    make_file(path)
    table = synthetic_data.synthetic_data_urls["continuous_label_poisson"]
    monkeypatch.setitem(table, "checksum", md5(path.read_bytes()))
    (recording,) = datasets.load(POISSON, offline=True)
    assert recording.source.endswith("(the published file)")


@pytest.mark.parametrize("noise", synthetic.NOISES)
def test_made_locally(home, noise):
    with logged() as told:
        (recording,) = datasets.load(f"continuous-label-{noise}", offline=True)
    assert recording.source == f"continuous-label-{noise}, made locally (seed 0)"
    assert len(told) == 1
    assert "made locally (seed 0)" in told[0]
    made = synthetic.generate(noise, 0)
    np.testing.assert_array_equal(recording.neural, made.x)
    np.testing.assert_array_equal(recording.latent, made.z)
    assert not (home / ".cebra").exists()


def test_cannot_be_made_locally():
    with pytest.raises(GrevyError, match=r"refractory_poisson\.jl is not on this computer"):
        datasets.load("continuous-gaussian-mixture-refractory_poisson", offline=True)


def test_cached_payload_does_not_run(home, tmp_path):
    planted = tmp_path / "planted"

    class Payload:
        def __reduce__(self):
            return os.system, (f"touch {planted}",)

    for name, file in (
        (POISSON, FILE),
        ("rat-hippocampus-single", "rat_hippocampus/achilles.jl"),
        ("area2-bump", "monkey_reaching_preload_smth_40/active_all.jl"),
    ):
        path = home / ".cebra" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        joblib.dump({"x": Payload()}, path)
        with pytest.raises(GrevyError, match="could run code"):
            datasets.load(name, offline=True)
    assert not planted.exists()


@pytest.mark.parametrize("content", [{"x": torch.ones(3, 2)}, [1, 2]])
def test_cached_file_without_its_keys(home, content):
    (home / ".cebra/synthetic").mkdir(parents=True)
    joblib.dump(content, home / ".cebra" / FILE)
    with pytest.raises(GrevyError, match="expected a dictionary with the keys x, z and u"):
        datasets.load(POISSON, offline=True)


def test_truncated_cached_file(home):
    path = home / ".cebra" / FILE
    make_file(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(GrevyError, match="cannot be read as a joblib file"):
        datasets.load(POISSON, offline=True)


def test_a_silent_server_is_not_waited_for(silent, monkeypatch):
    table = synthetic_data.synthetic_data_urls["continuous_label_poisson"]
    monkeypatch.setitem(table, "url", silent)
    with logged() as told:
        (recording,) = datasets.load(POISSON, download_timeout=0.3)
    assert "made locally" in recording.source
    assert "did not answer within 0.3 s" in told[0] or "timed out" in told[0]
    monkeypatch.setitem(hippocampus.rat_dataset_urls["achilles"], "url", silent)
    with pytest.raises(GrevyError, match="fetching it failed"):
        datasets.load("rat-hippocampus-single", download_timeout=0.3)


@pytest.mark.cebra_fault
def test_plain_cebra_waits_without_limit(silent, tmp_path, monkeypatch):
    """Row 17: it asks for the file with no time limit at all."""
    asked = []

    def get(url, **options):
        asked.append(options.get("timeout"))
        raise requests.ConnectionError("stopped here")

    monkeypatch.setattr(requests, "get", get)
    with pytest.raises(requests.ConnectionError):
        synthetic_data.SyntheticData("poisson", root=str(tmp_path))
    assert asked == [None]


@pytest.mark.cebra_fault
def test_plain_cebra_ignores_the_data_path(home, tmp_path, monkeypatch):
    """Row 17: neither CEBRA_DATA_PATH nor a CEBRA_DATADIR that is set later has an effect."""
    make_file(tmp_path / "late" / FILE)
    monkeypatch.setenv("CEBRA_DATA_PATH", str(tmp_path / "late"))
    monkeypatch.setenv("CEBRA_DATADIR", str(tmp_path / "late"))
    cebra.datasets.set_datapath(str(tmp_path / "late"))
    assert cebra.datasets.get_datapath() != str(tmp_path / "late")
    assert str(tmp_path / "late" / FILE) in datasets.load(POISSON, offline=True)[0].source


def test_a_server_that_drips_headers_is_not_waited_for(tmp_path):
    stop = threading.Event()

    def drip(server):
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not stop.wait(0.02):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        with pytest.raises(GrevyError, match=r"did not answer within 0\.3 s"):
            download(Published(url, "0", None), tmp_path / "x", 0.3)
        stop.set()
        thread.join()


def test_a_download_that_never_ends_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "PATIENCE", 2)
    stop = threading.Event()

    def pour(server):
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while not stop.wait(0.01):
                try:
                    connection.sendall(b"x" * 70000)
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=pour, args=(server,))
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        with pytest.raises(GrevyError, match="did not end within 1 s"):
            download(Published(url, "0", None), tmp_path / "x", 0.5)
        stop.set()
        thread.join()
    assert list(tmp_path.glob("x*")) == []


def test_download_is_checked_kept_and_found_again(serve, home, tmp_path, monkeypatch):
    made = make_file(tmp_path / "a.jl", seed=9)
    content = (tmp_path / "a.jl").read_bytes()
    packed = gzip.compress(content)
    url = serve("a.jl.gz", packed)
    tables = synthetic_data.synthetic_data_urls
    monkeypatch.setitem(tables, "continuous_label_poisson", entry(url, content, packed))
    (recording,) = datasets.load(POISSON)
    np.testing.assert_array_equal(recording.neural, made.x)
    assert recording.source.endswith("(the published file)")
    assert (home / ".cebra" / FILE).read_bytes() == content
    assert [each.name for each in (home / ".cebra/synthetic").iterdir()] == [Path(FILE).name]
    monkeypatch.setitem(
        tables, "continuous_label_poisson", entry("http://none.invalid", content, b"")
    )
    np.testing.assert_array_equal(datasets.load(POISSON)[0].neural, made.x)


@pytest.mark.parametrize("wrong", ["gzipped_checksum", "checksum"])
def test_a_wrong_checksum_is_not_kept(serve, home, monkeypatch, wrong):
    content = b"something"
    packed = gzip.compress(content)
    published = {**entry(serve("a.gz", packed), content, packed), wrong: "0" * 32}
    monkeypatch.setitem(synthetic_data.synthetic_data_urls, "continuous_label_t", published)
    with logged() as told:
        (recording,) = datasets.load("continuous-label-t")
    assert "made locally" in recording.source
    assert "MD5" in told[0]
    assert not (home / ".cebra").exists()


def test_an_error_of_the_server(serve, monkeypatch):
    url = serve("there", b"") + "-not"
    monkeypatch.setitem(hippocampus.rat_dataset_urls, "achilles", entry(url, b"", b""))
    with pytest.raises(GrevyError, match=r"404.*Put the file at"):
        datasets.load("rat-hippocampus-single")


def test_download_without_packing_into_an_unwritable_place(serve, tmp_path):
    published = Published(serve("plain", b"abc"), md5(b"abc"), None)
    download(published, tmp_path / "new" / "plain", 5.0)
    assert (tmp_path / "new" / "plain").read_bytes() == b"abc"
    with pytest.raises(GrevyError, match="cannot be written"):
        download(published, tmp_path / "new" / "plain" / "below", 5.0)


def write_rats(home, names=("achilles", "buddy", "cicero", "gatsby")):
    """Rats that run to and fro; columns of position: position, right, left."""
    rng = np.random.default_rng(0)
    folder = home / ".cebra/rat_hippocampus"
    folder.mkdir(parents=True)
    right = (np.arange(240) // 20 % 2 == 0).astype(float)
    position = np.column_stack([rng.uniform(0, 1.6, 240), right, 1 - right])
    for number, name in enumerate(names):
        spikes = rng.poisson(1.0, (240, 5 + number)).astype(np.uint8)
        joblib.dump({"spikes": spikes, "position": position}, folder / f"{name}.jl")
    return position


@pytest.mark.parametrize(
    "name",
    [
        "rat-hippocampus-single",
        "rat-hippocampus-single-buddy",
        "rat-hippocampus-buddy-3fold-trial-split-1",
        "rat-hippocampus-multisubjects-3fold-trial-split",
    ],
)
def test_rats(home, name):
    position = write_rats(home)
    sessions = datasets.load(name, offline=True)
    assert len(sessions) == (4 if "multi" in name else 1)
    for session in sessions:
        where, direction = session.labels
        assert (where.name, where.kind) == ("position", "continuous")
        np.testing.assert_allclose(where.values[:, 0], position[:, 0], rtol=1e-6)
        assert (direction.name, direction.classes) == ("direction", ("left", "right"))
        np.testing.assert_array_equal(direction.unit_values == "right", position[:, 1] == 1)
        assert session.sampling_rate == 40
    assert sessions[0].n_neurons == (6 if "buddy" in name else 5)


def test_shuffled_rats_by_exact_name(home):
    position = write_rats(home)
    (shuffled,) = datasets.load("rat-hippocampus-buddy-corrupt-7", offline=True)
    values = shuffled.labels[0].values[:, 0]
    assert not np.allclose(values, position[:, 0])
    np.testing.assert_allclose(np.sort(values), np.sort(position[:, 0]), rtol=1e-6)


def test_rats_are_downloaded(serve, home, tmp_path, monkeypatch):
    write_rats(tmp_path)
    content = (tmp_path / ".cebra/rat_hippocampus/achilles.jl").read_bytes()
    packed = gzip.compress(content)
    published = entry(serve("a.gz", packed), content, packed)
    monkeypatch.setitem(hippocampus.rat_dataset_urls, "achilles", published)
    (recording,) = datasets.load("rat-hippocampus-single")
    assert recording.n_neurons == 5
    assert (home / ".cebra/rat_hippocampus/achilles.jl").read_bytes() == content


def write_reaching(home):
    rng = np.random.default_rng(0)
    folder = home / ".cebra/monkey_reaching_preload_smth_40"
    folder.mkdir(parents=True)
    for session in ("active", "passive", "all"):
        passive = np.arange(8) % 2 == 1 if session == "all" else np.full(8, session == "passive")
        content = {
            "spikes": rng.uniform(0, 1, (80, 6)),
            "pos": rng.normal(size=(80, 2)),
            "vel": rng.normal(size=(80, 2)),
            "passive": passive,
            "movement_dir": np.arange(8),
            "movement_dir_actpas": np.arange(8) + 8 * passive,
            "num_trials": 8,
            "trial_len": 10,
        }
        joblib.dump(content, folder / f"{session}_all.jl")


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("area2-bump", ["position"]),
        ("area2-bump-pos-active", ["position"]),
        ("area2-bump-target-active", ["target"]),
        ("area2-bump-target-active-passive", ["target"]),
        ("area2-bump-posdir-all", ["position", "target"]),
        ("area2-bump-pos-active-passive", ["position", "passive"]),
        ("area2-bump-pos-active-passive-shuffled-trial", ["position", "passive"]),
    ],
)
def test_reaching(home, name, labels):
    write_reaching(home)
    with logged() as told:
        (recording,) = datasets.load(name, offline=True)
    assert [label.name for label in recording.labels] == labels
    expected = np.column_stack([np.arange(0, 80, 10), np.arange(10, 90, 10)])
    np.testing.assert_array_equal(recording.segments, expected)
    assert recording.sampling_rate == 1000
    assert bool(told) == (name == "area2-bump")  # its 'passive' never changes
    if "target" in labels:
        classes = recording.labels[-1].classes
        assert len(classes) == 8
        assert recording.labels[-1].unit_values[:10].tolist() == [0] * 10


def test_missing_files_are_named(home):
    with pytest.raises(GrevyError, match=r"rat_hippocampus/cicero\.jl.*Put the file at"):
        datasets.load("rat-hippocampus-single-cicero", offline=True)
    with pytest.raises(GrevyError, match=r"active_all\.jl.*Put the file at"):
        datasets.load("area2-bump-target-active", offline=True)
    with pytest.raises(GrevyError, match=r"needs files .*testfeat\.pth"):
        datasets.load("allen-movie1-ca-10-111", offline=True)


# What a name begins with, and files below the cache folder that it needs, as cebra's source says.
FEATURES = "allen/features/allen_movies/vit_base/8/movie_one_image_stack.npz/testfeat.pth"
CALCIUM, SUMMARY = "allen/visual_drift/data/calcium_excitatory", "allen/data_summary.csv"
PSEUDOMOUSE = "neuropixel_pseudomouse_120_filtered.jl"
RATS = "achilles|buddy|cicero|gatsby"
NEEDED = {
    r"(demo-|continuous-(label|gaussian-mixture(-(?!refractory)|$))).*": [],
    r"continuous-gaussian-mixture-refractory_poisson": [
        "synthetic/continuous_label_refractory_poisson.jl",
    ],
    rf"rat-hippocampus-(single-)?({RATS}).*": [r"rat_hippocampus/\2.jl"],
    r"rat-hippocampus-(single|multisubjects.*|3fold.*)": ["rat_hippocampus/achilles.jl"],
    r"area2-bump-(pos|posdir|target)-passive": ["monkey_reaching_preload_smth_40/passive_all.jl"],
    r"area2-bump(-shuffled|-(pos|posdir|target)-active(-shuffled.*)?)?": [
        "monkey_reaching_preload_smth_40/active_all.jl",
    ],
    r"area2-bump.*": ["monkey_reaching_preload_smth_40/all_all.jl"],
    r"allen-movie1-ca-single-session-([a-z]+2?[a-z]*-)*0(-.*)?": [
        FEATURES, f"{CALCIUM}/VISp/680156909.mat",
    ],
    r"allen-movie1-ca-(single|multi)-session-.*": [FEATURES, f"{CALCIUM}/VISp/"],
    r"allen-movie1-ca-neuropixel-.*": [
        FEATURES, f"{CALCIUM}/VISp/*.mat", SUMMARY,
        f"allen/allen_movie1_neuropixel/VISp/{PSEUDOMOUSE}",
    ],
    r"allen-movie1-neuropixel-.*": [
        FEATURES, f"allen/allen_movie1_neuropixel/VISp/{PSEUDOMOUSE}",
    ],
    r"allen-movie1-ca-.*": [FEATURES, f"{CALCIUM}/VISp/*.mat", SUMMARY],
    r"allen-movie-one-ca-neuropixel-(VIS\w+)-.*": [
        FEATURES, rf"{CALCIUM}/\1/*.mat", SUMMARY,
        rf"allen/allen_movie1_neuropixel/\1/{PSEUDOMOUSE}",
    ],
    r"allen-movie-one-neuropixel-(VIS\w+)-.*": [
        FEATURES, rf"allen/allen_movie1_neuropixel/\1/{PSEUDOMOUSE}",
    ],
    r"allen-movie-one-ca-(VIS\w+)-.*": [FEATURES, rf"{CALCIUM}/\1/*.mat", SUMMARY],
}  # fmt: skip


def test_every_name_says_which_file_from_where_and_whereto(home):
    for name in cebra.datasets.get_options():
        if re.search(r"-corrupt-\d*[1-9]\d\d?$", name) and not name.endswith("99"):
            continue  # a thousand each of which differs by its seed alone
        match, files = next(
            (match, files) for pattern, files in NEEDED.items()
            if (match := re.fullmatch(pattern, name))
        )  # fmt: skip
        if not files:
            datasets.load(name, offline=True)
            continue
        with pytest.raises(GrevyError) as caught:
            datasets.load(name, offline=True)
        said = str(caught.value)
        for each in files:
            assert match.expand(each) in said, name
        assert "https://" in said
        assert str(home / ".cebra") in said
        assert "CEBRA_DATADIR" in said
        assert "\n" not in said


def test_what_cebra_asks_for_is_in_the_table(home):
    """Of each kind of Allen data set `cebra` itself opens a file that is said to be needed."""
    asked = {}
    for name in cebra.datasets.get_options("allen-*"):
        asked.setdefault(re.sub(r"\d+", "#", name), name)
    assert len(asked) > 50
    for name in asked.values():
        with pytest.raises((FileNotFoundError, OSError)) as caught:
            cebra.datasets.init(name)
        error = caught.value
        missing = error.filename or error.__cause__.filename
        assert any(Path(missing).match(f"*/{each}") for each in needed_files(name)), name


def test_a_calcium_recording_that_was_laid_ready_needs_no_source(home):
    folder = home / ".cebra" / "allen_preload"
    folder.mkdir(parents=True)
    (folder / "allen-movie1-ca-10-111.jl").touch()
    with pytest.raises(GrevyError) as caught:
        datasets.load("allen-movie1-ca-10-111-preload", offline=True)
    assert "testfeat.pth" in str(caught.value)
    assert "data_summary" not in str(caught.value)


def test_the_command_says_it_in_one_message(home, grevy_run):
    for name in ("allen-movie1-ca-single-session-2", "rat-hippocampus-single-buddy"):
        code, out, err = grevy_run(
            "run", "--dataset", name, "--offline", "--output-dir", home / "x"
        )
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert "CEBRA_DATADIR" in err


def test_the_patched_functions_are_put_back():
    before = joblib.load, cebra.data.assets.download_file_with_progress_bar
    with pytest.raises(GrevyError):
        datasets.load("area2-bump", offline=True)
    assert (joblib.load, cebra.data.assets.download_file_with_progress_bar) == before


USER_FILE = """
import cebra.data, cebra.datasets, numpy as np, torch
import helper_beside

class Base(cebra.data.SingleSessionDataset):
    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(0)
        self.neural = rng.normal(size=(30, 3))
        self.codes = np.arange(30) % 3
        self.speed = torch.from_numpy(rng.normal(size=30))
        self.trial_borders = [0, 10, 30]
    @property
    def input_dimension(self):
        return 3
    def __getitem__(self, index):
        return None
    def __len__(self):
        return 30

@cebra.datasets.register("mine-{tag}")
class Mine(Base):
    @property
    def continuous_index(self):
        return self.speed
    @property
    def discrete_index(self):
        return self.codes

@cebra.datasets.register("absent-{tag}")
class Absent(Base):
    @property
    def continuous_index(self):
        raise NotImplementedError
    @property
    def discrete_index(self):
        return self.codes

@cebra.datasets.register("broken-{tag}")
class Broken(Base):
    def __init__(self):
        raise KeyError("sorry")

@cebra.datasets.register("empty-{tag}")
class Empty(Base):
    def __init__(self):
        super().__init__()
        self.neural = None

@cebra.datasets.register("far-{tag}")
class Far(Base):
    def __init__(self):
        cebra.data.SingleSessionDataset.__init__(
            self, download=True, data_url="{url}", data_checksum="{md5}",
            location="{folder}", file_name="far.bin")
        Base.__init__(self)
"""


def test_registered_by_the_user(tmp_path, serve, silent):
    (tmp_path / "helper_beside.py").write_text("")
    text = USER_FILE.replace("{tag}", "t1").replace("{folder}", str(tmp_path / "far"))
    text = text.replace("{url}", serve("far", b"abc")).replace("{md5}", md5(b"abc"))
    (tmp_path / "mine.py").write_text(text)
    module = datasets.import_module(str(tmp_path / "mine.py"))
    assert datasets.import_module(str(tmp_path / "." / "mine.py")) is module
    assert str(tmp_path) not in sys.path
    assert {"mine-t1", "absent-t1"} <= set(datasets.names())
    (mine,) = datasets.load("mine-t1")
    assert mine.neural.shape == (30, 3)
    assert [(label.name, label.kind) for label in mine.labels] == [
        ("continuous", "continuous"),
        ("discrete", "discrete"),
    ]
    np.testing.assert_array_equal(mine.segments, [[0, 10], [10, 30]])
    assert [label.kind for label in datasets.load("absent-t1")[0].labels] == ["discrete"]
    with pytest.raises(GrevyError, match=r"'broken-t1' could not be made: KeyError: 'sorry'"):
        datasets.load("broken-t1")
    with pytest.raises(GrevyError, match="no attribute 'neural'"):
        datasets.load("empty-t1")
    with pytest.raises(GrevyError, match="downloads are off"):
        datasets.load("far-t1", offline=True)
    assert len(datasets.load("far-t1")[0]) == 30
    assert (tmp_path / "far/far.bin").read_bytes() == b"abc"
    assert len(datasets.load("far-t1", offline=True)[0]) == 30


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ny = 1 / 0\n", r"ZeroDivisionError: division by zero \(.*bad\.py, line 2\)"),
        ("x = (\n", r"SyntaxError: .*bad\.py, line 1"),
        ("import not_there_at_all\n", r"ModuleNotFoundError: .*not_there_at_all.*line 1"),
        ("import sys\nsys.exit(3)\n", r"SystemExit: 3 \(.*bad\.py, line 2\)"),
        ("\nimport numpy\nnumpy.zeros(-1)\n", r"ValueError: .*bad\.py, line 3\)"),
    ],
)
def test_import_of_a_broken_file(tmp_path, text, message):
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(GrevyError, match=message):
        datasets.import_module(str(tmp_path / "bad.py"))
    (tmp_path / "bad.py").write_text("x = 1\n")
    os.utime(tmp_path / "bad.py", (time.time() + 10,) * 2)
    assert datasets.import_module(str(tmp_path / "bad.py")).x == 1


def test_import_by_dotted_name(tmp_path, monkeypatch):
    package = tmp_path / "grevy_test_lab"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "data.py").write_text("value = 7\n")
    (package / "broken.py").write_text("\nimport grevy_no_such_module\n")
    monkeypatch.chdir(tmp_path)
    module = datasets.import_module("grevy_test_lab.data")
    assert module.value == 7
    assert datasets.import_module("grevy_test_lab/data.py") is module
    with pytest.raises(GrevyError, match=r"no module .grevy_test_lab\.nothing"):
        datasets.import_module("grevy_test_lab.nothing")
    with pytest.raises(GrevyError, match=r"no module .grevy_nowhere\.at\.all"):
        datasets.import_module("grevy_nowhere.at.all")
    with pytest.raises(GrevyError, match=r"failed with ModuleNotFoundError.*broken\.py, line 2"):
        datasets.import_module("grevy_test_lab.broken")
    with pytest.raises(GrevyError, match=r"there is no file .*absent\.py"):
        datasets.import_module("absent.py")
    for name in ("", "..", "a..b"):
        with pytest.raises(GrevyError):
            datasets.import_module(name)


def test_what_is_made_here_is_what_cebra_publishes():
    from grevy.data.datasets.loading import _SYNTHETIC

    registered = cebra.datasets.get_options()
    assert set(_SYNTHETIC) == {name for name in registered if name.startswith("continuous-")}


def test_published_tables_name_every_file_of_cebra():
    from grevy.data.datasets.cache import published_files

    found = published_files()
    assert found[FILE].packed_md5
    assert found["rat_hippocampus/gatsby.jl"].url.endswith("gatsby.jl.gz")
    for name in monkey_reaching.monkey_reaching_urls:
        assert f"monkey_reaching_preload_smth_40/{name}" in found
