"""The file of a sweep, read with the line of each mistake: base, grid, list and random."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from grevy.config import RunConfig, refuse_imports, setting_problem
from grevy.errors import GrevyError, Problems, unknown
from grevy.sweeps.drawing import Distribution, make_distribution
from grevy.sweeps.space import OWN, Search, make_search, space_problem

SECTIONS = ("base", "grid", "list", "random", "search", "drawn")
# A larger file is no sweep, and would be read for minutes.
SWEEP_BYTES = 2**20
# Where a run is written to is the sweep's business.
_NOT_HERE = {"output_dir": "each run has its folder in the folder of the sweep"}


@dataclass(frozen=True)
class SweepFile:
    """What the file of a sweep says.

    Attributes
    ----------
    base : dict
        Settings that every run has, unless it has others of its own.
    grid : dict of str to list
        For each setting, the values that are combined with all others.
    listed : list of dict
        Settings that go together, as many as there are entries.
    random : dict of str to Distribution
    random_runs : int
        How often to draw from `random`.
    drawn : list of dict or None
        What was drawn, once it is; in place of drawing.
    search : Search or None
        What to search; in place of all that varies.
    """

    base: dict[str, Any]
    grid: dict[str, list[Any]] = field(default_factory=dict)
    listed: list[dict[str, Any]] = field(default_factory=list)
    random: dict[str, Distribution] = field(default_factory=dict)
    random_runs: int = 0
    drawn: list[dict[str, Any]] | None = None
    search: Search | None = None

    @property
    def varied(self) -> tuple[str, ...]:
        """The settings that differ between runs, in the order of the file."""
        names = [*(name for each in self.listed for name in each), *self.grid, *self.random]
        return tuple(dict.fromkeys(names))

    def as_mapping(self) -> dict[str, Any]:
        """Return what the file holds, as plain values for YAML."""
        random = {name: each.as_mapping() for name, each in self.random.items()}
        sections = {
            "base": self.base,
            "grid": self.grid,
            "list": self.listed,
            "random": {"runs": self.random_runs, **random} if random else {},
            "drawn": self.drawn,
            "search": self.search.as_mapping() if self.search else {},
        }
        return {name: value for name, value in sections.items() if value or name == "base"}


def read_sweep(path: Path, *, trust: bool = False, imports: Sequence[str] = ()) -> SweepFile:
    """Read the file of a sweep; nothing in it can let code run by itself.

    Parameters
    ----------
    path : Path
    trust : bool
        Take the modules that it names to be imported, and its own `trust`, as they are.
    imports : sequence of str
        Modules that may be among those.

    Raises
    ------
    GrevyError
        If the file cannot be read; or naming everything in it that is wrong, each with its line.
    """
    root = _root(path)
    problems = Problems(f"sweep {path}")
    sections = _pairs(root, problems)
    for name, (key, _) in sections.items():
        if name not in SECTIONS:
            problems.add(f"line {_line(key)}: {unknown('section', name, SECTIONS)}")
    read = _Sections(problems)
    found = SweepFile(
        base=read.settings(sections, "base"),
        grid=read.grid(sections),
        listed=read.entries(sections, "list"),
        random=read.random(sections),
        random_runs=read.runs(sections),
        drawn=read.entries(sections, "drawn") if "drawn" in sections else None,
        search=read.search(sections),
    )
    if not set(sections) & {"grid", "list", "random", "search"}:
        problems.add(
            "nothing varies: give `grid` (names with their values), `list` (settings of each run) "
            "or `random` (names with what to draw from, and `runs`)"
        )
    _check_places(found, sections, problems)
    if "search" in sections and not found.base.get("validation"):
        problems.add(
            f"line {_line(sections['search'][0])}: search chooses by the loss on a part of the "
            f"training that is only watched: give 'validation: 0.2', or another fraction, in base"
        )
    problems.raise_if_any()
    if trust:
        return found
    return _without_trust(path, found, imports)


def _without_trust(path: Path, found: SweepFile, imports: Sequence[str]) -> SweepFile:
    """Refuse what a file may not ask for by itself."""
    every = [
        found.base,
        *found.listed,
        *({name: value} for name, values in found.grid.items() for value in values),
    ]
    for settings in every:
        refuse_imports(f"sweep {path}", settings, imports)
        if settings.get("trust"):
            raise GrevyError(
                f"sweep {path} asks to run code that data files hold. If you know what it does, "
                f"give `trust=True`."
            )
    return found


def _root(path: Path) -> yaml.MappingNode:
    try:
        if not path.is_file():
            raise GrevyError(
                f"there is no sweep {path}. Give a YAML file with `base` and `grid`, `list` or "
                f"`random`; docs/sweeps.md has examples."
            )
        if path.stat().st_size > SWEEP_BYTES:
            raise GrevyError(
                f"sweep {path} has more than {SWEEP_BYTES} bytes; a sweep is a page of YAML."
            )
        root = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    except GrevyError:
        raise
    except OSError as error:
        raise GrevyError(
            f"sweep {path} cannot be read: {error.strerror}. Give the path of a YAML file."
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise GrevyError(f"sweep {path} is not valid YAML: {reason}") from error
    if not isinstance(root, yaml.MappingNode):
        raise GrevyError(
            f"sweep {path} holds no sections; expected `base:`, and `grid:`, `list:` or `random:`, "
            f"each with settings below it."
        )
    return root


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


Pairs = dict[str, tuple[yaml.Node, yaml.Node]]


def _pairs(node: yaml.MappingNode, problems: Problems) -> Pairs:
    """Return the entries of a mapping by their names; a name given twice is a problem."""
    try:
        yaml.SafeLoader("").flatten_mapping(node)  # what `<<` brings along
    except yaml.YAMLError as error:
        problems.add(f"line {_line(node)}: {' '.join(str(error).split())}")
    counts = Counter(str(key.value) for key, _ in node.value)
    for key, _ in node.value:
        if counts.pop(str(key.value), 1) > 1:
            problems.add(f"line {_line(key)}: {str(key.value)!r} is given more than once")
    return {str(key.value): (key, value) for key, value in node.value}


class _Sections:
    """Reads the sections, and notes what is wrong.

    Parameters
    ----------
    problems : Problems
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems

    def _wrong(self, node: yaml.Node, message: str) -> None:
        self._problems.add(f"line {_line(node)}: {message}")

    def _value(self, node: yaml.Node) -> Any:
        try:
            return yaml.SafeLoader("").construct_document(node)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            self._wrong(node, " ".join(str(error).split()))
            return None

    def _names(self, node: yaml.Node, where: str, extra: Sequence[str] = ()) -> Pairs:
        """Return the settings of a mapping that are known."""
        if not isinstance(node, yaml.MappingNode):
            self._wrong(node, f"{where}: expected settings, one a line, such as 'seed: 0'")
            return {}
        found = _pairs(node, self._problems)
        known = {}
        for name, (key, value) in found.items():
            if name in extra:
                continue
            if name not in RunConfig.model_fields:
                self._wrong(key, f"{where}: {unknown('setting', name, RunConfig.model_fields)}")
            elif name in _NOT_HERE:
                self._wrong(key, f"{where}: {name!r} has no place here: {_NOT_HERE[name]}")
            else:
                known[name] = (key, value)
        return known

    def _checked(self, name: str, node: yaml.Node, where: str) -> Any:
        """Return the value of a setting, if it may have it."""
        value = self._value(node)
        if name == "batch_size" and value == 0 and value is not False:
            return None  # the whole data, as on the command line
        problem = setting_problem(name, value)
        if problem is not None:
            self._wrong(node, f"{where}: {problem}")
        return value

    def settings(self, sections: Pairs, name: str) -> dict[str, Any]:
        """Read plain settings."""
        if name not in sections:
            return {}
        known = self._names(sections[name][1], name)
        return {each: self._checked(each, node, name) for each, (_, node) in known.items()}

    def grid(self, sections: Pairs) -> dict[str, list[Any]]:
        """Read settings with the values of each."""
        if "grid" not in sections:
            return {}
        key, section = sections["grid"]
        known = self._names(section, "grid")
        if isinstance(section, yaml.MappingNode) and not section.value:
            self._wrong(key, "grid is empty: give names with their values, as in 'seed: [0, 1]'")
        found = {}
        for name, (_, node) in known.items():
            if not isinstance(node, yaml.SequenceNode):
                self._wrong(
                    node, f"grid: {name!r} needs a list of values, as in [A, B]; a single value "
                    f"belongs to 'base'",
                )  # fmt: skip
            elif not node.value:
                self._wrong(node, f"grid: {name!r} has no values; give some, or leave it out")
            else:
                found[name] = [self._checked(name, each, "grid") for each in node.value]
        return found

    def entries(self, sections: Pairs, name: str) -> list[dict[str, Any]]:
        """Read a list of settings that go together."""
        if name not in sections:
            return []
        key, section = sections[name]
        if not isinstance(section, yaml.SequenceNode) or not section.value:
            self._wrong(key, f"{name}: expected entries of settings, each beginning with '- '")
            return []
        found = []
        for node in section.value:
            known = self._names(node, name)
            found.append({each: self._checked(each, of, name) for each, (_, of) in known.items()})
        return found

    def random(self, sections: Pairs) -> dict[str, Distribution]:
        """Read settings with what to draw each from."""
        if "random" not in sections:
            return {}
        key, section = sections["random"]
        known = self._names(section, "random", extra=("runs",))
        if isinstance(section, yaml.MappingNode) and len(section.value) < 2:
            self._wrong(
                key, "random needs 'runs', how often to draw, and names with what to draw from, as "
                "in 'learning_rate: {between: [0.0001, 0.01], scale: log}'",
            )  # fmt: skip
        return self._distributions(known, "random")

    def _distributions(self, known: Pairs, where: str) -> dict[str, Distribution]:
        found = {}
        for name, (_, node) in known.items():
            made = make_distribution(name, self._value(node))
            if isinstance(made, str):
                self._wrong(node, f"{where}: {made}")
            else:
                found[name] = made
        return found

    def search(self, sections: Pairs) -> Search | None:
        """Read what to search, and how."""
        if "search" not in sections:
            return None
        key, section = sections["search"]
        known = self._names(section, "search", extra=OWN)
        space = self._distributions(known, "search")
        for name in known:
            if problem := space_problem(name):
                self._wrong(known[name][0], f"search: {problem}")
        others = [name for name in ("grid", "list", "random") if name in sections]
        if others:
            self._wrong(key, f"search has to be alone, without {' and '.join(others)}")
        given = section.value if isinstance(section, yaml.MappingNode) else []
        own = {each.value: self._value(node) for each, node in given if each.value in OWN}
        made = make_search(own, space)
        for message in made if isinstance(made, list) else ():
            self._wrong(key, f"search: {message}")
        return made if isinstance(made, Search) else None

    def runs(self, sections: Pairs) -> int:
        """Read how often to draw."""
        section = sections["random"][1] if "random" in sections else None
        if not isinstance(section, yaml.MappingNode) or len(section.value) < 2:
            return 0
        for key, node in section.value:
            if key.value == "runs":
                value = self._value(node)
                if type(value) is int and value >= 1:
                    return value
                self._wrong(node, f"random: 'runs' is {value!r}: expected a whole number above 0")
                return 0
        self._wrong(section, "random needs 'runs', how often to draw")
        return 0


def _check_places(found: SweepFile, sections: Pairs, problems: Problems) -> None:
    """Note a setting that two sections vary: none of them would win."""
    listed = {name for each in found.listed for name in each}
    parts: dict[str, Mapping[str, Any] | set[str]] = {
        "grid": found.grid, "list": listed, "random": found.random,
    }  # fmt: skip
    counts = Counter(name for names in parts.values() for name in names)
    for name, count in counts.items():
        if count > 1:
            where = [part for part, names in parts.items() if name in names]
            line = _line(sections[where[-1]][0])
            problems.add(
                f"line {line}: {name!r} is in {' and '.join(where)}; leave it in one of them"
            )
