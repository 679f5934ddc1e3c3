"""p of what was decoded once: labels rolled by hand, steps left out by hand, few false alarms."""

import json
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import binom

from grevy.data.labels import circular, continuous, discrete
from grevy.data.recording import make_recording
from grevy.data.splits import block_folds, blocked_split, segment_folds
from grevy.errors import GrevyError
from grevy.evaluation import kept
from grevy.evaluation.decoding.decoder import prepare
from grevy.evaluation.decoding.folds import decode_folds, pool
from grevy.evaluation.decoding.layout import Layout
from grevy.evaluation.decoding.scores import statistic
from grevy.evaluation.folds import evaluate_folds
from grevy.evaluation.kept import null_of_folds, null_of_held_out
from grevy.evaluation.metrics import fold_metrics
from grevy.evaluation.moves import PERMUTED, ROTATED, SHIFTED, UnmovableError, as_numbers, memory
from grevy.evaluation.scoring import evaluate


def slow(rng, length, tau, columns=1):
    keep = np.exp(-1 / tau)
    noise = np.sqrt(1 - keep**2) * rng.normal(size=(length, columns))
    noise[0] = rng.normal(size=columns)
    return lfilter([1], [1, -keep], noise, axis=0)


KINDS = ("continuous", "circular", "discrete")


def made(kind, length, seed=0, tau=3):
    """A label, and what a decoder might have said of every step."""
    rng = np.random.default_rng(seed)
    values = slow(rng, length, tau, 2)
    heard = values + 0.7 * rng.normal(size=values.shape)
    if kind == "continuous":
        return continuous(values, "x"), heard
    if kind == "circular":
        angles = (np.mod(np.arctan2(*each.T), 2 * np.pi) for each in (values, heard))
        return circular(np.degrees(next(angles)), 360, name="x"), next(angles)
    return discrete(values[:, 0] > 0.2, "x"), (heard[:, 0] > 0.2).astype(int)


def rolled(values, segments, lags):
    """Every segment rolled by its lag; what lies outside stays."""
    moved = values.copy()
    for (start, stop), lag in zip(segments, lags, strict=True):
        for step in range(start, stop):
            moved[start + (step - start + lag) % (stop - start)] = values[step]
    return moved


def split_layout(train, test):
    return Layout(np.asarray(train), np.asarray(test), np.asarray(train)[:0], ())


# --- fold by fold ----------------------------------------------------------------------------

