"""How a decoder is chosen and fitted: inner folds, each kind of decoder, any input."""

import tracemalloc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.metrics import r2_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize

from grevy.data.labels import TAU, circular, continuous, discrete
from grevy.data.splits import (
    Split,
    block_folds,
    blocked_split,
    random_split,
    segment_folds,
    segment_split,
)
from grevy.errors import GrevyError
from grevy.evaluation.checks import parts
from grevy.evaluation.decoding import knn, layout, logistic, ridge
from grevy.evaluation.decoding.decoder import decode, prepare
from grevy.evaluation.decoding.folds import decode_folds
from grevy.evaluation.decoding.layout import lay_out, thin

T = 600
WHOLE = np.array([[0, T]])
SPLIT = blocked_split(WHOLE, 0.2, 10)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture
def embedding(rng):
    return rng.normal(size=(T, 3)) * [1, 20, 0.3] + [0, 1000, 0]


def laid_out(split=SPLIT, segments=WHOLE, gap=10):
    return lay_out(split, segments, gap, np.random.default_rng(0))


# ------------------------------------------------------------------------ layout


def test_inner_folds_lie_inside_the_training_and_keep_the_gap():
    found = laid_out()
    assert len(found.folds) == layout.N_FOLDS
    tested = np.concatenate([found.sample[fold.tested] for fold in found.folds])
    assert sorted(tested) == SPLIT.train.tolist()  # short enough not to be thinned
    np.testing.assert_array_equal(tested, found.compared)
    for fold in found.folds:
        steps = found.sample[fold.tested]
        assert set(fold.train) <= set(SPLIT.train)
        assert np.abs(fold.train[:, None] - steps).min() > 10
        assert (np.diff(steps) > 0).all()
        # A stretch of time: no training step of the fold lies between its tested ones.
        assert not ((fold.train > steps[0]) & (fold.train < steps[-1])).any()


@pytest.mark.parametrize(
    ("length", "gap", "n_folds"), [(600, 0, 4), (100, 10, 4), (100, 20, 2), (100, 40, 0), (9, 0, 4)]
)
def test_a_short_training_has_fewer_folds_or_none(length, gap, n_folds):
    split = Split(np.arange(length), np.arange(length + 50, length + 60))
    assert len(laid_out(split, np.array([[0, length + 60]]), gap).folds) == n_folds


def test_trials_need_no_inner_gap():
    segments = np.arange(0, T, 5)[:, None] + [0, 5]
    split = blocked_split(segments, 0.2, 50)
    folds = laid_out(split, segments, 50).folds
    assert len(folds) == 4
    assert min(len(fold.train) for fold in folds) > 0.7 * len(split.train) - 10


def test_a_long_training_is_compared_on_a_sample(monkeypatch):
    monkeypatch.setattr(layout, "MAX_SAMPLE", 50)
    found = laid_out()
    assert len(found.sample) == len(found.compared) == 50
    assert set(found.sample) <= set(SPLIT.train)
    assert sum(len(fold.tested) for fold in found.folds) == 50


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 5))
def test_thinning_takes_one_step_of_every_run(n, most, seed):
    steps = np.arange(n) * 3
    kept = thin(steps, most, np.random.default_rng(seed))
    assert len(kept) == min(n, most)
    assert (np.diff(kept) > 0).all()
    assert set(kept) <= set(steps)
    edges = np.linspace(0, n, min(n, most) + 1).astype(int)
    for start, stop in pairwise(edges):
        assert ((kept >= 3 * start) & (kept < 3 * stop)).sum() == 1


def test_thinning_does_not_keep_time_with_a_trial():
    # Trials of 50 steps, one step in 50 kept: evenly spaced, all would be at one phase.
    phases = thin(np.arange(50_000), 1000, np.random.default_rng(0)) % 50
    assert len(np.unique(phases)) == 50


@given(st.integers(0, 10_000), st.integers(1, 10**7))
def test_parts_are_small_and_whole(n, width):
    found = list(parts(np.arange(n), width))
    assert [step for part in found for step in part.tolist()] == list(range(n))
    assert all(len(part) == 1 or len(part) * width * 8 <= 2**22 for part in found)


