"""Moved labels: brute force, invariants, and false alarms no more often than stated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import binom

from grevy.data.labels import circular, continuous, discrete
from grevy.data.splits import Split, blocked_split, random_split
from grevy.errors import GrevyError
from grevy.evaluation.decoding.decoder import Prepared, decode
from grevy.evaluation.moves import (
    PERMUTED,
    ROTATED,
    SHIFTED,
    Moves,
    UnmovableError,
    as_numbers,
    autocorrelation,
    memory,
    plan_moves,
    rearranged,
    refuse_slow,
    shifted,
    spread_lags,
)
from grevy.evaluation.nulls import null_test


def slow(rng, length, tau, columns=1):
    """An Ornstein-Uhlenbeck process of unit variance: autocorrelation exp(-lag / tau)."""
    keep = np.exp(-1 / tau)
    noise = np.sqrt(1 - keep**2) * rng.normal(size=(length, columns))
    noise[0] = rng.normal(size=columns)
    return lfilter([1], [1, -keep], noise, axis=0)


def end_to_end(lengths):
    stops = np.cumsum(lengths)
    return np.stack([stops - lengths, stops], axis=1)


# --- the moves -------------------------------------------------------------------------------

LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=6)


@given(LENGTHS, st.integers(0, 1000))
def test_shifted_rolls_each_segment(lengths, seed):
    rng = np.random.default_rng(seed)
    segments = end_to_end(np.array(lengths))
    lags = rng.integers(0, 20, len(lengths))
    values = rng.normal(size=segments[-1, 1])
    expected = [np.roll(values[a:b], lag) for (a, b), lag in zip(segments, lags, strict=True)]
    np.testing.assert_array_equal(values[shifted(segments, lags)], np.concatenate(expected))


@given(LENGTHS, st.integers(0, 1000))
def test_rearranged_stretches_each_segment(lengths, seed):
    rng = np.random.default_rng(seed)
    segments = end_to_end(np.array(lengths))
    order = rng.permutation(len(lengths))
    expected = []
    for (start, stop), source in zip(segments, segments[order], strict=True):
        for step in range(stop - start):
            expected.append(source[0] + step * (source[1] - source[0]) // (stop - start))
    found = rearranged(segments, order)
    np.testing.assert_array_equal(found, expected)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    np.testing.assert_array_equal(owner[found], order[owner])
    np.testing.assert_array_equal(found[segments[:, 0]], segments[order, 0])


def test_segments_of_one_length_are_exchanged_whole():
    segments = end_to_end(np.full(5, 4))
    values = np.arange(20).reshape(5, 4)
    order = np.array([3, 1, 4, 0, 2])
    np.testing.assert_array_equal(
        values.reshape(-1)[rearranged(segments, order)], values[order].reshape(-1)
    )


@given(st.integers(1, 300), st.integers(1, 60), st.integers(1, 100), st.integers(0, 100))
def test_lags_are_distinct_and_far_enough(length, n, least, seed):
    lags = spread_lags(length, n, least, np.random.default_rng(seed))
    assert len(lags) == min(n, max(length - 2 * least + 1, 0))
    assert len(np.unique(lags)) == len(lags)
    assert ((lags >= least) & (lags <= length - least)).all()


def test_lags_are_spread_evenly_and_differ_between_seeds():
    first, second = (spread_lags(10_000, 50, 100, np.random.default_rng(s)) for s in (0, 1))
    assert (first != second).any()
    part = (10_000 - 200) / 50
    assert (np.abs(first - 100 - part * (np.arange(50) + 0.5)) <= part / 2 + 1).all()


# --- memory ----------------------------------------------------------------------------------


@given(LENGTHS, st.integers(0, 1000))
def test_autocorrelation_is_that_of_the_definition(lengths, seed):
    rng = np.random.default_rng(seed)
    segments = end_to_end(np.array(lengths))
    numbers = rng.normal(size=(segments[-1, 1], 2))
    n_lags = max(lengths)
    products, energy = np.zeros(n_lags), np.zeros(n_lags)
    for start, stop in segments:
        own = numbers[start:stop]
        for lag in range(stop - start):
            products[lag] += (own * np.roll(own, -lag, axis=0)).sum()
            energy[lag] += (own**2).sum()
    np.testing.assert_allclose(
        autocorrelation(numbers, segments, n_lags), products / energy, atol=1e-9
    )


@pytest.mark.parametrize("tau", [5, 20, 80])
def test_memory_is_the_time_constant(tau):
    rng = np.random.default_rng(tau)
    numbers = slow(rng, 40_000, tau)
    for segments in ([[0, 40_000]], [[0, 15_000], [15_000, 40_000]]):
        assert memory(numbers, np.array(segments)) == pytest.approx(tau, rel=0.25)


def test_no_shift_changes_the_memory():
    rng = np.random.default_rng(0)
    numbers, segments = slow(rng, 1000, 20, 3), end_to_end(np.array([400, 600]))
    moved = numbers[shifted(segments, np.array([123, 321]))]
    np.testing.assert_allclose(
        autocorrelation(moved, segments, 600), autocorrelation(numbers, segments, 600), atol=1e-9
    )


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (continuous([0.0, 2.0, 4.0]), [[-1.2247], [0], [1.2247]]),
        (circular([0.0, np.pi]), [[1, 0], [-1, 0]]),
        (discrete(["a", "b", "a", "c"]), [[0.5, -0.25, -0.25], [-0.5, 0.75, -0.25],
                                          [0.5, -0.25, -0.25], [-0.5, -0.25, 0.75]]),
    ],
)  # fmt: skip
def test_labels_as_numbers(label, expected):
    np.testing.assert_allclose(as_numbers(label), expected, atol=1e-4)


def test_many_classes_take_few_columns():
    assert as_numbers(discrete(np.arange(500))).shape == (500, 8)


# --- how a label is moved --------------------------------------------------------------------


def trials(n, length, values):
    """Labels that are constant within trials of jittered length."""
    lengths = length + np.arange(n) % 3
    return np.repeat(values, lengths), end_to_end(lengths)


def cases():
    rng = np.random.default_rng(0)
    smooth = slow(rng, 6000, 30)[:, 0]
    yield "one recording", continuous(smooth), end_to_end(np.array([6000])), SHIFTED
    yield "five blocks", continuous(smooth), end_to_end(np.full(5, 1200)), SHIFTED
    yield (
        "blocks and crumbs",
        continuous(smooth),
        end_to_end(np.array([2000, 5, 1, 2000, 94, 1900])),
        SHIFTED,
    )
    yield (
        "fast label, trials",
        continuous(rng.normal(size=6000)),
        end_to_end(np.full(60, 100)),
        (SHIFTED),
    )
    values, segments = trials(60, 20, rng.permutation(60).astype(float))
    yield "a value for each trial", continuous(values), segments, PERMUTED
    yield "smooth trials", continuous(smooth), end_to_end(np.full(120, 50)), ROTATED
    rng = np.random.default_rng(1)
    fresh = np.concatenate([slow(rng, 50, 30) for _ in range(120)])
    yield "unrelated trials", continuous(fresh), end_to_end(np.full(120, 50)), PERMUTED
    values, segments = trials(60, 20, np.repeat([0, 1, 0, 1, 2, 0], 10))
    yield "blocks of trials", discrete(values), segments, ROTATED
    yield (
        "bins that stand alone, round after round",
        discrete(np.tile(np.arange(8), 69)),
        end_to_end(np.ones(552, int)),
        PERMUTED,
    )
    angle = np.cumsum(rng.normal(0, 0.2, 400))
    yield "slow angle in single bins", circular(angle), end_to_end(np.ones(400, int)), ROTATED
    values, segments = trials(10, 60, np.arange(10) // 5)
    yield "few slow trials with a change", discrete(np.r_[values[1:], 0]), segments, SHIFTED


CASES = {name: rest for name, *rest in cases()}


@pytest.mark.parametrize("case", CASES)
def test_how_a_label_is_moved(case):
    label, segments, how = CASES[case]
    moves = plan_moves(label, segments, 30, None, 0, np.random.default_rng(0))
    assert moves.how == how
    assert len(moves) == 30
    made = [np.asarray(source) for source in moves]
    for source in made:
        assert source.shape == (len(label),)
        assert (source >= 0).all()
        assert (source < len(label)).all()
    assert len({source.tobytes() for source in made}) == 30
    owner = np.repeat(np.arange(len(segments)), segments[:, 1] - segments[:, 0])
    for source in made:
        same = owner[source] == owner
        assert same.all() if how == SHIFTED else same.mean() < 0.2


def test_rotation_keeps_neighbours_together():
    label, segments, _ = CASES["blocks of trials"]
    moves = plan_moves(label, segments, 30, None, 0, np.random.default_rng(0))
    owner = np.repeat(np.arange(60), segments[:, 1] - segments[:, 0])
    for lag, source in zip(moves.lags, moves, strict=True):
        assert 1 <= lag <= 59
        np.testing.assert_array_equal(owner[source], (owner - lag) % 60)


class TestLags:
    label = continuous(slow(np.random.default_rng(0), 5000, 40))

    def lags(self, segments, min_lag=None, gap=0, n=50):
        segments = end_to_end(np.array(segments))
        return plan_moves(self.label, segments, n, min_lag, gap, np.random.default_rng(0)).lags

    @pytest.mark.parametrize(("gap", "least", "most"), [(0, 30, 50), (70, 70, 70), (500, 100, 100)])
    def test_the_smallest_follows_memory_and_gap(self, gap, least, most):
        lags = self.lags([5000], gap=gap, n=4900)[:, 0]  # more than there are: all of them
        assert least <= lags.min() <= most
        assert lags.max() == 5000 - lags.min()

    def test_one_can_be_asked_for(self):
        lags = self.lags([5000], min_lag=1000)
        assert lags.min() >= 1000
        assert lags.max() <= 4000

    def test_one_asked_for_is_never_ignored(self):
        label, segments, how = CASES["a value for each trial"]
        assert how == PERMUTED
        with pytest.raises(UnmovableError, match="constant within each"):
            plan_moves(label, segments, 20, 5, 0, np.random.default_rng(0))
        label, segments, how = CASES["smooth trials"]
        assert how == ROTATED
        assert plan_moves(label, segments, 20, 5, 0, np.random.default_rng(0)).how == SHIFTED

    def test_all_segments_move_by_the_same_fraction(self):
        lags = self.lags([3000, 1500, 500])
        np.testing.assert_allclose(lags[:, 1], lags[:, 0] / 2, atol=1)
        np.testing.assert_allclose(lags[:, 2], lags[:, 0] / 6, atol=1)
        assert (lags > 0).all()

    @pytest.mark.parametrize("min_lag", [0, -3, 2501])
    def test_one_out_of_range_is_refused(self, min_lag):
        with pytest.raises(GrevyError, match=f"smallest lag of {min_lag} steps.*which has 5000"):
            self.lags([5000], min_lag=min_lag)


# --- the test --------------------------------------------------------------------------------


class TestNullTest:
    rng = np.random.default_rng(0)
    embedding = slow(rng, 900, 10, 3)
    split = blocked_split(np.array([[0, 900]]), 0.2, 5)

    def labels(self):
        follows = self.embedding[:, :2] + self.rng.normal(size=(900, 2))
        return {
            "continuous": continuous(follows),
            "circular": circular(np.degrees(np.arctan2(*follows.T)), 360),
            "discrete": discrete(np.where(follows[:, 0] > 0, "left", "right")),
        }

    @pytest.mark.parametrize("kind", ["continuous", "circular", "discrete"])
    def test_every_null_is_a_decoding_of_its_own(self, kind):
        label = self.labels()[kind]
        found = null_test(self.embedding, label, self.split, n=20, gap=5, seed=3)
        options = {"gap": 5, "seed": 3, "n_bootstrap": 0}
        observed = decode(self.embedding, label, self.split, **options)
        assert found.observed == observed.statistic
        assert found.statistic_name == observed.statistic_name
        for lag, null in zip(found.lags[:, 0], found.null, strict=True):
            moved = label.take(np.roll(np.arange(900), lag))
            assert null == decode(self.embedding, moved, self.split, **options).statistic
        assert found.p == (1 + (found.null >= found.observed).sum()) / 21
        assert found.p == 1 / 21
        assert found.how == SHIFTED
        assert found.method == "refitted"

    def test_ties_count_against_the_label(self, monkeypatch):
        monkeypatch.setattr(Prepared, "statistic", lambda self, label: 0.5)
        assert null_test(self.embedding, self.embedding[:, 0], self.split).p == 1

    def test_what_is_no_number_is_no_evidence(self, monkeypatch):
        monkeypatch.setattr(Prepared, "statistic", lambda self, label: np.nan)
        assert null_test(self.embedding, self.embedding[:, 0], self.split).p == 1

    def test_the_seed_decides(self):
        label = self.embedding[:, :1] + self.rng.normal(size=(900, 1))
        results = [null_test(self.embedding, label, self.split, seed=seed, n=20) for seed in
                   (1, 1, 2)]  # fmt: skip
        np.testing.assert_array_equal(results[0].null, results[1].null)
        assert (results[0].lags != results[2].lags).any()

    def test_all_columns_move_together(self, monkeypatch):
        seen = []

        def statistic(self, label):
            seen.append(label.values)
            return 0.0

        monkeypatch.setattr(Prepared, "statistic", statistic)
        first = np.random.default_rng(1).permutation(np.arange(900.0))
        rows = np.column_stack([first, -first, first**2])
        null_test(self.embedding, rows, self.split)
        assert len(seen) == 51
        np.testing.assert_array_equal(seen[0], rows)
        for values in seen[1:]:
            np.testing.assert_array_equal(values[:, 1], -values[:, 0])
            np.testing.assert_array_equal(values[:, 2], values[:, 0] ** 2)
            assert set(values[:, 0]) == set(range(900))
            assert (values[:, 0] != rows[:, 0]).all()

    def test_steps_outside_segments_stay_out(self, monkeypatch):
        seen = []

        def statistic(self, label):
            seen.append(label.values[:, 0])
            return 0.0

        monkeypatch.setattr(Prepared, "statistic", statistic)
        segments = np.array([[50, 400], [450, 900]])
        split = Split(np.r_[50:300, 450:800], np.r_[320:400, 820:900])
        label = np.random.default_rng(1).permutation(np.arange(900.0))
        null_test(self.embedding, label, split, segments=segments)
        outside = np.r_[:50, 400:450]
        for values in seen:
            np.testing.assert_array_equal(values[outside], label[outside])
            for start, stop in segments:
                assert set(values[start:stop]) == set(label[start:stop])

    def test_the_encoder_can_be_trained_anew(self):
        label = continuous(self.embedding[:, 0])
        given = []

        def retrain(moved):
            given.append(moved)
            return np.column_stack([moved.values, self.embedding])  # learns everything

        found = null_test(self.embedding, label, self.split, n=20, retrain=retrain)
        assert found.method == "retrained"
        assert len(given) == 20
        assert (found.null > 0.99).all()
        assert not any((moved.values == label.values).all() for moved in given)

    @pytest.mark.parametrize(
        "values", [np.linspace(0, 1, 900), np.cumsum(np.random.default_rng(0).normal(size=900))]
    )
    def test_a_slow_label_has_no_p(self, values):
        with pytest.raises(UnmovableError, match=r"needs \d+ steps to forget itself, of 900"):
            null_test(self.embedding, values, self.split, decoder="ridge", n=20)

    def test_a_label_that_is_slow_over_trials_has_no_p(self):
        trial = np.arange(900) // 10
        side = np.random.default_rng(0).integers(0, 2, 5)[trial // 20]
        with pytest.raises(UnmovableError, match=r"needs \d+ segments to forget itself, of 90"):
            null_test(self.embedding, side, self.split, segments=end_to_end(np.full(90, 10)), n=20)

    def test_blocks_of_trials_that_change_often_have_one(self):
        trial = np.arange(900) // 10
        side = np.random.default_rng(0).integers(0, 2, 46)[trial // 2]
        found = null_test(
            self.embedding, side, self.split, segments=end_to_end(np.full(90, 10)), n=20
        )
        assert found.how == ROTATED
        assert found.p >= 1 / 21


@pytest.mark.parametrize(
    ("how", "segments", "memory", "refused"),
    [
        (SHIFTED, [200], 10, False),
        (SHIFTED, [200], 11, True),
        (SHIFTED, [100, 200, 50], 10, False),  # the longest one counts
        (SHIFTED, [100, 100], 10, True),
        (ROTATED, [3] * 40, 2, False),
        (ROTATED, [3] * 40, 3, True),
        (PERMUTED, [3] * 8, 0, False),
    ],
)
def test_what_is_too_slow(how, segments, memory, refused):
    moves = Moves(how, end_to_end(np.array(segments)), np.zeros((20, len(segments)), int), memory)
    label = continuous(np.arange(sum(segments)), "place")
    if refused:
        with pytest.raises(
            UnmovableError,
            match=f"label 'place' needs {memory} .* {20 * memory} (steps|segments) in a row",
        ):
            refuse_slow(label, moves)
    else:
        refuse_slow(label, moves)


X = np.random.default_rng(5).normal(size=(200, 2))
HALVES = Split(np.arange(100), np.arange(100, 200))
VARIES = np.arange(200) % 7
REFUSED = {
    "few nulls": (VARIES, {"n": 19}, GrevyError, "19 nulls; expected at least 20"),
    "no nulls": (VARIES, {"n": 0}, GrevyError, "0 nulls"),
    "other length": (VARIES[:50], {}, GrevyError, "50 time steps.*200"),
    "constant": (np.ones(200), {}, GrevyError, "constant"),
    "one class": (np.ones(200, int), {}, GrevyError, "constant"),
    "NaN": (np.full(200, np.nan), {}, GrevyError, "NaN"),
    "constant inside": (
        np.r_[np.zeros(199), 1.0],
        {"segments": [[0, 199]], "split": Split(np.arange(90), np.arange(100, 190))},
        UnmovableError,
        "constant over the steps given",
    ),
    "a value for each of four": (
        np.repeat([0, 1, 0, 2], 50),
        {"segments": [[0, 50], [50, 100], [100, 150], [150, 200]]},
        UnmovableError,
        "constant within each of the 4 segments",
    ),
    "short": (
        VARIES,
        {"segments": [[0, 15]], "split": Split(np.arange(7), np.arange(8, 15))},
        UnmovableError,
        "15 steps allows 14 distinct",
    ),
    "split outside": (VARIES, {"segments": [[0, 150]]}, GrevyError, "50 training or test steps"),
    "gap": (VARIES, {"gap": -1}, GrevyError, "gap of -1"),
    "metric": (VARIES, {"metric": "cosin"}, GrevyError, "cosine"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_null_test_refuses(case):
    label, options, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        null_test(X, label, **{"split": HALVES, **options})


# --- false alarms and power ------------------------------------------------------------------


def alarms(make, n_simulations, at_random=False, decoder="auto"):
    """In how many simulations p is below 0.05, with 20 nulls: 1 in 21 by chance."""
    count = 0
    for seed in range(n_simulations):
        embedding, label, segments = make(np.random.default_rng([7, seed]))
        split = random_split(len(label), 0.2, seed) if at_random else None
        found = null_test(
            embedding, label, split, segments=segments, n=20, seed=seed, decoder=decoder
        )
        count += found.p < 0.05
    return count


def one_recording(rng):
    return slow(rng, 600, 15, 4), continuous(slow(rng, 600, 15)), None


def two_blocks(rng):
    return slow(rng, 800, 8, 4), continuous(slow(rng, 800, 8)), [[0, 500], [500, 800]]


def an_angle(rng):
    angle = np.arctan2(*slow(rng, 600, 15, 2).T)
    return slow(rng, 600, 15, 4), circular(angle), None


def slow_blocks_of_trials(rng):
    """Both change slowly over trials, and have nothing else in common."""
    trial = np.repeat(np.arange(300), 2)
    values = rng.integers(0, 2, 38)[trial // 8]
    embedding = slow(rng, 300, 6, 4)[trial] + 0.3 * rng.normal(size=(600, 4))
    return embedding, discrete(values), end_to_end(np.full(300, 2))


def locked_trials(rng):
    """Both follow the time in the trial, and have nothing else in common."""
    rise = np.sin(np.linspace(0, np.pi, 10))
    gain = rng.normal(1, 0.5, size=(60, 1))
    label = (rise * gain).reshape(-1)
    other = (rise * rng.normal(1, 0.5, size=(60, 1))).reshape(-1)
    embedding = np.column_stack([other, rng.normal(size=(600, 2))])
    return embedding, continuous(label), end_to_end(np.full(60, 10))


@pytest.mark.parametrize(
    ("make", "at_random", "decoder"),
    [
        (one_recording, False, "auto"),
        (one_recording, True, "auto"),  # as leaky for moved labels as for those in their place
        (two_blocks, False, "auto"),
        (an_angle, False, "ridge"),
        (slow_blocks_of_trials, False, "knn"),
        (slow_blocks_of_trials, True, "knn"),
        (locked_trials, False, "ridge"),
    ],
)
def test_unrelated_labels_raise_no_alarm(make, at_random, decoder):
    """At a true rate of 5 %, more alarms than this come once in ten thousand runs of the test."""
    assert alarms(make, 30, at_random, decoder) <= binom.isf(1e-4, 30, 0.05)


def careless_steps(segments, lags):
    return np.random.default_rng(int(lags[0])).permutation(int(segments[-1, 1]))


def careless_trials(segments, order):
    return rearranged(segments, np.random.default_rng(int(order[0])).permutation(len(segments)))


@pytest.mark.parametrize(
    ("make", "replaced", "careless"),
    [
        (one_recording, "shifted", careless_steps),
        (slow_blocks_of_trials, "rearranged", careless_trials),
    ],
)
def test_a_careless_null_would_raise_many(make, replaced, careless, monkeypatch):
    """The simulations above are hard: labels in a random order fail them."""
    monkeypatch.setattr(f"grevy.evaluation.moves.{replaced}", careless)
    assert alarms(make, 24, at_random=True, decoder="knn") > binom.isf(1e-4, 24, 0.05)


def weakly_related(rng):
    signal = slow(rng, 1500, 10)
    embedding = np.column_stack([signal, slow(rng, 1500, 10, 3)])
    return embedding, continuous(0.9 * signal + slow(rng, 1500, 10)), None


def weakly_related_trials(rng):
    side = rng.integers(0, 2, 120)
    trial = np.repeat(np.arange(120), 6)
    embedding = 0.5 * side[trial, None] + rng.normal(size=(720, 3))
    return embedding, discrete(side[trial]), end_to_end(np.full(120, 6))


@pytest.mark.parametrize(
    ("make", "n_simulations"), [(weakly_related, 15), (weakly_related_trials, 5)]
)
def test_a_weak_relation_is_found(make, n_simulations):
    assert alarms(make, n_simulations) >= 0.8 * n_simulations
