"""The run folder: written whole or not at all, sealed, verified, and safe to open."""

import csv
import errno
import getpass
import json
import os
import platform
import shutil
import stat
import subprocess
from contextlib import contextmanager
from pathlib import Path

import joblib
import numpy as np
import pytest
from matplotlib.figure import Figure

import grevy
from grevy import archive, atomic
from grevy.archive import manifest as manifest_file
from grevy.archive.folder import RunFolder
from grevy.config import make_config
from grevy.data.labels import continuous, discrete
from grevy.data.recording import data_checksum, make_recording
from grevy.errors import GrevyError
from grevy.runs import environment
from grevy.runs.experiment import run_experiment, write_outcome

WRITTEN = {
    archive.CONFIG,
    archive.MODEL,
    archive.EMBEDDING,
    archive.FIGURE,
    archive.RESULTS,
    archive.METRICS,
    archive.SUMMARY,
    archive.HISTORY,
    archive.LABELS,
    archive.REPORT,
    "figures/loss.png",
    "figures/loss.svg",
}
# Drawn from the finished run, after the manifest.
DRAWN = {archive.REPORT, "figures/loss.png", "figures/loss.svg"}
N_SEALED = len(WRITTEN) - len(DRAWN) + 1


@pytest.fixture(scope="module")
def recording():
    rng = np.random.default_rng(0)
    labels = [continuous(rng.normal(size=80), "x"), discrete(np.arange(80) // 20, "block")]
    neural = rng.poisson(2, size=(80, 4)).astype(np.float32)
    return make_recording(neural, labels, source="made for the test")


@pytest.fixture(scope="module")
def model(recording):
    model = grevy.CEBRA(
        "offset1-model", batch_size=16, max_iterations=4, output_dimension=2, device="cpu", seed=1
    )
    return model.fit(recording)


def outcome(folder, model, recording):
    given = {"dataset": "arrays", "seed": 1, "max_iterations": 5000}
    settings = make_config(given).model_dump(mode="json")
    embedding = model.transform(recording)
    metrics = {"goodness_of_fit_bits": 0.25, "train_r2": 0.5, "test_r2": 0.25, "prediction_r2": 0.5}
    archive.write_figure(folder / archive.FIGURE, Figure())
    return write_outcome(folder, model, embedding, metrics, settings, [recording], began=0.0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model, recording):
    folder = archive.open_folder(tmp_path_factory.mktemp("runs") / "a")
    outcome(folder, model, recording)
    return folder


@pytest.fixture
def copy(finished, tmp_path):
    return RunFolder(Path(shutil.copytree(finished.root, tmp_path / "copy")))


def tree(root):
    """Every file below a folder, with its content."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(Path(root).rglob("*"))
        if path.is_file()
    }


def edit_manifest(folder, change):
    manifest = json.loads((folder / archive.MANIFEST).read_text())
    change(manifest)
    (folder / archive.MANIFEST).write_text(json.dumps(manifest))


@contextmanager
def mounted(place, options):
    """A small disk of its own; the test is skipped where that is not allowed."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
    if (
        shutil.which("mount") is None
        or subprocess.run(command, check=False, capture_output=True).returncode
    ):
        pytest.skip("mounting a disk needs the superuser")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


class TestContents:
    def test_every_file_is_there_and_no_other(self, finished):
        assert set(tree(finished.root)) == {*WRITTEN, archive.MANIFEST}

    def test_the_paths_are_the_manuals(self):
        assert {
            "models/cebra_model.pt",
            "embeddings/embedding.npy",
            "figures/embedding_visualization.png",
            "logs/experiment_results.jl",
            "logs/summary.txt",
        } <= WRITTEN

    def test_the_embedding_is_float32_time_first(self, finished, model, recording):
        embedding = np.load(finished / archive.EMBEDDING, allow_pickle=False)
        assert embedding.dtype == np.float32
        assert embedding.shape == (80, 2)
        np.testing.assert_array_equal(embedding, model.transform(recording))

    def test_the_results_are_a_plain_dictionary(self, finished):
        results = joblib.load(finished / archive.RESULTS)
        assert set(results) == {"config", "metrics", "embedding_shape", "timestamp"}
        assert results["embedding_shape"] == (80, 2)
        assert results["config"]["dataset"] == "arrays"
        assert results["metrics"] == json.loads((finished / archive.METRICS).read_text())
        assert results["timestamp"].endswith("+00:00")

    def test_the_history_has_a_row_for_each_step(self, finished, model):
        with (finished / archive.HISTORY).open() as stream:
            rows = list(csv.DictReader(stream))
        assert list(rows[0]) == ["step", "loss", "positive", "negative", "temperature"]
        assert [int(row["step"]) for row in rows] == [0, 1, 2, 3]
        assert [float(row["loss"]) for row in rows] == model.solver_.log["total"]
        for row in rows:
            assert float(row["loss"]) == pytest.approx(
                float(row["positive"]) + float(row["negative"]), abs=1e-5
            )
            assert float(row["temperature"]) == 1.0

    def test_the_summary_lists_settings_metrics_and_shape(self, finished):
        text = (finished / archive.SUMMARY).read_text()
        for line in ("Embedding shape: (80, 2)", "max_iterations: 5000", "test R2 0.250"):
            assert line in text
        assert "made for the test" in text

    def test_the_figure_is_a_png(self, finished):
        assert (finished / archive.FIGURE).read_bytes().startswith(b"\x89PNG")

    def test_the_same_run_gives_the_same_bytes(self, finished, tmp_path, model, recording):
        again = archive.open_folder(tmp_path / "b")
        outcome(again, model, recording)
        ours, theirs = tree(again.root), tree(finished.root)
        differing = {name for name in ours if ours[name] != theirs[name]}
        # They hold the time of day, or how long the run took.
        assert differing <= {archive.RESULTS, archive.MANIFEST, archive.REPORT}


class TestManifest:
    def test_it_tells_of_files_data_and_versions(self, finished, recording):
        manifest = archive.read_manifest(finished)
        assert set(manifest["files"]) == WRITTEN
        assert manifest["files"][archive.MODEL] == manifest_file.file_checksum(
            finished / archive.MODEL
        )
        (data,) = manifest["data"]
        assert data["time_steps"] == 80
        assert data["neurons"] == 4
        assert data["sha256"] == data_checksum([recording])
        assert {"python", "grevy", "cebra", "torch", "numpy"} <= set(manifest["versions"])
        assert len(manifest["run_id"]) == 12
        assert manifest["seconds"] > 0

    def test_it_names_neither_user_nor_computer(self, tmp_path, monkeypatch):
        home = tmp_path / "home-of-grevyi"
        home.mkdir()
        monkeypatch.setenv("HOME", str(home))
        for name in ("USER", "LOGNAME", "USERNAME"):
            monkeypatch.setenv(name, "user-grevyi")
        source = home / "data.npz"
        folder = archive.open_folder(tmp_path / "run")
        label = continuous(np.arange(5.0))
        archive.seal(
            folder,
            [make_recording(np.eye(5), [label], source=str(source))],
            "id",
            None,
            environment(),
        )
        text = (folder / archive.MANIFEST).read_text()
        assert "grevyi" not in text
        assert "~/data.npz" in text
        assert getpass.getuser() not in text
        assert platform.node() not in text

    @pytest.mark.parametrize("home", ["/", "/lab/al"])
    def test_only_what_lies_in_the_home_folder_is_shortened(self, tmp_path, monkeypatch, home):
        monkeypatch.setenv("HOME", home)
        folder = archive.open_folder(tmp_path / "run")
        archive.seal(
            folder,
            [make_recording(np.eye(5), source="/lab/alice/x.npz")],
            "id",
            None,
            environment(),
        )
        assert '"/lab/alice/x.npz"' in (folder / archive.MANIFEST).read_text()

    def test_files_can_be_entered_and_taken_out_later(self, copy):
        before = archive.read_manifest(copy)
        new = "figures/new.png"
        (copy / new).write_bytes(b"a figure")
        (copy / archive.SUMMARY).write_bytes(b"changed behind its back")
        changed = f"{archive.SUMMARY}: changed"
        assert archive.verify(copy) == [changed, f"{new}: not in the manifest"]
        archive.add_to_manifest(copy, [new, "figures/none.png"])
        assert archive.verify(copy) == [changed]
        after = archive.read_manifest(copy)
        assert {**after, "files": None} == {**before, "files": None}
        (copy / new).unlink()
        archive.add_to_manifest(copy, [new])
        assert archive.read_manifest(copy) == before

    def test_nothing_is_entered_for_a_run_that_is_none(self, tmp_path):
        with pytest.raises(GrevyError, match="holds no finished run"):
            archive.add_to_manifest(RunFolder(tmp_path), [archive.REPORT])
        assert list(tmp_path.iterdir()) == []

    def test_it_is_written_last(self, finished):
        times = {name: (finished / name).stat().st_mtime_ns for name in WRITTEN}
        assert (finished / archive.MANIFEST).stat().st_mtime_ns >= max(times.values())

    @pytest.mark.parametrize(
        "change",
        [
            lambda r: make_recording(r.neural + np.eye(80, 4), r.labels),
            lambda r: make_recording(r.neural, r.labels[:1]),
            lambda r: make_recording(r.neural, r.labels[::-1]),
            lambda r: make_recording(r.neural, r.labels, segments=[[0, 40], [40, 80]]),
            lambda r: make_recording(r.neural[:79], [label.take(slice(79)) for label in r.labels]),
            lambda r: make_recording(r.neural.reshape(40, 8)),
        ],
    )
    def test_the_checksum_of_the_data_sees_every_change(self, recording, change):
        assert data_checksum([change(recording)]) != data_checksum([recording])

    def test_the_checksum_of_the_data_sees_only_the_data(self, recording):
        same = make_recording(
            np.asfortranarray(recording.neural, np.float64), recording.labels, source="elsewhere"
        )
        assert data_checksum([same]) == data_checksum([recording])


@pytest.mark.parametrize(
    ("home", "text", "written"),
    [
        ("/home/al", "/home/al/x.npz", "~/x.npz"),
        ("/home/al", "/home/alice/x.npz", "/home/alice/x.npz"),
        ("/home/al", "a; /home/al/b; /home/al/c", "a; ~/b; ~/c"),
        ("/", "/data/x.npz", "/data/x.npz"),
    ],
)
def test_the_home_folder_is_not_named(monkeypatch, home, text, written):
    monkeypatch.setenv("HOME", home)
    assert archive.without_home(text) == written


@pytest.mark.parametrize("name", [archive.REPORT, archive.LABELS, archive.DECODED])
def test_what_was_drawn_from_a_replaced_run_does_not_outlive_it(copy, name):
    (copy / name).write_bytes(b"of the run before")
    archive.unseal(copy)
    assert not (copy / name).exists()
    assert not copy.finished


class TestVerify:
    def test_a_finished_run_is_as_archived(self, copy):
        assert archive.verify(copy) == []

    @pytest.mark.parametrize("name", sorted(WRITTEN))
    def test_one_bit_is_noticed(self, copy, name):
        content = bytearray((copy / name).read_bytes())
        content[len(content) // 2] ^= 1
        (copy / name).write_bytes(content)
        assert archive.verify(copy) == [f"{name}: changed"]

    @pytest.mark.parametrize("name", sorted(WRITTEN))
    def test_a_missing_file_is_noticed(self, copy, name):
        (copy / name).unlink()
        assert archive.verify(copy) == [f"{name}: missing"]

    def test_a_new_file_is_noticed(self, copy):
        (copy / "models" / "other.pt").write_bytes(b"x")
        assert archive.verify(copy) == ["models/other.pt: not in the manifest"]

    @pytest.mark.parametrize("name", ["notes.txt", "logs/.hidden"])
    def test_what_is_no_part_of_a_run_is_left_alone(self, copy, name):
        (copy / name).write_bytes(b"x")
        assert archive.verify(copy) == []

    def test_a_folder_without_a_manifest_is_no_run(self, tmp_path):
        with pytest.raises(GrevyError, match=r"no finished run: there is no manifest\.json"):
            archive.verify(RunFolder(tmp_path))

    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b"[]", b'{"format": 1}', b"\xff\xfe", b"[" * 10**5, b"null", b"1"],
        ids=lambda value: repr(value[:8]),
    )
    def test_a_damaged_manifest_is_said_to_be_so(self, copy, content):
        (copy / archive.MANIFEST).write_bytes(content)
        with pytest.raises(GrevyError, match=r"manifest\.json is damaged \(.*\)\. Restore it"):
            archive.verify(copy)

    @pytest.mark.parametrize(
        ("number", "message"),
        [
            (2, "is of format 2: a newer Grevy made this run"),
            (None, "has no format number: an unreleased Grevy made this run. Make it again"),
            (0, "is damaged"),
            (True, "is damaged"),
            ("1", "is damaged"),
        ],
    )
    def test_a_folder_of_another_format(self, copy, number, message):
        manifest = json.loads((copy / archive.MANIFEST).read_text())
        assert manifest.pop("format") == 1
        with_number = manifest if number is None else {**manifest, "format": number}
        (copy / archive.MANIFEST).write_text(json.dumps(with_number))
        with pytest.raises(GrevyError, match=message):
            archive.verify(copy)
        with pytest.raises(GrevyError, match=message):
            archive.read_run(copy)

    def test_a_huge_manifest_is_not_read(self, copy):
        with (copy / archive.MANIFEST).open("wb") as stream:
            stream.truncate(2**40)  # takes no room on the disk, but would in memory
        with pytest.raises(GrevyError, match="is damaged"):
            archive.verify(copy)

    @pytest.mark.parametrize(
        "name",
        ["/etc/passwd", "../../../../../../../etc/passwd", "models/../../outside", "../copy2/x"],
    )
    def test_nothing_outside_the_folder_is_read(self, copy, monkeypatch, name):
        edit_manifest(copy, lambda manifest: manifest["files"].update({name: "0"}))
        root = copy.root.resolve()
        checksum = manifest_file.file_checksum

        def inside(path):
            assert path.resolve().is_relative_to(root)
            return checksum(path)

        monkeypatch.setattr(manifest_file, "file_checksum", inside)
        assert archive.verify(copy) == [f"{name}: outside the folder, not read"]

    def test_a_link_that_leads_outside_is_not_followed(self, copy, tmp_path):
        (tmp_path / "secret").write_bytes(b"secret")
        (copy / archive.SUMMARY).unlink()
        (copy / archive.SUMMARY).symlink_to(tmp_path / "secret")
        assert f"{archive.SUMMARY}: outside the folder, not read" in archive.verify(copy)

    @pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "models/" + "x" * 300])
    def test_a_name_that_no_file_can_have(self, copy, name):
        edit_manifest(copy, lambda manifest: manifest["files"].update({name: "0"}))
        (problem,) = archive.verify(copy)
        assert problem.endswith(": missing") or ": cannot be read" in problem
        assert "\0" not in problem

    def test_links_in_a_ring(self, copy):
        (copy / "models" / "ring").symlink_to("ring")
        edit_manifest(copy, lambda manifest: manifest["files"].update({"models/ring": "0"}))
        (problem,) = archive.verify(copy)
        assert problem.startswith("models/ring: ")

    def test_codes_for_the_terminal_are_shown_not_sent(self, copy):
        edit_manifest(copy, lambda manifest: manifest["files"].update({"\x1b[2Jgone\n": "0"}))
        (problem,) = archive.verify(copy)
        assert problem.isprintable()
        assert problem.startswith(r"\x1b[2Jgone\n: ")

    @pytest.mark.parametrize("checksum", [None, 3, [], {}, "é"])
    def test_a_checksum_that_is_none(self, copy, checksum):
        edit_manifest(copy, lambda m: m["files"].update({archive.CONFIG: checksum}))
        assert archive.verify(copy) == [f"{archive.CONFIG}: changed"]


