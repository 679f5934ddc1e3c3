"""Finished runs in TensorBoard, MLflow and Weights & Biases: real files, a real server."""

import json
import logging
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from grevy.archive import RunFolder, read_outcome
from grevy.sweeps.folder import SweepFolder, read_plan
from grevy.sweeps.tracking.sending import MOST_POINTS, make_sent
from tiny_sweeps import write_sweep

SCORE = "scores.position.random.test_r2"
STEPS = 20


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The file of a sweep, and its finished folder: two runs, of which one keeps validation."""
    folder = tmp_path_factory.mktemp("tracked")
    path = write_sweep(
        folder,
        base={"max_iterations": STEPS},
        list=[{"seed": 3}, {"seed": 4, "validation": 0.2}],
    )
    command = [sys.executable, "-m", "grevy", "sweep", path, "-o", folder / "S", "--on", "debug"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path, folder / "S"


@pytest.fixture
def begun(finished, tmp_path):
    """A copy of it, that a test may spoil."""
    shutil.copytree(finished[1], tmp_path / "S")
    return finished[0], tmp_path / "S"


def sent(folder):
    return {
        run.run_id: make_sent(SweepFolder(folder), run) for run in read_plan(SweepFolder(folder))
    }


class TestSent:
    def test_it_holds_settings_numbers_curves_and_files(self, finished):
        for name, each in sent(finished[1]).items():
            outcome = read_outcome(RunFolder(finished[1] / "runs" / name))
            metric = outcome.metrics["scores"]["position"]["random"]["test_r2"]
            assert each.numbers[SCORE] == metric
            assert (each.settings["max_iterations"], each.sweep) == (STEPS, "S")
            assert "output_dir" not in each.settings
            assert {str(p.relative_to(each.root)) for p in each.root.rglob("*") if p.is_file()} == {
                *each.files
            }
            history = np.genfromtxt(each.root / "logs/history.csv", delimiter=",", names=True)
            assert [value for _, value in each.curves["training.loss"]] == history["loss"].tolist()
            validation = outcome.metrics.get("validation", {"steps": [], "loss": []})
            curve = each.curves.get("training.validation_loss", ())
            assert curve == tuple(zip(validation["steps"], validation["loss"], strict=True))

    def test_long_curves_are_thinned_and_what_is_not_finite_left_out(self, begun):
        run = read_plan(SweepFolder(begun[1]))[0]
        path = begun[1] / "runs" / run.run_id / "logs/history.csv"
        rows = [f"{step},{step / 2},{'nan' if step == 0 else 1}" for step in range(12_345)]
        path.write_text("\n".join(["step,loss,positive", *rows]))
        curves = make_sent(SweepFolder(begun[1]), run).curves
        loss = curves["training.loss"]
        assert (len(loss), loss[0], loss[-1]) == (MOST_POINTS, (0, 0.0), (12_344, 6172.0))
        assert all(value == step / 2 for step, value in loss)
        assert len(curves["training.positive"]) == MOST_POINTS - 1


def scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    found.Reload()
    return found


class TestTensorBoard:
    def test_a_run_is_there_as_soon_as_it_is_finished(self, begun, grevy_run):
        path, folder = begun
        runs = sent(folder)
        shutil.rmtree(folder / "runs" / list(runs)[1])  # the other was finished before
        code, _, err = grevy_run(
            "sweep", path, "-o", folder, "--on", "debug", "--track", "tensorboard"
        )
        assert (code, "not sent" in err) == (0, False)
        for name, run in runs.items():
            found = scalars(folder / "tensorboard" / name)
            for number, value in run.numbers.items():
                (event,) = found.Scalars(number.replace(".", "/"))
                assert event.value == pytest.approx(value, rel=1e-6)
            curve = [(each.step, each.value) for each in found.Scalars("training/loss")]
            assert curve == [
                (step, np.float32(value)) for step, value in run.curves["training.loss"]
            ]
            (image,) = found.Images("embedding_visualization")
            file = folder / "runs" / name / "figures/embedding_visualization.png"
            assert image.encoded_image_string == file.read_bytes()
            assert found.PluginTagToContent("hparams")
        assert sorted(p.name for p in (folder / "tracked/tensorboard").iterdir()) == sorted(runs)

    def test_again_nothing_is_sent(self, begun, grevy_run):
        path, folder = begun
        command = ("sweep", path, "-o", folder, "--on", "debug", "--track", "tensorboard")
        assert grevy_run(*command)[0] == 0
        before = {p: p.stat().st_mtime_ns for p in (folder / "tensorboard").rglob("*")}
        assert grevy_run(*command)[0] == 0
        assert {p: p.stat().st_mtime_ns for p in (folder / "tensorboard").rglob("*")} == before
        assert not list((folder / "tensorboard").glob(".*"))

    def test_what_cannot_be_sent_is_said_and_sent_the_next_time(self, begun, grevy_run, caplog):
        path, folder = begun
        (folder / "tensorboard").write_text("in the way")
        command = ("sweep", path, "-o", folder, "--on", "debug", "--track", "tensorboard")
        with caplog.at_level(logging.WARNING):
            code, out, _ = grevy_run(*command)
        assert (code, out.splitlines()[0]) == (0, "2 of 2 done, 0 running, 0 failed, 0 left")
        assert [r.message.startswith("tensorboard: ") for r in caplog.records] == [True]
        assert "was not sent" in caplog.text
        (folder / "tensorboard").unlink()
        assert grevy_run(*command)[0] == 0
        assert len(list((folder / "tensorboard").iterdir())) == 2

    def test_a_damaged_run_is_said(self, begun, grevy_run, caplog):
        path, folder = begun
        (next((folder / "runs").iterdir()) / "logs/history.csv").write_text("nothing")
        with caplog.at_level(logging.WARNING):
            grevy_run("sweep", path, "-o", folder, "--on", "debug", "--track", "tensorboard")
        assert "history.csv" in caplog.text


class TestRefused:
    def test_an_unknown_tracker(self, begun, grevy_run):
        before = sorted(begun[1].rglob("*"))
        code, _, err = grevy_run("sweep", begun[0], "-o", begun[1], "--track", "mlfow")
        assert (code, err.splitlines()[-1]) == (
            2, "grevy: unknown tracker 'mlfow'. Did you mean 'mlflow'?",
        )  # fmt: skip
        assert sorted(begun[1].rglob("*")) == before

    @pytest.mark.parametrize("name", ["mlflow", "tensorboard", "wandb"])
    def test_one_that_is_not_installed(self, begun, name):
        program = (
            f"import sys; sys.modules[{name!r}] = None; sys.argv = ['grevy', *sys.argv[1:]]\n"
            "from grevy.cli import main; main()"
        )
        command = ["sweep", *map(str, (begun[0], "-o", begun[1])), "--track", name]
        done = subprocess.run(
            [sys.executable, "-c", program, *command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert f"`pip install 'grevy[{name}]'`" in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_server_that_does_not_answer(self, tmp_path, begun, grevy_run, monkeypatch):
        with socket.socket() as taken:  # bound, and nobody listens
            taken.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{taken.getsockname()[1]}"
            monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
            monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
            code, _, err = grevy_run("sweep", begun[0], "-o", tmp_path / "new", "--track", "mlflow")
        assert code == 2
        assert f"--track mlflow: {address} cannot be used" in err
        assert not (tmp_path / "new").exists()


def assert_in_mlflow(folder, address):
    from mlflow import MlflowClient

    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("S")
    found = {
        each.data.tags["grevy.run"]: each for each in client.search_runs([experiment.experiment_id])
    }
    runs = sent(folder)
    assert set(found) == set(runs)
    for name, run in runs.items():
        there = found[name]
        assert there.info.status == "FINISHED"
        assert there.data.params == {key: str(value) for key, value in run.settings.items()}
        for number, value in run.numbers.items():
            assert there.data.metrics[number] == value
        history = client.get_metric_history(there.info.run_id, "training.loss")
        assert sorted((each.step, each.value) for each in history) == [*run.curves["training.loss"]]
        kept = Path(client.download_artifacts(there.info.run_id, ""))
        for file in run.files:
            assert (kept / file).read_bytes() == (run.root / file).read_bytes()
    return client, experiment.experiment_id


class TestMLflow:
    def test_a_database_of_its_own(self, begun, tmp_path, grevy_run, monkeypatch):
        path, folder = begun
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
        command = ("sweep", path, "-o", folder, "--on", "debug", "--track", "mlflow")
        assert grevy_run(*command)[0] == 0
        client, experiment = assert_in_mlflow(folder, f"sqlite:///{tmp_path}/mlflow.db")
        # One that was cut off is made anew; one that is whole is not sent twice.
        first, second = client.search_runs([experiment])
        client.set_tag(first.info.run_id, "cut", "off")
        client.set_terminated(first.info.run_id, "RUNNING")
        shutil.rmtree(folder / "tracked")
        assert grevy_run(*command)[0] == 0
        assert_in_mlflow(folder, f"sqlite:///{tmp_path}/mlflow.db")
        again = {each.info.run_id: each.data.tags for each in client.search_runs([experiment])}
        assert second.info.run_id in again
        assert first.info.run_id not in again
        assert not any("cut" in tags for tags in again.values())

    @pytest.mark.slow
    def test_a_real_server(self, finished, tmp_path):
        import mlflow

        subprocess.run([sys.executable, "-m", "venv", tmp_path / "server"], check=True)
        python = tmp_path / "server/bin/python"
        wanted = f"mlflow=={mlflow.__version__}"
        subprocess.run([python, "-m", "pip", "install", "-q", wanted], check=True)
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        server = subprocess.Popen(
            [python, "-m", "mlflow", "server", "--port", str(port), "--workers", "1",
             "--backend-store-uri", f"sqlite:///{tmp_path}/server.db",
             "--artifacts-destination", str(tmp_path / "files")],
        )  # fmt: skip
        try:
            wait_for(address, server)
            command = [sys.executable, "-m", "grevy", "sweep", finished[0], "-o", tmp_path / "S"]
            environment = {**os.environ, "MLFLOW_TRACKING_URI": address}
            subprocess.run([*command, "--track", "mlflow"], check=True, env=environment)
            assert_in_mlflow(tmp_path / "S", address)
        finally:
            server.terminate()
            server.wait()


def wait_for(address, server):
    for _ in range(600):
        assert server.poll() is None
        try:
            with urllib.request.urlopen(f"{address}/health"):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"{address} does not answer")


def wandb_records(path):
    """Read the records of an offline run: blocks of 32 KiB, records in one or more parts."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


