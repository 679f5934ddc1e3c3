"""Windows of time steps: a plain loop says what each row holds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grevy.evaluation.windows import Windowed

WAYS = ("summed", "lagged")


def plainly(neural, segments, before, after, way):
    """Every row of the steps inside segments, one number after another; other rows are NaN."""
    length, n_neurons = neural.shape
    rows = np.full((length, n_neurons * (before + after if way == "lagged" else 1)), np.nan)
    for start, stop in segments:
        for step in range(start, stop):
            seen = []
            for lag in range(-before, after):
                there = step + lag
                nearest = start if there < start else stop - 1 if there >= stop else there
                seen.append(neural[nearest])
            rows[step] = np.sum(seen, axis=0) if way == "summed" else np.concatenate(seen)
    return rows


@st.composite
def recordings(draw):
    """Neural data, segments with gaps between them or not, and a window."""
    lengths = draw(st.lists(st.integers(1, 9), min_size=1, max_size=5))
    gaps = draw(st.lists(st.integers(0, 3), min_size=len(lengths) + 1, max_size=len(lengths) + 1))
    stops = np.cumsum(np.array(lengths) + gaps[:-1])
    segments = np.stack([stops - lengths, stops], axis=1)
    shape = (int(stops[-1]) + gaps[-1], draw(st.integers(1, 3)))
    neural = np.random.default_rng(draw(st.integers(0, 99))).integers(-9, 9, shape)
    return neural, segments, draw(st.integers(0, 12)), draw(st.integers(1, 12))


@given(recordings(), st.sampled_from(WAYS), st.sampled_from([np.float32, np.float64]))
def test_rows_are_those_of_a_plain_loop(recording, way, dtype):
    neural, *rest = recording
    windows = Windowed(neural.astype(dtype), *rest, way)
    expected = plainly(neural, *rest, way)
    inside = np.flatnonzero(~np.isnan(expected).any(axis=1))
    found = windows[inside]
    np.testing.assert_array_equal(found, expected[inside])
    assert found.dtype == windows.dtype == dtype
    assert windows.shape == expected.shape
    assert len(windows) == len(neural)


@given(recordings(), st.sampled_from(WAYS), st.data())
def test_it_is_read_like_an_array(recording, way, data):
    neural, *rest = recording
    windows, length = Windowed(neural, *rest, way), len(neural)
    whole = windows[:]
    assert whole.shape == windows.shape
    picked = data.draw(st.lists(st.integers(-length, length - 1), max_size=20))
    ends = st.none() | st.integers(-length - 2, length + 2)
    cut = slice(data.draw(ends), data.draw(ends), data.draw(st.sampled_from([None, 1, 3, -2])))
    for index in (np.array(picked, dtype=int), cut):
        np.testing.assert_array_equal(windows[index], whole[index])


def test_a_window_of_one_step_is_the_data():
    neural = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    for way in WAYS:
        windows = Windowed(neural, np.array([[0, 12], [12, 20]]), 0, 1, way)
        np.testing.assert_array_equal(windows[:], neural)


def test_by_hand():
    """Steps 0 to 2 and 3 to 4 are segments; a window of two steps before, itself and one after."""
    neural = np.array([[1.0], [2], [4], [8], [16]])
    segments = np.array([[0, 3], [3, 5]])
    lagged = [[1, 1, 1, 2], [1, 1, 2, 4], [1, 2, 4, 4], [8, 8, 8, 16], [8, 8, 16, 16]]
    np.testing.assert_array_equal(Windowed(neural, segments, 2, 2, "lagged")[:], lagged)
    np.testing.assert_array_equal(
        Windowed(neural, segments, 2, 2, "summed")[:], np.sum(lagged, axis=1, keepdims=True)
    )


@given(recordings(), st.sampled_from(WAYS), st.data())
def test_no_segment_moves_a_row_of_another(recording, way, data):
    neural, segments, *rest = recording
    chosen = data.draw(st.integers(0, len(segments) - 1))
    own = np.arange(*segments[chosen])
    spoilt = np.full(neural.shape, 10**6)
    spoilt[own] = neural[own]
    one, other = (Windowed(each, segments, *rest, way)[own] for each in (neural, spoilt))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(np.uint8, np.float32), (np.float16, np.float32), (np.int64, np.float64), (bool, np.float32)],
)
def test_small_numbers_do_not_overflow(given, expected):
    """A sum of whole numbers is not kept in their own few bits."""
    largest = np.ones((6, 2), bool) if given is bool else np.full((6, 2), 200, given)
    found = Windowed(largest, np.array([[0, 6]]), 5, 5, "summed")[:]
    assert found.dtype == expected
    assert (found == 10 * float(largest[0, 0])).all()


def test_a_memory_map_is_read_in_parts(tmp_path):
    neural = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (50, 2))
    neural[:] = np.arange(100).reshape(50, 2)
    windows = Windowed(neural, np.array([[0, 50]]), 1, 1, "lagged")
    assert windows[:3].tolist() == [[0, 1, 0, 1], [0, 1, 2, 3], [2, 3, 4, 5]]
