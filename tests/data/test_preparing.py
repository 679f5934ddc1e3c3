"""Preparing recordings: each step against brute force, and nothing fitted beyond the training."""

import copy
import logging
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grevy.data import (
    Preparing,
    blocked_split,
    circular,
    continuous,
    discrete,
    duration_of,
    from_plain,
    lagged,
    make_recording,
    prepare,
    prepare_all,
    prepared_with,
    restricted,
    steps_inside,
    to_plain,
)
from grevy.data.preparing.preparation import _HELD
from grevy.data.segments import between
from grevy.errors import GrevyError

EVERYTHING = {
    "rates": True, "min_rate": 8.0, "square_root": True, "smoothing": "0.05s", "zscore": True,
    "scale_labels": True,
}  # fmt: skip


def spikes(length=300, neurons=6, seed=0, **about):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(np.linspace(0.05, 2, neurons), (length, neurons))
    position = np.cumsum(rng.normal(size=(length, 2)), axis=0) * [1, 100]
    labels = [
        continuous(position, "position"),
        circular(rng.uniform(0, 6, length), name="heading"),
        discrete(rng.integers(0, 3, length), "side"),
    ]
    about = {"segments": [[0, 90], [90, 200], [210, length]], "sampling_rate": 50.0, **about}
    return make_recording(counts, labels, **about)


def smoothed_slowly(values, runs, sigma, causal):
    """Every step by itself, from the definition."""
    out = np.full(values.shape, np.nan)
    reach = math.ceil(4 * sigma)
    for start, stop in runs:
        for t in range(start, stop):
            steps = [
                s
                for s in range(max(start, t - reach), min(stop, t + reach + 1))
                if not (causal and s > t)
            ]
            weights = np.array([math.exp(-((s - t) ** 2) / (2 * sigma**2)) for s in steps])
            out[t] = weights @ values[steps] / weights.sum()
    return out


@pytest.mark.parametrize("kind", ["centred", "causal"])
@pytest.mark.parametrize("sigma", [0.3, 1.7, 40.0])
def test_smoothing_is_a_gaussian_that_never_crosses_a_border(kind, sigma):
    recording = spikes()
    found = prepare(recording, smoothing=sigma, smoothing_kernel=kind)
    runs = [*recording.segments, *between(recording.segments, len(recording))]
    expected = smoothed_slowly(recording.neural.astype(float), runs, sigma, kind == "causal")
    np.testing.assert_allclose(found.neural, expected, rtol=1e-6, atol=1e-6)


def test_smoothing_leaves_a_constant_as_it_is_at_every_border():
    recording = make_recording(np.full((50, 2), 3.0), segments=[[0, 1], [1, 4], [4, 50]])
    np.testing.assert_allclose(prepare(recording, smoothing=5).neural, 3.0, rtol=1e-7)


def test_a_step_depends_on_nothing_beyond_the_reach_of_the_kernel_to_the_last_bit():
    recording = spikes(segments=None)
    moved = recording.neural.copy()
    moved[150] += 1000
    other = replace(recording, neural=moved)
    for kind, before, after in (("centred", 12, 12), ("causal", 0, 12)):
        pair = [prepare(each, smoothing=3, smoothing_kernel=kind) for each in (recording, other)]
        changed = np.flatnonzero((pair[0].neural != pair[1].neural).any(axis=1))
        assert changed[0] >= 150 - before
        assert changed[-1] <= 150 + after
        assert pair[0].preparation.before == 12
        assert pair[0].preparation.after == before


def test_long_stretches_are_prepared_in_parts_to_the_same_bits(monkeypatch):
    recording = spikes()
    whole = prepare(recording, **EVERYTHING)
    assert recording.neural.size < _HELD
    monkeypatch.setattr("grevy.data.preparing.preparation._HELD", 7 * 6)
    parts = prepared_with(whole.preparation, recording)
    np.testing.assert_array_equal(whole.neural, parts.neural)


