"""What is said about an embedding: every score held to its own function, and nothing leaks."""

import json
import tracemalloc
from typing import ClassVar

import cebra
import numpy as np
import pytest
from scipy.signal import lfilter
from sklearn.neighbors import KNeighborsRegressor

from grevy.data.joining import restricted
from grevy.data.labels import circular, continuous, discrete
from grevy.data.recording import make_recording
from grevy.data.splits import Split, blocked_split, random_split
from grevy.errors import GrevyError
from grevy.evaluation.agreement import consistency
from grevy.evaluation.baselines import linear_map_r2, manual_scores, principal_components
from grevy.evaluation.decoding.decoder import decode, prepare
from grevy.evaluation.decoding.pairing import gain
from grevy.evaluation.kept import null_of_held_out
from grevy.evaluation.metrics import consistency_metrics
from grevy.evaluation.scoring import evaluate
from grevy.model.estimator import CEBRA
from grevy.model.goodness import goodness_metrics, goodness_of_fit, heldout_goodness_of_fit

T = 600
GAP = 6
WHOLE = np.array([[0, T]])
SPLIT = blocked_split(WHOLE, 0.2, GAP)


def slow(rng, length, tau, columns=1):
    keep = np.exp(-1 / tau)
    noise = np.sqrt(1 - keep**2) * rng.normal(size=(length, columns))
    noise[0] = rng.normal(size=columns)
    return lfilter([1], [1, -keep], noise, axis=0)


def made(seed=0, length=T):
    """An embedding that tells something of three labels, and neurons that tell a little."""
    rng = np.random.default_rng(seed)
    embedding = slow(rng, length, 3, 3).astype(np.float32)
    noise = 0.7 * rng.normal(size=(length, 3))
    labels = (
        continuous(embedding[:, :2] + noise[:, :2], "place"),
        circular(np.degrees(np.arctan2(*(embedding[:, 1:] + noise[:, 1:]).T)), 360, "heading"),
        discrete(np.where(embedding[:, 2] + noise[:, 2] > 0, "left", "right"), "side"),
    )
    neural = rng.poisson(np.exp(embedding @ rng.normal(0, 0.4, (3, 12)))).astype(np.float32)
    return embedding, make_recording(neural, labels)


EMBEDDING, RECORDING = made()
OPTIONS = {"gap": GAP, "nulls": 20, "n_bootstrap": 100}
KINDS = {label.name: label for label in RECORDING.labels}


@pytest.fixture(scope="module")
def found():
    return evaluate(EMBEDDING, RECORDING, SPLIT, RECORDING.neural, **OPTIONS)


def plain(scores):
    """The scores of a `Decoding` as they are written."""
    values = {name: getattr(scores, name) for name in scores.__dataclass_fields__}
    if "confusion" in values:
        values["confusion"] = {"classes": values.pop("classes"), "counts": values["confusion"]}
    return json.loads(json.dumps(values))


