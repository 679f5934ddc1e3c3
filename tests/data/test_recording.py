"""Recordings, labels and errors: every refusal, and what must hold of what is accepted."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from grevy.data.labels import TAU, Label, circular, continuous, discrete, make_label
from grevy.data.recording import make_recording
from grevy.data.segments import segments_from_identifiers, steps_inside
from grevy.data.spikes import bin_spikes
from grevy.errors import GrevyError, Problems, unknown

NEURAL = np.arange(12, dtype=np.float32).reshape(6, 2)


def test_problems_none_one_many():
    problems = Problems("data.npz")
    problems.raise_if_any()
    problems.add("first")
    with pytest.raises(GrevyError, match=r"^data.npz: first$"):
        problems.raise_if_any()
    problems.add("second")
    with pytest.raises(GrevyError, match=r"^data.npz: 2 problems\n  - first\n  - second$"):
        problems.raise_if_any()


@pytest.mark.parametrize(
    ("given_name", "options", "hint"),
    [
        ("poison", ["poisson", "gaussian"], "Did you mean 'poisson'?"),
        ("zzz", ["poisson", "gaussian"], "Choose from gaussian, poisson."),
        ("zzz", [f"{i:02}" for i in range(20)], "09, 10, 11, ... (20 in all)."),
    ],
)
def test_unknown(given_name, options, hint):
    message = str(unknown("noise", given_name, options))
    assert message.startswith(f"unknown noise '{given_name}'. ")
    assert message.endswith(hint)


def test_errors_are_value_errors():
    assert issubclass(GrevyError, ValueError)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0.5, 1.0], "continuous"),
        (np.float32([0.5, 1.0]), "continuous"),
        ([[0.5, 1.0], [0.5, 2.0]], "continuous"),
        ([1, 2], "discrete"),
        ([True, False], "discrete"),
        (["a", "b"], "discrete"),
        (np.array([3, 4], object), "discrete"),
        (np.array([0.5, 1.0], object), "continuous"),
        (np.array(["a", "b"], object), "discrete"),
        (np.uint8([[1], [2]]), "discrete"),
        (torch.tensor([1.5, 2.5], requires_grad=True), "continuous"),
        (torch.tensor([1, 2]), "discrete"),
    ],
)
def test_kind_follows_the_dtype(values, kind):
    assert make_label("x", values).kind == kind


@pytest.mark.parametrize(
    ("values", "kind", "period", "message"),
    [
        ([0.5, 1.0], None, 360, "period was given, but the label is continuous"),
        (["a", "b"], "continuous", None, "cannot be continuous"),
        ([True, False], "circular", None, "bool values cannot be circular"),
        ([0.5, 1.0], "discrete", None, "fractional"),
        ([[1, 2], [3, 4]], None, None, "one column"),
        ([[1.0, 2], [3, 4]], "circular", None, "one column"),
        ([1, 1, 1], None, None, "constant, every value is 1"),
        (["a", "a"], None, None, "constant, every value is 'a'"),
        (["a"], None, None, "there is one time step only"),
        ([[2.0, 1.0]], None, None, "there is one time step only"),
        ([2.0, 2.0], None, None, "constant, every value is 2"),
        ([0.0, 360.0, 720.0], "circular", 360, "whole turns"),
        ([1.0, np.nan, np.inf], None, None, "2 of 3 values are NaN or infinite, .* time step 1"),
        ([1.0, 2.0], "circular", 0, "period 0"),
        ([1.0, 2.0], "circular", -1, "period -1"),
        ([1.0, 2.0], "circular", np.inf, "period inf"),
        ([[1.0], [1.0, 2.0]], None, None, "different lengths"),
        (np.array([1, "a"], object), None, None, "holds int, str is ambiguous"),
        (np.array([], object), None, None, "holds nothing"),
        (np.array([None, None]), None, None, "holds NoneType"),
        ([1 + 2j, 3], None, None, "complex128 is not supported"),
        (np.array(["2020-01-01"], "M8[D]"), None, None, "not supported"),
        ([], None, None, "not empty"),
        (3.0, None, None, r"shape \(\)"),
        (np.zeros((2, 2, 2)), None, None, r"shape \(2, 2, 2\)"),
    ],
)
def test_label_refusals(values, kind, period, message):
    with pytest.raises(GrevyError, match=message):
        make_label("x", values, kind, period)


def test_integers_may_be_asked_for_as_numbers():
    assert continuous([1, 2, 3]).values.dtype == np.float64
    assert circular([0, 90, 180], 360).values == pytest.approx([0, np.pi / 2, np.pi])


@given(
    st.one_of(
        st.lists(st.integers(-(2**62), 2**62), min_size=2, max_size=30),
        st.lists(st.booleans(), min_size=2, max_size=30),
        st.lists(st.text("abcß é", max_size=4), min_size=2, max_size=30),
    ).filter(lambda values: len(set(values)) > 1)
)
def test_discrete_codes_give_back_the_values(values):
    label = discrete(values)
    assert list(label.classes) == sorted(set(values))
    assert label.unit_values.tolist() == values
    taken = label.take(slice(0, 1))
    assert taken.classes == label.classes
    assert len(taken) == 1


@given(
    hnp.arrays(np.float64, st.integers(2, 20), elements=st.floats(-1e4, 1e4)),
    st.sampled_from([TAU, 1.0, 24.0, 360.0]),
    st.integers(-3, 3),
)
def test_circular_wrap(values, period, turns):
    values = np.append(values, [0.0, period / 4])
    label = circular(values, period)
    assert (label.values >= 0).all()
    assert (label.values < TAU).all()
    same = circular(values + turns * period, period)
    gap = np.abs(np.exp(1j * label.values) - np.exp(1j * same.values))
    assert gap.max() < 1e-9 * max(1, 1e4 / period)
    expected = np.exp(1j * TAU / period * values)
    assert np.abs(np.exp(1j * label.values) - expected).max() < 1e-9 * max(1, 1e4 / period)
    assert label.unit_values.max() <= period


@pytest.mark.parametrize("turns", range(-50, 51))
def test_whole_turns_are_exactly_zero(turns):
    assert circular([360.0 * turns, 90.0], 360).values[0] == 0


@pytest.mark.parametrize(
    ("neural", "message"),
    [
        (np.zeros((3, 2), complex), "dtype complex128"),
        (np.array([["a"]]), "dtype <U1"),
        (np.array([[1, None]], object), "dtype object"),
        ([[1.0], [1.0, 2.0]], "different lengths"),
        (np.ones(5), r"For one neuron use shape \(5, 1\)"),
        (np.float32(1), r"shape \(\)"),
        (np.ones((2, 2, 2)), r"shape \(2, 2, 2\)"),
        (np.ones((0, 3)), "at least 1"),
        (np.ones((3, 0)), "at least 1"),
        (np.array([[1, 1], [1, np.nan], [np.inf, 1]]), "2 NaN .* of 6, .* time step 1, neuron 1"),
    ],
)
def test_neural_refusals(neural, message):
    with pytest.raises(GrevyError, match=message):
        make_recording(neural)


def test_a_silent_stretch_is_a_recording():
    assert make_recording(np.zeros((3, 2))).silent
    assert not make_recording(np.eye(3)).silent
    late = np.zeros((70_000, 2), np.float32)
    late[-1, 1] = 1  # beyond the part that is looked at first
    assert not make_recording(late).silent


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.float16, np.float64, np.float32])
def test_neural_dtypes(dtype):
    recording = make_recording(np.eye(4, dtype=dtype))
    assert recording.neural.dtype == np.float32
    assert (len(recording), recording.n_neurons) == (4, 4)
    np.testing.assert_array_equal(recording.segments, [[0, 4]])


def test_memory_map_is_kept(tmp_path):
    np.save(tmp_path / "x.npy", NEURAL)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert make_recording(mapped).neural is mapped


def test_non_finite_values_beyond_the_first_chunk():
    neural = np.ones((70000, 1), np.float32)
    neural[69999] = np.nan
    with pytest.raises(GrevyError, match=r"1 NaN .* time step 69999, neuron 0"):
        make_recording(neural)


def test_every_problem_at_once():
    short = continuous([1.0, 2.0], "a")
    with pytest.raises(GrevyError) as caught:
        make_recording(NEURAL, [short, short], segments=[[0, 99]], sampling_rate=-1, source="f")
    message = str(caught.value)
    assert message.startswith("f: 5 problems")
    for part in ("'a' has 2 time steps", "used twice", "sampling rate -1", "0 <= start < stop"):
        assert part in message


@pytest.mark.parametrize("rate", [0, -1.0, np.nan, np.inf])
def test_sampling_rate(rate):
    with pytest.raises(GrevyError, match="sampling rate"):
        make_recording(NEURAL, sampling_rate=rate)


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([0, 0, 1], "3 segment identifiers for 6 time steps"),
        ([0, 0, np.nan, np.nan, 1, 1], "2 segment identifiers are NaN"),
        ([[0, 2], [3]], "different lengths"),
        ([[0, 2, 3]], "integer runs"),
        ([[0.0, 2.0]], "integer runs"),
        (np.empty((0, 2), int), "integer runs"),
        ([[-1, 2]], "0 <= start"),
        ([[2, 2]], "start < stop"),
        ([[0, 7]], "stop <= 6"),
        ([[3, 5], [0, 2]], "sorted"),
        ([[0, 3], [2, 5]], "overlap"),
    ],
)
def test_segment_refusals(segments, message):
    with pytest.raises(GrevyError, match=message):
        make_recording(NEURAL, segments=segments)


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ([[0, 2], [4, 6]], [[0, 2], [4, 6]]),
        (np.uint8([[0, 2]]), [[0, 2]]),
        ([7, 7, 3, 3, 7, 7], [[0, 2], [2, 4], [4, 6]]),
        ([[1], [1], [1], [2], [2], [2]], [[0, 3], [3, 6]]),
        (list("aabbcc"), [[0, 2], [2, 4], [4, 6]]),
        ([0.5] * 6, [[0, 6]]),
    ],
)
def test_segments(segments, expected):
    made = make_recording(NEURAL, segments=segments).segments
    np.testing.assert_array_equal(made, expected)
    assert made.dtype == np.int64


@given(hnp.arrays(np.int8, st.integers(1, 60), elements=st.integers(0, 3)))
def test_runs_of_identifiers_tile_the_time(identifiers):
    runs = segments_from_identifiers(identifiers)
    assert runs[0, 0] == 0
    assert runs[-1, 1] == len(identifiers)
    np.testing.assert_array_equal(runs[1:, 0], runs[:-1, 1])
    assert all(len(set(identifiers[start:stop])) == 1 for start, stop in runs)
    assert all(identifiers[stop - 1] != identifiers[stop] for stop in runs[:-1, 1])


@given(
    st.lists(st.lists(st.integers(-64, 640).map(lambda n: n / 32), max_size=20), max_size=3),
    st.sampled_from([-1.0, 0.0, 0.5]),
    st.sampled_from([0.25, 0.5, 2.0]),
    st.integers(1, 30),
    st.sampled_from([0.0, 0.125]),
)
def test_bin_spikes_against_counting(times, start, width, n_bins, rest):
    counts = bin_spikes(times, start, start + n_bins * width + rest, width)
    assert counts.shape == (n_bins, len(times))
    for neuron, spikes in enumerate(times):
        for index in range(n_bins):
            low = start + index * width
            expected = sum(low <= spike < low + width for spike in spikes)
            assert counts[index, neuron] == expected


def test_bin_spikes_counts_whole_bins_in_decimals():
    assert len(bin_spikes([[0.05]], 0.0, 0.3, 0.1)) == 3
    assert len(bin_spikes([[0.05]], 0.0, 0.39, 0.1)) == 3


@pytest.mark.parametrize(
    ("start", "stop", "width"),
    [(0, 1, 0), (0, 1, -1), (0, 1, 2), (1, 0, 0.1), (0, np.inf, 1), (0, np.nan, 1), (0, 1, np.nan)],
)
def test_bin_spikes_refusals(start, stop, width):
    with pytest.raises(GrevyError, match="room for at least one bin"):
        bin_spikes([[0.5]], start, stop, width)


def test_labels_and_recordings_are_frozen():
    label = Label("x", "continuous", np.ones((2, 1)))
    with pytest.raises(AttributeError):
        label.name = "y"
    with pytest.raises(AttributeError):
        make_recording(NEURAL).source = "y"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [1e300, -1e39])
def test_neural_data_too_large_for_float32(value):
    neural = np.ones((5, 2))
    neural[3, 1] = value
    with pytest.raises(GrevyError) as caught:
        make_recording(neural)
    assert "at time step 3, neuron 1: too large for float32" in str(caught.value)
    assert "NaN" not in str(caught.value)


@pytest.mark.parametrize("kind", ["continuous", "circular"])
@pytest.mark.parametrize("sign", [1, -1])
def test_labels_too_large_to_square(kind, sign):
    make_label("place", sign * np.array([0.0, 1e99]), kind)
    with pytest.raises(GrevyError, match=r"'place' holds values as large as 1.0e\+200.*Rescale"):
        make_label("place", sign * np.array([0.0, 1e200]), kind)


@pytest.mark.parametrize(
    "runs", [[[0, 4]], [[2, 3], [3, 6], [9, 12]], [[5, 8], [6, 9]], [[0, 0], [4, 6]]]
)
def test_steps_inside_are_those_of_each_run(runs):
    expected = [step for start, stop in runs for step in range(start, stop)]
    assert steps_inside(np.array(runs)).tolist() == expected


def test_a_label_without_a_name_is_refused():
    for labels in ([np.arange(5.0)], np.arange(5.0)):
        with pytest.raises(GrevyError, match="has no name"):
            make_recording(np.ones((5, 2)), labels)