class TestOpening:
    def test_a_finished_run_is_not_opened_for_writing(self, copy):
        before = tree(copy.root)
        with pytest.raises(GrevyError, match=r"already holds a finished run.*`overwrite=True`"):
            archive.open_folder(copy.root)
        assert tree(copy.root) == before

    def test_unless_asked(self, copy):
        before = tree(copy.root)
        assert archive.open_folder(copy.root, overwrite=True) == copy
        assert tree(copy.root) == before

    def test_an_unfinished_run_may_be_written_over(self, copy):
        archive.unseal(copy)
        assert archive.open_folder(copy.root) == copy

    def test_all_folders_are_made(self, tmp_path):
        folder = archive.open_folder(tmp_path / "a" / "b")
        made = {path.name for path in folder.root.iterdir()}
        assert made == {"models", "embeddings", "figures", "logs"}

    @pytest.mark.parametrize("place", ["run", "run/models", "run/logs"])
    def test_a_file_in_the_way(self, tmp_path, place):
        path = tmp_path / place
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
        with pytest.raises(GrevyError, match=r"is a file, where a folder is needed"):
            archive.open_folder(tmp_path / "run")
        assert path.read_text() == "mine"

    def test_a_file_above(self, tmp_path):
        (tmp_path / "file").write_text("mine")
        with pytest.raises(GrevyError, match=r"is a file, where a folder is needed"):
            archive.open_folder(tmp_path / "file" / "run")

    @pytest.mark.parametrize("place", ["x" * 300, "nul\0byte", "/proc/run"])
    def test_a_place_that_cannot_be(self, tmp_path, place):
        with pytest.raises(GrevyError, match="cannot be made"):
            archive.open_folder(tmp_path / place)

    @pytest.mark.parametrize("place", [".", "models", "logs"])
    def test_a_place_without_permission(self, tmp_path, place, monkeypatch):
        folder = archive.open_folder(tmp_path / "run")
        # Permissions do not bind the superuser, so the system's answer is made up.
        monkeypatch.setattr(os, "access", lambda path, _mode: path != folder / place)
        with pytest.raises(GrevyError, match="may not be written to"):
            archive.open_folder(folder.root)

    def test_a_read_only_disk(self, tmp_path):
        with (
            mounted(tmp_path / "disk", "ro"),
            pytest.raises(GrevyError, match="cannot be made: Read-only file system"),
        ):
            archive.open_folder(tmp_path / "disk" / "run")

    def test_a_failure_leaves_no_empty_folders(self, tmp_path):
        with pytest.raises(RuntimeError), archive.opened(tmp_path / "run"):
            raise RuntimeError
        assert list(tmp_path.iterdir()) == []

    def test_a_failure_leaves_what_was_there(self, tmp_path):
        (tmp_path / "run" / "logs").mkdir(parents=True)
        (tmp_path / "run" / "logs" / "mine").write_text("mine")
        with pytest.raises(RuntimeError), archive.opened(tmp_path / "run"):
            raise RuntimeError
        assert tree(tmp_path) == {"run/logs/mine": b"mine"}

    def test_success_leaves_the_folders(self, tmp_path):
        with archive.opened(tmp_path / "run") as folder:
            pass
        assert (folder / "models").is_dir()