class TestEvaluate:
    def test_it_is_ready_for_json(self, found):
        assert json.loads(json.dumps(found.metrics, allow_nan=False)) == found.metrics

    def test_its_parts(self, found):
        metrics = found.metrics
        assert set(metrics) == {
            "train_r2", "test_r2", "prediction_r2", "scores", "leaky", "window_steps", "holdout",
        }  # fmt: skip
        assert metrics["window_steps"] == 1
        assert metrics["holdout"] == {
            "split": "blocks",
            "train_steps": len(SPLIT.train),
            "test_steps": len(SPLIT.test),
        }
        for scores in metrics["scores"].values():
            assert set(scores) == {"kind", "random", "blocked", "null"}
            assert set(scores["blocked"]) == {"embedding", "pca", "raw", "chance"}

    def test_the_manuals_scores(self, found):
        expected = manual_scores(EMBEDDING, KINDS["place"].values)
        assert {name: found.metrics[name] for name in expected} == expected

    @pytest.mark.parametrize("name", KINDS)
    @pytest.mark.parametrize("what", ["embedding", "pca", "raw"])
    def test_every_score_is_that_of_a_decoding(self, found, name, what):
        inputs = {
            "embedding": EMBEDDING,
            "pca": principal_components(RECORDING.neural, SPLIT.train, 3),
            "raw": RECORDING.neural,
        }[what]
        expected = decode(inputs, KINDS[name], SPLIT, gap=GAP, n_bootstrap=100)
        scores = dict(found.metrics["scores"][name]["blocked"][what])
        if what != "embedding":
            assert scores.pop("columns") == inputs.shape[1]
            assert scores.pop("window") == "one step"
            assert scores.pop("gain")
        assert scores.pop("decoder") == expected.decoder
        intervals = {key: list(value) for key, value in expected.intervals.items()}
        assert scores.pop("intervals") == intervals
        assert intervals
        assert scores == plain(expected.scores)

    @pytest.mark.parametrize("name", KINDS)
    def test_the_random_split_stands_beside(self, found, name):
        expected = decode(EMBEDDING, KINDS[name], random_split(T, 0.2, 42), n_bootstrap=0)
        scores = found.metrics["scores"][name]["random"]
        assert scores == {**plain(expected.scores), "decoder": expected.decoder}

    @pytest.mark.parametrize("name", KINDS)
    @pytest.mark.parametrize("what", ["pca", "raw"])
    def test_the_gain_is_over_that_baseline(self, found, name, what):
        label, true = KINDS[name], KINDS[name].values[SPLIT.test]
        inputs = {
            "pca": principal_components(RECORDING.neural, SPLIT.train, 3),
            "raw": RECORDING.neural,
        }[what]
        own, other = (
            prepare(each, SPLIT, gap=GAP).read(label).decoded for each in (EMBEDDING, inputs)
        )
        expected = gain(label, true, own, other, 100, 0)
        blocked = found.metrics["scores"][name]["blocked"]
        assert blocked[what]["gain"] == {
            "score": expected.score,
            "value": expected.value,
            "interval": list(expected.interval),
        }
        better = blocked["embedding"][expected.score] - blocked[what][expected.score]
        sign = -1 if name == "heading" else 1
        assert expected.value == pytest.approx(sign * better)
        assert expected.value > 0

    @pytest.mark.parametrize("name", KINDS)
    def test_the_null(self, found, name):
        ready = prepare(EMBEDDING, SPLIT, gap=GAP)
        decoded = ready.read(KINDS[name]).decoded
        expected = null_of_held_out(KINDS[name], ready.layout, decoded, WHOLE, 20, GAP, 0)
        assert found.metrics["scores"][name]["null"] == {
            "statistic": expected.statistic_name,
            "observed": expected.observed,
            "values": expected.null.tolist(),
            "p": expected.p,
            "n": 20,
            "how": "shifted within segments",
            "method": "held-out",
            "p_adjusted": 3 / 21,
        }
        assert expected.p == 1 / 21

    def test_the_p_of_a_single_label_is_not_adjusted(self):
        place = make_recording(RECORDING.neural, [KINDS["place"]])
        null = evaluate(EMBEDDING, place, SPLIT, **OPTIONS).metrics["scores"]["place"]["null"]
        assert "p_adjusted" not in null

    @pytest.mark.parametrize("name", KINDS)
    def test_what_was_decoded(self, found, name):
        expected = decode(EMBEDDING, KINDS[name], SPLIT, gap=GAP, n_bootstrap=0)
        decoded = found.decoded[name]
        np.testing.assert_array_equal(decoded.steps, SPLIT.test)
        np.testing.assert_array_equal(decoded.true, expected.true)
        np.testing.assert_array_equal(decoded.decoded, expected.decoded)

    def test_chance_is_one_answer(self, found):
        scores = {name: each["blocked"]["chance"] for name, each in found.metrics["scores"].items()}
        train, test = (KINDS["place"].values[rows] for rows in (SPLIT.train, SPLIT.test))
        error = ((test - train.mean(axis=0)) ** 2).sum(axis=0)
        expected = (1 - error / ((test - test.mean(axis=0)) ** 2).sum(axis=0)).mean()
        assert scores["place"]["test_r2"] == pytest.approx(expected)
        assert scores["place"]["train_r2"] == pytest.approx(0, abs=1e-12)
        assert scores["heading"]["mean_error"] == pytest.approx(90, abs=25)
        codes = KINDS["side"].values
        answer = np.bincount(codes[SPLIT.train]).argmax()
        side = scores["side"]
        assert side["accuracy"] == side["chance"] == (codes[SPLIT.test] == answer).mean()
        assert side["balanced_accuracy"] == 0.5
        assert all(each["decoder"] == "constant" for each in scores.values())
        for name, score in (("place", "test_r2"), ("side", "balanced_accuracy")):
            blocked = found.metrics["scores"][name]["blocked"]
            assert blocked["embedding"][score] > blocked["chance"][score]

    def test_chance_of_classes_does_not_hang_on_the_commonest(self):
        """The training's commonest class is not tested; an answer among those tested is."""
        side = discrete(np.r_[np.zeros(300, int), np.arange(300) % 2 + 1], "side")
        whole = make_recording(RECORDING.neural, [side])
        split = Split(np.arange(380), np.arange(400, 600))
        found = evaluate(EMBEDDING, whole, split, nulls=0, n_bootstrap=0)
        chance = found.metrics["scores"]["side"]["blocked"]["chance"]
        assert chance["accuracy"] == 0
        assert chance["balanced_accuracy"] == chance["balanced_chance"] == 0.5

    def test_the_confusion_has_its_classes(self, found):
        confusion = found.metrics["scores"]["side"]["blocked"]["embedding"]["confusion"]
        assert confusion["classes"] == ["left", "right"]
        assert np.sum(confusion["counts"]) == len(SPLIT.test)

    def test_the_seed_decides(self):
        place = make_recording(RECORDING.neural, [KINDS["place"]])
        first, second, other = (
            evaluate(EMBEDDING, place, SPLIT, **OPTIONS, seed=seed).metrics for seed in (1, 1, 2)
        )
        assert first == second
        assert first["scores"]["place"]["null"] != other["scores"]["place"]["null"]
        assert (
            first["scores"]["place"]["blocked"]["embedding"]["test_r2"]
            == other["scores"]["place"]["blocked"]["embedding"]["test_r2"]
        )

    def test_the_metric_is_that_of_the_embedding_alone(self):
        pointed = EMBEDDING / np.linalg.norm(EMBEDDING, axis=1, keepdims=True)
        stretched = pointed * np.random.default_rng(0).uniform(0.1, 10, (T, 1))
        angle = circular(np.arctan2(pointed[:, 0], pointed[:, 1]), name="angle")
        whole = make_recording(RECORDING.neural, [angle])
        found = evaluate(stretched, whole, SPLIT, whole.neural, metric="cosine", nulls=0)
        blocked = found.metrics["scores"]["angle"]["blocked"]
        assert "cosine" in blocked["embedding"]["decoder"]
        for name in ("pca", "raw"):
            assert "cosine" not in blocked[name]["decoder"]

    def test_less_can_be_asked_for(self):
        found = evaluate(EMBEDDING, RECORDING, SPLIT, nulls=0, n_bootstrap=0)
        for scores in found.metrics["scores"].values():
            assert set(scores) == {"kind", "random", "blocked"}
            assert set(scores["blocked"]) == {"embedding", "chance"}
            assert "intervals" not in scores["blocked"]["embedding"]

    def test_without_a_holdout_there_is_no_honest_score(self):
        found = evaluate(EMBEDDING, RECORDING, None, RECORDING.neural)
        assert found.decoded == {}
        assert "holdout" not in found.metrics
        for scores in found.metrics["scores"].values():
            assert set(scores) == {"kind", "random"}

    def test_no_label(self):
        found = evaluate(EMBEDDING, make_recording(RECORDING.neural), SPLIT, RECORDING.neural)
        assert found.metrics["scores"] == found.metrics["leaky"] == found.decoded == {}
        assert "no label was given" in found.metrics["note"]
        assert "train_r2" not in found.metrics

    def test_the_latent(self):
        latent = EMBEDDING[:, :2] + 0.1 * np.random.default_rng(1).normal(size=(T, 2))
        whole = make_recording(EMBEDDING, latent=latent)
        for split in (SPLIT, None):
            fair = split or random_split(T, 0.2, 42)
            expected = linear_map_r2(EMBEDDING, latent, fair.train, fair.test)
            assert evaluate(EMBEDDING, whole, split).metrics["latent_r2"] == expected > 0.95

    def test_several_recordings_have_no_baselines(self):
        found = evaluate(EMBEDDING, RECORDING, SPLIT, None, nulls=0, n_bootstrap=0)
        assert "no baselines" in found.metrics["note"]

    def test_a_label_that_cannot_be_moved_leaves_the_others_theirs(self):
        trial = np.repeat(np.arange(4), 150)
        labels = (discrete(trial % 2, "side"), KINDS["place"])
        whole = make_recording(RECORDING.neural, labels, segments=trial)
        split = blocked_split(whole.segments, 0.2, 0)
        metrics = evaluate(EMBEDDING, whole, split, whole.neural, nulls=20).metrics
        assert "null" not in metrics["scores"]["side"]
        assert "No p for 'side': " in metrics["note"]
        assert "'side' is constant within each of the 4 segments" in metrics["note"]
        assert metrics["note"].count("No p") == 1
        assert "p" in metrics["scores"]["place"]["null"]
        assert "p_adjusted" not in metrics["scores"]["place"]["null"]

    def test_the_encoder_can_be_trained_anew(self):
        given = []

        def retrain(label):
            given.append(label)
            return np.column_stack([EMBEDDING, label.values])

        whole = make_recording(RECORDING.neural, [KINDS["place"]])
        null = evaluate(EMBEDDING, whole, SPLIT, nulls=20, retrain=retrain).metrics
        assert null["scores"]["place"]["null"]["method"] == "retrained"
        assert min(null["scores"]["place"]["null"]["values"]) > 0.99
        assert {label.name for label in given} == {"place"}


