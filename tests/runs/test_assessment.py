"""A run assessed: other seeds, nulls with retraining, validation, and no leak from end to end."""

import dataclasses
import json

import numpy as np
import pytest

import grevy
from grevy.config import make_config
from grevy.data.joining import join_recordings
from grevy.data.labels import circular, continuous, discrete
from grevy.data.recording import make_recording
from grevy.errors import GrevyError
from grevy.evaluation.decoding.folds import pool
from grevy.model.checkpoints import Checkpoints
from grevy.model.estimator import CEBRA
from grevy.runs.assessment import assess, embed_recordings
from grevy.runs.experiment import train
from grevy.runs.holding_out import fold_splits, holdout_split, settle_seed, training_parts
from grevy.runs.preparing import make_model
from logged import logged

SETTINGS = {
    "dataset": "arrays",
    "model_architecture": "offset5-model",
    "max_iterations": 60,
    "batch_size": 64,
    "learning_rate": 1e-2,
    "time_offsets": 2,
    "device": "cpu",
    "seed": 3,
    "nulls": 0,
}


def made(length=500, kind="continuous", seed=0, neurons=6):
    rng = np.random.default_rng(seed)
    phase = np.cumsum(rng.normal(0.15, 0.1, length))
    latent = np.stack([np.cos(phase), np.sin(phase)], axis=1)
    neural = latent @ rng.normal(size=(2, neurons)) + 0.2 * rng.normal(size=(length, neurons))
    label = {
        "continuous": lambda: continuous(latent, "place"),
        "circular": lambda: circular(phase, name="place"),
        "discrete": lambda: discrete(np.digitize(np.cos(phase), [-0.5, 0.5]), "place"),
    }[kind]()
    return make_recording(neural.astype(np.float32), [label])


def assessed(recordings, **settings):
    config = make_config({**SETTINGS, **settings})
    model = make_model(config, verbose=False)
    split = holdout_split(model, recordings, config.holdout, config.split)
    with logged() as told:
        config = train(model, recordings, split, config, None, False)
        embedding = embed_recordings(model, recordings)
        found = assess(model, recordings, embedding, split, config)
    return found, model, split, told


@pytest.mark.parametrize("kind", ["continuous", "circular", "discrete"])
def test_a_true_label_stands_above_moved_ones(kind):
    found, *_ = assessed([made(kind=kind)], nulls=20)
    null = found.metrics["scores"]["place"]["null"]
    assert null["n"] == 20
    assert null["observed"] > max(null["values"])
    assert null["p"] == pytest.approx(1 / 21)
    assert not null["retrained"]


def test_retraining_on_moved_labels():
    few = {"nulls": 20, "max_iterations": 3}
    found, _, _, told = assessed([made(length=300)], null_retrain=True, **few)
    plain, *_ = assessed([made(length=300)], **few)
    anew, kept = (f.metrics["scores"]["place"]["null"] for f in (found, plain))
    assert anew["retrained"]
    assert anew["observed"] == kept["observed"]
    assert anew["values"] != kept["values"]
    assert any("20 times more" in line for line in told)


def test_seeds_are_compared_on_held_out_steps():
    found, _, _, told = assessed([made()], seeds=3, max_iterations=300)
    consistency = found.metrics["consistency"]
    assert consistency["names"] == ["seed 3", "seed 4", "seed 5"]
    matrix = np.array(consistency["r2"])
    assert matrix.shape == (3, 3)
    np.testing.assert_array_equal(np.diag(matrix), 1)
    assert consistency["mean"] > 0.7
    assert any("2 times more" in line for line in told)


