"""What `fit` is given, as recordings."""

import numpy as np
import pytest
import torch

from grevy.data.labels import circular, continuous, discrete
from grevy.data.recording import make_recording
from grevy.errors import GrevyError
from grevy.model.inputs import gather_recordings

RNG = np.random.default_rng(0)
X, X2 = RNG.normal(size=(12, 3)), RNG.normal(size=(8, 5))
LINE, LINE2 = RNG.normal(size=(12, 2)), RNG.normal(size=(8, 2))


@pytest.mark.parametrize("wrap", [np.asarray, torch.from_numpy, lambda x: x.tolist()])
def test_one_recording(wrap):
    recordings, several = gather_recordings(wrap(X), (wrap(LINE), np.arange(12) % 2))
    assert not several
    (recording,) = recordings
    np.testing.assert_allclose(recording.neural, X, rtol=1e-6)
    assert [label.kind for label in recording.labels] == ["continuous", "discrete"]
    np.testing.assert_array_equal(recording.segments, [[0, 12]])


def test_a_label_keeps_its_kind_and_the_segments_are_taken():
    angle = circular(np.arange(12) * 30, 360, "heading")
    (recording,), _ = gather_recordings(X, (angle,), np.repeat([1, 2], 6))
    assert recording.labels[0].kind == "circular"
    assert recording.labels[0].name == "heading"
    np.testing.assert_array_equal(recording.segments, [[0, 6], [6, 12]])


def test_two_unnamed_labels_get_names():
    (recording,), _ = gather_recordings(X, (continuous(LINE), discrete(np.arange(12) % 3)))
    assert len({label.name for label in recording.labels}) == 2


def test_a_recording_brings_its_own():
    given = make_recording(
        X, [continuous(LINE, "x")], segments=[[0, 6], [6, 12]], sampling_rate=50, source="here"
    )
    (recording,), _ = gather_recordings(given)
    assert recording.labels[0].name == "x"
    assert (recording.sampling_rate, recording.source) == (50, "here")
    np.testing.assert_array_equal(recording.segments, given.segments)
    (other,), _ = gather_recordings(given, (np.arange(12) % 2,), [[0, 12]])
    assert [label.kind for label in other.labels] == ["discrete"]
    np.testing.assert_array_equal(other.segments, [[0, 12]])


@pytest.mark.parametrize("container", [list, tuple])
def test_several_recordings(container):
    recordings, several = gather_recordings(
        container([X, X2]), ([LINE, LINE2],), [[[0, 12]], np.repeat([0, 1], 4)]
    )
    assert several
    assert [r.n_neurons for r in recordings] == [3, 5]
    np.testing.assert_array_equal(recordings[1].labels[0].values, LINE2)
    np.testing.assert_array_equal(recordings[1].segments, [[0, 4], [4, 8]])


def test_a_list_of_one_is_several():
    recordings, several = gather_recordings([X], ([LINE],))
    assert several
    assert len(recordings) == 1


def test_classes_are_shared():
    first = ["b", "c"] * 6
    second = ["a", "c", "d", "a"] * 2
    (one, two), _ = gather_recordings([X, X2], ([first, second],))
    assert one.labels[0].classes == two.labels[0].classes == ("a", "b", "c", "d")
    assert one.labels[0].unit_values.tolist() == first
    assert two.labels[0].unit_values.tolist() == second


def test_codes_of_any_size_are_shared():
    first, second = np.array([-3, 3 * 10**7] * 6), np.array([0, 5, -3, 5] * 2)
    (one, two), _ = gather_recordings([X, X2], ([first, second],))
    np.testing.assert_array_equal(one.labels[0].unit_values, first)
    np.testing.assert_array_equal(two.labels[0].unit_values, second)


@pytest.mark.parametrize(
    ("data", "y", "segments", "words"),
    [
        ([X, X2], (LINE,), None, ["2 recordings", "[12]"]),
        ([X, X2], ([LINE],), None, ["2 recordings", "[1]"]),
        ([X, X2], (continuous(LINE),), None, ["2 recordings"]),
        ([X, X2], (3,), None, ["2 recordings"]),
        ([X, X2], ([LINE, LINE],), None, ["recording 1", "12 time steps", "8"]),
        ([X, X2], ([LINE, LINE2],), [[[0, 12]]], ["2 recordings", "1 entries"]),
        (X, (LINE[:5],), None, ["5 time steps", "12"]),
        (X, ([LINE, LINE2],), None, ["label 0"]),
        (X[:, 0], (), None, ["(12,)", "(T, N)"]),
        ([], (), None, ["(T, N)"]),
        ("neurons", (), None, ["dtype"]),
        (None, (), None, ["dtype"]),
        (X * np.nan, (), None, ["36 NaN"]),
        ([X, X2 * np.inf], ([LINE, LINE2],), None, ["recording 1", "infinite"]),
        ([X, X2[:, 0]], ([LINE, LINE2],), None, ["entry 1", "(T, N)"]),
    ],
)
def test_what_does_not_fit_is_an_error(data, y, segments, words):
    with pytest.raises(GrevyError) as caught:
        gather_recordings(data, y, segments)
    for word in words:
        assert word in str(caught.value)
