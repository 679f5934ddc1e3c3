"""A list of data sets that a person can read: by origin, families folded, nothing lost."""

from fnmatch import fnmatchcase

import pytest

from grevy.data.datasets.listing import grouped_names, matching_names
from grevy.data.datasets.loading import names
from grevy.errors import GrevyError


def test_every_name_is_in_one_line_and_the_list_is_short():
    everything = [*names(), "my-recording"]
    lines = [line for group in grouped_names(everything).values() for line in group]
    assert len(lines) < 40
    assert sum(count for _, count in lines) == len(everything)
    for line, count in lines:
        meant = [name for name in everything if fnmatchcase(name, line)]
        assert len(meant) == count, line


def test_what_needs_no_network_comes_first():
    groups = grouped_names([*names(), "my-recording"])
    own, made, fetched, placed = groups.values()
    assert ("my-recording", 1) in own  # others may have been registered by other tests
    assert {"demo-continuous", "continuous-label-t"} <= {name for name, _ in made}
    assert ("rat-hippocampus-*", 22) in fetched
    assert ("continuous-gaussian-mixture-refractory_poisson", 1) in fetched
    assert [name for name, _ in placed] == ["allen-movie*"]
    assert "my-recording" not in str(grouped_names(names()))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("demo", ["demo-a", "demo-b"]),
        ("demo-[b-z]", ["demo-b"]),
        ("*a", ["demo-a"]),
        ("mine", ["mine"]),
    ],
)
def test_a_part_or_a_pattern(pattern, expected):
    assert matching_names(["demo-a", "demo-b", "mine"], pattern) == expected


def test_nothing_that_matches():
    with pytest.raises(GrevyError, match="no data set matches 'zebra'"):
        matching_names(["demo-a"], "zebra")
