"""Baselines: what each is decoded from, how its window was put together, and who chose that."""

import json
import math

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from grevy.data.labels import circular, continuous, discrete
from grevy.data.recording import make_recording
from grevy.data.splits import Split, blocked_split
from grevy.evaluation import beside
from grevy.evaluation.baselines import principal_components, umap_components
from grevy.evaluation.decoding.decoder import decode, prepare
from grevy.evaluation.decoding.pairing import gain
from grevy.evaluation.decoding.ridge import PENALTIES
from grevy.evaluation.scoring import evaluate

T, N, D, GAP = 500, 4, 3, 5
SEGMENTS = np.array([[0, 210], [230, 500]])
WINDOW = (2, 3)
SPLIT = blocked_split(SEGMENTS, 0.2, GAP)
WAYS = ("summed", "lagged")


def made(seed=0, n_neurons=N, length=T, segments=SEGMENTS):
    """Counts that three labels follow: one their sum over time, two what came two steps before."""
    rng = np.random.default_rng(seed)
    neural = rng.poisson(3, (length, n_neurons)).astype(np.float32)
    around = np.convolve(neural[:, 0], np.ones(5), "same")
    before = np.roll(neural, 2, axis=0)
    noise = rng.normal(size=(length, 2))
    labels = (
        continuous(np.stack([around, -around], axis=1) + noise, "place"),
        circular(36 * (before[:, 0] + noise[:, 0] / 3), 360, name="heading"),
        discrete(np.where(before[:, -1] + noise[:, 1] > 3, "left", "right"), "side"),
    )
    embedding = (neural @ rng.normal(size=(n_neurons, D))).astype(np.float32)
    return embedding, make_recording(neural, labels, segments=segments)


EMBEDDING, RECORDING = made()
LABELS = {label.name: label for label in RECORDING.labels}


def windows(neural, window, way, segments=SEGMENTS):
    """The steps of each window, written out; 0 outside segments."""
    lags = range(-window[0], window[1])
    parts = np.zeros((len(lags), *neural.shape), neural.dtype)
    for start, stop in segments:
        for part, lag in zip(parts, lags, strict=True):
            part[start:stop] = neural[np.clip(np.arange(start, stop) + lag, start, stop - 1)]
    return parts.sum(axis=0) if way == "summed" else np.concatenate(parts, axis=1)


def inputs(name, way, recording=RECORDING, window=WINDOW):
    """What a baseline is decoded from, written out."""
    base = recording.neural
    if not name.endswith("one_step"):
        base = windows(base, window, way, recording.segments)
    return principal_components(base, SPLIT.train, D) if name.startswith("pca") else base


def scored(name, way, label, **options):
    return decode(inputs(name, way), label, SPLIT, segments=SEGMENTS, gap=GAP, **options)


def plain(scores):
    values = {name: getattr(scores, name) for name in scores.__dataclass_fields__}
    if "confusion" in values:
        values["confusion"] = {"classes": values.pop("classes"), "counts": values["confusion"]}
    return json.loads(json.dumps(values))


def blocked(embedding, recording, split=SPLIT, **options):
    """The scores on the held-out steps, by label."""
    settings = {"window": WINDOW, "gap": GAP, "nulls": 0, "n_bootstrap": 0, **options}
    found = evaluate(embedding, recording, split, recording.neural, **settings).metrics
    return {name: each["blocked"] for name, each in found["scores"].items()}


@pytest.fixture(scope="module")
def found():
    return blocked(EMBEDDING, RECORDING, n_bootstrap=100)


# --- what is compared with what --------------------------------------------------------------

WINDOWED, ONE_STEP = ("pca", "raw"), ("pca_one_step", "raw_one_step")
COLUMNS = {
    ("pca", "summed"): D,
    ("pca", "lagged"): D,
    ("raw", "summed"): N,
    ("raw", "lagged"): 5 * N,
    ("pca_one_step", "one step"): D,
    ("raw_one_step", "one step"): N,
}