# ------------------------------------------------------------------------- ridge


def test_ridge_compares_by_what_has_not_seen_a_fold(embedding, rng):
    values = embedding @ rng.normal(size=(3, 2)) + rng.normal(size=(T, 2)) + 1e6
    found = laid_out()
    decoded = ridge.factorise(embedding, found).compare(values)
    assert decoded.shape == (len(ridge.PENALTIES), len(SPLIT.train), 2)
    for number, penalty in enumerate(ridge.PENALTIES):
        expected = []
        for fold in found.folds:
            alpha = penalty * len(fold.train)
            model = make_pipeline(StandardScaler(), SklearnRidge(alpha=alpha))
            model.fit(embedding[fold.train], values[fold.train])
            expected.append(model.predict(embedding[found.sample[fold.tested]]))
        np.testing.assert_allclose(decoded[number], np.concatenate(expected), rtol=1e-7)


def test_ridge_in_many_parts_is_ridge_in_one(embedding, rng, monkeypatch):
    values = rng.normal(size=(T, 1))
    fits = [ridge.factorise(embedding, laid_out())]
    whole = [fits[0].compare(values), fits[0].decode(values, 0.1, SPLIT.test)]
    monkeypatch.setattr(
        ridge, "parts", lambda index, width: np.array_split(index, min(13, len(index)))
    )
    fits = ridge.factorise(embedding, laid_out())
    np.testing.assert_allclose(fits.compare(values), whole[0], atol=1e-12)
    np.testing.assert_allclose(fits.decode(values, 0.1, SPLIT.test), whole[1], atol=1e-12)


@pytest.mark.parametrize("width", [1, 3, 900])
@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_columns_that_say_nothing_do_no_harm(width, offset, rng):
    # Constant columns, copies of each other, and more columns than training steps.
    inputs = np.repeat(rng.normal(size=(T, 1)), width, axis=1) + offset
    inputs = np.concatenate([inputs, np.full((T, 1), offset), np.zeros((T, 1))], axis=1)
    values = inputs[:, :1] - offset
    decoding = decode(inputs, continuous(values), SPLIT, decoder="ridge", n_bootstrap=0)
    assert decoding.statistic > 0.999


def test_an_absurd_fold_spoils_no_other(embedding):
    # Sums over the whole training less those of a fold would lose every digit here.
    found = laid_out()
    spoilt = embedding.copy()
    spoilt[np.setdiff1d(SPLIT.train, found.folds[0].train)] *= 1e9
    clean, dirty = (ridge.factorise(e, found).moments[0] for e in (embedding, spoilt))
    np.testing.assert_allclose(dirty.scale, clean.scale, rtol=1e-3)
    np.testing.assert_allclose(dirty.values, clean.values, rtol=1e-3)


# ------------------------------------------------------------- nearest neighbours


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("offset", [0.0, 1e5])
def test_neighbours_are_scikit_learns(metric, offset, rng):
    inputs = rng.normal(size=(T, 3)) + offset * (metric == "euclidean")
    values = np.sin(3 * (inputs - offset * (metric == "euclidean")))[:, :2]
    decoding = decode(inputs, continuous(values), SPLIT, decoder="knn", metric=metric)
    count = int(decoding.decoder.split()[0])
    seen = normalize(inputs) if metric == "cosine" else inputs
    model = KNeighborsRegressor(count).fit(seen[SPLIT.train], values[SPLIT.train])
    np.testing.assert_allclose(decoding.decoded, model.predict(seen[SPLIT.test]), atol=1e-9)
    assert decoding.decoder == f"{count} nearest neighbours, {metric}"


def test_neighbours_compare_by_what_has_not_seen_a_fold(embedding, rng):
    values = rng.normal(size=(T, 1))
    found = laid_out()
    neighbours = knn.prepare_neighbours(embedding, found, "euclidean", rng)
    for fold, answers in zip(found.folds, neighbours.compared, strict=True):
        averages = answers.average(values, (30, 3))
        for count, average in zip((30, 3), averages, strict=True):
            model = KNeighborsRegressor(count).fit(embedding[fold.train], values[fold.train])
            expected = model.predict(embedding[found.sample[fold.tested]])
            np.testing.assert_allclose(average, expected)


