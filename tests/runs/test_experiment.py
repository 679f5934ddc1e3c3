"""One run: nothing leaks from held-out blocks, scores by the kind of label, the same seed again."""

import json
import logging
import re
import subprocess
import sys

import cebra
import numpy as np
import pytest
import torch

from grevy import archive
from grevy.archive.reading import read_run
from grevy.config import make_config, read_config
from grevy.data import join_recordings
from grevy.data.datasets import synthetic
from grevy.data.labels import circular, continuous, discrete
from grevy.data.recording import make_recording
from grevy.data.splits import Split
from grevy.errors import GrevyError
from grevy.evaluation.scoring import evaluate
from grevy.report.page.evidence import loss_chart
from grevy.report.summary import describe_metrics
from grevy.runs import embed_recordings, holdout_split
from grevy.runs.experiment import run_experiment, train
from grevy.runs.preparing import load_recordings, make_model
from logged import logged

SMALL = {
    "max_iterations": 3,
    "batch_size": 32,
    "model_architecture": "offset5-model",
    "num_hidden_units": 8,
    "time_offsets": 3,
    "device": "cpu",
    "seed": 0,
    "folds": 0,
}


def make_labels(kinds, length, rng):
    made = {
        "continuous": lambda: continuous(rng.normal(size=(length, 2)), "position"),
        "circular": lambda: circular(rng.uniform(0, 360, length), 360, "heading"),
        "discrete": lambda: discrete(rng.integers(0, 3, length), "choice"),
    }
    return [made[kind]() for kind in kinds]


def make(kinds=(), length=400, neurons=5, seed=0, segments=None):
    rng = np.random.default_rng(seed)
    labels = make_labels(kinds, length, rng)
    neural = rng.normal(size=(length, neurons))
    return make_recording(neural, labels, segments=segments, source=f"made {seed}")


def trained(recordings, settings, tmp_path):
    """Train as `run_experiment` does; return the model, the split and what was said."""
    config = make_config({"dataset": "arrays", **SMALL, **settings})
    model = make_model(config, verbose=False)
    split = holdout_split(model, recordings, config.holdout)
    with logged() as said:
        train(model, recordings, split, config, None, False)
    return model, split, said


def weights(model):
    return [value.clone() for value in model.model_.state_dict().values()]


def absurd(recording, kept):
    """The same recording with nonsense in every step that is not kept: activity and labels."""
    gone = np.setdiff1d(np.arange(len(recording)), kept)
    neural = recording.neural.copy()
    neural[gone] = 1e6 * np.random.default_rng(9).normal(size=(len(gone), neural.shape[1]))
    labels = []
    for label in recording.labels:
        values = label.unit_values.copy()
        # Continuous values far away, and right on top of those that are kept.
        values[gone] = values[np.random.default_rng(8).choice(kept, len(gone))]
        if label.kind == "continuous":
            values[gone[::2]] = -1e9
        kinds = {"continuous": continuous, "discrete": discrete}
        if label.kind == "circular":
            labels.append(circular(values, label.period, label.name))
        else:
            labels.append(kinds[label.kind](values, label.name))
    return make_recording(neural, labels, segments=recording.segments, source=recording.source)


LEAKS = [
    ((), {}),
    (("continuous",), {}),
    (("continuous",), {"conditional": "delta_normal", "delta": 0.5}),
    (("continuous",), {"conditional": "time"}),
    (("continuous",), {"hybrid": True}),
    (("continuous",), {"batch_size": None}),
    (("circular",), {}),
    (("discrete",), {}),
    (("discrete",), {"prior": "uniform"}),
    (("discrete", "continuous"), {}),
    (("discrete", "circular", "continuous"), {}),
    (("continuous",), {"model_architecture": "offset1-model", "time_offsets": 1}),
    (("continuous",), {"time_offsets": [1, 7]}),
]