@pytest.mark.parametrize("label", LABELS)
def test_its_parts(found, label):
    assert list(found[label]) == ["embedding", *WINDOWED, *ONE_STEP, "chance"]
    for name, scores in found[label].items():
        assert ("by_window" in scores) == (name in WINDOWED)
        assert ("gain" in scores) == (name not in ("embedding", "chance"))
    assert evaluate(
        EMBEDDING, RECORDING, SPLIT, RECORDING.neural, window=WINDOW, nulls=0
    ).metrics["window_steps"] == 5  # fmt: skip


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(("name", "way"), COLUMNS)
def test_every_line_is_a_decoding_of_windows_written_out(found, label, name, way):
    expected = scored(name, way, LABELS[label], n_bootstrap=0)
    scores = found[label][name]
    each = scores["by_window"][way] if name in WINDOWED else scores
    assert {key: each[key] for key in plain(expected.scores)} == plain(expected.scores)
    assert each["decoder"] == expected.decoder
    assert each["columns"] == COLUMNS[name, way]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("name", [*WINDOWED, *ONE_STEP])
def test_what_counts_is_the_way_that_was_chosen(found, label, name):
    scores = dict(found[label][name])
    chosen, way = scores.pop("gain"), scores.pop("window")
    scores.pop("by_window", None)
    expected = scored(name, way, LABELS[label], n_bootstrap=100)
    intervals = {key: list(ends) for key, ends in expected.intervals.items()}
    assert intervals
    assert scores == {
        **plain(expected.scores),
        "decoder": expected.decoder,
        "intervals": intervals,
        "columns": COLUMNS[name, way],
    }
    own = prepare(EMBEDDING, SPLIT, segments=SEGMENTS, gap=GAP).read(LABELS[label]).decoded
    other = prepare(inputs(name, way), SPLIT, segments=SEGMENTS, gap=GAP).read(LABELS[label])
    ours = gain(LABELS[label], LABELS[label].values[SPLIT.test], own, other.decoded, 100, 0)
    assert chosen == {"score": ours.score, "value": ours.value, "interval": list(ours.interval)}


def test_a_baseline_that_sees_the_window_beats_one_that_does_not(found):
    """Else no line would be needed beside that of one step."""
    assert found["place"]["raw"]["test_r2"] > 0.85
    assert found["place"]["raw_one_step"]["test_r2"] < 0.4
    errors = [found["heading"][name]["mean_error"] for name in ("raw", "raw_one_step")]
    assert errors[0] < 45 < errors[1]
    assert found["side"]["raw"]["balanced_accuracy"] > 0.7
    assert found["side"]["raw_one_step"]["balanced_accuracy"] < 0.6


# --- the choice ------------------------------------------------------------------------------


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("name", WINDOWED)
def test_the_better_of_the_training_is_chosen(found, label, name):
    inner = {
        way: prepare(inputs(name, way), SPLIT, segments=SEGMENTS, gap=GAP).read(LABELS[label]).inner
        for way in WAYS
    }
    assert inner["summed"] != inner["lagged"]
    assert found[label][name]["window"] == max(inner, key=inner.get)


def test_both_ways_are_chosen_somewhere(found):
    assert found["place"]["raw"]["window"] == "summed"
    assert found["heading"]["raw"]["window"] == "lagged"
    assert found["side"]["raw"]["window"] == "lagged"


def test_it_is_not_that_of_the_test():
    """A label that follows the sum in the training and a single lag in the test."""
    first = LABELS["place"].values[:, :1].copy()
    first[SPLIT.test] = np.roll(RECORDING.neural[:, 1], 2)[SPLIT.test, None]
    first[SPLIT.train] += windows(RECORDING.neural, WINDOW, "summed")[SPLIT.train, 1:2]
    first[SPLIT.train] -= 4 * np.roll(RECORDING.neural[:, 1], 1)[SPLIT.train, None]
    recording = make_recording(RECORDING.neural, [continuous(first, "x")], segments=SEGMENTS)
    scores = blocked(EMBEDDING, recording)["x"]["raw"]
    worse = {way: each["test_r2"] for way, each in scores["by_window"].items()}
    assert scores["window"] == "lagged"
    assert scores["test_r2"] == worse["lagged"] < worse["summed"]