def failing(real, number, code):
    """A function that fails with an error of the operating system when called so often."""
    calls = []

    def fail(*arguments, **options):
        calls.append(arguments)
        if len(calls) == number:
            raise OSError(code, os.strerror(code))
        return real(*arguments, **options)

    return fail


class TestAFullDisk:
    @pytest.mark.parametrize("number", range(1, N_SEALED + len(DRAWN) + 2))
    @pytest.mark.parametrize("where", ["fsync", "open", "replace"])
    def test_at_each_file_in_turn(self, tmp_path, monkeypatch, model, recording, number, where):
        folder = archive.open_folder(tmp_path / "run")
        if where == "fsync":
            monkeypatch.setattr(atomic.os, "fsync", failing(os.fsync, number, errno.ENOSPC))
        else:
            real = getattr(Path, where)
            broken = failing(real, number, errno.ENOSPC)

            def method(path, *arguments, **options):
                reading = where == "open" and arguments != ("xb",)
                return (real if reading else broken)(path, *arguments, **options)

            monkeypatch.setattr(Path, where, method)
        with (
            pytest.raises(GrevyError, match=r"No space left on device.*intact") as caught,
            archive.guarded(folder),
        ):
            outcome(folder, model, recording)
        monkeypatch.undo()
        left = tree(folder.root)
        assert len(left) == min(number - 1, N_SEALED + len(DRAWN))
        assert folder.finished == (archive.MANIFEST in left) == (number > N_SEALED)
        told = "grevy report" if folder.finished else "no manifest"
        assert told in str(caught.value)
        for name in left:
            assert not Path(name).name.startswith("."), "a temporary file was left"
        if archive.EMBEDDING in left:
            assert np.load(folder / archive.EMBEDDING).shape == (80, 2)
        if archive.MODEL in left:
            assert grevy.CEBRA.load(folder / archive.MODEL).n_features_ == 4
        archive.unseal(folder)
        outcome(archive.open_folder(folder.root), model, recording)  # and it can be run again
        assert archive.verify(folder) == []

    @pytest.mark.parametrize("kilobytes", [0, 4, 12, 40, 60])
    def test_a_real_one(self, tmp_path, model, recording, kilobytes):
        disk = tmp_path / "disk"
        with mounted(disk, "size=1m"):
            folder = archive.open_folder(disk / "run")
            room = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            (disk / "filling").write_bytes(bytes(room - 1024 * kilobytes))
            with (
                pytest.raises(GrevyError, match=r"cannot be written.*has room.*no manifest"),
                archive.guarded(folder),
            ):
                outcome(folder, model, recording)
            left = tree(folder.root)
            assert archive.MANIFEST not in left
            assert not [name for name in left if Path(name).name.startswith(".")]
            assert all(left.values()), "an empty file was left"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002, 0o027])