class TestWandb:
    @pytest.mark.slow
    def test_an_offline_run_holds_everything(self, begun, grevy_run, monkeypatch):
        path, folder = begun
        monkeypatch.setenv("WANDB_MODE", "offline")
        command = ("sweep", path, "-o", folder, "--on", "debug", "--track", "wandb")
        code, _, err = grevy_run(*command)
        assert (code, "not sent" in err) == (0, False)
        for name, run in sent(folder).items():
            (file,) = (folder / "wandb").glob(f"offline-run-*-{name}/run-{name}.wandb")
            records = list(wandb_records(file))
            (about,) = (each.run for each in records if each.run.run_id)
            assert (about.project, about.run_group, about.display_name) == ("grevy", "S", run.name)
            settings = {each.key: json.loads(each.value_json) for each in about.config.update}
            assert {key: settings[key] for key in run.settings} == run.settings
            summary = {
                ".".join(each.nested_key or [each.key]): json.loads(each.value_json)
                for record in records
                for each in record.summary.update
            }
            assert {key: summary[key.replace(".", "/")] for key in run.numbers} == run.numbers
            losses = [
                json.loads(each.value_json)
                for record in records
                for each in record.history.item
                if "training/loss" in (each.key, *each.nested_key)
            ]
            assert losses == [value for _, value in run.curves["training.loss"]]
            files = {
                entry.path
                for record in records
                for entry in record.request.log_artifact.artifact.manifest.contents
            } | {entry.path for record in records for entry in record.artifact.manifest.contents}
            assert files == set(run.files)

    @pytest.mark.slow
    def test_no_key_is_one_message(self, begun, tmp_path):
        environment = {**os.environ, "HOME": str(tmp_path), "NETRC": str(tmp_path / "none")}
        environment.pop("WANDB_API_KEY", None)
        done = subprocess.run(
            [sys.executable, "-m", "grevy", "sweep", *map(str, begun[:1]), "-o", begun[1],
             "--track", "wandb"],
            capture_output=True, text=True, check=False, env=environment, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 2
        assert "wandb login" in done.stderr
        assert "Traceback" not in done.stderr