class TestHoldout:
    @pytest.mark.parametrize(("kinds", "settings"), LEAKS, ids=str)
    @pytest.mark.parametrize("length", [400, 4000])
    def test_the_encoder_sees_nothing_of_it(self, tmp_path, kinds, settings, length):
        """Nonsense in the held-out blocks and their neighbourhood moves no weight by one bit."""
        segments = [[0, length // 3], [length // 3 + 7, length]]
        plain = make(kinds, length, segments=segments)
        model, split, _ = trained([plain], settings, tmp_path)
        other, again, _ = trained([absurd(plain, split.train)], settings, tmp_path)
        np.testing.assert_array_equal(split.train, again.train)
        for ours, theirs in zip(weights(model), weights(other), strict=True):
            assert torch.equal(ours, theirs)

    def test_the_test_above_would_notice(self, tmp_path):
        plain = make(("continuous",))
        model, split, _ = trained([plain], {}, tmp_path)
        one_step_less = split.train[split.train != split.train[20]]
        other, _, _ = trained([absurd(plain, one_step_less)], {"max_iterations": 20}, tmp_path)
        model, _, _ = trained([plain], {"max_iterations": 20}, tmp_path)
        pairs = zip(weights(model), weights(other), strict=True)
        assert not all(torch.equal(ours, theirs) for ours, theirs in pairs)

    @pytest.mark.parametrize("kinds", [("continuous",), ("discrete",), ("circular", "discrete")])
    def test_nor_in_several_recordings(self, tmp_path, kinds):
        plain = [make(kinds, 300, 4, 1), make(kinds, 260, 6, 2)]
        model, split, _ = trained(plain, {}, tmp_path)
        borders = [(0, 300), (300, 560)]
        kept = [split.train[(split.train >= a) & (split.train < b)] - a for a, b in borders]
        changed = [absurd(r, inside) for r, inside in zip(plain, kept, strict=True)]
        other, _, _ = trained(changed, {}, tmp_path)
        for ours, theirs in zip(weights(model), weights(other), strict=True):
            assert torch.equal(ours, theirs)

    def test_windows_and_pairs_of_the_training_stay_clear_of_it(self, tmp_path):
        recording = make(("continuous",), 1000)
        config = {"time_offsets": [2, 9]}
        model, split, _ = trained([recording], config, tmp_path)
        left, right = model.offset_.left, model.offset_.right
        nearest = np.abs(split.train[:, None] - split.test[None]).min()
        assert nearest > left + right - 1 + 9

    def test_without_a_holdout_there_is_no_split(self, tmp_path):
        _, split, _ = trained([make()], {"holdout": 0}, tmp_path)
        assert split is None

    def test_every_step_is_embedded_all_the_same(self, tmp_path):
        recording = make(("continuous",))
        model, _, _ = trained([recording], {}, tmp_path)
        assert embed_recordings(model, [recording]).shape == (400, 3)


def angles(length, rng):
    return rng.uniform(0, 2 * np.pi, length)


def scored(*arguments):
    return evaluate(*arguments, nulls=0).metrics


class TestScores:
    split = Split(np.arange(300), np.arange(320, 400))

    @pytest.fixture
    def embedding(self):
        return np.random.default_rng(3).normal(size=(400, 3)).astype(np.float32)

    def test_continuous(self, embedding):
        label = continuous(embedding @ [[1.0], [2.0], [0.5]], "x")
        metrics = scored(embedding, make_recording(embedding, [label]), self.split, embedding)
        assert metrics["train_r2"] > 0.99
        assert metrics["test_r2"] == metrics["prediction_r2"] > 0.99
        scores = metrics["scores"]["x"]
        assert scores["kind"] == "continuous"
        assert set(scores["blocked"]) == {"embedding", "pca", "raw", "chance"}
        assert scores["blocked"]["raw"]["test_r2"] > 0.99
        assert metrics["holdout"] == {"split": "blocks", "train_steps": 300, "test_steps": 80}

    def test_circular(self):
        rng = np.random.default_rng(0)
        angle = angles(400, rng)
        embedding = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        label = circular(np.degrees(angle), 360, "heading")
        metrics = scored(embedding, make_recording(embedding, [label]), self.split)
        scores = metrics["scores"]["heading"]
        assert scores["kind"] == "circular"
        for each in (scores["random"], scores["blocked"]["embedding"]):
            assert each["mean_error"] < 1  # degree
            assert each["correlation"] > 0.99
        assert "train_r2" not in metrics

    def test_discrete(self, embedding):
        label = discrete(np.where(embedding[:, 0] > 0, "left", "right"), "side")
        metrics = scored(embedding, make_recording(embedding, [label]), self.split)
        scores = metrics["scores"]["side"]
        assert scores["kind"] == "discrete"
        assert scores["random"]["accuracy"] > 0.9
        assert scores["blocked"]["embedding"]["balanced_accuracy"] > 0.9
        assert scores["random"]["f1"] > 0.9
        assert "train_r2" not in metrics

    def test_mixed(self, embedding):
        labels = [
            continuous(embedding[:, :2], "place"),
            discrete(embedding[:, 2] > 0, "side"),
            continuous(embedding[:, 2], "speed"),
        ]
        metrics = scored(embedding, make_recording(embedding, labels))
        assert list(metrics["scores"]) == ["place", "side", "speed"]
        assert metrics["test_r2"] > 0.99  # over all three continuous columns
        assert "blocked" not in metrics["scores"]["place"]
        assert "holdout" not in metrics

    def test_none(self, embedding):
        metrics = scored(embedding, make_recording(embedding), self.split)
        assert metrics["scores"] == {}
        assert "train_r2" not in metrics
        assert "no label was given" in metrics["note"]

    def test_the_true_latent(self, embedding):
        rng = np.random.default_rng(1)
        latent = embedding[:, :2] + 0.1 * rng.normal(size=(400, 2))
        metrics = scored(embedding, make_recording(embedding, latent=latent), self.split)
        assert 0.95 < metrics["latent_r2"] < 1

    def test_steps_outside_segments_are_not_scored(self, embedding):
        values = embedding[:, 0].astype(float)
        values[300:] = 1e9
        label = continuous(values, "x")
        whole = make_recording(embedding, [label], segments=[[0, 150], [150, 300]])
        metrics = scored(embedding, whole)
        assert metrics["test_r2"] > 0.99
        assert metrics["scores"]["x"]["random"]["test_r2"] > 0.99

    @pytest.mark.parametrize("holdout", [0.0, 0.2])
    def test_a_run_over_segments_with_gaps(self, tmp_path, holdout):
        rng = np.random.default_rng(0)
        arrays = {"neural": rng.normal(size=(400, 5)), "place": rng.normal(size=400)}
        np.savez(tmp_path / "x.npz", **arrays, runs=[[10, 190], [200, 390]])
        settings = {"data": str(tmp_path / "x.npz"), "neural": "neural", "label": "place"}
        settings |= {"segments": "runs", "holdout": holdout, "output_dir": str(tmp_path / "run")}
        done = run_experiment(make_config({**SMALL, **settings}), verbose=False)
        embedding = np.load(done.folder / archive.EMBEDDING)
        assert np.flatnonzero(np.isnan(embedding).any(axis=1)).tolist() == [
            *range(10), *range(190, 200), *range(390, 400),
        ]  # fmt: skip
        assert np.isfinite(done.metrics["scores"]["place"]["random"]["test_r2"])

    def test_gaps_leave_every_score_as_it_is_without_them(self, embedding):
        rng = np.random.default_rng(1)
        values = rng.normal(size=400)
        inside = np.r_[0:150, 200:400]
        split = Split(np.r_[0:100, 200:300], np.r_[120:150, 350:400])
        gaps = embedding.copy()
        gaps[150:200] = np.nan
        whole = make_recording(embedding, [continuous(values)], segments=[[0, 150], [200, 400]])
        short = make_recording(embedding[inside], [continuous(values[inside])])
        moved = Split(*(np.searchsorted(inside, steps) for steps in (split.train, split.test)))
        expected = scored(embedding[inside], short, moved, short.neural)
        assert scored(gaps, whole, split, whole.neural) == expected

    def test_a_diverged_embedding_is_an_error(self, embedding):
        broken = embedding.copy()
        broken[7] = np.nan
        with pytest.raises(GrevyError, match=r"NaN or infinite at 1 of 400.*smaller learning rate"):
            scored(broken, make_recording(embedding))

    def test_they_are_ready_for_json(self, embedding):
        labels = make_labels(("continuous", "circular", "discrete"), 400, np.random.default_rng(0))
        whole = make_recording(embedding, labels, latent=embedding.astype(float))
        metrics = scored(embedding, whole, self.split, embedding)
        assert json.loads(json.dumps(metrics, allow_nan=False))["scores"]

    def test_the_leaky_figure_is_never_said_alone(self, embedding):
        """A smooth label that has nothing to do with the data (row 11 of the facts)."""
        label = continuous(np.linspace(0, 1, 400), "drift")
        smooth = np.cumsum(embedding, axis=0)
        metrics = scored(smooth, make_recording(smooth, [label]), self.split)
        lines = describe_metrics(metrics)
        leaky = [number for number, line in enumerate(lines) if line.startswith("  random split:")]
        assert leaky
        for number in leaky:
            assert "held-out blocks" in lines[number + 1]
        assert "leaky" in "\n".join(lines)

    def test_the_manuals_scores_say_what_they_are(self, embedding):
        whole = make_recording(
            embedding, make_labels(("continuous",), 400, np.random.default_rng(0))
        )
        lines = describe_metrics(scored(embedding, whole, self.split))
        at = next(place for place, line in enumerate(lines) if line.startswith("train R2 "))
        assert "the manual's scores: one ridge regression" in lines[at + 1]
        assert "prediction R2 is test R2" in lines[at + 1]
        assert "scores below are by decoders chosen" in lines[at + 1]
        assert lines[at + 2] == "position (continuous)"


WALK = np.cumsum(np.random.default_rng(1).normal(0.1, 0.3, 500))
DEGREES = "label 'x': values from 0 to 359 look like degrees; give `period=360`."
MANY = "label 'x': 500 classes in 500 time steps; give x:continuous if it is a quantity."


@pytest.mark.parametrize(
    ("values", "kind", "period", "told"),
    [
        pytest.param(np.arange(500) % 360, "circular", None, [DEGREES], id="degrees"),
        pytest.param(np.arange(500) % 360, "circular", 360, [], id="period given"),
        pytest.param(WALK % (2 * np.pi), "circular", None, [], id="radians"),
        pytest.param(0.1 * np.arange(500), "circular", None, [], id="radians that go on counting"),
        pytest.param(np.arange(500) % 360, "continuous", None, [], id="continuous"),
        pytest.param(np.arange(500), None, None, [MANY], id="position in whole numbers"),
        pytest.param(np.arange(500) // 5, None, None, [], id="100 classes"),
        pytest.param(np.arange(500).astype(str), None, None, [], id="names"),
    ],
)
def test_a_label_that_is_likely_meant_otherwise_is_told(tmp_path, values, kind, period, told):
    np.savez(tmp_path / "data.npz", neural=np.random.default_rng(0).normal(size=(500, 3)), x=values)
    settings = {"data": str(tmp_path / "data.npz"), "neural": "neural"}
    settings |= {"label": f"x:{kind}" if kind else "x", "period": period}
    with logged(logging.WARNING) as said:
        load_recordings(make_config(settings))
    assert said == told


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "recording.npz"
    rng = np.random.default_rng(0)
    np.savez(
        path,
        neural=rng.poisson(2, size=(300, 6)),
        place=rng.normal(size=(300, 2)),
        heading=rng.uniform(0, 360, 300),
        side=rng.choice(["left", "right"], 300),
        trial=np.arange(300) // 100,
    )
    return path


class TestRun:
    @pytest.mark.parametrize(
        ("labels", "kinds"),
        [
            ([], []),
            (["place"], ["continuous"]),
            (["heading:circular"], ["circular"]),
            (["side"], ["discrete"]),
            (["place", "heading:circular", "side"], ["continuous", "circular", "discrete"]),
        ],
    )
    def test_from_a_file(self, file, tmp_path, labels, kinds):
        settings = {"data": str(file), "neural": "neural", "label": labels, "segments": "trial"}
        if "heading:circular" in labels:
            settings["period"] = 360
        output = tmp_path / "run"
        config = make_config({**SMALL, **settings, "output_dir": str(output)})
        done = run_experiment(config, verbose=False)
        scores = done.metrics["scores"]
        assert [each["kind"] for each in scores.values()] == kinds
        for each in scores.values():
            assert set(each["blocked"]) == {
                "embedding", "pca", "raw", "pca_one_step", "raw_one_step", "chance",
            }  # fmt: skip
            assert each["null"]["method"] == "held-out"
            assert each["null"]["n"] == 97  # all that there are in segments of 100
            assert ("p_adjusted" in each["null"]) == (len(kinds) > 1)
        assert done.metrics.get("window_steps", 5) == 5
        assert ("test_r2" in done.metrics) == ("continuous" in kinds)
        assert ("note" in done.metrics) == (not kinds)
        # The loss of knowing nothing: drawn with the loss, no score of the run.
        chance = done.metrics["chance_nats"]
        assert chance == pytest.approx(np.log(32))
        run = read_run(done.folder)
        assert f"chance is {chance:.2f} nats" in loss_chart(run).caption
        assert "chance_nats" not in done.summary
        assert f"{chance:.3f}" not in done.summary
        assert archive.verify(done.folder) == []
        assert json.loads((done.folder / archive.METRICS).read_text()) == json.loads(
            json.dumps(done.metrics)
        )
        assert (done.folder / archive.SUMMARY).read_text() == done.summary

    def test_the_archived_settings_run_again_to_the_same_bits(self, file, tmp_path):
        # No seed, no conditional, no folds: what was drawn and decided is in the archive.
        settings = {"data": str(file), "neural": "neural", "label": ["place", "side"], **SMALL}
        settings |= dict.fromkeys(("seed", "folds", "time_offsets"))
        settings |= {"device": "auto", "output_dir": str(tmp_path / "a")}
        first = run_experiment(make_config(settings), verbose=False)
        archived = read_config(first.folder / archive.CONFIG)
        assert archived["seed"] is not None
        assert archived["device"] != "auto"
        assert archived["conditional"] == "time_delta"
        assert (archived["folds"], archived["nulls"], archived["time_offsets"]) == (5, 1000, [2])
        assert {each["null"]["method"] for each in first.metrics["scores"].values()} == {"folds"}
        again = make_config({**archived, "output_dir": str(tmp_path / "b")})
        second = run_experiment(again, verbose=False)
        for name in (archive.EMBEDDING, archive.METRICS, archive.HISTORY):
            assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()
        manifests = [archive.read_manifest(each.folder) for each in (first, second)]
        assert manifests[0]["run_id"] == manifests[1]["run_id"]

    def test_a_recording_that_is_too_short_to_hold_out(self, tmp_path):
        with pytest.raises(GrevyError, match="too few for a time-blocked holdout"):
            trained([make(("continuous",), 30)], {}, tmp_path)

    def test_a_batch_larger_than_the_training_blocks_is_said(self, tmp_path):
        _, split, said = trained([make(("continuous",))], {"batch_size": 350}, tmp_path)
        assert said == [
            f"the batch size of 350 exceeds the {len(split.train)} time steps to train on; steps "
            f"are then drawn more than once in a batch."
        ]

    def test_a_batch_that_fits_is_not_worth_a_word(self, tmp_path):
        _, split, _ = trained([make(("continuous",))], {}, tmp_path)
        _, _, said = trained([make(("continuous",))], {"batch_size": len(split.train)}, tmp_path)
        assert said == []

    def test_recordings_end_to_end(self):
        first, second = make(("discrete",), 50, 4, 1), make(("discrete",), 60, 7, 2)
        whole = join_recordings([first, second])
        assert len(whole) == 110
        assert whole.segments.tolist() == [[0, 50], [50, 110]]
        np.testing.assert_array_equal(
            whole.labels[0].unit_values,
            np.concatenate([first.labels[0].unit_values, second.labels[0].unit_values]),
        )

    def test_several_sessions(self, tmp_path):
        output = tmp_path / "run"
        settings = {"dataset": "demo-continuous-multisession", **SMALL, "output_dir": str(output)}
        done = run_experiment(make_config(settings), verbose=False)
        sessions = archive.read_manifest(done.folder)["data"]
        embedding = np.load(done.folder / archive.EMBEDDING)
        assert len(sessions) > 1
        assert len(embedding) == sum(session["time_steps"] for session in sessions)
        # The baselines need one set of neurons.
        (scores,) = done.metrics["scores"].values()
        assert set(scores["blocked"]) == {"embedding", "chance"}
        plain = cebra.CEBRA.load(done.folder / archive.MODEL)
        assert plain.num_sessions_ == len(sessions)

    def test_made_data_are_scored_against_the_true_latent(self, tmp_path, monkeypatch):
        monkeypatch.setenv("CEBRA_DATADIR", str(tmp_path / "cache"))
        made = synthetic.generate("poisson", 0, 600, 20)
        path = tmp_path / "cache" / "synthetic" / "continuous_label_poisson.jl"
        path.parent.mkdir(parents=True)
        synthetic.write(made, path)
        settings = {
            "dataset": "continuous-label-poisson",
            "offline": True,
            "model_architecture": "offset1-model-mse",
            "distance": "euclidean",
            "max_iterations": 300,
            "batch_size": 128,
            "learning_rate": 3e-3,
            "conditional": "delta_normal",
            "delta": 0.1,
            "output_dimension": 2,
            "device": "cpu",
            "seed": 0,
            "folds": 0,
            "output_dir": str(tmp_path / "run"),
        }
        done = run_experiment(make_config(settings), verbose=False)
        assert done.metrics["latent_r2"] > 0.5  # by chance it would be 0
        assert done.metrics["goodness_of_fit_bits"] > 1
        assert "linear R2 to the true latent" in done.summary


REGISTERING = """
import cebra.data
import cebra.datasets
import torch

@cebra.datasets.register("my-recording")
class Mine(cebra.data.SingleSessionDataset):
    def __init__(self):
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.neural = torch.randn(200, 5, generator=draw)
        self._index = torch.randn(200, 2, generator=draw)

    @property
    def input_dimension(self):
        return 5

    @property
    def continuous_index(self):
        return self._index

    def __len__(self):
        return len(self.neural)

    def __getitem__(self, index):
        return self.expand_index(index)
"""

DEMOS = [
    ("time", "demo-continuous", ["--conditional", "time"]),
    ("time_delta", "demo-continuous", []),
    ("delta_normal", "demo-continuous", ["--conditional", "delta_normal", "--delta", "0.3"]),
    ("discrete", "demo-discrete", []),
    ("mixed", "demo-mixed", []),
    ("hybrid", "demo-continuous", ["--hybrid"]),
    ("several", "demo-continuous-multisession", []),
]

SEVERAL_RUNS = """
import sys
from grevy import archive, cli
from grevy.runs import experiment

# Drawing takes most of a short run's time and decides nothing.
experiment.draw = archive.write_figure = lambda *_: None
for arguments in {runs!r}:
    sys.argv = ["grevy", *arguments]
    try:
        cli.main()
    except SystemExit as stop:
        assert not stop.code, (arguments, stop.code)
"""


def arguments(name, dataset, flags, seed, root):
    return [
        *["run", "--dataset", dataset, *flags, "--seed", str(seed), "--max-iterations", "3"],
        *["--batch-size", "32", "--device", "cpu", "--output-dir", str(root / name), "--quiet"],
        *["--folds", "0", "--nulls", "0"],
    ]


def in_another_process(runs, salt):
    return subprocess.Popen(
        [sys.executable, "-c", SEVERAL_RUNS.format(runs=runs)],
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONHASHSEED": salt, "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
    )


def test_the_same_seed_gives_the_same_bits_in_two_processes(tmp_path):
    runs = {
        place: [arguments(*demo, 5, tmp_path / place) for demo in DEMOS] for place in ("a", "b")
    }
    other = [arguments(name, *rest, 6, tmp_path / "c") for name, *rest in DEMOS]
    processes = [in_another_process(runs["a"], "1"), in_another_process(runs["b"] + other, "2")]
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    for name, *_ in DEMOS:
        a, b, c = ((tmp_path / each / name / archive.EMBEDDING).read_bytes() for each in "abc")
        assert a == b, name
        assert a != c, name


def test_a_data_set_registered_in_a_file_of_the_users_own(tmp_path):
    """Imported by name, in a process that has not seen it, and run again from the archive."""
    (tmp_path / "mine.py").write_text(REGISTERING)
    flags = ["--import", "mine.py", "--model-architecture", "offset5-model"]
    first = arguments("a", "my-recording", flags, 1, tmp_path)
    again = ["run", "--config", str(tmp_path / "a" / "config.yaml"), "--quiet"]
    again += ["--import", "mine.py"]
    again += ["--output-dir", str(tmp_path / "b")]
    process = subprocess.run(
        [sys.executable, "-c", SEVERAL_RUNS.format(runs=[first, again])],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
    )
    assert process.returncode == 0, process.stderr
    a, b = (np.load(tmp_path / each / archive.EMBEDDING) for each in "ab")
    assert a.shape == (200, 3)
    np.testing.assert_array_equal(a, b)
    summary = (tmp_path / "a" / archive.SUMMARY).read_text()
    assert re.search(r"^Data: my-recording$", summary, re.MULTILINE)
