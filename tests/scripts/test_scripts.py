"""The manual's scripts: its functions, its commands and its files, exactly as it says."""

import importlib.util
import inspect
import json
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cebra
import joblib
import numpy as np
import pytest

import grevy
from grevy import archive
from grevy.data.labels import continuous
from grevy.data.recording import make_recording
from grevy.data.segments import segments_from_identifiers
from grevy.data.splits import segment_split
from grevy.runs.experiment import Run

SCRIPTS = Path(__file__).parents[2] / "experiments"

# The manual, section 4, and what keeps a test short.
COMMANDS = [
    """python experiments/run_synthetic_experiment.py \
    --dataset demo-continuous \
    --max-iterations 5000 \
    --output-dir ./results/my_experiment""",
    """python experiments/run_synthetic_experiment.py \
    --dataset demo-continuous \
    --model-architecture offset5-model \
    --time-offsets 5 \
    --max-iterations 8000""",
]
SHORT = ["--max-iterations", "3", "--device", "cpu", "--batch-size", "32"]


def load(name):
    spec = importlib.util.spec_from_file_location(f"script_{name}", SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script():
    return load("run_synthetic_experiment")


@pytest.fixture(scope="module")
def quick_test():
    return load("quick_test")


CONFIG = {
    "model_architecture": "offset5-model",
    "output_dimension": 3,
    "max_iterations": 3,
    "batch_size": 32,
    "learning_rate": 3e-4,
    "temperature": 1.0,
    "time_offsets": 5,
    "distance": "cosine",
    "conditional": "time_delta",
    "device": "cpu",
    "seed": 0,
}


def check_outputs(folder, rows, columns, dataset):
    """Every path of the manual's section 3.2 exists and holds what it says."""
    model = cebra.CEBRA.load(folder / "models" / "cebra_model.pt")
    embedding = np.load(folder / "embeddings" / "embedding.npy", allow_pickle=False)
    assert embedding.shape == (rows, columns)
    figure = (folder / "figures" / "embedding_visualization.png").read_bytes()
    assert figure.startswith(b"\x89PNG")
    assert len(figure) > 10_000
    results = joblib.load(folder / "logs" / "experiment_results.jl")
    assert set(results) == {"config", "metrics", "embedding_shape", "timestamp"}
    assert tuple(results["embedding_shape"]) == (rows, columns)
    assert results["config"]["dataset"] == dataset
    summary = (folder / "logs" / "summary.txt").read_text()
    assert f"({rows}, {columns})" in summary
    assert dataset in summary
    assert "goodness of fit" in summary
    assert archive.verify(archive.RunFolder(folder)) == []
    return model, embedding, results


class TestFunctions:
    """Each by its name in the manual, called as the manual says."""

    @pytest.mark.parametrize(
        ("name", "parameters"),
        [
            ("setup_directories", ["output_dir"]),
            ("load_synthetic_data", ["dataset_name"]),
            ("train_cebra_model", ["neural", "labels", "config"]),
            ("evaluate_embedding", ["model", "neural", "labels", "output_path"]),
            ("create_visualizations", ["embedding", "labels", "output_path"]),
            ("calculate_metrics", ["embedding", "labels"]),
            ("save_results", ["model", "embedding", "metrics", "config", "output_path"]),
            ("main", []),
        ],
    )
    def test_signature(self, script, name, parameters):
        given = inspect.signature(getattr(script, name)).parameters.values()
        required = [each.name for each in given if each.default is each.empty]
        assert required == parameters
        assert [each.name for each in given][: len(parameters)] == parameters

    def test_the_chain_on_arrays(self, script, tmp_path, capsys):
        output = script.setup_directories(tmp_path / "a" / "b")
        made = {path.name for path in (tmp_path / "a" / "b").iterdir()}
        assert made >= {"models", "embeddings", "figures", "logs"}
        neural, labels, dataset = script.load_synthetic_data("demo-continuous")
        assert type(neural) is type(labels) is np.ndarray
        assert neural.shape == (1000, 4)
        assert labels.shape == (1000, 3)
        assert isinstance(dataset, grevy.Recording)
        model = script.train_cebra_model(neural, labels, CONFIG)
        assert isinstance(model, cebra.CEBRA)
        assert "learning_rate: 0.0003" in capsys.readouterr().out
        embedding, metrics = script.evaluate_embedding(model, neural, labels, output)
        np.testing.assert_array_equal(embedding, model.transform(neural))
        assert {"train_r2", "test_r2", "prediction_r2"} <= set(metrics)
        assert (output / "figures" / "embedding_visualization.png").is_file()
        config = {"dataset": "demo-continuous", **CONFIG}
        script.save_results(model, embedding, metrics, config, output)
        assert not (output / archive.CHECKPOINTS).exists()  # the run is finished
        loaded, _, results = check_outputs(output, 1000, 3, "demo-continuous")
        np.testing.assert_allclose(loaded.transform(neural), embedding, atol=1e-5)
        assert results["metrics"] == metrics
        assert results["config"] == config

    def test_metrics_are_the_manuals(self, script):
        """Ridge regression on scikit-learn's random split, written out once more."""
        from sklearn.linear_model import Ridge
        from sklearn.metrics import r2_score
        from sklearn.model_selection import train_test_split

        rng = np.random.default_rng(0)
        embedding = rng.normal(size=(300, 3))
        labels = embedding @ rng.normal(size=(3, 2)) + rng.normal(size=(300, 2))
        x_train, x_test, y_train, y_test = train_test_split(
            embedding, labels, test_size=0.2, random_state=42
        )
        ridge = Ridge().fit(x_train, y_train)
        metrics = script.calculate_metrics(embedding, labels)
        assert metrics["train_r2"] == pytest.approx(ridge.score(x_train, y_train))
        assert metrics["test_r2"] == pytest.approx(ridge.score(x_test, y_test))
        assert metrics["prediction_r2"] == pytest.approx(r2_score(y_test, ridge.predict(x_test)))

    @pytest.mark.parametrize("columns", [1, 2, 5])
    def test_metrics_of_any_number_of_columns(self, script, columns):
        embedding = np.random.default_rng(0).normal(size=(100, 3))
        labels = np.random.default_rng(1).normal(size=(100, columns))
        flat = labels[:, 0] if columns == 1 else labels
        assert "test_r2" in script.calculate_metrics(embedding, flat)

    def test_classes_are_classified(self, script):
        embedding = np.random.default_rng(0).normal(size=(100, 3))
        metrics = script.calculate_metrics(embedding, (embedding[:, 0] > 0).astype(int))
        (scores,) = metrics["scores"].values()
        assert scores["random"]["accuracy"] > 0.8
        assert "test_r2" not in metrics

    @pytest.mark.parametrize("labels", [None, "columns", "row", "classes", "label"])
    def test_drawing_any_labels(self, script, tmp_path, labels):
        rng = np.random.default_rng(0)
        given = {
            None: None,
            "columns": rng.normal(size=(60, 5)),
            "row": rng.normal(size=60),
            "classes": rng.integers(0, 4, 60),
            "label": continuous(rng.normal(size=60), "speed"),
        }[labels]
        script.create_visualizations(rng.normal(size=(60, 3)), given, tmp_path)
        path = tmp_path / "figures" / "embedding_visualization.png"
        assert path.read_bytes().startswith(b"\x89PNG")

    def test_a_setting_misspelt(self, script):
        with pytest.raises(grevy.GrevyError, match="'max_iterations'"):
            script.train_cebra_model(np.eye(50), None, {"max_iteration": 3})


class TestCommands:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_as_printed(self, command, tmp_path):
        words = shlex.split(command)
        assert (SCRIPTS.parent / words[1]).is_file()
        words[:2] = [sys.executable, str(SCRIPTS.parent / words[1])]
        done = subprocess.run(
            [*words, "--max-iterations", "3", "--batch-size", "32"],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "train R2" in done.stdout
        assert "prediction R2" in done.stdout
        named = "my_experiment" if "my_experiment" in command else "synthetic_experiment"
        check_outputs(tmp_path / "results" / named, 1000, 3, "demo-continuous")

    def test_every_flag_of_the_manual(self, script):
        given = """--dataset demo-continuous --model-architecture offset1-model
            --output-dimension 2 --max-iterations 7 --batch-size 9 --learning-rate 0.1
            --temperature 2 --time-offsets 4 --distance euclidean --conditional time
            --device cpu --output-dir there"""
        options = script.parse_arguments(given.split())
        assert options.time_offsets == [4]
        assert options.learning_rate == 0.1
        assert script.parse_arguments([]).output_dir == "./results/synthetic_experiment"
        assert script.parse_arguments([]).holdout == 0

    @pytest.mark.parametrize(
        ("dataset", "rows", "kinds"),
        [
            ("demo-discrete", 1000, ["discrete"]),
            ("demo-mixed", 1000, ["continuous", "discrete"]),
            ("demo-continuous-multisession", None, ["continuous"]),
        ],
    )
    def test_other_demos(self, script, tmp_path, dataset, rows, kinds, capsys):
        given = [*SHORT, "--dataset", dataset, "--output-dir", str(tmp_path / "run")]
        assert script.main(given) == 0
        metrics = json.loads((tmp_path / "run" / archive.METRICS).read_text())
        assert [each["kind"] for each in metrics["scores"].values()] == kinds
        if rows is None:
            neural, _, _ = script.load_synthetic_data(dataset)
            assert len(neural) > 1
            rows = sum(map(len, neural))
        check_outputs(tmp_path / "run", rows, 3, dataset)

    def test_the_parts_of_a_mixed_data_set(self, script, tmp_path):
        neural, labels, dataset = script.load_synthetic_data("demo-mixed")
        assert isinstance(labels, tuple)
        assert [label.dtype.kind for label in labels] == ["f", "i"]
        model = script.train_cebra_model(neural, labels, {**CONFIG})
        again = script.train_cebra_model(dataset, None, {**CONFIG})
        np.testing.assert_array_equal(model.transform(neural), again.transform(dataset))

    def test_held_out_blocks_beside_the_random_split(self, script, tmp_path, capsys):
        given = [*SHORT, "--holdout", "0.2", "--output-dir", str(tmp_path / "run")]
        assert script.main(given) == 0
        assert "held-out blocks, embedding" in capsys.readouterr().out
        metrics = json.loads((tmp_path / "run" / archive.METRICS).read_text())
        assert metrics["holdout"]["test_steps"] == 200

    @pytest.mark.parametrize("seed", [None, 4])
    def test_whole_segments_are_held_out(self, script, tmp_path, seed):
        rng = np.random.default_rng(0)
        trials = np.repeat(np.arange(10), 30)
        recording = make_recording(
            rng.normal(size=(300, 6)).astype(np.float32),
            [continuous(rng.normal(size=300), "place")],
            segments=segments_from_identifiers(trials),
        )
        settings = {**CONFIG, "split": "segments", "holdout": 0.2, "seed": seed}
        model = script.train_cebra_model(recording, None, settings)
        asked = {"holdout": 0.2, "nulls": 0, "split": "segments"}
        _, metrics = script.evaluate_embedding(model, recording, None, tmp_path, **asked)
        assert metrics["holdout"]["split"] == "segments"
        assert metrics["holdout"]["test_segments"] == 2
        expected = segment_split(recording.segments, 0.2, model.seed_)
        steps = np.load(tmp_path / archive.DECODED)["steps_0"]
        np.testing.assert_array_equal(steps, expected.test)

    def test_a_finished_run_is_kept(self, script, tmp_path, capsys):
        given = [*SHORT, "--seed", "1", "--output-dir", str(tmp_path / "run")]
        assert script.main(given) == 0
        before = (tmp_path / "run" / archive.EMBEDDING).read_bytes()
        assert script.main([*given, "--seed", "2"]) == 2
        assert "--overwrite" in capsys.readouterr().err
        assert (tmp_path / "run" / archive.EMBEDDING).read_bytes() == before
        assert archive.verify(archive.RunFolder(tmp_path / "run")) == []
        assert script.main([*given, "--seed", "2", "--overwrite"]) == 0
        assert (tmp_path / "run" / archive.EMBEDDING).read_bytes() != before
        assert archive.verify(archive.RunFolder(tmp_path / "run")) == []

    def test_a_finished_run_asked_for_again_is_done(self, script, tmp_path, capsys):
        given = [*SHORT, "--seed", "1", "--output-dir", str(tmp_path / "run"), "--resume"]
        assert script.main(given) == 0
        before = (tmp_path / "run" / archive.MANIFEST).read_bytes()
        assert script.main(given) == 0
        assert "already finished" in capsys.readouterr().out
        assert script.main([*given, "--seed", "2"]) == 2
        assert "--seed is 1 there and 2 here" in capsys.readouterr().err
        assert (tmp_path / "run" / archive.MANIFEST).read_bytes() == before

    def test_an_unfinished_training_is_kept(self, script, tmp_path, capsys):
        given = [*SHORT, "--output-dir", str(tmp_path)]
        kept = tmp_path / archive.CHECKPOINTS / "step_000000120.pt"
        kept.parent.mkdir()
        kept.write_bytes(b"cut off")
        assert script.main(given) == 2
        assert "holds a training at step 120: give --resume" in capsys.readouterr().err
        assert kept.exists()
        assert script.main([*given, "--overwrite"]) == 0
        assert not kept.exists()

    def test_its_archive_runs_again_in_the_command_line(self, script, tmp_path, monkeypatch):
        from grevy import cli

        assert script.main([*SHORT, "--output-dir", str(tmp_path / "a")]) == 0
        given = ["grevy", "run", "--config", str(tmp_path / "a" / "config.yaml"), "--quiet"]
        monkeypatch.setattr(sys, "argv", [*given, "--output-dir", str(tmp_path / "b")])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert not stopped.value.code
        a, b = ((tmp_path / each / archive.EMBEDDING).read_bytes() for each in "ab")
        assert a == b

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            (["--dataset", "demo-continous"], "Did you mean 'demo-continuous'"),
            (["--model-architecture", "offset10"], "unknown model 'offset10'"),
            (["--output-dimension", "1"], "output_dimension=1"),
            (["--distance", "x"], "expected cosine or euclidean"),
            (["--conditional", "delta_normal"], "needs a positive delta"),
            (["--device", "cuda:77"], "cuda:77"),
            (["--split", "segments", "--holdout", "0.2"], "the data has 1 segment;"),
            (["--split", "trials"], "expected blocks or segments"),
        ],
    )
    def test_a_mistake_is_said(self, script, tmp_path, given, words, capsys):
        assert script.main([*SHORT, "--output-dir", str(tmp_path / "run"), *given]) == 2
        captured = capsys.readouterr()
        assert words in captured.err
        assert not list(tmp_path.iterdir())

    def test_generated_data_are_what_the_experiment_loads(self, script, tmp_path, monkeypatch):
        monkeypatch.setenv("CEBRA_DATADIR", str(tmp_path))
        monkeypatch.delenv("CEBRA_DATA_PATH", raising=False)
        given = ["--noise", "laplace", "--n-samples", "300", "--neurons", "10"]
        assert load("generate_synthetic_data").main(given) == 0
        neural, labels, dataset = script.load_synthetic_data("continuous-label-laplace")
        assert neural.shape == (300, 10)
        assert labels.shape == (300, 1)
        assert dataset.latent.shape == (300, 2)