@pytest.mark.parametrize("seed", range(3))
def test_no_label_of_the_test_moves_it(found, seed):
    rng = np.random.default_rng(seed)
    spoilt = []
    for label in RECORDING.labels:
        values = label.values.copy()
        values[SPLIT.test] = rng.permutation(values[SPLIT.test])
        if label.kind == "continuous":
            values[SPLIT.test] = 1e6 * rng.normal(size=values[SPLIT.test].shape)
        spoilt.append(type(label)(label.name, label.kind, values, label.period, label.classes))
    other = blocked(EMBEDDING, make_recording(RECORDING.neural, spoilt, segments=SEGMENTS))
    for label, name in ((label, name) for label in LABELS for name in (*WINDOWED, *ONE_STEP)):
        for key in ("window", "decoder", "columns"):
            assert other[label][name][key] == found[label][name][key]


def test_a_training_too_short_to_choose_takes_the_sum():
    split = Split(np.arange(60), np.arange(100, 200))
    scores = blocked(EMBEDDING, RECORDING, split, gap=40)
    ready = prepare(EMBEDDING, split, segments=SEGMENTS, gap=40)
    assert ready.layout.folds == ()
    assert math.isnan(ready.read(LABELS["place"]).inner)
    for label in LABELS:
        for name in WINDOWED:
            assert scores[label][name]["window"] == "summed"


def test_what_decided_is_the_statistic_of_the_inner_folds():
    ready = prepare(EMBEDDING, SPLIT, segments=SEGMENTS, gap=GAP, decoder="ridge")
    compared, label = ready.layout.compared, LABELS["place"]
    true = label.values[compared]
    places = np.cumsum([0, *(len(fold.tested) for fold in ready.layout.folds)])
    best = -np.inf
    for penalty in PENALTIES:
        decoded = np.empty_like(true)
        for fold, start, stop in zip(ready.layout.folds, places, places[1:], strict=False):
            tested = ready.layout.sample[fold.tested]
            scaler = StandardScaler().fit(EMBEDDING[fold.train].astype(np.float64))
            model = Ridge(penalty * len(fold.train))
            model.fit(scaler.transform(EMBEDDING[fold.train]), label.values[fold.train])
            decoded[start:stop] = model.predict(scaler.transform(EMBEDDING[tested]))
        best = max(best, r2_score(true, decoded))
    assert ready.read(label).inner == pytest.approx(best, abs=1e-6)


# --- sizes -----------------------------------------------------------------------------------


def columns(scores, name):
    return {way: each["columns"] for way, each in scores[name]["by_window"].items()}


def finite(scores):
    return json.dumps(scores, allow_nan=False)


def test_more_columns_than_time_steps():
    embedding, recording = made(n_neurons=40, length=150, segments=[[0, 150]])
    split = blocked_split(recording.segments, 0.2, 10)
    found = blocked(embedding, recording, split, window=(5, 5), gap=10)
    for scores in found.values():
        assert finite(scores)
        assert columns(scores, "raw") == {"summed": 40, "lagged": 400}
        assert columns(scores, "pca") == {"summed": D, "lagged": D}


def test_of_too_many_columns_the_leading_components_are_lagged(monkeypatch):
    monkeypatch.setattr(beside, "MOST_COLUMNS", 14)  # two neurons in five steps, and some to spare
    few = principal_components(RECORDING.neural, SPLIT.train, 2)
    lagged = windows(few, WINDOW, "lagged")
    for label, scores in blocked(EMBEDDING, RECORDING).items():
        assert columns(scores, "raw") == {"summed": N, "lagged": 10}
        expected = decode(
            lagged, LABELS[label], SPLIT, segments=SEGMENTS, gap=GAP, n_bootstrap=0
        ).scores
        found = scores["raw"]["by_window"]["lagged"]
        assert {key: found[key] for key in plain(expected)} == plain(expected)


@pytest.mark.parametrize(
    ("most", "n_columns"), [(1, 5), (4, 5), (5, 5), (9, 5), (10, 10), (19, 15), (20, 20), (99, 20)]
)
def test_how_many_are_too_many(monkeypatch, most, n_columns):
    """Never less than one neuron at every lag."""
    monkeypatch.setattr(beside, "MOST_COLUMNS", most)
    given = beside.Given(RECORDING.neural, SEGMENTS, SPLIT, WINDOW, D, None)
    assert beside.windowed(given, "lagged").shape == (T, n_columns)
    assert beside.windowed(given, "summed").shape == (T, N)


def test_usual_recordings_are_reduced_too():
    embedding, recording = made(n_neurons=300, length=260, segments=[[0, 260]])
    split = blocked_split(recording.segments, 0.2, 10)
    label = make_recording(recording.neural, recording.labels[:1], segments=recording.segments)
    scores = blocked(embedding, label, split, window=(5, 5), gap=10)["place"]
    assert columns(scores, "raw") == {"summed": 300, "lagged": 1020}