def test_every_part_at_once_against_plain_numpy():
    recording = spikes()
    train = np.arange(20, 150)
    found = prepare(recording, train, **EVERYTHING)
    firing = recording.neural[train].mean(axis=0) * 50
    kept = np.flatnonzero(firing >= 8)
    assert 0 < len(kept) < 6
    np.testing.assert_array_equal(found.preparation.kept, kept)
    np.testing.assert_array_equal(found.preparation.left_out, np.flatnonzero(firing < 8))
    root = np.sqrt(recording.neural[:, kept].astype(float) * 50)
    inside = smoothed_slowly(root, [(20, 90), (90, 150)], 2.5, False)[train]
    runs = [*recording.segments, *between(recording.segments, len(recording))]
    whole = smoothed_slowly(root, runs, 2.5, False)
    expected = (whole - inside.mean(axis=0)) / inside.std(axis=0)
    np.testing.assert_allclose(found.neural, expected, rtol=1e-4, atol=1e-5)
    position = recording.labels[0].values
    scaled = (position - position[train].mean(axis=0)) / position[train].std(axis=0)
    np.testing.assert_allclose(found.labels[0].values, scaled, rtol=1e-12)
    for number in (1, 2):
        assert found.labels[number] is recording.labels[number]
    np.testing.assert_array_equal(found.segments, recording.segments)


@pytest.mark.parametrize("kind", ["centred", "causal"])
def test_nothing_fitted_depends_on_held_out_steps(kind):
    recording = spikes(2000, segments=[[0, 700], [700, 1990]])
    settings = Preparing(**EVERYTHING, smoothing_kernel=kind)
    split = blocked_split(recording.segments, 0.2, settings.reach(50.0))
    rng = np.random.default_rng(1)
    neural = recording.neural.copy()
    neural[split.test] = rng.poisson(50, neural[split.test].shape)
    values = recording.labels[0].values.copy()
    values[split.test] *= -1e3
    labels = (replace(recording.labels[0], values=values), *recording.labels[1:])
    other = replace(recording, neural=neural, labels=labels)
    pair = []
    for each in (recording, other):
        runs = [part.segments for part in restricted([each], split.train)]
        pair.append(prepare_all([each], runs, settings)[0])
    assert to_plain(pair[0].preparation) == to_plain(pair[1].preparation)
    np.testing.assert_array_equal(pair[0].neural[split.train], pair[1].neural[split.train])
    assert (pair[0].neural[split.test] != pair[1].neural[split.test]).any()
    whole = [prepare(each, **EVERYTHING).preparation for each in (recording, other)]
    assert to_plain(whole[0]) != to_plain(whole[1])  # and there was something to see


def test_labels_of_several_recordings_are_scaled_alike():
    recordings = [spikes(seed=1), spikes(seed=2)]
    runs = [np.array([[0, 50]]), np.array([[100, 150], [250, 300]])]
    found = prepare_all(recordings, runs, Preparing(scale_labels=True))
    values = np.concatenate(
        [each.labels[0].values[steps_inside(own)] for each, own in zip(found, runs, strict=True)]
    )
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(values.std(axis=0), 1)


def test_a_neuron_that_never_changes_has_a_z_score_of_0(caplog):
    neural = np.random.default_rng(0).poisson(1, (100, 3))
    neural[:, 1] = 4
    recording = replace(make_recording(neural), neuron_names=("a", "b", "c"))
    with caplog.at_level(logging.WARNING):
        found = prepare(recording, zscore=True)
    assert "1 neurons never change" in caplog.text
    assert caplog.text.rstrip().endswith(": b.")
    assert not found.neural[:, 1].any()


def test_nothing_asked_for_is_nothing_done():
    recording = spikes()
    assert prepare(recording) is recording