def diverging_after(monkeypatch, allowed):
    """Let so many trainings go well; those after them diverge at the 5th step."""
    from grevy.engine.loop import DivergedError, run

    begun = []

    def watched(training, first, last):
        begun.append(training)
        for step, record in enumerate(run(training, first, last)):
            if len(begun) > allowed and step == 5:
                raise DivergedError(5, 0, training)
            yield record

    for place in ("engine.loop", "model.fitting"):
        monkeypatch.setattr(f"grevy.{place}.run", watched)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"seeds": 2}, "No consistency between seeds: the loss is not a finite number at step 5"),
        ({"seeds": 2, "validation": 0.2}, "No consistency between seeds: the loss"),
        ({"nulls": 20, "null_retrain": True}, "No nulls for 'place': the loss is not a finite"),
        ({"folds": 2}, "No folds: the loss is not a finite"),
    ],
    ids=["seeds", "seeds, validation", "nulls", "folds"],
)
def test_an_extra_training_that_diverges_leaves_the_run_whole(monkeypatch, settings, told):
    diverging_after(monkeypatch, 1)
    found, *_ = assessed([made()], max_iterations=20, **settings)
    assert told in found.metrics["note"]
    assert np.isfinite(found.metrics["scores"]["place"]["blocked"]["embedding"]["test_r2"])
    assert "consistency" not in found.metrics
    assert "null" not in found.metrics["scores"]["place"]


def test_validation_is_told():
    found, model, *_ = assessed([made()], validation=0.2, max_iterations=200)
    assert found.metrics["validation"]["steps"] == [100, 200]
    assert found.metrics["validation"]["loss"] == [loss for _, loss in model.validation_]


def test_a_tenth_is_enough_for_validation_beside_a_holdout():
    few = {"model_architecture": "offset10-model", "time_offsets": 10, "max_iterations": 100}
    found, model, split, _ = assessed([made(length=1500)], validation=0.1, **few)
    assert np.isfinite(found.metrics["validation"]["loss"]).all()
    config = make_config({**SETTINGS, **few, "validation": 0.1})
    _, validation = training_parts(model, [made(length=1500)], split, config)
    lengths = np.diff(validation.segments)
    assert lengths.sum() == 100  # of 1000 that the holdout leaves
    assert (lengths >= 10 + 10).all()


def test_two_recordings_have_everything_but_baselines():
    recordings = [made(seed=0), made(seed=1, neurons=4)]
    found, *_ = assessed(recordings, nulls=20, seeds=2)
    scores = found.metrics["scores"]["place"]
    assert set(scores["blocked"]) == {"embedding", "chance"}
    assert scores["null"]["n"] == 20
    assert len(found.metrics["consistency"]["r2"]) == 2
    assert "baselines" in found.metrics["note"]
    assert np.isfinite(found.metrics["goodness_of_fit_heldout_bits"])


def test_whole_segments_are_held_out_and_nothing_of_them_leaks():
    trials = np.stack([np.arange(0, 500, 25), np.arange(25, 525, 25)], axis=1)
    recording = dataclasses.replace(made(), segments=trials)
    clean, model, split, _ = assessed([recording], split="segments", nulls=20)
    owner = np.arange(500) // 25
    assert not set(owner[split.train]) & set(owner[split.test])
    assert len(split.train) + len(split.test) == 500
    held = clean.metrics["holdout"]
    assert held == {
        "split": "segments", "train_steps": 400, "test_steps": 100, "test_segments": 4,
    }  # fmt: skip
    assert np.isfinite(clean.metrics["goodness_of_fit_heldout_bits"])
    neural, values = recording.neural.copy(), recording.labels[0].values.copy()
    neural[split.test] += 50
    values[split.test] += 1000
    label = dataclasses.replace(recording.labels[0], values=values)
    planted = dataclasses.replace(recording, neural=neural, labels=(label,))
    found, other, _, _ = assessed([planted], split="segments", nulls=0)
    assert model.solver_.history == other.solver_.history
    one, two = (f.metrics["scores"]["place"]["blocked"]["embedding"] for f in (clean, found))
    assert one["decoder"] == two["decoder"]
    assert one["train_r2"] == pytest.approx(two["train_r2"], abs=1e-6)
    assert one["test_r2"] != two["test_r2"]


class TestSettledSeed:
    config = make_config({**SETTINGS, "seed": None, "split": "segments"})

    def test_only_where_it_decides_what_is_held_out(self):
        blocks = make_config({**SETTINGS, "seed": None})
        assert settle_seed(blocks, None, False) is blocks
        given = make_config({**SETTINGS, "split": "segments"})
        assert settle_seed(given, None, False) is given

    def test_a_new_one(self):
        seeds = {settle_seed(self.config, None, False).seed for _ in range(3)}
        assert len(seeds) == 3
        assert None not in seeds

    def test_that_of_the_training_to_go_on_with(self, tmp_path):
        checkpoints = Checkpoints(tmp_path)
        recording = dataclasses.replace(made(), segments=np.array([[0, 250], [250, 500]]))
        model = make_model(make_config(SETTINGS), verbose=False).fit(recording)
        model.save(checkpoints.path(60))
        checkpoints.path(80).write_bytes(b"cut off")
        assert settle_seed(self.config, checkpoints, True).seed == 3
        assert settle_seed(self.config, checkpoints, False).seed != 3