SEGMENTS = {
    "one": np.array([[0, 400]]),
    "two with gaps": np.array([[10, 240], [270, 390]]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("segments", SEGMENTS.values(), ids=SEGMENTS)
@pytest.mark.parametrize("part", [1, 3], ids=["every step", "every third"])
def test_the_null_of_folds_is_the_label_rolled(kind, segments, part):
    label, decoded = made(kind, 400)
    steps = np.concatenate([np.arange(start, stop) for start, stop in segments])[::part]
    found = null_of_folds(label, steps, decoded[steps], segments, 25, 4, 1)
    assert found.method == "folds"
    assert found.how == SHIFTED
    assert len(found.null) == len(found.lags) == 25
    assert found.observed == statistic(label, label.values[steps], decoded[steps])
    for lags, null in zip(found.lags, found.null, strict=True):
        moved = rolled(label.values, segments, lags)
        assert null == statistic(label, moved[steps], decoded[steps])
    assert found.p == (1 + sum(found.null >= found.observed)) / 26
    assert found.p == 1 / 26


def test_what_is_decoded_no_better_than_by_chance_has_a_large_p():
    label, _ = made("continuous", 400)
    _, other = made("continuous", 400, seed=1)
    found = null_of_folds(label, np.arange(400), other, SEGMENTS["one"], 50, 0, 0)
    assert found.p > 0.05


@pytest.mark.parametrize("order", ["at random", "in blocks"])
def test_whole_trials_change_their_labels(order):
    rng = np.random.default_rng(0)
    sides = rng.integers(0, 3, 60)
    sides = np.repeat(sides[:20], 3) if order == "in blocks" else sides
    segments = np.stack([5 * np.arange(60), 5 * np.arange(60) + 5], axis=1) + 20
    label = discrete(np.r_[np.zeros(20, int), np.repeat(sides, 5)], "side")
    decoded = np.where(rng.random(320) < 0.7, label.values, 0)
    steps = np.arange(20, 320)
    found = null_of_folds(label, steps, decoded[steps], segments, 30, 0, 2)
    assert found.how == (ROTATED if order == "in blocks" else PERMUTED)
    for lag, null in zip(found.lags, found.null, strict=True):
        moved = np.roll(sides, lag) if order == "in blocks" else sides[lag]
        assert null == statistic(label, np.repeat(moved, 5), decoded[steps])


def test_nothing_is_fitted_anew(monkeypatch):
    """Nulls cost a comparison each, so that there can be a thousand."""
    monkeypatch.setattr("grevy.evaluation.decoding.decoder.Prepared.read", None)
    label, decoded = made("discrete", 2000)
    found = null_of_folds(label, np.arange(2000), decoded, np.array([[0, 2000]]), 1000, 0, 0)
    assert len(np.unique(found.lags)) == 1000
    assert found.p == 1 / 1001


def test_the_seed_decides():
    label, decoded = made("continuous", 400)
    first, same, other = (
        null_of_folds(label, np.arange(400), decoded, SEGMENTS["one"], 20, 0, seed).lags
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


# --- held-out steps --------------------------------------------------------------------------

PERIODS = np.array([[0, 900], [950, 1500]])
SPLIT = blocked_split(PERIODS, 0.3, 3)


def far_by_hand(train, test, least):
    return [step for step in test.tolist() if all(abs(step - other) > least for other in train)]


@pytest.mark.parametrize("kind", KINDS)
def test_steps_near_the_training_are_left_out(kind):
    label, decoded = made(kind, 1500, tau=9)
    recorded = label.take(np.r_[0:900, 950:1500])
    forgets = memory(as_numbers(recorded), np.array([[0, 900], [900, 1450]]))
    far = far_by_hand(SPLIT.train, SPLIT.test, forgets)
    assert forgets > 3
    assert len(far) == len(SPLIT.test) - 10 * (forgets - 3)  # five blocks have two ends each
    layout = split_layout(SPLIT.train, SPLIT.test)
    found = null_of_held_out(label, layout, decoded[SPLIT.test], PERIODS, 20, 0, 3)
    assert found.method == "held-out"
    assert found.observed == statistic(label, label.values[far], decoded[far])
    for lags, null in zip(found.lags, found.null, strict=True):
        moved = rolled(label.values, PERIODS, lags)
        assert null == statistic(label, moved[far], decoded[far])
    assert found.p == (1 + sum(found.null >= found.observed)) / 21


def test_what_is_decoded_near_the_training_counts_nothing():
    label, decoded = made("continuous", 1500, tau=9)
    far = far_by_hand(SPLIT.train, SPLIT.test, 9)
    spoilt = np.full_like(decoded, 1e6)
    spoilt[far] = decoded[far]
    layout = split_layout(SPLIT.train, SPLIT.test)
    one, other = (
        null_of_held_out(label, layout, each[SPLIT.test], PERIODS, 20, 0, 3)
        for each in (decoded, spoilt)
    )
    assert one.observed == other.observed
    np.testing.assert_array_equal(one.null, other.null)


STEPS = st.lists(st.integers(0, 60), min_size=1, max_size=30, unique=True).map(sorted)


@given(STEPS, STEPS)
def test_distance_is_that_of_the_nearest(steps, others):
    found = kept._distance(np.array(steps), np.array(others))
    assert found.tolist() == [min(abs(a - b) for b in others) for a in steps]


@pytest.mark.parametrize(("n_far", "enough"), [(59, False), (60, True)])
def test_twenty_memories_are_needed_far_from_the_training(n_far, enough):
    """A label that forgets itself within 3 steps is tested on 60 or not at all."""
    label, decoded = made("continuous", 600, seed=1, tau=3)
    assert memory(as_numbers(label), np.array([[0, 600]])) == 3
    train, test = np.arange(300), np.arange(300, 300 + 3 + n_far)  # steps 300 to 302 are near
    layout = split_layout(train, test)
    whole = np.array([[0, 600]])
    if enough:
        found = null_of_held_out(label, layout, decoded[test], whole, 20, 0, 0)
        assert found.observed == statistic(label, label.values[303:363], decoded[303:363])
        return
    with pytest.raises(
        UnmovableError,
        match=r"label 'x' needs 3 steps to forget itself; 59 of 62 held-out steps are farther from "
        r"the training, 60 are needed\. A run with `folds=5`",
    ):
        null_of_held_out(label, layout, decoded[test], whole, 20, 0, 0)


def test_where_whole_trials_change_their_labels_none_is_left_out():
    rng = np.random.default_rng(1)
    sides = rng.integers(0, 2, 60)
    segments = np.stack([5 * np.arange(60), 5 * np.arange(60) + 5], axis=1)
    label = discrete(np.repeat(sides, 5), "side")
    decoded = np.where(rng.random(300) < 0.8, label.values, 0)
    test = np.arange(1, 300, 2)  # each between two training steps
    layout = split_layout(np.arange(0, 300, 2), test)
    found = null_of_held_out(label, layout, decoded[test], segments, 20, 0, 0)
    assert found.how == PERMUTED
    assert found.observed == statistic(label, label.values[test], decoded[test])
    for order, null in zip(found.lags, found.null, strict=True):
        assert null == statistic(label, np.repeat(sides[order], 5)[test], decoded[test])


SLOW = {
    "ramp": continuous(np.linspace(0, 1, 400), "x"),
    "walk": continuous(np.cumsum(np.random.default_rng(0).normal(size=400)), "x"),
    "constant": continuous(np.r_[np.ones(400), 0], "x"),  # but for a step outside
}
WHOLE = np.array([[0, 400]])


def slow_trials(seed, n=300, length=10, tau=60):
    """A label that neighbouring trials share, and something as slow that does not know it."""
    rng = np.random.default_rng(seed)
    starts = np.arange(n) * length
    segments = np.stack([starts, starts + length], axis=1)
    return continuous(slow(rng, n * length, tau), "x"), slow(rng, n * length, tau, 3), segments


def test_scattered_trials_that_know_each_other_give_no_p():
    """Folds of whole trials, drawn here and there, know a slow label from the trial next door."""
    label, heard, segments = slow_trials(0)
    steps = np.arange(len(label))
    null = null_of_folds(label, steps, heard[:, :1], segments, 40, 0, 0)
    assert null.how == ROTATED
    with pytest.raises(UnmovableError, match="segment next door"):
        null_of_folds(label, steps, heard[:, :1], segments, 40, 0, 0, by_segment=True)
    recording = make_recording(heard, [label], segments=segments)
    folds = segment_folds(segments, 5, 0)
    found = evaluate_folds(recording, folds, lambda fold: heard, nulls=40, n_bootstrap=0)
    assert "split='blocks'" in found["x"].null


def test_trials_next_to_the_training_are_left_out():
    """Blocks of trials held out lose those within one memory; trials here and there have no p."""
    label, heard, segments = slow_trials(1, 600)
    blocks = np.zeros(600, bool)
    blocks[:300] = True
    test = np.flatnonzero(np.repeat(blocks, 10))
    train = np.flatnonzero(~np.repeat(blocks, 10))
    null = null_of_held_out(label, split_layout(train, test), heard[test, :1], segments, 40, 0, 0)
    means = as_numbers(label).reshape(600, 10, -1).mean(axis=1)
    border = memory(means, np.array([[0, 600]]))
    assert 1 < border < 15
    far = test[test < (300 - border) * 10]
    assert null.how == ROTATED
    assert null.observed == statistic(label, label.values[far], heard[far, :1])
    scattered = np.repeat(np.arange(600) % 5 == 0, 10)
    layout = split_layout(np.flatnonzero(~scattered), np.flatnonzero(scattered))
    with pytest.raises(UnmovableError, match="0 of 120 held-out segments"):
        null_of_held_out(label, layout, heard[scattered, :1], segments, 40, 0, 0)


def of_folds(label, n=20):
    return null_of_folds(label, np.arange(400), label.values[:400], WHOLE, n, 0, 0)


def of_held_out(label, n=20):
    layout = split_layout(np.arange(200), np.arange(200, 400))
    return null_of_held_out(label, layout, label.values[200:400], WHOLE, n, 0, 0)


@pytest.mark.parametrize("null_of", [of_folds, of_held_out])
class TestRefused:
    @pytest.mark.parametrize("name", SLOW)
    def test_a_label_that_is_too_slow_has_no_p(self, null_of, name):
        message = "constant" if name == "constant" else "needs .* steps to forget itself, of 400"
        with pytest.raises(UnmovableError, match=message):
            null_of(SLOW[name])

    @pytest.mark.parametrize("n", [0, 1, 19])
    def test_so_few_nulls_cannot_tell(self, null_of, n):
        with pytest.raises(GrevyError, match=f"{n} nulls; expected at least 20"):
            null_of(made("continuous", 400)[0], n)


# --- one encoder for each fold ---------------------------------------------------------------

GAP = 4
FOLDS = block_folds(WHOLE, 4, GAP)
LABELS = [replace(made(kind, 400, seed)[0], name=kind) for seed, kind in enumerate(KINDS)]


def embed(fold):
    """What an encoder of this fold might say: the labels and noise, in turn with the fold."""
    rng = np.random.default_rng(int(fold.test[0]))
    heard = np.column_stack(
        [LABELS[0].values, np.cos(LABELS[1].values), np.sin(LABELS[1].values), LABELS[2].values]
    )
    return (heard + 0.5 * rng.normal(size=heard.shape)) @ rng.normal(size=(5, 4))


class TestEvaluateFolds:
    whole = make_recording(np.zeros((400, 1), np.float32), LABELS)
    options: ClassVar = {"seed": 3, "gap": GAP}

    @pytest.fixture(scope="class")
    def found(self):
        return evaluate_folds(self.whole, FOLDS, embed, nulls=25, n_bootstrap=100, **self.options)

    @pytest.mark.parametrize("label", LABELS, ids=KINDS)
    def test_every_fold_is_decoded_from_its_own_embedding(self, found, label):
        readings = [prepare(embed(fold), fold, **self.options).read(label) for fold in FOLDS]
        expected = pool(label, readings, 100, 3)
        assert fold_metrics(found[label.name].scores) == fold_metrics(expected)
        steps = np.concatenate([fold.test for fold in FOLDS])
        np.testing.assert_array_equal(steps, np.arange(400))
        decoded = np.concatenate([reading.decoded for reading in readings])
        null = null_of_folds(label, steps, decoded, WHOLE, 25, GAP, 3)
        assert found[label.name].null.observed == null.observed
        np.testing.assert_array_equal(found[label.name].null.null, null.null)
        assert found[label.name].null.p == null.p == 1 / 26

    def test_the_order_of_the_folds_is_no_matter(self, found):
        other = evaluate_folds(
            self.whole, FOLDS[::-1], embed, nulls=25, n_bootstrap=100, **self.options
        )
        for name, each in found.items():
            np.testing.assert_array_equal(other[name].null.null, each.null.null)
            assert other[name].null.observed == each.null.observed

    def test_one_training_for_each_fold(self):
        given = []
        evaluate_folds(
            self.whole, FOLDS, lambda fold: given.append(fold) or embed(fold),
            nulls=0, n_bootstrap=0,
        )  # fmt: skip
        assert given == list(FOLDS)

    @pytest.mark.parametrize(
        ("folds", "options", "message"),
        [
            (FOLDS, {"nulls": 19}, "19 nulls; expected at least 20"),
            (FOLDS, {"n_bootstrap": 99}, "99 bootstrap resamples"),
            ((), {}, "0 folds that test 0 time steps"),
            ((*FOLDS, FOLDS[0]), {}, "5 folds that test 500 time steps, 400 of them different"),
        ],
    )
    def test_what_is_wrong_is_said_before_the_first_training(self, folds, options, message):
        with pytest.raises(GrevyError, match=message):
            evaluate_folds(self.whole, folds, lambda _: pytest.fail("trained"), **options)

    def test_none_is_made_unless_it_is_asked_for(self):
        for each in evaluate_folds(self.whole, FOLDS, embed, nulls=0, n_bootstrap=0).values():
            assert each.null is None

    def test_a_label_that_is_too_slow_leaves_the_others_theirs(self):
        whole = make_recording(self.whole.neural, [SLOW["ramp"], LABELS[2]])
        found = evaluate_folds(whole, FOLDS, embed, nulls=20, n_bootstrap=0)
        assert "label 'x' needs" in found["x"].null
        assert found["discrete"].null.p == 1 / 21
        metrics = evaluate(embed(FOLDS[0]), whole, FOLDS[0], nulls=20, folds=found).metrics
        assert "null" not in metrics["scores"]["x"]
        assert "p_adjusted" not in metrics["scores"]["discrete"]["null"]
        assert metrics["note"].count("No p for 'x': ") == 1

    def test_its_p_is_that_of_the_evaluation(self, found):
        """With or without a split, and whatever number of nulls is asked for beside it."""
        for split, nulls in ((FOLDS[0], 20), (FOLDS[0], 0), (None, 20)):
            metrics = evaluate(
                embed(FOLDS[0]), self.whole, split, nulls=nulls, n_bootstrap=0, folds=found
            ).metrics
            json.dumps(metrics, allow_nan=False)
            for name, each in found.items():
                assert metrics["folds"][name] == fold_metrics(each.scores)
                assert metrics["scores"][name]["null"] == {
                    "statistic": each.null.statistic_name,
                    "observed": each.null.observed,
                    "values": each.null.null.tolist(),
                    "p": 1 / 26,
                    "n": 25,
                    "how": SHIFTED,
                    "method": "folds",
                    "folds": 4,
                    "p_adjusted": 3 / 26,
                }

    def test_a_training_for_each_null_goes_before_it(self, found):
        whole = make_recording(self.whole.neural, LABELS[:1])
        metrics = evaluate(
            embed(FOLDS[0]), whole, FOLDS[0], nulls=20, n_bootstrap=0,
            folds={"continuous": found["continuous"]}, retrain=lambda moved: embed(FOLDS[1]),
        ).metrics  # fmt: skip
        assert metrics["scores"]["continuous"]["null"]["method"] == "retrained"
        assert metrics["scores"]["continuous"]["null"]["n"] == 20
        assert metrics["folds"]["continuous"]["values"]


# --- false alarms and power ------------------------------------------------------------------


def by_folds(embedding, label, seed):
    segments = np.array([[0, len(label)]])
    found = decode_folds(
        embedding, label, block_folds(segments, 5, 5), gap=5, decoder="ridge", n_bootstrap=0
    )
    return null_of_folds(label, found.steps, found.decoded, segments, 20, 5, seed).p


def by_held_out(embedding, label, seed):
    segments = np.array([[0, len(label)]])
    ready = prepare(embedding, blocked_split(segments, 0.3, 5), gap=5, decoder="ridge")
    decoded = ready.read(label).decoded
    return null_of_held_out(label, ready.layout, decoded, segments, 20, 5, seed).p


def alarms(null_of, related, n_simulations=60):
    count = 0
    for seed in range(n_simulations):
        rng = np.random.default_rng([11, seed])
        embedding = slow(rng, 4000, 30, 4)
        label = continuous(related * embedding[:, :1] + slow(rng, 4000, 15), "x")
        count += null_of(embedding, label, seed) < 0.05
    return count


@pytest.mark.parametrize("null_of", [by_folds, by_held_out])
def test_unrelated_labels_raise_no_alarm(null_of):
    """At a true rate of 5 %, more alarms than this come once in ten thousand runs of the test."""
    assert alarms(null_of, 0) <= binom.isf(1e-4, 60, 0.05)


@pytest.mark.parametrize("null_of", [by_folds, by_held_out])
def test_a_weak_relation_is_found(null_of):
    assert alarms(null_of, 1, 20) >= 16
