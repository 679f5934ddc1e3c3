"""Linear agreement of embeddings: brute force, invariants, and row 16 of the facts."""

import cebra
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from grevy.data.labels import circular, continuous
from grevy.errors import GrevyError
from grevy.evaluation.agreement import consistency

fault = pytest.mark.cebra_fault


def curved(rng, length=600, dimension=3):
    return np.tanh(rng.normal(size=(length, dimension)))


def turned(embedding, rng, noise=0.0):
    """The same embedding after a random linear map, with an offset."""
    mix = rng.normal(size=(embedding.shape[1],) * 2)
    moved = embedding @ mix + rng.normal(size=embedding.shape[1])
    return moved + noise * moved.std(axis=0) * rng.normal(size=embedding.shape)


def ornstein_uhlenbeck(length, time_constant, dimension, rng):
    """Noise that forgets itself within the time constant, in steps."""
    from scipy.signal import lfilter

    noise = rng.normal(size=(length + 10 * time_constant, dimension))
    slow = lfilter([1.0], [1.0, -np.exp(-1 / time_constant)], noise, axis=0)
    return slow[10 * time_constant :]


class TestConsistencyOfRuns:
    def test_it_is_the_r2_of_a_linear_regression(self):
        rng = np.random.default_rng(0)
        first = curved(rng).astype(np.float32)
        embeddings = [first, turned(first, rng, 0.5)[:, :2], curved(rng, dimension=4)]
        found = consistency(embeddings, ["a", "b", "c"])
        assert found.names == ("a", "b", "c")
        assert found.n_points == 600
        for i, x in enumerate(embeddings):
            for j, y in enumerate(embeddings):
                x64, y64 = x.astype(float), y.astype(float)
                expected = LinearRegression().fit(x64, y64).score(x64, y64)
                assert found.r2[i, j] == pytest.approx(expected, abs=1e-9)
        assert found.mean == pytest.approx(found.r2[~np.eye(3, dtype=bool)].mean())

    def test_it_agrees_with_cebra(self):
        rng = np.random.default_rng(1)
        first = curved(rng)
        embeddings = [turned(first, rng, noise) for noise in (0.0, 0.3, 1.0)]
        theirs, pairs, _ = cebra.sklearn.metrics.consistency_score(embeddings, between="runs")
        ours = consistency(embeddings)
        for (i, j), score in zip(pairs, theirs, strict=True):
            assert ours.r2[int(i), int(j)] == pytest.approx(score, abs=1e-9)

    def test_linear_maps_change_nothing(self):
        rng = np.random.default_rng(2)
        first = curved(rng)
        found = consistency([first, turned(first, rng), 1e6 + 1e-3 * turned(first, rng)])
        np.testing.assert_allclose(found.r2, 1, atol=1e-6)
        assert found.mean == pytest.approx(1, abs=1e-6)

    def test_unrelated_embeddings_reach_the_chance_that_it_states(self):
        rng = np.random.default_rng(3)
        embeddings = [rng.normal(size=(50, 5)) for _ in range(12)]
        found = consistency(embeddings)
        assert found.chance == pytest.approx(5 / 49, abs=0.01)
        # 132 pairs x 5 dimensions of R2 with mean 0.102, sd 0.042; rows are shared.
        assert found.mean == pytest.approx(found.chance, abs=0.02)

    def test_slow_embeddings_that_are_unrelated_reach_the_chance_that_it_states(self):
        """Not 3 / 999, as 1000 independent steps would."""
        rng = np.random.default_rng(5)
        found = []
        for _ in range(30):
            pair = [ornstein_uhlenbeck(1000, 50, 3, rng) for _ in range(2)]
            found.append(consistency(pair))
        reached, stated = (
            np.mean([getattr(each, w) for each in found]) for w in ("mean", "chance")
        )
        assert stated > 0.05
        assert stated == pytest.approx(reached, rel=0.25)
        again = consistency(pair)
        assert again.chance == found[-1].chance

    def test_chance_of_agreeing_embeddings_is_that_of_unrelated_ones(self):
        rng = np.random.default_rng(6)
        first = ornstein_uhlenbeck(2000, 20, 3, rng)
        found = consistency([first, turned(first, rng)])
        assert found.mean == pytest.approx(1, abs=1e-6)
        assert found.chance < 0.15

    @pytest.mark.parametrize("length", [3, 5, 11])
    def test_few_steps_have_a_chance_too(self, length):
        rng = np.random.default_rng(7)
        found = consistency([rng.normal(size=(length, 2)) for _ in range(2)])
        assert 0 < found.chance <= 1

    def test_a_dimension_that_never_varies_is_left_out(self):
        rng = np.random.default_rng(4)
        first = curved(rng)
        flat = np.column_stack([first, np.full(600, 0.3)])
        found = consistency([first, flat])
        np.testing.assert_allclose(found.r2, 1, atol=1e-9)

    def test_steps_outside_every_segment_are_left_out(self):
        rng = np.random.default_rng(5)
        embeddings = [curved(rng), curved(rng)]
        expected = consistency(embeddings).r2
        gaps = [np.insert(each, [0, 300, 300], np.nan, axis=0) for each in embeddings]
        np.testing.assert_allclose(consistency(gaps).r2, expected, atol=1e-12)

    def test_more_steps_than_are_read_at_once(self, monkeypatch):
        rng = np.random.default_rng(6)
        embeddings = [curved(rng), curved(rng)]
        expected = consistency(embeddings).r2
        monkeypatch.setattr("grevy.evaluation.agreement._ROWS", 7)
        np.testing.assert_allclose(consistency(embeddings).r2, expected, atol=1e-12)