def test_a_balanced_vote_is_scikit_learns(rng):
    codes = np.tile([0, 1, 2], T // 3)
    inputs = rng.normal(size=(T, 2)) + codes[:, None]
    found = laid_out()
    # Equal numbers in the references, so that plain and balanced votes agree but for ties.
    train = SPLIT.train[: 3 * (len(SPLIT.train) // 3)]
    balanced = np.concatenate([train[codes[train] == code][:100] for code in range(3)])
    found = replace(found, train=np.sort(balanced))
    neighbours = knn.prepare_neighbours(inputs, found, "euclidean", rng)
    model = KNeighborsClassifier(10).fit(inputs[found.train], codes[found.train])
    votes = model.predict_proba(inputs[SPLIT.test])
    clear = np.sort(votes, axis=1)[:, -1] > np.sort(votes, axis=1)[:, -2]
    decoded = neighbours.nearest("test", 10).vote(codes, 3, (10,))[0]
    np.testing.assert_array_equal(decoded[clear], votes.argmax(axis=1)[clear])
    # Of a tie, one of those that tie wins.
    tied = votes[~clear, decoded[~clear]]
    np.testing.assert_array_equal(tied, votes[~clear].max(axis=1))


def test_equal_votes_go_to_the_nearer():
    # Two neighbours of either class; the inner or the outer pair decides, whatever its code.
    nearest = np.array([[0, 1, 2, 3], [2, 3, 0, 1]])
    answers = knn.Answers(np.arange(4), nearest)
    for codes in (np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0])):
        np.testing.assert_array_equal(answers.vote(codes, 2, (4,))[0], codes[[0, 2]])


def test_equal_distances_do_not_prefer_the_beginning():
    # One neuron that is nearly always silent: every silent step is equally near.
    rng = np.random.default_rng(0)
    counts = (rng.random(2000) < 0.05).astype(float)[:, None]
    drift = np.linspace(-1, 1, 2000)
    decoding = decode(counts, continuous(drift), random_split(2000, 0.2, 0), decoder="knn")
    silent = counts[decoding.steps, 0] == 0
    assert abs(decoding.decoded[silent].mean()) < 0.5


@pytest.mark.parametrize("n_columns", [1, 2, 3])
@pytest.mark.parametrize("equal", ["none", "few", "many"])
def test_a_tree_finds_what_a_comparison_with_all_finds(n_columns, equal, rng, monkeypatch):
    inputs = rng.normal(size=(T, n_columns))
    if equal == "few":
        inputs[1::40] = inputs[::40]
    elif equal == "many":
        inputs = np.round(inputs)

    def nearest():
        made = np.random.default_rng(1)
        neighbours = knn.prepare_neighbours(inputs, laid_out(), "euclidean", made)
        rising = [neighbours.nearest("test", count).nearest[:, :count] for count in (3, 10, 100)]
        assert neighbours.nearest("test", 3).nearest is neighbours.nearest("test", 100).nearest
        return [*rising, *(each.nearest for each in neighbours.compared)]

    by_tree = nearest()
    monkeypatch.setattr(knn, "MAX_TREE_COLUMNS", 0)
    for found, expected in zip(by_tree, nearest(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_tree_is_asked_where_nothing_is_equally_near(embedding, rng, monkeypatch):
    neighbours = knn.prepare_neighbours(embedding[:, :2], laid_out(), "euclidean", rng)
    monkeypatch.setattr("sklearn.neighbors.NearestNeighbors.fit", None)
    for count in neighbours.counts:
        assert len(neighbours.nearest("test", count).nearest) == len(SPLIT.test)


def test_a_long_training_is_thinned_to_references(embedding, rng, monkeypatch):
    monkeypatch.setattr(knn, "MAX_REFERENCES", 60)
    neighbours = knn.prepare_neighbours(embedding, laid_out(), "euclidean", rng)
    assert len(neighbours.references) == 60
    assert neighbours.counts == (10, 3)
    nearest = neighbours.nearest("test", 10).nearest
    assert set(nearest.ravel()) <= set(neighbours.references) <= set(SPLIT.train)


def test_angles_are_averaged_on_the_circle(rng):
    angle = np.mod(rng.normal(0, 0.2, T), TAU)  # about the wrap
    decoding = decode(rng.normal(size=(T, 2)), circular(angle), SPLIT, decoder="knn")
    apart = np.minimum(decoding.decoded, TAU - decoding.decoded)
    assert apart.max() < 0.5
    assert decoding.scores.mean_error == pytest.approx(0.16, abs=0.04)


# -------------------------------------------------------------------- the choice

SHAPES = {
    "linear": (lambda e: e[:, :2], ["ridge"]),
    "bent": (lambda e: np.sin(4 * e[:, :2]), ["30 nearest", "10 nearest", "3 nearest"]),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["continuous", "circular", "discrete"])
def test_the_better_kind_of_decoder_is_chosen(shape, kind, rng):
    inputs = rng.uniform(-1, 1, size=(3000, 2))
    signal, expected = SHAPES[shape][0](inputs), SHAPES[shape][1]
    angle = np.mod(np.arctan2(signal[:, 0], signal[:, 1]), TAU)
    label = {
        "continuous": continuous(signal),
        "circular": circular(angle),
        "discrete": discrete((angle // (TAU / 4)).astype(int)),
    }[kind]
    decoding = decode(inputs, label, gap=5, n_bootstrap=0)
    if kind == "discrete" and shape == "linear":
        expected = ["logistic"]
    assert any(decoding.decoder.startswith(name) for name in expected), decoding.decoder
    best = decoding.statistic
    for decoder in ("knn", "logistic" if kind == "discrete" else "ridge"):
        assert decode(inputs, label, gap=5, decoder=decoder, n_bootstrap=0).statistic <= best + 0.02


def test_noise_is_decoded_by_the_smoothest(rng):
    inputs, values = rng.normal(size=(2000, 20)), rng.normal(size=(2000, 1))
    decoding = decode(inputs, continuous(values), n_bootstrap=0)
    assert decoding.decoder in ("ridge, penalty 10", "100 nearest neighbours, euclidean")
    assert -0.05 < decoding.statistic < 0.01


KINDS = {
    "continuous": lambda e, rng: continuous(e[:, :2] + rng.normal(size=(len(e), 2))),
    "circular": lambda e, rng: circular(rng.uniform(0, 360, len(e)), 360),
    "discrete": lambda e, rng: discrete(rng.integers(0, 3, len(e))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_one_preparation_serves_many_labels(kind, embedding, rng):
    ready = prepare(embedding, SPLIT, gap=10, seed=3)
    for _ in range(3):
        label = KINDS[kind](embedding, rng)
        alone = decode(embedding, label, SPLIT, gap=10, seed=3, n_bootstrap=200)
        together = ready.decode(label, 200)
        assert alone.scores == together.scores
        assert alone.intervals == together.intervals
        assert alone.decoder == together.decoder
        assert ready.statistic(label) == together.statistic
        np.testing.assert_array_equal(alone.decoded, together.decoded)
    assert together.statistic_name in ("mean R2", "minus mean angular error", "balanced accuracy")


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_too_short_to_choose_takes_the_medium_linear_decoder(kind, rng):
    embedding = rng.normal(size=(60, 2))
    split = Split(np.arange(30), np.arange(40, 60))
    decoding = decode(embedding, KINDS[kind](embedding, rng), split, gap=15, n_bootstrap=0)
    usual = "logistic regression, penalty 0.001" if kind == "discrete" else "ridge, penalty 0.01"
    assert decoding.decoder == usual
    alone = decode(
        embedding, KINDS[kind](embedding, rng), split, gap=15, decoder="knn", n_bootstrap=0
    )
    assert alone.decoder == "10 nearest neighbours, euclidean"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_train", [2, 3, 5, 12])
def test_a_handful_of_steps_still_decodes(kind, n_train, rng):
    embedding = rng.normal(size=(n_train + 4, 2))
    label = {
        "continuous": continuous(np.arange(n_train + 4.0)),
        "circular": circular(np.arange(n_train + 4.0)),
        "discrete": discrete(np.arange(n_train + 4) % 2),
    }[kind]
    split = Split(np.arange(n_train), np.arange(n_train, n_train + 4))
    for decoder in ("auto", "knn"):
        decoding = decode(embedding, label, split, decoder=decoder, n_bootstrap=100)
        assert np.isfinite(decoding.statistic)
        assert len(decoding.decoded) == 4


def test_folds_of_a_single_class_are_no_obstacle(rng):
    # Blocks of one class each: an inner fold trains or tests on few classes.
    codes = np.repeat([0, 1, 2, 3], 150)
    embedding = rng.normal(size=(T, 2)) + 3 * codes[:, None]
    split = random_split(T, 0.2, 0)
    decoding = decode(embedding, discrete(codes), split, n_bootstrap=100)
    assert decoding.scores.classes == (0, 1, 2, 3)
    assert decoding.statistic > 0.5


def test_very_many_classes_are_asked_of_the_neighbours(rng):
    codes = np.repeat(np.arange(200), 10) * 1000 - 7
    embedding = np.repeat(rng.normal(size=(200, 3)), 10, axis=0) + rng.normal(0, 1e-3, (2000, 3))
    decoding = decode(embedding, discrete(codes), random_split(2000, 0.2, 0), n_bootstrap=100)
    assert "nearest" in decoding.decoder
    assert decoding.scores.accuracy > 0.95
    assert decoding.scores.classes[:2] == (-7, 993)
    assert decoding.scores.confusion == ()
    assert set(decoding.intervals) == {"accuracy", "balanced_accuracy", "f1"}


def test_logistic_regression_is_fitted_on_a_thinned_training(embedding, monkeypatch, rng):
    monkeypatch.setattr(logistic, "MAX_COMPARED", 40)
    monkeypatch.setattr(logistic, "MAX_TRAINED", 100)
    rows = logistic.choose_rows(embedding, laid_out(), 3, rng)
    assert [len(each) for each in rows.compared] == [40] * 4
    assert len(rows.trained) == 100
    for fold, each in zip(laid_out().folds, rows.compared, strict=True):
        assert set(each) <= set(fold.train)
    assert len(logistic.choose_rows(embedding, laid_out(), 2**20, rng).trained) == 16


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 1e4), st.floats(-1e4, 1e4))
def test_decoding_knows_no_unit(seed, unit, offset):
    rng = np.random.default_rng(seed)
    embedding = rng.normal(size=(T, 2))
    values = embedding[:, :1] + rng.normal(size=(T, 1))
    first = decode(embedding, continuous(values), SPLIT, n_bootstrap=0)
    moved = continuous(unit * values + offset)
    for inputs in (embedding, unit * embedding + offset):
        other = decode(inputs, moved, SPLIT, n_bootstrap=0)
        assert other.statistic == pytest.approx(first.statistic, rel=1e-3, abs=1e-3)


def test_the_seed_decides_and_repeats(rng):
    embedding = rng.normal(size=(6000, 2))
    label = continuous(np.sin(3 * embedding[:, :1]) + rng.normal(size=(6000, 1)))
    first, same, other = (decode(embedding, label, seed=seed) for seed in (1, 1, 2))
    assert first.intervals == same.intervals
    np.testing.assert_array_equal(first.decoded, same.decoded)
    assert first.intervals != other.intervals


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, bool])
def test_arrays_and_memory_maps_of_any_real_dtype(dtype, tmp_path, rng):
    values = (rng.random((T, 4)) * 3).astype(dtype)
    path = tmp_path / "neural.dat"
    values.tofile(path)
    mapped = np.memmap(path, dtype=dtype, mode="r", shape=values.shape)
    label = continuous(values[:, 0] + rng.normal(size=T))
    first, second = (decode(e, label, SPLIT, n_bootstrap=100) for e in (mapped, values.tolist()))
    assert first.scores.test_r2 == pytest.approx(second.scores.test_r2)


@pytest.mark.parametrize("kind", KINDS)
def test_raw_data_is_never_copied_whole(kind, tmp_path, monkeypatch, rng):
    # 105 MB on disk; but for the few steps that neighbours and classifiers take, it is read in
    # parts. A float32 copy of the training alone would be 84 MB.
    monkeypatch.setattr(knn, "MAX_REFERENCES", 1000)
    monkeypatch.setattr(logistic, "MAX_TRAINED", 1000)
    path, length, width = tmp_path / "neural.npy", 65_536, 400
    neural = np.lib.format.open_memmap(path, "w+", np.float32, (length, width))
    for start in range(0, length, 8192):
        neural[start : start + 8192] = rng.normal(size=(8192, width))
    label = KINDS[kind](neural[:, :3].astype(float), rng)
    split = blocked_split(np.array([[0, length]]), 0.2, 10)
    tracemalloc.start()
    decode(neural, label, split, gap=10, decoder="knn" if kind == "circular" else "auto")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6, peak


def test_a_plain_array_is_made_a_label(embedding):
    numbers = decode(embedding, embedding[:, 0].tolist(), SPLIT)
    assert (numbers.label, numbers.kind) == ("label", "continuous")
    names = decode(embedding, np.where(embedding[:, 0] > 0, "right", "left"), SPLIT)
    assert names.scores.classes == ("left", "right")


def test_the_default_split_is_blocks_of_time(embedding):
    decoding = decode(embedding, embedding[:, 0], gap=10, holdout=0.2, n_bootstrap=0)
    np.testing.assert_array_equal(decoding.steps, SPLIT.test)
    segments = np.array([[0, 100], [200, T]])
    inside = decode(embedding, embedding[:, 0], segments=segments, n_bootstrap=0).steps
    assert not ((inside >= 100) & (inside < 200)).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", ["time", "segments"])
def test_k_fold_decodes_every_step_by_what_has_not_seen_it(kind, make, embedding, rng):
    segments = np.arange(0, T, 60)[:, None] + [0, 60]
    folds = block_folds(segments, 5, 10) if make == "time" else segment_folds(segments, 5, 0)
    label = KINDS[kind](embedding, rng)
    together = decode_folds(embedding, label, folds, segments=segments, gap=10)
    np.testing.assert_array_equal(together.steps, np.arange(T))
    alone = [decode(embedding, label, f, segments=segments, gap=10, n_bootstrap=0) for f in folds]
    for fold, each in zip(folds, alone, strict=True):
        np.testing.assert_array_equal(together.decoded[fold.test], each.decoded)
        np.testing.assert_array_equal(together.true[fold.test], each.true)
        assert each.decoder in together.decoder
    low, high = together.intervals[
        {"continuous": "test_r2", "circular": "mean_error", "discrete": "balanced_accuracy"}[kind]
    ]
    assert low < abs(together.statistic) < high
    if kind == "continuous":
        assert together.scores.test_r2 == pytest.approx(r2_score(together.true, together.decoded))


@pytest.mark.parametrize(
    ("folds", "message"), [([], "0 folds that test 0"), ([SPLIT, SPLIT], "240 time steps, 120 of")]
)
def test_folds_must_differ(folds, message, embedding):
    with pytest.raises(GrevyError, match=message):
        decode_folds(embedding, embedding[:, 0], folds)


def test_the_order_of_a_split_does_not_matter(embedding, rng):
    shuffled = Split(rng.permutation(SPLIT.train), rng.permutation(SPLIT.test))
    first, second = (decode(embedding, embedding[:, 0], split) for split in (SPLIT, shuffled))
    assert first.scores == second.scores
    assert first.intervals == second.intervals
    np.testing.assert_array_equal(first.steps, second.steps)


BOTH = Split(np.arange(0, 300), np.arange(290, 400))


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"decoder": "rigde"}, "unknown decoder 'rigde'. Did you mean 'ridge'"),
        ({"metric": "cosin"}, "unknown metric 'cosin'. Did you mean 'cosine'"),
        ({"decoder": "logistic"}, "is continuous, which 'logistic' does not decode"),
        ({"gap": -1}, "gap of -1 steps"),
        ({"seed": -1}, "seed -1"),
        ({"n_bootstrap": 20}, "20 bootstrap resamples; a 95 % interval needs at least 100"),
        ({"n_bootstrap": -5}, "-5 bootstrap resamples"),
        ({"split": BOTH}, "10 time steps are both trained and tested on, the first at 290"),
        ({"split": None, "holdout": 3}, "holdout of 3"),
        ({"segments": [[0, T + 1]]}, f"0 <= start < stop <= {T}"),
        ({"segments": [[50, 80], [0, 9]]}, "be sorted and must not overlap"),
        ({"segments": [[0, 9], [5, 20]]}, "be sorted and must not overlap"),
        ({"segments": [[9, 9]]}, "start < stop"),
        ({"segments": np.empty((0, 2), int)}, r"segments of shape \(0, 2\)"),
        ({"segments": np.arange(T)}, r"segments of shape \(600,\)"),
        ({"segments": [[0.5, 3.0]]}, "dtype float64"),
    ],
)
def test_decode_refuses_bad_arguments(named, message, embedding):
    with pytest.raises(GrevyError, match=message):
        decode(embedding, embedding[:, 0], **{"split": SPLIT, **named})


