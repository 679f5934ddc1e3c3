"""The thousands of names that `load` knows, in a list that a person can read."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import groupby
from os.path import commonprefix

from grevy.data.datasets.synthetic import NOISES
from grevy.errors import GrevyError

# Where data come from, by the names of their data sets; what is none of these is a user's own.
_OWN = "Registered by what you imported"
_ORIGINS = {
    "Made on this computer, without a network": (
        rf"demo-.*|continuous-gaussian-mixture|"
        rf"continuous-(label|gaussian-mixture)-({'|'.join(NOISES)})"
    ),
    "Fetched when first used": r"(rat-hippocampus|area2-bump|continuous-gaussian-mixture)(-.*)?",
    "From files that you put in the cache yourself": r"allen-.*",
}
# A family with more members than this is one line.
_SHORT = 12


def matching_names(names: Iterable[str], pattern: str) -> list[str]:
    """Return the names that match a shell pattern, or hold it.

    Raises
    ------
    GrevyError
        If there is none.
    """
    names = list(names)
    found = [name for name in names if pattern in name or fnmatchcase(name, pattern)]
    if not found:
        raise GrevyError(
            f"no data set matches {pattern!r}. Give part of a name, or a pattern such as "
            f"'area2-*'; `grevy datasets` lists what there is."
        )
    return found


def grouped_names(names: Iterable[str]) -> dict[str, list[tuple[str, int]]]:
    """Sort names by where the data come from, what needs no network first.

    Returns
    -------
    dict
        By origin: names with the number 1, and patterns that stand for a family of so many.
    """
    groups: dict[str, list[str]] = {_OWN: [], **{origin: [] for origin in _ORIGINS}}
    for name in sorted(names):
        fitting = (origin for origin, known in _ORIGINS.items() if re.fullmatch(known, name))
        groups[next(fitting, _OWN)].append(name)
    return {origin: _families(each) for origin, each in groups.items() if each}


def _families(names: Sequence[str]) -> list[tuple[str, int]]:
    """Fold those that begin with the same two words, whatever the numbers at their end."""
    found = []
    for _, members in groupby(names, key=_first_words):
        each = list(members)
        lines = [(name, 1) for name in each]
        found += lines if len(each) <= _SHORT else [(f"{commonprefix(each)}*", len(each))]  # noqa: RUF071
    return found


def _first_words(name: str) -> str:
    return "-".join(word.rstrip("0123456789") for word in name.split("-")[:2])
