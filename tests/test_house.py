"""The rules of the house: who may import whom, how long a function may be, what is pinned."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires, version
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import grevy

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "grevy"

# Who may import whom. What has no row is a module at the top: everybody may import `errors` and
# `version`, nobody but the command imports `cli`.
GROUND = {"errors", "version"}
ARROWS = {
    "errors": set(),
    "version": set(),
    "atomic": {"errors"},
    "data": {"atomic"},
    "engine": {"data"},
    "evaluation": {"data"},
    "model": {"engine", "data", "atomic"},
    "config": {"data", "evaluation"},
    "archive": {"evaluation", "data", "config", "atomic"},
    "report": {"archive", "evaluation", "data", "config"},
    "runs": {"report", "archive", "model", "engine", "evaluation", "data", "config"},
    "sweeps": {"runs", "report", "archive", "evaluation", "data", "config", "atomic"},
    "cli": {"sweeps", "runs", "report", "archive", "model", "data", "config"},
    "__main__": {"cli"},
}
WINGS = {name for name in ARROWS if (SOURCE / name).is_dir()}
# What the light wings must not bring along when they are imported.
HEAVY = {"torch", "cebra", "matplotlib", "pandas", "sklearn"}

FILES = sorted([*SOURCE.rglob("*.py"), *(ROOT / "experiments").glob("*.py")])
NAMES = [str(path.relative_to(ROOT)) for path in FILES]
OWN_TEXT = [*FILES, *sorted((ROOT / "tests").rglob("*.py"))]


def house_name(path):
    """The module, or the folder of modules, that a file belongs to; None outside the package."""
    if SOURCE not in path.parents:
        return None
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(tree):
    """Every import from the house, as a path: ("data",), ("data", "labels"), ...

    `from grevy.data import labels` is `grevy.data.labels` where `labels` is a module there.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if is_module(name) else node.module for name in inside]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "grevy" and len(parts) > 1 and parts[1] in ARROWS:
                yield tuple(parts[1:])


def is_module(name):
    """Whether a dotted name is a module of the house, and not also a name that a face hands on."""
    path = SOURCE.parent.joinpath(*name.split("."))
    owner, _, last = name.rpartition(".")
    if not (path.is_dir() or path.with_suffix(".py").is_file()):
        return False
    return last not in getattr(importlib.import_module(owner), "__all__", ())


def functions(tree):
    """Every function and class with its qualified name; those inside functions are private."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                yield from ((f"{node.name}.{name}", each) for name, each in functions(node))


def test_every_module_has_its_place():
    assert {house_name(path) for path in FILES} - {None, "__init__"} == set(ARROWS)


def test_no_arrow_runs_in_a_circle():
    above = dict(ARROWS)
    while above:
        ground = {name for name, below in above.items() if not below & set(above)}
        assert ground, f"a circle among {sorted(above)}"
        above = {name: below for name, below in above.items() if name not in ground}


def wrong_imports(tree, own):
    """Say which imports of a file in `own` break the arrows, or reach behind another's face."""
    for path in imported(tree):
        other = path[0]
        if other == own:
            if path == (own,):
                yield f"grevy.{own}: within a wing, import the module that defines a name"
        elif other not in ARROWS[own] | GROUND:
            yield f"grevy.{other}: {own} may import {sorted(ARROWS[own] | GROUND)}"
        elif len(path) > 1:
            yield f"grevy.{'.'.join(path)}: from another wing, import grevy.{other}"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_imports_follow_the_arrows(path):
    own, tree = house_name(path), ast.parse(path.read_text())
    if own == "__init__":
        return  # the facade hands names on from everywhere, when they are asked for
    if own is None:  # a script stands outside and sees faces alone
        wrong = [each for each in imported(tree) if len(each) > 1]
    elif path.name == "__init__.py" and path.parent.parent == SOURCE:
        wrong = [each for each in imported(tree) if each[0] != own]
    else:
        wrong = list(wrong_imports(tree, own))
    assert not wrong


@pytest.mark.parametrize(
    ("text", "own", "words"),
    [
        ("def f():\n    from grevy import runs\n", "report", "report may import"),
        ("import grevy.archive.folder\n", "report", "import grevy.archive"),
        ("from grevy.data import labels\n", "engine", "import grevy.data"),
        ("from grevy.engine import Training\n", "evaluation", "evaluation may import"),
        ("from grevy.data import Label\n", "data", "the module that defines"),
    ],
)
def test_a_wrong_import_would_be_noticed(text, own, words):
    (wrong,) = wrong_imports(ast.parse(text), own)
    assert words in wrong