def track(rng, length=3000):
    """A position on a track and an embedding that follows it, turned at will."""
    place = np.abs(np.mod(np.arange(length) / 150 + rng.uniform(0, 2), 2) - 1)
    shape = np.column_stack([np.cos(3 * place), np.sin(3 * place), place**2])
    return place, turned(shape + 0.1 * rng.normal(size=shape.shape), rng)


class TestConsistencyAcrossRecordings:
    def test_a_shared_position(self):
        rng = np.random.default_rng(0)
        (place, embedding), (other_place, other) = track(rng), track(rng, 2500)
        found = consistency([embedding, other], labels=[place, continuous(other_place)])
        assert found.mean > 0.98
        shuffled = consistency([embedding, other], labels=[place, rng.permutation(other_place)])
        assert shuffled.mean < 0.2

    def test_it_is_the_r2_between_the_means_of_bins(self):
        rng = np.random.default_rng(1)
        (place, embedding), (other_place, other) = track(rng, 400), track(rng, 300)
        found = consistency([embedding, other], labels=[place, other_place], n_bins=10)
        edges = np.linspace(min(place.min(), other_place.min()), 1.0, 11)
        edges[-1] = max(place.max(), other_place.max())
        edges = np.linspace(edges[0], edges[-1], 11)

        def means(values, where):
            codes = np.clip(np.digitize(where, edges) - 1, 0, 9)
            return np.stack([values[codes == code].mean(axis=0) for code in range(10)])

        x, y = means(embedding, place), means(other, other_place)
        assert found.n_points == 10
        for (i, j), (a, b) in {(0, 1): (x, y), (1, 0): (y, x)}.items():
            expected = LinearRegression().fit(a, b).score(a, b)
            assert found.r2[i, j] == pytest.approx(expected, abs=1e-9)

    @pytest.mark.parametrize("unit", [2 * np.pi, 360])
    def test_a_circular_label_wraps(self, unit):
        rng = np.random.default_rng(2)
        labels, embeddings = [], []
        for turn in (0.0, 0.5):
            angle = np.mod(rng.uniform(0, 1, 2000) + turn, 1) * unit
            labels.append(circular(angle, unit))
            at = 2 * np.pi * angle / unit
            embeddings.append(turned(np.column_stack([np.cos(at), np.sin(at)]), rng, 0.1))
        found = consistency(embeddings, labels=labels)
        assert found.mean > 0.99
        assert found.n_points == 100

    def test_a_plane(self):
        rng = np.random.default_rng(3)
        places = [rng.uniform(size=(4000, 2)) for _ in range(2)]
        embeddings = [turned(np.column_stack([p, p[:, 0] * p[:, 1]]), rng, 0.1) for p in places]
        found = consistency(embeddings, labels=places)
        assert found.n_points == 100
        assert found.mean > 0.95

    def test_bins_that_a_recording_lacks_are_left_out(self):
        rng = np.random.default_rng(4)
        (place, embedding), (other_place, other) = track(rng), track(rng)
        half = other_place < 0.5
        found = consistency([embedding, other[half]], labels=[place, other_place[half]])
        assert 45 <= found.n_points <= 52
        assert found.mean > 0.95

    def test_classes_go_by_their_names_not_their_codes(self):
        rng = np.random.default_rng(5)
        corners = {name: rng.normal(size=2) for name in "abcdefghij"}
        recordings = []
        for names in ("abcdefgh", "cdefghij"):
            side = rng.choice(list(names), 800)
            shown = np.stack([corners[name] for name in side]) + 0.05 * rng.normal(size=(800, 2))
            recordings.append((side, turned(shown, rng)))
        labels, embeddings = zip(*recordings, strict=True)
        found = consistency(embeddings, labels=labels)
        assert found.n_points == 6  # c to h
        assert found.mean > 0.98

    def test_few_classes_do_not_make_everything_consistent(self):
        """Four means in eight dimensions: a map through all dimensions would always be perfect."""
        rng = np.random.default_rng(6)
        codes = np.arange(400) % 4
        scores, stated = [], []
        for _ in range(200):
            embeddings = [rng.normal(size=(4, 8))[codes] for _ in range(2)]
            embeddings = [each + 0.1 * rng.normal(size=each.shape) for each in embeddings]
            found = consistency(embeddings, labels=[codes, codes])
            scores.append(found.mean)
            stated.append(found.chance)
        # One component between four independent means: 1 / 3.
        assert np.mean(scores) == pytest.approx(1 / 3, abs=0.06)
        assert np.mean(stated) == pytest.approx(1 / 3, abs=0.06)


