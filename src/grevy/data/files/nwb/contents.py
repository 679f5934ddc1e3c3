"""What an NWB file holds that a recording can be made of, found by the end of its path."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from grevy.data.files.entries import DEEPEST
from grevy.data.files.nwb.tree import MOST_GROUPS, Tree
from grevy.errors import GrevyError

# The schema of the format itself, which every file brings along.
NOT_DATA = frozenset({"specifications"})


@dataclass(frozen=True, eq=False)
class Contents:
    """Groups of an NWB file by their path, without the leading slash.

    Attributes
    ----------
    series : dict of str to h5py.Group
        Values over time: `TimeSeries` and what derives from it.
    tables : dict of str to h5py.Group
        Intervals of time, such as trials.
    units : dict of str to h5py.Group
        Units with their spike times.
    """

    series: dict[str, Any]
    tables: dict[str, Any]
    units: dict[str, Any]


def list_contents(tree: Tree) -> Contents:
    """Look through a file; what things are is told by what they have, of whatever extension."""
    found = Contents({}, {}, {})
    for path, group, names in _groups(tree, "", tree.root, 0, [0]):
        if "data" in names and names & {"timestamps", "starting_time"}:
            found.series[path] = group
        elif {"start_time", "stop_time"} <= names:
            found.tables[path] = group
        elif {"spike_times", "spike_times_index"} <= names:
            found.units[path] = group
    return found


def _groups(
    tree: Tree, path: str, group: Any, depth: int, met: list[int]
) -> Iterator[tuple[str, Any, set[str]]]:
    import h5py

    met[0] += 1
    if met[0] > MOST_GROUPS:
        raise ValueError("its links lead to the same groups over and over")
    yield path, group, set(group)
    for name, item in tree.children(group) if depth < DEEPEST else ():
        if isinstance(item, h5py.Group) and not (depth == 0 and name in NOT_DATA):
            yield from _groups(tree, f"{path}/{name}" if path else name, item, depth + 1, met)


def found_path(key: str, paths: Sequence[str]) -> list[str]:
    """Return the paths that a key can mean: the closest way of naming decides.

    First the path itself; then its end; then parts of it in their order, the last one last
    (`behavior/position` is `processing/behavior/Position/position`); then parts of it in their
    order (`behavior/position` is `processing/behavior/Position/rat`). Case does not count.

    Parameters
    ----------
    key : str
        As the user wrote it.
    paths : sequence of str

    Returns
    -------
    list of str
        One, if the key is unambiguous.
    """
    asked = _parts(key)
    exact = [path for path in paths if path == key.strip("/")]
    if exact or not asked:
        return exact
    each = {path: _parts(path) for path in paths}
    ends = [path for path, parts in each.items() if parts[-len(asked) :] == asked]
    if ends:
        return ends
    within = [path for path, parts in each.items() if _in_order(asked, parts)]
    return [path for path in within if each[path][-1] == asked[-1]] or within


def _parts(path: str) -> list[str]:
    return [part.casefold() for part in path.split("/") if part]


def _in_order(asked: list[str], parts: list[str]) -> bool:
    rest = iter(parts)
    return all(part in rest for part in asked)


def find(tree: Tree, key: str, groups: dict[str, Any], what: str) -> tuple[str, Any]:
    """Find the one group that a key means.

    Parameters
    ----------
    tree : Tree
    key : str
        As the user wrote it.
    groups : dict of str to h5py.Group
        To choose from.
    what : str
        What they are, as in "series".

    Returns
    -------
    tuple of str and h5py.Group
        Its path, and itself.

    Raises
    ------
    GrevyError
        If there is none, or more than one, listing what there is.
    """
    paths = found_path(key, list(groups))
    if len(paths) == 1:
        return paths[0], groups[paths[0]]
    if paths:
        raise GrevyError(
            f"{tree.path}: {key!r} could be any of {_listed(paths)}. Write more of its path."
        )
    linked = tree.below(tree.root, key)  # what only a link leads to has no path of its own
    same = [path for path, group in groups.items() if linked is not None and group == linked]
    if same:
        return same[0], linked
    near = sorted(groups, key=lambda path: -SequenceMatcher(None, path, key).ratio())
    raise GrevyError(f"{tree.path} has no {what} {key!r}. It holds {_listed(near)}.")


def _listed(paths: list[str]) -> str:
    more = [f"... ({len(paths)} in all)"] if len(paths) > 12 else []
    return ", ".join([*paths[:12], *more]) or "none"