def test_files_have_the_permissions_that_the_user_wants(tmp_path, model, recording, mask):
    before = os.umask(mask)
    try:
        folder = archive.open_folder(tmp_path / "run")
        outcome(folder, model, recording)
    finally:
        os.umask(before)
    for name in [*WRITTEN, archive.MANIFEST]:
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o666 & ~mask


def test_a_run_written_over_is_unsealed_until_it_is_whole(copy, model, recording, monkeypatch):
    """From the first new file to the last the folder does not count as finished."""
    seen = []
    real = atomic.os.fsync

    def look(descriptor):
        seen.append(copy.finished)
        return real(descriptor)

    monkeypatch.setattr(atomic.os, "fsync", look)
    archive.unseal(copy)
    outcome(copy, model, recording)
    assert seen[:N_SEALED] == [False] * N_SEALED
    assert all(seen[N_SEALED:])
    assert archive.verify(copy) == []


def test_a_run_that_starts_over_drops_old_checkpoints(tmp_path):
    settings = {
        "dataset": "demo-continuous",
        "max_iterations": 2,
        "batch_size": 8,
        "holdout": 0,
        "device": "cpu",
        "output_dir": str(tmp_path / "run"),
    }
    folder = archive.open_folder(tmp_path / "run")
    (folder / archive.CHECKPOINTS).mkdir()
    (folder / archive.CHECKPOINTS / "step_000999999.pt").write_bytes(b"of the last attempt")
    done = run_experiment(make_config(settings), overwrite=True, verbose=False)
    assert not (done.folder / archive.CHECKPOINTS).exists()
    assert set(tree(folder.root)) == {*WRITTEN, archive.DECODED, archive.MANIFEST}


def test_a_name_that_no_folder_can_have_is_no_finished_run():
    assert not RunFolder(Path("a" * 300)).finished
    with pytest.raises(GrevyError, match="holds no finished run"):
        archive.read_manifest(RunFolder(Path("a" * 300)))