class TestQuickTest:
    @pytest.fixture(scope="class")
    @classmethod
    def run(cls, tmp_path_factory):
        """What its run leaves behind, but made up: quick, and to be spoilt."""
        folder = archive.open_folder(tmp_path_factory.mktemp("quick") / "run")
        model = grevy.CEBRA("offset1-model", max_iterations=1, batch_size=8, device="cpu")
        model.fit(np.random.default_rng(0).normal(size=(20, 4))).save(folder / archive.MODEL)
        archive.write_bytes(folder / archive.CONFIG, b"{}")
        archive.write_array(folder / archive.EMBEDDING, np.ones((15000, 2), np.float32))
        archive.seal(folder, [], "id", None, {})
        return Run(folder, None, {"goodness_of_fit_bits": 4.0, "latent_r2": 0.9}, "")

    def outcome(self, quick_test, monkeypatch, run):
        monkeypatch.setattr(quick_test, "run_experiment", lambda _config: run)
        return quick_test.main()

    def test_it_passes_where_all_is_well(self, quick_test, monkeypatch, run, capsys):
        assert self.outcome(quick_test, monkeypatch, run) == 0
        assert "all is well" in capsys.readouterr().out

    @pytest.mark.parametrize(
        "metrics",
        [
            {"goodness_of_fit_bits": 0.1},
            {"latent_r2": 0.5},
            {"latent_r2": float("nan")},
            {"goodness_of_fit_bits": float("nan")},
        ],
    )
    def test_an_embedding_that_tells_nothing(self, quick_test, monkeypatch, run, metrics):
        spoilt = replace(run, metrics={**run.metrics, **metrics})
        with pytest.raises(SystemExit) as stopped:
            self.outcome(quick_test, monkeypatch, spoilt)
        assert stopped.value.code == 1

    @pytest.mark.parametrize("name", [archive.MANIFEST, archive.EMBEDDING, archive.MODEL])
    def test_a_missing_file(self, quick_test, monkeypatch, run, name):
        content = (run.folder / name).read_bytes()
        (run.folder / name).unlink()
        try:
            with pytest.raises(SystemExit) as stopped:
                self.outcome(quick_test, monkeypatch, run)
        finally:
            (run.folder / name).write_bytes(content)
        assert stopped.value.code == 1

    def test_a_mistake_in_the_chain(self, quick_test, monkeypatch):
        def broken(_config):
            raise grevy.GrevyError("broken")

        monkeypatch.setattr(quick_test, "run_experiment", broken)
        with pytest.raises(grevy.GrevyError):  # which ends a process with exit code 1
            quick_test.main()

    @pytest.mark.slow
    def test_as_printed(self, tmp_path):
        done = subprocess.run(
            [sys.executable, SCRIPTS / "quick_test.py"],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.endswith("all is well\n")
        assert "FAILED" not in done.stdout
        assert list(tmp_path.iterdir()) == []