class TestFolds:
    @pytest.mark.parametrize("kind", ["continuous", "circular", "discrete"])
    def test_every_step_is_tested_once(self, kind):
        found, _, _, told = assessed([made(kind=kind)], folds=3)
        folds = found.metrics["folds"]["place"]
        assert json.loads(json.dumps(folds, allow_nan=False)) == folds
        score = {
            "continuous": "test_r2", "circular": "mean_error", "discrete": "balanced_accuracy",
        }[kind]  # fmt: skip
        assert folds["score"] == score
        assert folds["test_steps"] == [167, 166, 167]
        assert folds["mean"] == pytest.approx(np.mean(folds["values"]))
        pooled = folds["pooled"]
        low, high = pooled["intervals"][score]
        assert low < pooled[score] < high
        assert min(folds["values"]) < pooled[score] < max(folds["values"])
        assert ("chance" in folds) == (kind == "discrete")
        if kind == "discrete":
            assert folds["chance"] == pytest.approx([1 / 3] * 3)
            assert np.sum(pooled["confusion"]["counts"]) == 500
        assert any("3 times more" in line for line in told)

    def test_the_run_itself_stays_as_it_was(self):
        plain, one, *_ = assessed([made()], nulls=20)
        folded, other, *_ = assessed([made()], nulls=20, folds=2)
        assert one.solver_.history == other.solver_.history
        metrics = {**folded.metrics}
        del metrics["folds"]
        assert metrics == plain.metrics

    def test_two_recordings(self):
        recordings = [made(seed=0), made(seed=1, neurons=4)]
        found, *_ = assessed(recordings, folds=2)
        assert found.metrics["folds"]["place"]["test_steps"] == [500, 500]

    @pytest.mark.parametrize("split", ["blocks", "segments"])
    def test_a_fold_moves_nothing_but_its_own_scores(self, split, monkeypatch):
        """Absurd data in a fold's test steps: its encoder and its decoder stay as they were."""
        trials = np.stack([np.arange(0, 500, 50), np.arange(50, 550, 50)], axis=1)
        recording = dataclasses.replace(made(), segments=trials)
        config = make_config({**SETTINGS, "folds": 3, "split": split})
        model = make_model(config, verbose=False)
        fold = fold_splits(model, [recording], config)[1]
        gone = np.setdiff1d(np.arange(500), fold.train)
        neural, values = recording.neural.copy(), recording.labels[0].values.copy()
        neural[fold.test] += 50
        values[gone] += 1000
        label = dataclasses.replace(recording.labels[0], values=values)
        planted = dataclasses.replace(recording, neural=neural, labels=(label,))
        histories, kept, folded = [], [], []
        fit = CEBRA.fit

        def watched(self, *given, **named):
            fitted = fit(self, *given, **named)
            histories.append(list(fitted.solver_.history))
            return fitted

        def watched_pool(label, readings, *given):
            found = pool(label, readings, *given)
            kept.append(found.folds[1])
            return found

        monkeypatch.setattr(CEBRA, "fit", watched)
        monkeypatch.setattr("grevy.evaluation.folds.pool", watched_pool)
        for each in (recording, planted):
            found, *_ = assessed([each], folds=3, split=split)
            folded.append(found.metrics["folds"]["place"])
        # Of each run: its own training, then one for each fold.
        assert histories[2] == histories[6]
        assert histories[1] != histories[5], "another fold trains on what was planted"
        one, two = kept
        assert one.decoder == two.decoder
        assert one.scores.train_r2 == pytest.approx(two.scores.train_r2, abs=1e-6)
        assert folded[0]["values"][1] == one.scores.test_r2 != two.scores.test_r2

    def test_what_cannot_be_trained_leaves_the_run_whole(self):
        found, *_ = assessed([made(length=120)], folds=70)
        assert "folds" not in found.metrics
        assert "No folds: " in found.metrics["note"]
        assert "scores" in found.metrics

    def test_without_a_label_there_is_nothing_to_fold(self):
        recording = dataclasses.replace(made(), labels=())
        config = make_config({**SETTINGS, "folds": 3})
        with pytest.raises(GrevyError, match="`folds=3`: no label was given"):
            fold_splits(make_model(config, verbose=False), [recording], config)


