"""p of several labels at once: by hand, and by closed testing, which Holm's is a short cut of."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grevy.evaluation.metrics import adjust

VALUES = st.lists(st.floats(0.001, 1), min_size=2, max_size=6)


def adjusted(values):
    nulls = [{"p": value} for value in values]
    adjust(nulls)
    assert [null["p"] for null in nulls] == values
    return [null["p_adjusted"] for null in nulls]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.01, 0.04], [0.02, 0.04]),
        ([0.04, 0.01], [0.04, 0.02]),
        ([0.01, 0.02, 0.03, 0.005], [0.03, 0.04, 0.04, 0.02]),
        ([0.01, 0.011], [0.02, 0.02]),  # never less than the one before
        ([0.02, 0.02, 0.02], [0.06, 0.06, 0.06]),
        ([0.4, 0.6, 0.9], [1, 1, 1]),  # never above 1
        ([1, 0.001], [1, 0.002]),
    ],
)
def test_by_hand(values, expected):
    assert adjusted(values) == pytest.approx(expected)


@pytest.mark.parametrize("values", [[], [0.03]])
def test_a_single_test_is_left_as_it_is(values):
    nulls = [{"p": value} for value in values]
    adjust(nulls)
    assert nulls == [{"p": value} for value in values]


@given(VALUES)
def test_it_is_closed_testing_by_bonferroni(values):
    """The largest Bonferroni p of any set of labels that holds the one in question."""
    everyone = range(len(values))
    for label, found in enumerate(adjusted(values)):
        sets = [
            chosen
            for size in range(1, len(values) + 1)
            for chosen in combinations(everyone, size)
            if label in chosen
        ]
        largest = max(len(chosen) * min(values[each] for each in chosen) for chosen in sets)
        assert found == pytest.approx(min(1, largest))


@given(VALUES, st.randoms(use_true_random=False))
def test_it_keeps_the_order_and_knows_no_place(values, shuffler):
    found = adjusted(values)
    for value, each in zip(values, found, strict=True):
        assert value <= each <= min(1, len(values) * value)
    by_value = [each for _, each in sorted(zip(values, found, strict=True))]
    assert by_value == sorted(found)
    order = list(range(len(values)))
    shuffler.shuffle(order)
    assert adjusted([values[place] for place in order]) == pytest.approx(
        [found[place] for place in order]
    )