class TestGaps:
    """Steps outside every segment have no embedding."""

    inside = np.r_[50:350, 400:T]
    segments = ((50, 350), (400, T))

    def gappy(self):
        embedding = EMBEDDING.copy()
        embedding[np.setdiff1d(np.arange(T), self.inside)] = np.nan
        return embedding

    def test_they_leave_every_score_as_it_is_without_them(self):
        whole = make_recording(RECORDING.neural, RECORDING.labels, segments=self.segments)
        split = blocked_split(whole.segments, 0.2, GAP)
        gaps = evaluate(self.gappy(), whole, split, whole.neural, **OPTIONS)
        labels = [label.take(self.inside) for label in whole.labels]
        neural = whole.neural[self.inside]
        short = make_recording(neural, labels, segments=[[0, 300], [300, 500]])
        moved = Split(*(np.searchsorted(self.inside, each) for each in (split.train, split.test)))
        expected = evaluate(EMBEDDING[self.inside], short, moved, neural, **OPTIONS)
        assert gaps.metrics == expected.metrics
        for name, each in gaps.decoded.items():
            np.testing.assert_array_equal(each.steps, split.test)
            np.testing.assert_array_equal(each.decoded, expected.decoded[name].decoded)

    def test_an_encoder_trained_anew_may_leave_them_out_too(self):
        whole = make_recording(RECORDING.neural, [KINDS["place"]], segments=self.segments)
        split = blocked_split(whole.segments, 0.2, GAP)
        found = evaluate(self.gappy(), whole, split, nulls=20, retrain=lambda label: self.gappy())
        assert found.metrics["scores"]["place"]["null"]["method"] == "retrained"


