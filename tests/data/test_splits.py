"""Splits: what is held out, what is near it, and what the encoder may see."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from grevy.data.segments import segments_from_identifiers
from grevy.data.splits import (
    block_folds,
    blocked_split,
    random_split,
    segment_folds,
    segment_split,
    step_folds,
    training_segments,
)
from grevy.errors import GrevyError

WHOLE = np.array([[0, 1000]])


@st.composite
def segment_tables(draw):
    """Sorted, disjoint runs with holes, touching borders and steps before the first."""
    lengths = draw(st.lists(st.integers(1, 120), min_size=1, max_size=12))
    holes = draw(st.lists(st.integers(0, 15), min_size=len(lengths), max_size=len(lengths)))
    starts = np.cumsum(holes) + np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return np.stack([starts, starts + lengths], axis=1)


def recorded(segments):
    return [t for start, stop in segments for t in range(start, stop)]


def near(split, segments, gap):
    """Steps within `gap` of a test step of their own segment, by looking at every pair."""
    found = set()
    for start, stop in segments:
        for t in split.test[(split.test >= start) & (split.test < stop)].tolist():
            found |= set(range(max(start, t - gap), min(stop, t + gap + 1)))
    return found


def check_halves(split, segments, gap):
    """Sorted, inside segments, nothing trained on near a test step, nothing else left out."""
    assert split.train.dtype == split.test.dtype == np.int64
    assert (np.diff(split.train) > 0).all()
    assert (np.diff(split.test) > 0).all()
    around = near(split, segments, gap)
    assert set(split.test) <= around
    assert set(split.train.tolist()) == set(recorded(segments)) - around


@pytest.mark.parametrize(("length", "holdout", "seed"), [(1000, 0.2, 42), (37, 0.31, 0)])
def test_random_split_holds_out_what_scikit_learn_does(length, holdout, seed):
    split = random_split(length, holdout, seed)
    rows = np.arange(length)
    train, test = train_test_split(rows, test_size=holdout, random_state=seed)
    np.testing.assert_array_equal(split.train, sorted(train))
    np.testing.assert_array_equal(split.test, sorted(test))


def test_random_split_depends_on_its_seed_only():
    first, same, other = (random_split(200, 0.2, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.test, same.test)
    assert not np.array_equal(first.test, other.test)


@pytest.mark.parametrize(
    ("length", "holdout", "message"),
    [
        (3, 0.2, "leaves 2 of 3 time steps for training and 1 for testing"),
        (10, 0.95, "leaves 0 of 10"),
        (100, 0.0, "holdout of 0; expected a fraction"),
        (100, 20.0, "holdout of 20; expected a fraction"),
    ],
)
def test_random_split_refuses(length, holdout, message):
    with pytest.raises(GrevyError, match=message):
        random_split(length, holdout, 0)


def test_blocks_lie_in_the_middle_of_five_equal_stretches():
    split = blocked_split(WHOLE, 0.2, 10)
    expected = [t for start in (80, 280, 480, 680, 880) for t in range(start, start + 40)]
    assert split.test.tolist() == expected
    near = {t for step in expected for t in range(step - 10, step + 11)}
    assert split.train.tolist() == [t for t in range(1000) if t not in near]


@given(segment_tables(), st.floats(0.05, 0.6), st.integers(0, 30), st.integers(1, 7))
def test_blocked_split_keeps_its_promises(segments, holdout, gap, n_blocks):
    inside = recorded(segments)
    try:
        split = blocked_split(segments, holdout, gap, n_blocks)
    except GrevyError:
        # Only where even one block would leave the gaps more than half of the training.
        n_test = round(holdout * len(inside))
        rest = len(inside) - n_test
        assert n_test < 2 or rest < 4 * max(gap, 1)
        return
    check_halves(split, segments, gap)
    assert len(split.test) == round(holdout * len(inside))
    assert len(split.train) >= (len(inside) - len(split.test)) / 2


@pytest.mark.parametrize("gap", [0, 5, 10**9])
def test_a_border_needs_no_gap(gap):
    # Trials of 10 steps and test blocks of whole trials: nothing is lost, however wide the gap.
    segments = np.arange(0, 1000, 10)[:, None] + [0, 10]
    split = blocked_split(segments, 0.2, gap, n_blocks=4)
    assert len(split.test) == 200
    assert len(split.train) == 800
    # Where a block ends inside a trial, that trial alone is cut.
    shifted = blocked_split(segments + 3, 0.21, gap, n_blocks=4)
    check_halves(shifted, segments + 3, gap)
    assert len(shifted.train) + len(shifted.test) >= 1000 - 8 * min(gap, 10)


def test_bins_that_are_segments_of_their_own_lose_nothing():
    segments = np.arange(500)[:, None] + [0, 1]
    split = blocked_split(segments, 0.2, 35)
    assert len(split.train) == 400
    assert len(split.test) == 100


@pytest.mark.parametrize(("length", "n_blocks"), [(1000, 5), (160, 5), (140, 4), (40, 1)])
def test_a_short_recording_gets_fewer_blocks(length, n_blocks):
    split = blocked_split(np.array([[0, length]]), 0.2, 6)
    assert len(segments_from_identifiers(np.isin(np.arange(length), split.test))) == (
        2 * n_blocks + 1
    )


def test_steps_outside_segments_are_in_neither_half():
    segments = np.array([[10, 300], [300, 420], [1000, 1500]])
    split = blocked_split(segments, 0.25, 5)
    used = np.concatenate([split.train, split.test])
    assert set(used) <= set(recorded(segments))
    assert len(split.test) == round(0.25 * 910)


def test_a_hole_in_time_already_is_a_gap():
    # The one test block ends where the hole begins; no step beyond the hole is given up.
    segments = np.array([[0, 60], [500, 540]])
    split = blocked_split(segments, 0.2, 10, n_blocks=1)
    assert split.test.tolist() == list(range(40, 60))
    assert split.train.tolist() == [*range(30), *range(500, 540)]


def test_too_short_says_what_would_do():
    segments = np.array([[0, 50], [70, 80]])
    with pytest.raises(GrevyError) as caught:
        blocked_split(segments, 0.2, 20)
    assert str(caught.value) == (
        "60 time steps inside segments are too few for a time-blocked holdout of 0.2 with a gap "
        "of 20 steps on both sides of the test block. Give at least 100 steps, or a gap of at most "
        "12 (a smaller receptive field or time offset)."
    )
    assert len(blocked_split(np.array([[0, 100]]), 0.2, 20).test) == 20
    with pytest.raises(GrevyError):
        blocked_split(np.array([[0, 99]]), 0.2, 20)
    assert len(blocked_split(segments, 0.2, 12).test) == 12
    with pytest.raises(GrevyError):
        blocked_split(segments, 0.2, 13)


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_far_too_short_offers_no_gap(length):
    with pytest.raises(GrevyError, match=r"Give at least \d+ steps\.$"):
        blocked_split(np.array([[0, length]])[: length or 0], 0.2, 10)


def test_every_bad_argument_is_named_at_once():
    with pytest.raises(GrevyError) as caught:
        blocked_split(WHOLE, 1.5, -1, 0)
    for part in ("3 problems", "holdout of 1.5", "gap of -1 steps", "0 test blocks"):
        assert part in str(caught.value)


@given(segment_tables(), st.data())
def test_training_segments_match_a_walk_through_time(segments, data):
    steps = data.draw(st.sets(st.integers(0, int(segments[-1, 1]) + 5)))
    train = np.array(sorted(steps), dtype=np.int64)
    starts = {int(start) for start in segments[:, 0]}
    runs: list[list[int]] = []
    for t in recorded(segments):
        if t not in steps:
            continue
        if runs and runs[-1][1] == t and t not in starts:
            runs[-1][1] = t + 1
        else:
            runs.append([t, t + 1])
    if runs:
        assert training_segments(segments, train).tolist() == runs
    else:
        with pytest.raises(GrevyError, match="none of the"):
            training_segments(segments, train)


def test_the_encoder_sees_no_step_of_a_test_block_or_gap():
    segments = np.array([[0, 400], [400, 1000]])
    split = blocked_split(segments, 0.2, 15)
    runs = training_segments(segments, split.train)
    assert recorded(runs) == split.train.tolist()
    assert not any(start < 400 < stop for start, stop in runs)


# ------------------------------------------------------------------------ K-fold


@given(segment_tables(), st.integers(2, 7), st.integers(0, 20))
def test_block_folds_test_every_recorded_step_once(segments, n_folds, gap):
    inside = recorded(segments)
    try:
        folds = block_folds(segments, n_folds, gap)
    except GrevyError:
        # Only where a fold would be tiny or lose half of its training to two gaps.
        assert len(inside) < 2 * n_folds + n_folds or len(inside) * (1 - 1 / n_folds) < 4 * gap + 2
        return
    assert len(folds) == n_folds
    assert [t for fold in folds for t in fold.test.tolist()] == inside  # in order of time too
    sizes = [len(fold.test) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    for fold in folds:
        check_halves(fold, segments, gap)
        assert len(fold.train) >= (len(inside) - len(fold.test)) / 2


@given(segment_tables(), st.data())
def test_step_folds_keep_to_the_steps_given(segments, data):
    last = int(segments[-1, 1])
    steps = np.array(sorted(data.draw(st.sets(st.integers(0, last + 9), min_size=8))))
    gap = data.draw(st.integers(0, 3))
    try:
        folds = step_folds(steps, segments, 3, gap)
    except GrevyError:
        return
    usable = [t for t in steps.tolist() if t in set(recorded(segments))]
    assert [t for fold in folds for t in fold.test.tolist()] == usable
    for fold in folds:
        assert set(fold.train.tolist()) == set(usable) - near(fold, segments, gap)


def test_folds_of_steps_that_lie_apart_need_no_gap():
    steps = np.arange(0, 1000, 10)
    assert all(len(f.train) + len(f.test) == 100 for f in step_folds(steps, WHOLE, 4, 9))
    assert len(step_folds(steps, WHOLE, 4, 10)[0].train) == 74


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        (lambda: block_folds(WHOLE, 1, 0), "1 folds; expected 2 or more"),
        (lambda: block_folds(WHOLE, 5, -1), "gap of -1 steps"),
        (lambda: block_folds(WHOLE, 0, -1), "2 problems"),
        (lambda: block_folds(WHOLE, 600, 0), "too few for 600 time-blocked folds.*test on 1"),
        (
            lambda: block_folds(WHOLE, 5, 300),
            "too few for 5 .* gap of 300 steps.*train on 300 steps",
        ),
        (lambda: segment_folds(WHOLE, 2, 0), "1 segments; a split by segment needs at least 2"),
        (lambda: segment_folds(np.array([[0, 5], [5, 6]]), 2, 0), "for testing; each needs"),
        (lambda: segment_folds(WHOLE, 1, 0), "1 folds"),
        (lambda: segment_split(WHOLE, 0.2, 0), "1 segments"),
        (lambda: segment_split(np.array([[0, 5], [9, 10]]), 0.2, 0), "for testing; each needs"),
        (lambda: segment_split(np.array([[0, 5], [5, 10]]), 2.0, 0), "holdout of 2"),
    ],
)
def test_impossible_folds_are_refused(folds, message):
    with pytest.raises(GrevyError, match=message):
        folds()


# -------------------------------------------------------------------- by segment


@given(segment_tables(), st.integers(2, 5), st.integers(0, 9))
def test_segment_folds_test_every_segment_once(segments, n_folds, seed):
    try:
        folds = segment_folds(segments, n_folds, seed)
    except GrevyError:
        assert len(segments) < n_folds or np.diff(segments).min() < 2
        return
    tested = np.sort(np.concatenate([fold.test for fold in folds]))
    assert tested.tolist() == recorded(segments)
    longest = int(np.diff(segments).max())
    sizes = [len(fold.test) for fold in folds]
    assert max(sizes) - min(sizes) <= longest
    for fold in folds:
        check_halves(fold, segments, 10**6)  # whole segments, so that any gap is kept


@given(segment_tables(), st.floats(0.05, 0.9), st.integers(0, 9))
def test_segment_split_holds_out_whole_segments(segments, holdout, seed):
    try:
        split = segment_split(segments, holdout, seed)
    except GrevyError:
        assert len(segments) < 2 or np.diff(segments).min() < 2
        return
    check_halves(split, segments, 10**6)
    longest = int(np.diff(segments).max())
    total = len(recorded(segments))
    assert abs(len(split.test) - holdout * total) <= longest
    assert 0 < len(split.test) < total


def test_segments_are_drawn_by_the_seed():
    segments = np.arange(0, 1000, 10)[:, None] + [0, 10]
    first, same, other = (segment_split(segments, 0.3, seed) for seed in (1, 1, 2))
    assert len(first.test) == 300
    np.testing.assert_array_equal(first.test, same.test)
    assert not np.array_equal(first.test, other.test)
    folds = [segment_folds(segments, 4, seed)[0].test for seed in (1, 1, 2)]
    np.testing.assert_array_equal(folds[0], folds[1])
    assert not np.array_equal(folds[0], folds[2])
    assert [len(fold.test) for fold in segment_folds(segments, 4, 0)] == [250] * 4