def test_one_neuron():
    _, recording = made(n_neurons=1)
    for scores in blocked(EMBEDDING, recording).values():
        assert finite(scores)
        assert columns(scores, "pca") == {"summed": 1, "lagged": D}
        assert columns(scores, "raw") == {"summed": 1, "lagged": 5}
        assert scores["pca_one_step"]["columns"] == 1


def test_a_constant_neuron_changes_nothing_much():
    neural = np.concatenate([RECORDING.neural, np.full((T, 1), 7, np.float32)], axis=1)
    silent = blocked(EMBEDDING, make_recording(neural, RECORDING.labels, segments=SEGMENTS))
    for label, scores in blocked(EMBEDDING, RECORDING).items():
        assert finite(silent[label])
        for name in WINDOWED:
            assert silent[label][name]["window"] == scores[name]["window"]
            assert silent[label][name]["gain"] == pytest.approx(scores[name]["gain"], abs=0.05)


def test_neurons_that_are_all_silent_tell_nothing():
    quiet = make_recording(np.zeros_like(RECORDING.neural), RECORDING.labels, segments=SEGMENTS)
    scores = blocked(EMBEDDING, quiet)
    assert scores["place"]["raw"]["test_r2"] <= 0
    assert scores["side"]["raw"]["balanced_accuracy"] == 0.5
    assert all(map(finite, scores.values()))


def test_a_window_of_one_step_needs_no_second_line():
    for label, scores in blocked(EMBEDDING, RECORDING, window=(0, 1)).items():
        assert list(scores) == ["embedding", "pca", "raw", "chance"]
        for name in WINDOWED:
            expected = scored(f"{name}_one_step", "", LABELS[label], n_bootstrap=0)
            found = dict(scores[name])
            assert found.pop("gain")
            assert found == {
                **plain(expected.scores),
                "decoder": expected.decoder,
                "columns": D if name == "pca" else N,
                "window": "one step",
            }


def test_a_window_as_long_as_the_recording():
    scores = blocked(EMBEDDING, RECORDING, window=(T // 2, T - T // 2))
    for each in scores.values():
        assert finite(each)
        # Of the four neurons two fit: 1024 columns are for 500 steps of each.
        assert columns(each, "raw") == {"summed": N, "lagged": 2 * T}


def test_without_neural_data_there_are_none():
    found = evaluate(EMBEDDING, RECORDING, SPLIT, None, window=WINDOW, nulls=0, n_bootstrap=0)
    for each in found.metrics["scores"].values():
        assert list(each["blocked"]) == ["embedding", "chance"]
    assert "window_steps" not in found.metrics


def test_no_interval_of_a_gain_is_made_where_none_is_asked_for():
    for scores in blocked(EMBEDDING, RECORDING).values():
        for name in (*WINDOWED, *ONE_STEP):
            assert set(scores[name]["gain"]) == {"score", "value"}
            assert "intervals" not in scores[name]


class TestUmap:
    @pytest.fixture(autouse=True)
    def umap(self):
        return pytest.importorskip("umap")

    place = make_recording(RECORDING.neural, [LABELS["place"]], segments=SEGMENTS)

    def test_it_sees_the_windows_too(self):
        found = blocked(EMBEDDING, self.place, umap=True)["place"]
        assert list(found) == ["embedding", "pca", "raw", "umap", *ONE_STEP, "chance"]
        assert columns(found, "umap") == {"summed": D, "lagged": D}
        lagged = windows(RECORDING.neural, WINDOW, "lagged")
        components = umap_components(lagged, SPLIT.train, SPLIT.test, D, 0)
        expected = decode(
            components, LABELS["place"], SPLIT, segments=SEGMENTS, gap=GAP, n_bootstrap=0
        )
        assert found["umap"]["by_window"]["lagged"]["test_r2"] == expected.scores.test_r2

    def test_of_one_step_it_stands_alone(self):
        found = blocked(EMBEDDING, self.place, window=(0, 1), umap=True)["place"]
        assert list(found) == ["embedding", "pca", "raw", "umap", "chance"]
        assert found["umap"]["window"] == "one step"