@pytest.mark.parametrize("wing", sorted(WINGS))
def test_a_face_hands_on_names_and_no_modules(wing):
    face = importlib.import_module(f"grevy.{wing}")
    assert len(set(face.__all__)) == len(face.__all__)
    handed = {name: getattr(face, name) for name in face.__all__}
    assert not [name for name, value in handed.items() if isinstance(value, ModuleType)]
    # A name that is a module too would be one or the other by the order of imports.
    assert not set(handed) & {each.name.removesuffix(".py") for each in (SOURCE / wing).iterdir()}
    tree = ast.parse((SOURCE / wing / "__init__.py").read_text())
    defined = [type(node).__name__ for node in tree.body if not isinstance(node, ast.ImportFrom)]
    assert defined == ["Expr", "Assign"]  # what the wing is, and `__all__`


def printed(program):
    """What a program prints in a process of its own, in words."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_the_light_wings_are_light():
    light = "import sys, grevy.data, grevy.evaluation, grevy.archive, grevy.config"
    assert printed(f"{light}; print(*sorted(set(sys.modules) & {HEAVY!r}))") == []


def test_the_estimator_brings_along_nothing_but_cebra():
    program = (
        "import sys, torch, cebra\n"
        "before = set(sys.modules)\n"
        "import grevy\n"
        "grevy.CEBRA\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(*new - set(sys.stdlib_module_names))"
    )
    assert printed(program) == ["grevy"]


def test_made_data_are_loaded_without_cebra():
    heavy = HEAVY - {"torch"}  # it makes the data
    program = (
        "import sys, grevy\n"
        "grevy.load('continuous-label-poisson', offline=True)\n"
        f"print(*set(sys.modules) & {heavy!r})"
    )
    assert printed(program) == []


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_no_function_is_long(path):
    long = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        body = node.body[1:] if ast.get_docstring(node) else node.body
        lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
        if lines > 70:
            long[node.name] = lines
    assert not long


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_what_is_public_says_what_it_does(path):
    tree = ast.parse(path.read_text())
    silent = [] if ast.get_docstring(tree) else ["the module"]
    for name, node in functions(tree):
        private = any(part.startswith("_") for part in name.split("."))
        script = house_name(path) is None and name in ("main", "parse_arguments")
        if not private and not script and not ast.get_docstring(node):
            silent.append(name)
    # What a library asks for by these names, and describes.
    asked_for = {
        "joblib_files.py": {"find_class", "load_build"},
        "kinds.py": {"plan"},
        "fused.py": {"plan"},
    }
    allowed = asked_for.get(path.name, set())
    assert not [name for name in silent if name.split(".")[-1] not in allowed]


@pytest.mark.parametrize("path", OWN_TEXT, ids=[path.name for path in OWN_TEXT])
def test_nothing_is_put_off(path):
    marks = "TO" + "DO|FIX" + "ME|XX" + "X"
    assert not re.findall(rf"\b({marks})\b", path.read_text())


def test_there_are_no_unsorted_drawers():
    assert not {"utils", "helpers", "common", "misc"} & {path.stem for path in FILES}


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    wanted = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!-]+", line) for line in wanted)
    named = [line.split("==") for line in wanted]
    assert len({canonicalize_name(name) for name, _ in named}) == len(named)
    return {canonicalize_name(name): version for name, version in named}


def asked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project.get("optional-dependencies", {})
    lines = [*project["dependencies"], *(line for extra in extras.values() for line in extra)]
    return [Requirement(line) for line in lines]


def test_every_dependency_is_pinned_within_its_range():
    pinned = pins()
    for requirement in asked():
        version = pinned.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not pinned"
        assert requirement.specifier.contains(version, prereleases=True), requirement


# What UMAP brings along; it need not be installed where the tests run.
OF_UMAP = {"llvmlite", "numba", "pynndescent"}


def test_nothing_is_pinned_that_nobody_asks_for():
    reached = set(OF_UMAP)
    waiting = [canonicalize_name(each.name) for each in asked()]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        try:
            needed = requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # of another platform or Python
        # Extras asked for along the way count too: take every requirement that is pinned.
        waiting += [canonicalize_name(Requirement(line).name) for line in needed]
    assert not set(pins()) - reached


def test_everything_public_can_be_imported():
    assert grevy.__all__ == sorted(grevy.__all__)
    for name in grevy.__all__:
        assert getattr(grevy, name) is not None
        assert name in dir(grevy)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = grevy.nonsense


def test_the_version_is_said_once():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {
        "attr": "grevy.version.__version__"
    }
    assert version("grevy") == grevy.__version__