def smooth_label(rng):
    return ornstein_uhlenbeck(1000, 30, 1, rng)[:, 0]


def blocks(rng):
    """Six classes in blocks of 50 steps, in random order."""
    return np.repeat(rng.permutation(np.arange(24) % 6), 50)


def long_runs(rng):
    return np.arange(1000) * 6 // 1000


def few_steps(rng):
    return rng.permutation(np.arange(12) % 4)


def trials(rng):
    """Time in trials of 10: each of 20 lags spread over 1900 steps would give the label back."""
    return np.arange(1900) % 10


def with_label(label, rng):
    """An embedding that follows the label, beside slow noise that does not."""
    place = label / label.std()
    shape = np.column_stack([np.cos(place), np.sin(place), place**2 / 5])
    slow = ornstein_uhlenbeck(len(label), 60, 3, rng)
    return turned(shape + 0.2 * slow / slow.std(axis=0), rng)


class TestChanceAcrossRecordings:
    def test_it_is_the_mean_over_moved_labels(self):
        """Brute force. The second recording is short; only the values 0 to 3 are shared."""
        rng = np.random.default_rng(0)
        labels = [rng.integers(0, 5, 60), few_steps(rng), blocks(rng)]
        embeddings = [
            rng.normal(size=(len(each), n)) for each, n in zip(labels, [2, 3, 1], strict=True)
        ]

        def means(which, lag=0):
            label = np.roll(labels[which], lag)
            return np.stack([embeddings[which][label == value].mean(axis=0) for value in range(4)])

        def r2(x, y):
            """Of one component, for there are four points."""
            x = (x - x.mean(axis=0)) @ np.linalg.svd(x - x.mean(axis=0))[2][:1].T
            return LinearRegression().fit(x, y).score(x, y)

        pairs, n_shifts = [], []
        for moved, label in enumerate(labels):
            least = int(np.ceil(len(label) / 10))
            lags = {int(lag) for lag in np.linspace(least, len(label) - least, 20)}
            n_shifts.append(len(lags))
            for still in {0, 1, 2} - {moved}:
                both = [
                    (r2(means(moved, lag), means(still)), r2(means(still), means(moved, lag)))
                    for lag in lags
                ]
                pairs.append(np.mean(both))
        found = consistency(embeddings, labels=labels)
        assert found.n_points == 4
        assert n_shifts == [20, 9, 20]
        assert found.chance == pytest.approx(np.mean(pairs), abs=1e-9)

    def test_smooth_recordings_that_are_unrelated_reach_the_chance_that_it_states(self):
        """Far more than 3 / (P - 1), as independent label values would."""
        rng = np.random.default_rng(1)
        reached, stated, independent = [], [], []
        for _ in range(40):
            labels = [smooth_label(rng) for _ in range(2)]
            embeddings = [ornstein_uhlenbeck(1000, 60, 3, rng) for _ in range(2)]
            found = consistency(embeddings, labels=labels)
            reached.append(found.mean)
            stated.append(found.chance)
            independent.append(3 / (found.n_points - 1))
        # The difference varies by 0.06 from one simulation to the next: by 0.01 in the mean of 40.
        assert np.mean(stated) == pytest.approx(np.mean(reached), abs=0.03)
        assert np.mean(stated) > 3 * np.mean(independent)

    @pytest.mark.parametrize("label", [blocks, long_runs, few_steps, trials])
    def test_so_do_others(self, label):
        rng = np.random.default_rng(2)
        reached, stated = [], []
        for _ in range(40):
            labels = [label(rng) for _ in range(2)]
            embeddings = [ornstein_uhlenbeck(len(each), 60, 3, rng) for each in labels]
            found = consistency(embeddings, labels=labels)
            reached.append(found.mean)
            stated.append(found.chance)
        # The difference varies by 0.15 between simulations: by 0.024 in the mean of 40.
        assert np.mean(stated) == pytest.approx(np.mean(reached), abs=0.07)

    @pytest.mark.parametrize(
        ("label", "margin"), [(smooth_label, 0.4), (blocks, 0.2), (trials, 0.1)]
    )
    def test_related_recordings_lie_clearly_above(self, label, margin):
        rng = np.random.default_rng(3)
        for _ in range(5):
            labels = [label(rng) for _ in range(2)]
            found = consistency([with_label(each, rng) for each in labels], labels=labels)
            assert found.mean > found.chance + margin

    def test_independent_values_reach_what_the_free_numbers_of_a_fit_reach(self):
        rng = np.random.default_rng(4)
        embeddings = [rng.normal(size=(2000, 3)) for _ in range(2)]
        found = consistency(embeddings, labels=[rng.uniform(size=2000) for _ in range(2)])
        # 80 R2 with mean 0.03, sd 0.02 each, of which few are independent.
        assert found.chance == pytest.approx(3 / 99, abs=0.015)

    def test_on_a_circle_at_constant_speed_it_is_the_agreement_itself(self):
        rng = np.random.default_rng(5)
        angle = np.mod(np.arange(1000) / 100, 1) * 2 * np.pi
        shape = np.column_stack([np.cos(angle), np.sin(angle)])
        found = consistency([turned(shape, rng) for _ in range(2)], labels=[circular(angle)] * 2)
        assert found.chance == pytest.approx(1, abs=1e-6)

    def test_a_moved_label_may_level_all_means(self):
        """By one step to the right, each class has the sum 0."""
        levelled = np.array([[1.0], [2], [-2], [5], [-5], [-1]])
        found = consistency([levelled, levelled], labels=[np.arange(6) // 2] * 2)
        assert 0 <= found.chance < 1


REFUSED = {
    "one embedding": ([np.eye(3)], {}, "1 embedding"),
    "other lengths": ([np.eye(3), np.eye(4)], {}, r"\[3, 4\] time steps"),
    "names missing": ([np.eye(3)] * 2, {"names": ["a"]}, "1 names for 2"),
    "names twice": ([np.eye(3)] * 2, {"names": ["a", "a"]}, "not distinct"),
    "collapsed": ([np.eye(3), np.ones((3, 3))], {"names": ["a", "b"]}, "'b' is constant"),
    "NaN in one": ([np.eye(3), np.diag([1, 1, np.nan])], {}, "NaN or infinite"),
    "flat": ([np.ones(3), np.ones(3)], {}, r"expected \(T, D\)"),
    "labels missing": ([np.eye(3)] * 2, {"labels": [np.arange(3.0)]}, "1 labels for 2"),
    "label too short": (
        [np.eye(3)] * 2,
        {"labels": [np.arange(3.0), np.arange(2.0)]},
        "has 3 time steps, its label 2",
    ),
    "other kinds": (
        [np.eye(3)] * 2,
        {"labels": [np.arange(3.0), np.arange(3)]},
        "continuous of 1 dimension.*discrete",
    ),
    "no value shared": (
        [np.eye(4), np.eye(4)],
        {"labels": [np.array(list("abca")), np.array(list("dedf"))], "names": ["x", "y"]},
        "share 0 label value.*'x' lacks 'd', 'e', 'f'; 'y' lacks 'a', 'b', 'c'",
    ),
    "two values": (
        [np.eye(4)] * 2,
        {"labels": [np.array([0, 1, 0, 1]), np.array([0, 1, 1, 1])]},
        "share 2.*each holds the same 2",
    ),
    "one and 'one'": (
        [np.eye(4)] * 2,
        {"labels": [np.array([1, 2, 3, 4]), np.array(["1", "2", "3", "4"])]},
        "lacks '1', '2', '3', '4'",
    ),
    "ranges apart": (
        [np.eye(4)] * 2,
        {"labels": [np.arange(4.0), 50.0 + np.arange(4)], "n_bins": 4},
        r"'0' lacks 39.75 to 53",
    ),
    "bins": ([np.eye(4)] * 2, {"labels": [np.arange(4.0)] * 2, "n_bins": 1}, "1 bins"),
    "too many dimensions": (
        [np.eye(20)] * 2,
        {"labels": [np.eye(20)] * 2},
        "20 dimensions has 1048576 bins",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_consistency_refuses(case):
    embeddings, options, message = REFUSED[case]
    with pytest.raises(GrevyError, match=message):
        consistency(embeddings, **options)


class TestRow16Consistency:
    """Row 16 of the facts."""

    place = np.repeat(np.arange(12), 50)

    def embeddings(self):
        rng = np.random.default_rng(0)
        shape = np.column_stack([np.cos(self.place / 2), np.sin(self.place / 2)])
        return [turned(shape, rng, 0.1) for _ in range(2)]

    @fault
    def test_cebra_refuses_an_empty_bin(self):
        gap = (self.place < 3) | (self.place > 8)
        embeddings = [each[gap] for each in self.embeddings()]
        with pytest.raises(ValueError, match="does not have elements close enough"):
            cebra.sklearn.metrics.consistency_score(
                embeddings, labels=[self.place[gap].astype(float)] * 2, between="datasets"
            )

    @fault
    def test_cebra_refuses_classes(self):
        with pytest.raises(ValueError, match="does not have elements close enough"):
            cebra.sklearn.metrics.consistency_score(
                self.embeddings(), labels=[self.place] * 2, between="datasets"
            )

    @pytest.mark.parametrize("as_what", [int, float, str])
    @pytest.mark.parametrize("with_gap", [False, True])
    def test_ours_compares_what_there_is(self, as_what, with_gap):
        kept = (self.place < 3) | (self.place > 8) if with_gap else np.ones(600, dtype=bool)
        embeddings = [each[kept] for each in self.embeddings()]
        labels = [self.place[kept].astype(as_what)] * 2
        found = consistency(embeddings, labels=labels)
        assert found.mean > 0.98
        assert found.n_points == (6 if with_gap else 12)