class TestLeaky:
    @pytest.mark.parametrize(
        ("values", "segments", "expected"),
        [
            (slow(np.random.default_rng(0), T, 10)[:, 0], None, True),
            (np.random.default_rng(0).normal(size=T), None, False),
            (np.repeat(np.arange(20) % 3, 30), None, True),
            (np.random.default_rng(0).integers(0, 3, T), None, False),
            (np.repeat(np.random.default_rng(0).normal(size=60), 10), np.arange(T) // 10, True),
            (np.tile(np.arange(8), 75), np.arange(T), False),
        ],
    )
    def test_a_label_that_resembles_its_neighbours(self, values, segments, expected):
        label = continuous(values, "x") if values.dtype.kind == "f" else discrete(values, "x")
        whole = make_recording(RECORDING.neural, [label], segments=segments)
        assert evaluate(EMBEDDING, whole).metrics["leaky"] == {"x": expected}


class TestRow11RandomSplits:
    """Row 11 of the facts: smooth labels that have nothing to do with the data."""

    rng = np.random.default_rng(1)
    neural = slow(rng, 2000, 100, 40).astype(np.float32)
    label = slow(rng, 2000, 100)
    settings: ClassVar = {
        "max_iterations": 200, "batch_size": 256, "num_hidden_units": 16, "device": "cpu",
        "conditional": "time_delta", "output_dimension": 3, "learning_rate": 3e-3,
    }  # fmt: skip

    @pytest.mark.cebra_fault
    def test_the_documented_recipe_finds_them_in_it(self):
        model = cebra.CEBRA(**self.settings).fit(self.neural, self.label)
        embedding = model.transform(self.neural)
        split = random_split(2000, 0.2, 42)
        decoder = KNeighborsRegressor(3).fit(embedding[split.train], self.label[split.train])
        assert decoder.score(embedding[split.test], self.label[split.test]) > 0.8

    def test_ours_says_that_they_are_not(self):
        segments = np.array([[0, 2000]])
        split = blocked_split(segments, 0.2, 2)
        whole = make_recording(self.neural, [continuous(self.label, "x")])
        seen = restricted([whole], split.train)[0]
        model = CEBRA(**self.settings, seed=0).fit(seen)
        embedding = model.transform(self.neural)
        metrics = evaluate(embedding, whole, split, self.neural, gap=2, metric="cosine").metrics
        scores = metrics["scores"]["x"]
        assert metrics["leaky"]["x"]
        assert scores["random"]["test_r2"] > 0.5
        assert scores["blocked"]["embedding"]["test_r2"] < 0.1
        assert "null" not in scores
        assert "No p for 'x': " in metrics["note"]
        assert "steps to forget itself" in metrics["note"]


# --- no leak ---------------------------------------------------------------------------------

TRAINING_SIDE = (
    "decoder", "columns", "window", "train_r2", "train_mean_error", "train_accuracy",
)  # fmt: skip


def training_side(metrics):
    """Everything that the training steps alone decide."""
    return {
        (name, what, key): scores[key]
        for name, each in metrics["scores"].items()
        for what, scores in each["blocked"].items()
        for key in TRAINING_SIDE
        if key in scores
    }


class TestNoLeak:
    """What is planted in test or gap reaches no scale, no choice and no fit."""

    absurd = np.random.default_rng(9)

    def planted(self, rows, labels=True, inputs=True):
        """Absurd labels, embedding and neural data in the rows given."""
        embedding, neural = EMBEDDING.copy(), RECORDING.neural.copy()
        made = []
        for label in RECORDING.labels:
            values = label.values.copy()
            if labels:
                values[rows] = self.absurd.permutation(values[rows])
                if label.kind == "continuous":
                    values[rows] = 1e6 * self.absurd.normal(size=values[rows].shape)
                if label.kind == "discrete":
                    values[rows] = 1 - label.values[rows]
            made.append(type(label)(label.name, label.kind, values, label.period, label.classes))
        if inputs:
            embedding[rows] = 1e4 * self.absurd.normal(size=embedding[rows].shape)
            neural[rows] = 1e4 * self.absurd.normal(size=neural[rows].shape)
        return evaluate(
            embedding, make_recording(neural, made), SPLIT, neural, **{**OPTIONS, "nulls": 0}
        )

    def test_test_labels_decide_nothing_in_the_training(self, found):
        planted = self.planted(SPLIT.test, inputs=False)
        assert training_side(planted.metrics) == training_side(found.metrics)
        for name, each in planted.decoded.items():
            np.testing.assert_array_equal(each.decoded, found.decoded[name].decoded)

    def test_test_inputs_decide_nothing_in_the_training(self, found):
        planted = self.planted(SPLIT.test, labels=False)
        assert training_side(planted.metrics) == pytest.approx(training_side(found.metrics))

    def test_one_test_step_moves_no_other(self, found):
        planted = self.planted(SPLIT.test[:1], labels=False)
        for name, each in planted.decoded.items():
            np.testing.assert_allclose(each.decoded[1:], found.decoded[name].decoded[1:])

    def test_the_gap_reaches_nothing(self, found):
        gap = np.setdiff1d(np.arange(T), np.concatenate([SPLIT.train, SPLIT.test]))
        assert len(gap) > 20
        planted = self.planted(gap)
        for name, scores in planted.metrics["scores"].items():
            assert scores["blocked"] == found.metrics["scores"][name]["blocked"]

    def test_training_labels_would_be_noticed(self, found):
        planted = self.planted(SPLIT.train[:200], inputs=False)
        assert training_side(planted.metrics) != training_side(found.metrics)


# --- memory ----------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [(0, 1), (5, 5)])
def test_a_memory_map_is_never_copied_whole(window, tmp_path, monkeypatch):
    """What grows with T is a few times (T, D); what does not is made small here."""
    monkeypatch.setattr("grevy.evaluation.decoding.knn.MAX_REFERENCES", 500)
    monkeypatch.setattr("grevy.evaluation.decoding.layout.MAX_SAMPLE", 500)
    monkeypatch.setattr("grevy.evaluation.beside.MOST_COLUMNS", 300)
    rng = np.random.default_rng(0)
    length, neurons = 40_000, 500
    neural = np.lib.format.open_memmap(tmp_path / "neural.npy", "w+", np.float32, (length, neurons))
    for start in range(0, length, 10_000):
        neural[start : start + 10_000] = rng.integers(0, 5, size=(10_000, neurons))
    whole = make_recording(neural, [continuous(slow(rng, length, 50), "x")])
    split = blocked_split(whole.segments, 0.2, 10)
    embedding = slow(rng, length, 50, 2).astype(np.float32)
    tracemalloc.start()
    try:
        evaluate(embedding, whole, split, neural, window=window, gap=10, nulls=0, n_bootstrap=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.6 * neural.nbytes


# --- mistakes --------------------------------------------------------------------------------


def broken(row):
    values = EMBEDDING.copy()
    values[row] = np.nan
    return values


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((EMBEDDING[:-1], RECORDING), {}, "embedding has 599 time steps, the recording has 600"),
        ((EMBEDDING, RECORDING, SPLIT, RECORDING.neural[1:]), {}, "neural data has 599"),
        ((broken(7), RECORDING), {}, r"NaN or infinite at 1 of 600.*smaller learning rate"),
        ((EMBEDDING[:, 0], RECORDING), {}, r"expected \(T, D\)"),
        ((EMBEDDING, RECORDING, Split(SPLIT.train, np.arange(590, 620))), {}, "20 training or"),
        ((EMBEDDING, RECORDING, SPLIT), {"nulls": 19}, "19 nulls; expected at least 20"),
        ((EMBEDDING, RECORDING, SPLIT), {"nulls": -1}, "-1 nulls"),
        ((EMBEDDING, RECORDING, SPLIT), {"gap": -1}, "gap of -1"),
        ((EMBEDDING, RECORDING, SPLIT), {"window": (0, 0)}, "from 0 steps before to 0 after"),
        ((EMBEDDING, RECORDING, SPLIT), {"window": (-1, 1)}, "from -1 steps before to 1 after"),
        ((EMBEDDING, RECORDING, SPLIT), {"window": (3, -1)}, "from 3 steps before to -1 after"),
        (
            (EMBEDDING, RECORDING, SPLIT, RECORDING.neural),
            {"window": (300, 301)},
            "in a recording of 600",
        ),
        ((EMBEDDING, RECORDING, SPLIT), {"n_bootstrap": 3}, "3 bootstrap"),
        ((EMBEDDING, RECORDING, SPLIT), {"seed": -1}, "seed -1"),
        ((EMBEDDING, RECORDING, SPLIT), {"metric": "manhattan"}, "unknown metric"),
    ],
)
def test_evaluate_refuses(arguments, options, message):
    with pytest.raises(GrevyError, match=message):
        evaluate(*arguments, **options)