def test_training_validation_and_test_stay_apart():
    recording = made()
    config = make_config({**SETTINGS, "validation": 0.2})
    model = make_model(config, verbose=False)
    split = holdout_split(model, [recording], 0.2)
    seen, validation = training_parts(model, [recording], split, config)
    steps = {
        "training": np.concatenate([np.arange(*run) for run in seen[0].segments]),
        "validation": np.concatenate([np.arange(*run) for run in validation.segments]),
        "test": split.test,
    }
    gap = 5 + 2
    for one, other in (("training", "validation"), ("training", "test"), ("validation", "test")):
        nearest = np.abs(steps[one][:, None] - steps[other]).min()
        assert nearest > gap, (one, other)


def test_what_is_held_out_moves_nothing_but_its_own_scores():
    """Absurd data in test blocks, absurd labels there and in the gaps: all that is learnt stays.

    Windows of training steps reach into the gaps, but not through them.
    """
    recording = made()
    _, model, split, _ = assessed([recording], nulls=20)
    unseen = np.setdiff1d(np.arange(len(recording)), split.train)
    neural = recording.neural.copy()
    neural[split.test] += 50
    values = recording.labels[0].values.copy()
    values[unseen] += 1000
    label = dataclasses.replace(recording.labels[0], values=values)
    planted = dataclasses.replace(recording, neural=neural, labels=(label,))
    found, other, _, _ = assessed([planted], nulls=0)
    clean, *_ = assessed([recording], nulls=0)
    assert model.solver_.history == other.solver_.history
    for what in ("embedding", "pca", "raw"):
        one, two = (f.metrics["scores"]["place"]["blocked"][what] for f in (clean, found))
        assert one["decoder"] == two["decoder"]
        assert one["train_r2"] == pytest.approx(two["train_r2"], abs=1e-6)
        assert one["test_r2"] != two["test_r2"]


@pytest.mark.parametrize(
    ("conditional", "kind", "seen"),
    [
        ("time", "continuous", False),
        ("time", "discrete", True),
        (None, "continuous", True),
        (None, "circular", True),
        (None, "discrete", True),
    ],
)
def test_which_labels_the_encoder_has_seen(conditional, kind, seen):
    found, *_ = assessed([made(kind=kind)], nulls=20, max_iterations=3, conditional=conditional)
    assert found.metrics["scores"]["place"]["null"]["trained_on_label"] == seen


def test_joined_recordings_keep_their_order():
    whole = join_recordings([made(length=100), made(length=80, seed=1, neurons=3)])
    assert len(whole) == 180
    np.testing.assert_array_equal(whole.segments, [[0, 100], [100, 180]])
    np.testing.assert_array_equal(
        whole.labels[0].values[100:], made(length=80, seed=1).labels[0].values
    )


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"nulls": 19}, "`nulls` is 19: give at least 20"),
        ({"nulls": -1}, "`nulls` is -1"),
        ({"seeds": 0}, "`seeds` is 0"),
        ({"null_retrain": True, "nulls": 0}, "`null_retrain` needs"),
        ({"null_retrain": True, "nulls": 50, "holdout": 0}, "`null_retrain` needs"),
    ],
)
def test_settings_out_of_range(settings, match):
    with pytest.raises(GrevyError, match=match):
        make_config({**SETTINGS, **settings})


def test_the_public_functions_take_plain_arrays():
    recording = made()
    embedding, values = recording.neural, recording.labels[0].values
    decoding = grevy.decode(embedding, values)
    assert decoding.scores.test_r2 > 0.8
    assert grevy.null_test(embedding, values, n=20).p == pytest.approx(1 / 21)
    both = grevy.consistency([embedding, embedding @ np.diag(np.arange(1.0, 7.0))])
    assert both.r2[0, 1] == pytest.approx(1, abs=1e-6)
    assert callable(grevy.goodness_of_fit)