def test_names_go_with_the_neurons_that_are_kept():
    recording = replace(spikes(), neuron_names=tuple("abcdef"))
    found = prepare(recording, min_rate=50)
    assert found.neuron_names == tuple("abcdef"[n] for n in found.preparation.kept)


@pytest.mark.parametrize(
    ("settings", "about", "words"),
    [
        ({"rates": True}, {"sampling_rate": None}, "`rates=True` is in spikes per second"),
        ({"min_rate": 1.0}, {"sampling_rate": None}, "`min_rate=1.0` is in spikes per second"),
        ({"min_rate": 1e6}, {}, "no neuron of arrays fires so often"),
        ({"min_rate": -1.0}, {}, "above 0"),
        ({"min_rate": math.nan}, {}, "above 0"),
        ({"smoothing": "0.1s"}, {"sampling_rate": None}, "is in seconds"),
        ({"smoothing": 0}, {}, "expected a number above 0"),
        ({"smoothing": "-1s"}, {}, "expected a number above 0"),
        ({"smoothing": "nan"}, {}, "expected a number above 0"),
        ({"smoothing": "1 h"}, {}, "expected a number above 0"),
        ({"smoothing": 1e9}, {}, "expected fewer than"),
        ({"smoothing": 1, "smoothing_kernel": "box"}, {}, "expected centred or causal"),
    ],
)
def test_what_cannot_be_done_is_refused(settings, about, words):
    with pytest.raises(GrevyError, match=words):
        prepare(spikes(**about), **settings)


@pytest.mark.parametrize(
    ("train", "words"),
    [
        (np.arange(300) < 150, "Of a mask give numpy.flatnonzero"),
        (np.arange(150.0), "array of float64"),
        (np.arange(20).reshape(4, 5), "of shape"),
        ([0, 300], "from 0 to 300; arrays has those from 0 to 299"),
        ([-1, 5], "from -1 to 5"),
    ],
)
def test_training_steps_that_are_none_are_refused(train, words):
    with pytest.raises(GrevyError, match=words):
        prepare(spikes(), train, zscore=True)


def test_training_steps_count_once_in_any_order():
    recording, steps = spikes(), np.array([40, 7, 7, 20, 8])
    found = prepare(recording, steps, zscore=True).preparation
    np.testing.assert_allclose(found.centre, recording.neural[np.unique(steps)].mean(axis=0))


def test_the_narrowest_kernel_leaves_everything_as_it_is():
    recording = spikes()
    for sigma in (1e-3, 1e-300):
        np.testing.assert_array_equal(prepare(recording, smoothing=sigma).neural, recording.neural)


def test_there_is_no_square_root_of_a_negative_number():
    with pytest.raises(GrevyError, match="holds -1, and only counts"):
        prepare(make_recording(np.array([[1.0], [-1.0]])), square_root=True)


def test_more_than_memory_holds_is_said(monkeypatch):
    recording = make_recording(np.broadcast_to(np.float32(1), (2**40, 2**10))[:5])
    huge = replace(recording, neural=np.broadcast_to(np.float32(1), (2**45, 2**10)))
    preparation = prepare(recording, zscore=True).preparation
    with pytest.raises(GrevyError, match="takes 134217728 GiB of memory"):
        prepared_with(preparation, huge)


def test_nothing_is_prepared_twice():
    found = prepare(spikes(), **EVERYTHING)
    assert prepared_with(found.preparation, found) is found
    with pytest.raises(GrevyError, match="prepared already"):
        prepare(found, zscore=True)
    other = prepare(spikes(), zscore=True)
    with pytest.raises(GrevyError, match="in another way"):
        prepared_with(other.preparation, found)


