"""What a run holds out: blocks or whole segments, of every recording."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grevy.data.holdout import cut_folds, cut_validation, hold_out, joined_splits
from grevy.data.splits import blocked_split, training_segments
from grevy.errors import GrevyError


def trials(count, length=20, start=0):
    edges = start + length * np.arange(count + 1)
    return np.stack([edges[:-1], edges[1:]], axis=1)


def owners(segments, steps):
    """The segment of each step, by looking."""
    return {
        i for i, (start, stop) in enumerate(segments) if np.isin(range(start, stop), steps).any()
    }


def test_blocks_are_those_of_each_recording_whatever_the_others():
    segments = [trials(1, 400), trials(1, 300, 400)]
    split = hold_out(segments, "blocks", 0.2, 7, seed=0)
    expected = [blocked_split(each, 0.2, 7) for each in segments]
    for part in ("train", "test"):
        whole = np.concatenate([getattr(each, part) for each in expected])
        np.testing.assert_array_equal(getattr(split, part), whole)
    assert not split.by_segment


@pytest.mark.parametrize("count", [2, 6, 9])
def test_a_fifth_of_every_recording_is_held_out(count):
    segments = [trials(1, 300, 300 * number) for number in range(count)]
    split = hold_out(segments, "blocks", 0.2, 3, seed=0)
    assert set(np.bincount(split.test // 300)) == {60}


def test_it_is_said_which_recording_is_too_short():
    with pytest.raises(GrevyError, match=r"recording 2 of 2: 9 time steps .* too few"):
        hold_out([trials(1, 300), trials(1, 9, 300)], "blocks", 0.2, 7, seed=0)


@given(st.lists(st.integers(2, 12), min_size=1, max_size=4), st.integers(0, 2**33))
def test_whole_segments_of_every_recording(counts, seed):
    starts = np.cumsum([0, *counts]) * 20
    segments = [trials(count, 20, start) for count, start in zip(counts, starts, strict=False)]
    split = hold_out(segments, "segments", 0.25, 1000, seed)
    assert split.by_segment
    assert len(split.train) + len(split.test) == starts[-1]
    for each in segments:
        trained, tested = owners(each, split.train), owners(each, split.test)
        assert trained
        assert tested
        assert not trained & tested


def test_the_seed_decides_which():
    drawn = [tuple(hold_out([trials(30)], "segments", 0.2, 0, seed).test) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("kind", ["blocks", "segments"])
def test_folds_test_each_step_once_and_train_every_recording(kind):
    segments = [trials(6), trials(4, 30, 120)]
    folds = cut_folds(segments, kind, 3, 2, seed=5)
    tested = np.concatenate([fold.test for fold in folds])
    np.testing.assert_array_equal(np.sort(tested), np.arange(240))
    for fold in folds:
        assert fold.by_segment == (kind == "segments")
        assert (np.diff(fold.train) > 0).all()
        assert not set(fold.train) & set(fold.test)
        for start, stop in ((0, 120), (120, 240)):
            for steps in (fold.train, fold.test):
                assert ((steps >= start) & (steps < stop)).any()
        if kind == "segments":
            whole = np.concatenate(segments)
            assert not owners(whole, fold.train) & owners(whole, fold.test)


def test_a_joined_split_is_by_segment_only_if_all_are():
    one, other = (hold_out([trials(8, 40)], kind, 0.25, 2, 0) for kind in ("blocks", "segments"))
    assert not joined_splits([one, other]).by_segment
    assert joined_splits([other, other]).by_segment


@pytest.mark.parametrize(
    ("segments", "match"),
    [
        ([trials(1)], "`split='segments'`: the data has 1 segment; at least 2"),
        ([trials(3), trials(1, 20, 60)], "recording 2 of 2 has 1 segment"),
    ],
)
def test_one_segment_cannot_be_split(segments, match):
    with pytest.raises(GrevyError, match=match) as raised:
        hold_out(segments, "segments", 0.2, 0, 0)
    assert "`segments=KEY`" in str(raised.value)


def test_too_few_segments_for_the_folds():
    with pytest.raises(GrevyError, match="`folds=5` of whole segments: the data has 4 segments"):
        cut_folds([trials(4)], "segments", 5, 0, 0)


def apart(lengths, breaks):
    """Runs of these lengths, so many steps apart."""
    starts = np.cumsum([0, *(np.array(lengths[:-1]) + breaks)])
    return np.stack([starts, starts + lengths], axis=1)


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=12),
    st.sampled_from([0, 3]),
    st.floats(0.02, 0.6),
    st.integers(0, 25),
)
def test_validation_keeps_its_distance_and_holds_a_pair(lengths, breaks, fraction, gap):
    segments = apart(lengths, breaks)
    try:
        found = cut_validation(segments, fraction, gap)
    except GrevyError:
        assert fraction * sum(lengths) < 2 * gap + 1 or 3 * gap > (1 - fraction) * sum(lengths) / 2
        return
    owner = np.repeat(-1, segments[-1, 1])
    for number, (start, stop) in enumerate(segments):
        owner[start:stop] = number
    kept = set(found.train) | set(found.test)
    assert not set(found.train) & set(found.test)
    assert (owner[[*kept]] >= 0).all()
    for step in found.test:
        near = np.arange(max(step - gap, 0), min(step + gap + 1, len(owner)))
        near = near[owner[near] == owner[step]]
        assert not set(near) & set(found.train)
    assert abs(len(found.test) - fraction * sum(lengths)) <= 4
    assert np.diff(training_segments(segments, found.test)).max() >= min(gap, max(lengths))


@pytest.mark.parametrize(
    ("lengths", "blocks"),
    [
        ([1000], [25] * 4),
        ([100, 200, 200, 200, 200, 100], [25] * 4),
        ([400], [20, 20]),
        ([20] * 50, None),
    ],
)
def test_validation_blocks_lie_amid_runs(lengths, blocks):
    segments = apart(lengths, 0 if blocks is None else 100)
    split = cut_validation(segments, 0.1, 20)
    cut = training_segments(segments, split.test)
    if blocks is None:  # short runs: blocks go over several, as no run holds one
        assert np.diff(cut).max() == 20
        return
    assert np.diff(cut).ravel().tolist() == blocks
    for start, stop in cut:
        inside = segments[(segments[:, 0] <= start) & (stop <= segments[:, 1])]
        assert len(inside) == 1
        assert len(lengths) == 1 or min(start - inside[0, 0], inside[0, 1] - stop) >= 20


def test_validation_that_has_no_room_is_said():
    with pytest.raises(
        GrevyError, match=r"`validation=0\.1`: of the 100 time steps.*no block of 20"
    ):
        cut_validation(apart([100], 0), 0.1, 20)