# --- beside the scores -----------------------------------------------------------------------

SMALL = {"max_iterations": 30, "batch_size": 64, "num_hidden_units": 8, "device": "cpu", "seed": 0}


class TestGoodnessMetrics:
    def test_in_training_and_held_out(self):
        model = CEBRA(**SMALL, output_dimension=3).fit(restricted([RECORDING], SPLIT.train)[0])
        metrics = goodness_metrics(model, [RECORDING], SPLIT, seed=2)
        expected = heldout_goodness_of_fit(model, restricted([RECORDING], SPLIT.test), seed=2)
        assert metrics == {
            "goodness_of_fit_bits": goodness_of_fit(model),
            "goodness_of_fit_heldout_bits": expected.bits,
            "goodness_of_fit_heldout_error": expected.standard_error,
        }
        assert set(goodness_metrics(model, [RECORDING], None)) == {"goodness_of_fit_bits"}

    def test_blocks_shorter_than_a_window_have_none(self):
        model = CEBRA(**SMALL, model_architecture="offset10-model").fit(RECORDING)
        split = Split(np.arange(500), np.arange(510, 515))
        assert set(goodness_metrics(model, [RECORDING], split)) == {"goodness_of_fit_bits"}

    def test_several_recordings(self):
        both = [RECORDING, made(1, 400)[1]]
        model = CEBRA(**SMALL).fit(both)
        split = blocked_split(np.array([[0, 600], [600, 1000]]), 0.4, 1)
        assert np.isfinite(goodness_metrics(model, both, split)["goodness_of_fit_heldout_bits"])


class TestRestricted:
    def test_runs_stay_in_their_segment_and_recording(self):
        first = make_recording(np.ones((10, 1)), segments=[[0, 4], [4, 9]])
        second = make_recording(np.ones((6, 1)))
        found = restricted([first, second], np.array([2, 3, 4, 8, 9, 10, 11, 15]))
        assert found[0].segments.tolist() == [[2, 4], [4, 5], [8, 9]]
        assert found[1].segments.tolist() == [[0, 2], [5, 6]]
        assert found[0].neural is first.neural

    def test_a_recording_without_any_is_an_error(self):
        recordings = [make_recording(np.ones((5, 1)))] * 2
        with pytest.raises(GrevyError, match="none of the"):
            restricted(recordings, np.array([1, 2]))


def test_consistency_is_ready_for_json():
    rng = np.random.default_rng(0)
    found = consistency([rng.normal(size=(50, 3)) for _ in range(3)], ["a", "b", "c"])
    metrics = consistency_metrics(found)
    assert json.loads(json.dumps(metrics)) == metrics
    assert metrics["names"] == ["a", "b", "c"]
    assert metrics["r2"][0][1] == found.r2[0, 1]
    assert metrics["mean"] == found.mean
