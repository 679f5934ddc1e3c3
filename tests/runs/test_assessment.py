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
from grevy.data.segments import steps_inside
from grevy.errors import GrevyError
from grevy.evaluation import decode
from grevy.evaluation.decoding.folds import pool
from grevy.evaluation.scoring import evaluate
from grevy.model.checkpoints import Checkpoints
from grevy.model.estimator import CEBRA
from grevy.runs.assessment import assess, embed_recordings
from grevy.runs.experiment import run_experiment, train
from grevy.runs.holding_out import (
    fold_splits,
    holdout_split,
    settle_folds,
    settle_seed,
    training_gap,
    training_parts,
    validation_split,
)
from grevy.runs.preparing import make_model, settle_offsets
from logged import logged

SETTINGS = {
    "dataset": "arrays",
    "model_architecture": "offset5-model",
    "max_iterations": 60,
    "batch_size": 64,
    "learning_rate": 1e-2,
    "temperature": 1.0,
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
@pytest.mark.parametrize(
    ("folds", "length", "method"), [(3, 500, "folds"), (0, 1500, "held-out")], ids=["folds", "none"]
)
def test_a_true_label_stands_above_moved_ones(kind, folds, length, method):
    found, *_ = assessed([made(kind=kind, length=length)], nulls=20, folds=folds)
    null = found.metrics["scores"]["place"]["null"]
    assert null["method"] == method
    assert null.get("folds", 0) == folds
    assert null["n"] == 20
    assert null["observed"] > max(null["values"])
    assert null["p"] == pytest.approx(1 / 21)


def test_the_p_of_folds_is_of_every_step():
    found, *_ = assessed([made()], nulls=20, folds=3)
    assert sum(found.metrics["folds"]["place"]["test_steps"]) == 500
    pooled = found.metrics["folds"]["place"]["pooled"]
    assert found.metrics["scores"]["place"]["null"]["observed"] == pooled["test_r2"]


def test_retraining_on_moved_labels():
    few = {"nulls": 20, "max_iterations": 3}
    found, _, _, told = assessed([made(length=300)], null_retrain=True, folds=2, **few)
    scores = found.metrics["scores"]["place"]
    assert scores["null"]["method"] == "retrained"
    assert scores["null"]["observed"] == scores["blocked"]["embedding"]["test_r2"]
    assert len(set(scores["null"]["values"])) == 20
    assert "folds" in found.metrics
    for times in (2, 20):
        assert any(f"training {times} times more" in line for line in told)


@pytest.mark.parametrize(
    ("architecture", "steps"),
    [("offset1-model", 1), ("offset5-model", 5), ("offset10-model", 10)],
)
@pytest.mark.parametrize("causal", [False, True])
def test_baselines_see_what_the_encoder_sees(architecture, steps, causal, monkeypatch):
    """One neural step is changed; the embedding changes where the window given reaches it."""
    given = {}

    def watched(*arguments, **named):
        given.update(named)
        return evaluate(*arguments, **named)

    monkeypatch.setattr("grevy.runs.assessment.evaluate", watched)
    recording = made()
    few = {"model_architecture": architecture, "max_iterations": 2, "causal": causal}
    found, model, *_ = assessed([recording], **few)
    assert found.metrics["window_steps"] == sum(given["window"]) == steps
    lines = set(found.metrics["scores"]["place"]["blocked"])
    assert ({"pca_one_step", "raw_one_step"} <= lines) == (steps > 1)
    neural = recording.neural.copy()
    neural[250] += 5
    before, after = given["window"]
    assert after == 1 if causal else abs(before - after) <= 1
    changed = embed_recordings(model, [dataclasses.replace(recording, neural=neural)])
    moved = (changed != embed_recordings(model, [recording])).any(axis=1)
    reached = 250 - np.flatnonzero(moved)
    assert set(reached) <= set(range(-before, after))
    assert {reached.min(), reached.max()} == {-before, after - 1}


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
        ({"nulls": 20, "null_retrain": True}, "No p for 'place': the loss is not a finite"),
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


def test_labels_are_decoded_on_validation_blocks_by_what_was_trained_on():
    recording = made()
    found, model, split, _ = assessed([recording], validation=0.2, max_iterations=20)
    assert found.metrics["validation"]["steps"] == [20]  # the last, for want of a hundred
    config = make_config({**SETTINGS, "validation": 0.2})
    seen, validation = training_parts(model, [recording], split, config)
    inner = validation_split(model, [recording], split, config)
    assert inner.test.tolist() == steps_inside(validation.segments).tolist()
    assert inner.train.tolist() == steps_inside(seen[0].segments).tolist()
    expected = decode(
        model.transform(recording), recording.labels[0], inner, segments=recording.segments,
        gap=training_gap(model), seed=model.seed_, metric=config.distance, n_bootstrap=0,
    )  # fmt: skip
    scores = found.metrics["validation"]["scores"]["place"]
    assert scores["kind"] == "continuous"
    assert scores["test_r2"] == expected.scores.test_r2


def test_several_recordings_are_decoded_on_the_validation_blocks_of_all():
    recordings = [made(seed=0), made(length=400, seed=1, neurons=4)]
    found, model, split, _ = assessed(recordings, validation=0.2)
    config = make_config({**SETTINGS, "validation": 0.2})
    inner = validation_split(model, recordings, split, config)
    assert (inner.test < 500).any()
    assert (inner.test >= 500).any()
    assert not set(inner.test) & set(split.test)
    assert not set(inner.train) & set(split.test)
    assert np.isfinite(found.metrics["validation"]["scores"]["place"]["test_r2"])


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
        one, other = plain.metrics["scores"]["place"], folded.metrics["scores"]["place"]
        assert other["null"]["method"] == "folds"
        for name in ("random", "blocked"):
            assert one[name] == other[name]
        others = {"folds", "scores", "note"}
        assert {name: each for name, each in folded.metrics.items() if name not in others} == {
            name: each for name, each in plain.metrics.items() if name not in others
        }

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

    def test_where_they_fail_the_p_is_of_the_held_out_blocks(self, monkeypatch):
        diverging_after(monkeypatch, 1)
        found, *_ = assessed([made(length=1500)], max_iterations=20, nulls=20, folds=2)
        assert "No folds: " in found.metrics["note"]
        assert found.metrics["scores"]["place"]["null"]["method"] == "held-out"

    def test_without_a_label_there_is_nothing_to_fold(self):
        recording = dataclasses.replace(made(), labels=())
        config = make_config({**SETTINGS, "folds": 3})
        with pytest.raises(GrevyError, match="`folds=3`: no label was given"):
            fold_splits(make_model(config, verbose=False), [recording], config)


class TestSettledFolds:
    """How many folds a run has is settled before anything is trained."""

    def settled(self, recordings, **settings):
        config = make_config({**SETTINGS, **settings})
        return settle_folds(make_model(config, verbose=False), recordings, config).folds

    def trials(self, n):
        return dataclasses.replace(
            made(), segments=np.stack([50 * np.arange(n), 50 * np.arange(n) + 50], axis=1)
        )

    def test_five_where_there_is_room(self):
        assert self.settled([made()]) == 5
        assert self.settled([made(), made(seed=1, neurons=3)]) == 5

    @pytest.mark.parametrize(
        ("length", "architecture", "offset", "n_folds"),
        [
            (40, "offset5-model", 2, 5),
            (30, "offset5-model", 2, 2),
            (20, "offset5-model", 2, 0),
            (90, "offset10-model", 8, 5),
            (75, "offset10-model", 8, 2),
            (70, "offset10-model", 8, 0),
        ],
    )
    def test_fewer_where_it_is_short(self, length, architecture, offset, n_folds):
        model = {"model_architecture": architecture, "time_offsets": offset}
        assert self.settled([made(length=length)], **model) == n_folds

    @pytest.mark.parametrize(("n_trials", "n_folds"), [(10, 5), (5, 5), (4, 4), (2, 2), (1, 0)])
    def test_no_more_than_there_are_segments(self, n_trials, n_folds):
        assert self.settled([self.trials(n_trials)], split="segments") == n_folds

    def test_none_without_a_label_or_a_holdout(self):
        assert self.settled([dataclasses.replace(made(), labels=())]) == 0
        assert self.settled([made()], holdout=0) == 0

    @pytest.mark.parametrize("folds", [0, 2, 7])
    def test_a_number_that_is_given_stays(self, folds):
        assert self.settled([made()], folds=folds) == folds

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"folds": 300}, "too few for 300 time-blocked folds"),
            ({"folds": 6, "split": "segments"}, "`folds=6` of whole segments: the data has 5"),
        ],
    )
    def test_one_that_does_not_fit_is_refused_before_training(self, settings, message, tmp_path):
        recordings = [self.trials(5)]
        with pytest.raises(GrevyError, match=message):
            self.settled(recordings, **settings)
        config = make_config({**SETTINGS, **settings, "output_dir": str(tmp_path / "run")})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("grevy.runs.experiment.load_recordings", lambda *_: tuple(recordings))
            patch.setattr("grevy.runs.experiment.train", lambda *_: pytest.fail("trained"))
            with pytest.raises(GrevyError, match=message):
                run_experiment(config, verbose=False)


@pytest.mark.parametrize(
    ("kinds", "settings", "offsets"),
    [
        (("continuous",), {}, (2,)),
        (("circular",), {}, (2,)),
        (("discrete",), {}, (10,)),
        ((), {}, (10,)),
        (("discrete", "continuous"), {}, (2,)),
        (("continuous",), {"conditional": "time"}, (10,)),
        (("continuous",), {"conditional": "delta_normal", "delta": 0.5}, (10,)),
        (("continuous",), {"conditional": "time_delta"}, (2,)),
        (("continuous",), {"hybrid": True}, (10,)),
        (("continuous",), {"time_offsets": (3, 7)}, (3, 7)),
    ],
)
def test_the_time_offset_is_settled_by_how_positives_are_drawn(kinds, settings, offsets):
    labels = [label for kind in kinds for label in made(kind=kind).labels]
    recording = dataclasses.replace(made(), labels=tuple(labels))
    config = make_config({**SETTINGS, "time_offsets": None, **settings})
    assert settle_offsets(config, [recording]).time_offsets == offsets


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