@pytest.mark.parametrize("size", [1e99, 1e101])
def test_numbers_whose_squares_overflow_are_refused(size, rng):
    embedding = rng.normal(size=(T, 2)) / 10
    embedding[:, 0] *= size
    embedding[3, 0] = size
    if size > 1e100:
        with pytest.raises(GrevyError, match="the embedding holds values as large"):
            decode(embedding, embedding[:, 1], SPLIT)
    else:
        assert decode(embedding, embedding[:, 1], SPLIT).statistic > 0.99


def test_ridge_is_for_numbers(embedding):
    with pytest.raises(GrevyError, match="is discrete, which 'ridge' does not decode"):
        decode(embedding, np.arange(T) % 2, SPLIT, decoder="ridge")


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (np.full(T, np.nan), "600 of 600 values are NaN"),
        (np.ones(T), "constant"),
        (np.ones(3), "constant"),
        (np.arange(3.0), "has 3 time steps, the embedding has 600"),
        ([], "not empty"),
        (np.r_[np.zeros(T - 1), -1e200], "label 'label' holds values as large as 1.0e\\+200"),
    ],
)
def test_decode_refuses_bad_labels(label, message, embedding):
    with pytest.raises(GrevyError, match=message):
        decode(embedding, label, SPLIT)


class TestInnerFoldsOfWholeSegments:
    """Where whole segments are held out, decoders are chosen by folds of whole segments."""

    segments = np.stack([np.arange(0, 200, 20), np.arange(20, 220, 20)], axis=1)

    def layout(self, segments):
        split = segment_split(segments, 0.2, 3)
        return lay_out(split, segments, 5, np.random.default_rng(0))

    def test_no_segment_is_on_both_sides(self):
        layout = self.layout(self.segments)
        assert len(layout.folds) == 4
        tested = []
        for fold in layout.folds:
            steps = layout.sample[fold.tested]
            assert not set(fold.train // 20) & set(steps // 20)
            assert len(fold.train) + len(steps) == len(layout.train), "no gap is needed"
            tested.append(steps)
        np.testing.assert_array_equal(np.sort(np.concatenate(tested)), layout.train)

    def test_fewer_segments_make_fewer_folds(self):
        layout = self.layout(np.array([[0, 100], [100, 200], [200, 240]]))
        assert len(layout.folds) == 2

    def test_one_training_segment_is_cut_into_blocks(self):
        layout = self.layout(np.array([[0, 200], [200, 240]]))
        assert len(layout.folds) == 4
        assert len(layout.folds[0].train) < 150, "with a gap"

    def test_a_split_keeps_it_through_the_preparation(self):
        rng = np.random.default_rng(0)
        split = segment_split(self.segments, 0.2, 3)
        ready = prepare(rng.normal(size=(200, 3)), split, segments=self.segments, gap=5)
        for fold in ready.layout.folds:
            assert not set(fold.train // 20) & set(ready.layout.sample[fold.tested] // 20)