def test_other_neurons_labels_or_bins_are_refused():
    preparation = prepare(spikes(), **EVERYTHING).preparation
    with pytest.raises(GrevyError, match="fitted to 6"):
        prepared_with(preparation, spikes(neurons=5))
    with pytest.raises(GrevyError, match="was fitted at 50"):
        prepared_with(preparation, spikes(sampling_rate=100.0))
    swapped = spikes()
    with pytest.raises(GrevyError, match="other labels"):
        prepared_with(preparation, replace(swapped, labels=swapped.labels[::-1]))
    bare = prepared_with(preparation, replace(spikes(), labels=(), sampling_rate=None))
    np.testing.assert_array_equal(bare.neural, prepare(spikes(), **EVERYTHING).neural)


def test_a_preparation_reads_back_the_same():
    preparation = prepare(spikes(), **EVERYTHING).preparation
    again = from_plain(to_plain(preparation))
    assert again.same_as(preparation)
    assert not again.same_as(None)
    np.testing.assert_array_equal(
        prepared_with(again, spikes()).neural, prepared_with(preparation, spikes()).neural
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kept", [0, 0]), ("kept", [7]), ("kept", []), ("kept", [-1]), ("kept", "ab"),
        ("scale", [0.0]), ("centre", [math.nan]), ("centre", [[1.0]]), ("factor", -1.0),
        ("kernel", [1e12, "causal"]), ("kernel", [1.0, "box"]), ("kernel", [1.0]),
        ("label_scales", [[[1.0], [0.0]]]), ("sampling_rate", math.inf), ("n_neurons", None),
    ],
)  # fmt: skip
def test_a_preparation_from_anybody_is_checked(name, value):
    plain = copy.deepcopy(to_plain(prepare(spikes(), **EVERYTHING).preparation))
    with pytest.raises((ValueError, TypeError, LookupError)):
        from_plain({**plain, name: value})


@pytest.mark.parametrize(
    ("given_text", "text"),
    [("3", "3"), (3, "3"), (2.5, "2.5"), ("0.05s", "0.05s"), ("50ms", "0.05s"), ("1e-2 s", "0.01s"),
     ("3 steps", None), ("", None), ("s", None), ("1..2", None), ("inf", None), (True, None)],
)  # fmt: skip
def test_a_length_of_time(given_text, text):
    assert duration_of(given_text) == text


@given(st.integers(-30, 30).filter(bool), st.data())
def test_a_lag_pairs_steps_inside_their_segment_alone(steps, data):
    lengths = data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=6))
    edges = np.cumsum([0, *lengths, 2])
    runs = np.stack([edges[:-2], edges[1:-1]], axis=1)
    length = int(edges[-1])
    recording = make_recording(
        np.arange(length)[:, None] + 1.0,
        [continuous(np.arange(length) + 0.0), discrete(np.arange(length) % 2, "odd")],
        segments=runs,
    )
    pairs = {
        (t, t + steps)
        for start, stop in runs.tolist()
        for t in range(start, stop)
        if start <= t + steps < stop
    }
    if not pairs:
        with pytest.raises(GrevyError, match="has a partner"):
            lagged(recording, steps)
        return
    found = lagged(recording, steps)
    inside = steps_inside(found.segments)
    assert set(zip(inside, found.labels[0].values[inside, 0], strict=True)) == pairs
    np.testing.assert_array_equal(found.neural, recording.neural)
    assert len(found.labels[1]) == length


def test_a_lag_in_seconds_is_a_whole_number_of_steps():
    recording = spikes()
    for lag, steps in (("0.1s", 5), ("-40ms", -2), (0, 0)):
        found = lagged(recording, lag)
        inside = steps_inside(found.segments)
        np.testing.assert_array_equal(
            found.labels[0].values[inside], recording.labels[0].values[inside + steps]
        )
    with pytest.raises(GrevyError, match=r"0\.5 steps; .* Give 0 or 1 steps"):
        lagged(recording, "10ms")
    with pytest.raises(GrevyError, match="sampling rate"):
        lagged(spikes(sampling_rate=None), "10ms")
    with pytest.raises(GrevyError, match="expected a number, of steps"):
        lagged(recording, "soon")
