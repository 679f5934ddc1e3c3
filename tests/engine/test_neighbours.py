"""The nearest label: held to a brute-force search in float64, and to fairness among ties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from grevy.engine.kernels.library import load
from grevy.engine.sampling.neighbours import build_index, nearest
from grevy.errors import GrevyError

TAU = 2 * np.pi
# Chance that a fair choice among ties fails a test here; the seeds are fixed beside.
FALSE_ALARM = 1e-6


# The compiled tree, and scipy's.
TREES = [True, False] if load() is not None else [False]


def distances(points, queries, turn):
    """All squared distances, one difference at a time, around the circle for angles."""
    apart = np.abs(queries[:, None, :].astype(np.float64) - points[None, :, :])
    around = np.mod(apart, TAU)
    around = np.minimum(around, TAU - around)
    return (np.where(turn, around, apart) ** 2).sum(axis=-1)


def assert_nearest(points, queries, turn, found, slack=0.0):
    """What was found is as near as anything, up to the rounding of a few operations."""
    square = distances(points, queries, turn)
    best = np.sqrt(square.min(axis=1))
    got = np.sqrt(square[np.arange(len(queries)), found])
    np.testing.assert_array_less(got, best * (1 + 1e-12) + slack + 1e-300)


def search(points, queries, turn, seed=0, samples=None, compiled=True):
    points = np.asarray(points, np.float64)
    turn = np.broadcast_to(np.asarray(turn, bool), points.shape[1:])
    samples = np.arange(len(points)) if samples is None else samples
    index = build_index(points, samples, turn, compiled)
    return nearest(index, np.asarray(queries, np.float64), np.random.default_rng(seed))


@st.composite
def problems(draw):
    """Points and queries: real or on a grid (ties, duplicates), with offsets, lines and angles."""
    seed = draw(st.integers(0, 2**32 - 1))
    n_points = draw(st.one_of(st.integers(1, 9), st.integers(10, 120)))
    dims = draw(st.integers(1, 4))
    turn = np.array(draw(st.lists(st.booleans(), min_size=dims, max_size=dims)))
    offset = draw(st.sampled_from([0.0, 100.0, -1e6, 1.7e9]))
    step = draw(st.sampled_from([0.0, 0.25, 1.0]))  # of a grid; 0 for none
    rng = np.random.default_rng(seed)
    points, queries = rng.normal(0, 2, (n_points, dims)), rng.normal(0, 3, (30, dims))
    if step:
        points, queries = np.round(points / step) * step, np.round(queries * 2 / step) * step / 2
    points = np.where(turn, np.mod(points, TAU), points + offset)
    queries = np.where(turn, queries * 5, queries + offset)
    return points, queries, turn, seed


@settings(max_examples=200, deadline=None)
@given(problems(), st.booleans())
def test_nothing_is_nearer_than_what_is_found(problem, compiled):
    points, queries, turn, seed = problem
    found = search(points, queries, turn, seed, compiled=compiled)
    # Turning an angle of many turns into [0, 2 pi) rounds by its own last digit.
    assert_nearest(points, queries, turn, found, slack=1e-14 if turn.any() else 0.0)


@pytest.mark.skipif(load() is None, reason="no C compiler when Grevy was installed")
@pytest.mark.parametrize("size", [(31, 1), (32, 3), (33, 2), (5000, 3), (70_000, 2)])
@pytest.mark.parametrize("angles", [False, True])
def test_either_tree_finds_the_same(size, angles):
    rng = np.random.default_rng(size[0])
    turn = np.arange(size[1]) < angles
    points = np.where(turn, rng.uniform(0, TAU, size), rng.normal(size=size))
    queries = rng.normal(0, 2, (2000, size[1]))
    one, other = (search(points, queries, turn, compiled=compiled) for compiled in TREES)
    np.testing.assert_array_equal(one, other)
    assert len(np.unique(one)) > 15


def test_labels_that_rise_and_fall_are_indexed_at_once():
    """They make a fixed pivot quadratic: a tree of 300 000 would take a quarter of an hour."""
    steps = np.arange(300_000.0)
    bump = -np.abs(steps - 150_000.25)[:, None]
    found = search(bump, bump[::1000] + 0.1, False)
    np.testing.assert_allclose(bump[found, 0], bump[::1000, 0], atol=0.5)


@pytest.mark.parametrize("compiled", TREES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_queries_have_to_be_finite(bad, compiled):
    with pytest.raises(GrevyError, match="delta"):
        search([[1.0], [2.0]], [[bad]], False, compiled=compiled)


@pytest.mark.parametrize("offset", [0.0, 100.0, 1.7e9])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_an_offset_of_the_label_does_not_matter(offset, dims):
    rng = np.random.default_rng(dims)
    points = rng.integers(0, 2**16, (400, dims)) / 2**10  # exact in float64, also with the offset
    queries = rng.integers(0, 2**16, (100, dims)) / 2**10
    here = search(points, queries, False, seed=3)
    there = search(points + offset, queries + offset, False, seed=3)
    np.testing.assert_array_equal(here, there)
    assert_nearest(points, queries, False, here)


def chi_square_limit(n_choices):
    return chi2.isf(FALSE_ALARM, n_choices - 1)


def assert_fair(found, tied, slack=0):
    counts = np.bincount(found, minlength=max(tied) + 1)
    assert set(np.flatnonzero(counts)) == set(tied)
    expected = len(found) / len(tied)
    statistic = ((counts[tied] - expected) ** 2 / expected).sum()
    assert statistic < chi_square_limit(len(tied))


CIRCLE = np.stack([np.array([3, 4, 5, 0, -3, -4, -5, 0]), np.array([4, 3, 0, 5, -4, 3, 0, -5])], 1)
EQUAL = {
    "duplicates of one point": ([[5.0]] * 12 + [[9.0]] * 3, [5.1], False, range(12)),
    "two points": ([[0.0], [2.0], [7.0]], [1.0], False, [0, 1]),
    "two points, one duplicated": ([[0.0], [2.0], [2.0], [2.0]], [1.0], False, range(4)),
    "corners of a square": ([[0, 0], [0, 2], [2, 0], [2, 2], [9, 9]], [1, 1], False, range(4)),
    "a circle of radius 5": (CIRCLE, [0, 0], False, range(8)),
    "a circle far away": (CIRCLE + 1.7e9, [1.7e9, 1.7e9], False, range(8)),
    "corners of a cube": (
        [[x, y, z] for x in (0, 2) for y in (0, 2) for z in (0, 2)] + [[5, 5, 5]] * 4,
        [1, 1, 1],
        False,
        range(8),
    ),
    "two of 60 points": (
        [[s * 2.0**i if j == i else 0 for j in range(30)] for i in range(30) for s in (1, -1)],
        None,
        False,
        range(2),
    ),
    "both sides of the wrap": ([[0.25], [TAU - 0.25], [3.0]], [0.0], True, [0, 1]),
    "both sides of the wrap, a turn on": ([[0.25], [TAU - 0.25], [3.0]], [TAU], True, [0, 1]),
    "an angle and a line": (
        [[0.0, -1.0], [0.0, 1.0], [3.0, 0.0]],
        [0.0, 0.0],
        [True, False],
        [0, 1],
    ),
}


@pytest.mark.parametrize("compiled", TREES)
@pytest.mark.parametrize("case", EQUAL)
def test_ties_are_equally_likely(case, compiled):
    points, query, turn, tied = EQUAL[case]
    points = np.asarray(points, np.float64)
    query = np.zeros(points.shape[1]) if query is None else np.asarray(query, np.float64)
    square = distances(points, query[None], np.broadcast_to(turn, points.shape[1:]))[0]
    np.testing.assert_array_equal(np.flatnonzero(square == square.min()), list(tied))
    found = search(points, np.tile(query, (20_000, 1)), turn, seed=11, compiled=compiled)
    assert_fair(found, list(tied))


@pytest.mark.parametrize("compiled", TREES)
@pytest.mark.parametrize("n_tied", [2, 7, 8, 9, 31, 32, 33, 80])
def test_any_number_of_points_may_tie(n_tied, compiled):
    # Unit vectors: all equally far from the origin, exactly, in any number of dimensions.
    points = np.vstack([np.eye(n_tied), 3 * np.eye(n_tied)[:5]])
    found = search(points, np.zeros((200 * n_tied, n_tied)), False, seed=2, compiled=compiled)
    assert_fair(found, list(range(n_tied)))


@pytest.mark.parametrize("compiled", TREES)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_every_tie_of_a_grid_is_found(dims, compiled):
    """Queries between grid points: 2 ** dims equally near points, each with duplicates."""
    grid = np.stack(np.meshgrid(*[np.arange(5.0)] * dims, indexing="ij"), -1).reshape(-1, dims)
    points = np.repeat(grid, 3, axis=0)
    rng = np.random.default_rng(dims)
    query = rng.integers(0, 4, dims) + 0.5
    square = distances(points, query[None], np.zeros(dims, bool))[0]
    tied = np.flatnonzero(square == square.min())
    assert len(tied) == 3 * 2**dims
    assert_fair(search(points, np.tile(query, (20_000, 1)), False, seed=4, compiled=compiled), tied)


@pytest.mark.parametrize("compiled", TREES)
@pytest.mark.parametrize("n_points", range(1, 9))
def test_few_points(n_points, compiled):
    points = np.arange(n_points, dtype=float)[:, None]
    queries = np.linspace(-2, n_points + 1, 41)[:, None] + 1e-3
    found = search(points, queries, False, compiled=compiled)
    np.testing.assert_array_equal(
        found, np.clip(np.round(queries[:, 0]), 0, n_points - 1).astype(int)
    )


def test_the_given_samples_are_returned():
    samples = np.array([40, 7, 12])
    found = search([[3.0], [1.0], [2.0]], [[3.2], [0.0], [1.9]], False, samples=samples)
    np.testing.assert_array_equal(found, [40, 7, 12])


def test_angles_are_near_across_the_wrap():
    angles = np.linspace(0, TAU, 360, endpoint=False)[:, None]
    queries = np.deg2rad([[359.6], [-0.4], [0.4], [720.6], [-359.4], [360.0]])
    found = search(angles, queries, True)
    np.testing.assert_array_equal(found, [0, 0, 0, 1, 1, 0])


def test_the_same_generator_gives_the_same_choice_and_another_does_not():
    points, queries = np.repeat(np.arange(3.0), 50)[:, None], np.full((200, 1), 1.0)
    first, same, other = (search(points, queries, False, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()
