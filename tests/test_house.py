"""The rules of the house: who may import whom, how long a function may be, what is pinned."""

import ast
import importlib
import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import grevy

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "grevy"

# Each module may import only from those before it; a folder of modules counts as one.
ORDER = (
    "errors", "atomic", "recording", "config", "synthetic", "files", "catalog", "kernels",
    "neighbours", "masking", "sampling", "sessions", "layers", "encoding", "infonce", "adam",
    "capture", "checkpoint", "training", "validation", "progress", "fitting", "bookkeeping",
    "model_format", "estimator", "replicates", "splits", "holdout", "decoding", "fit_quality",
    "evaluation",
    "figures", "archive", "archived", "report", "summary", "assessment", "experiment", "again",
    "cli", "__main__",
)  # fmt: skip

FILES = sorted([*SOURCE.rglob("*.py"), *(ROOT / "experiments").glob("*.py")])
NAMES = [str(path.relative_to(ROOT)) for path in FILES]
OWN_TEXT = [*FILES, *sorted((ROOT / "tests").glob("*.py"))]


def house_name(path):
    """The module, or the folder of modules, that a file belongs to; None outside the package."""
    if SOURCE not in path.parents:
        return None
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(tree):
    """Modules of the house that a file imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "grevy":
            names = [f"grevy.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [node.module]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "grevy" and len(parts) > 1 and parts[1] in MODULES:
                yield parts[1]


MODULES = {house_name(path) for path in FILES} - {None, "__init__"}


def functions(tree):
    """Every function and class with its qualified name; those inside functions are private."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                yield from ((f"{node.name}.{name}", each) for name, each in functions(node))


def test_every_module_has_its_place():
    assert set(ORDER) >= MODULES
    assert len(set(ORDER)) == len(ORDER)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_imports_point_up(path):
    own = house_name(path)
    if own in (None, "__init__"):
        return  # scripts and the package itself stand above and beside the house
    below = [name for name in imported(ast.parse(path.read_text())) if name != own]
    wrong = [name for name in below if ORDER.index(name) > ORDER.index(own)]
    assert not wrong, f"{own} imports {wrong}, which stand below it"


def test_the_order_would_be_noticed():
    tree = ast.parse("def f():\n    from grevy import cli\n    import grevy.archive.x\n")
    assert list(imported(tree)) == ["cli", "archive"]


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
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == grevy.__version__
