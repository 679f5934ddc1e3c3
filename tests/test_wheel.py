"""What is handed out: a source archive with all of C, and one small wheel for every Python 3."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOOPS = "grevy/engine/kernels"
COPIED = ("src", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="names what Linux has"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler"),
]


def ran(command, folder, **environment):
    """Run a command in a folder, without this process's paths of Python."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Make a source archive of a copy of this folder, as a fresh clone has it."""
    folder = tmp_path_factory.mktemp("clone")
    without = shutil.ignore_patterns("*.so", "*.egg-info", "__pycache__")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=without)
        else:
            shutil.copy(ROOT / name, folder)
    ran([sys.executable, "setup.py", "-q", "sdist"], folder)
    (made,) = (folder / "dist").iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(archive, tmp_path_factory):
    """Build a wheel from that archive alone."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    (unpacked,) = folder.iterdir()
    ran([sys.executable, "setup.py", "-q", "bdist_wheel"], unpacked)
    (made,) = (unpacked / "dist").iterdir()
    return made


def test_the_archive_has_all_of_c(archive):
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    wanted = [path.relative_to(ROOT) for path in (ROOT / "src" / LOOPS).glob("*.[ch]")]
    assert len(wanted) > 10
    assert {*map(str, wanted), "setup.py", f"src/{LOOPS}/structures.py"} <= names
    assert not [name for name in names if name.endswith(".so")]


def test_the_wheel_is_small_and_of_no_python(wheel):
    platform = sysconfig.get_platform().replace("-", "_")
    assert wheel.name.endswith(f"-py3-none-{platform}.whl")
    assert wheel.stat().st_size < 1_000_000
    with zipfile.ZipFile(wheel) as opened:
        loops = [name for name in opened.namelist() if name.endswith(".so")]
    known = {"x86_64": {"_plain", "_avx2", "_avx512"}, "aarch64": {"_neon"}}
    names = known.get(sysconfig.get_platform().split("-")[1], {"_plain"})
    assert set(loops) == {f"{LOOPS}/{name}.so" for name in names}


def test_it_trains_where_there_is_no_compiler(wheel, tmp_path):
    """In an environment of its own, which borrows the packages that Grevy needs."""
    ran([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], tmp_path)
    site = next((tmp_path / "env" / "lib").glob("python*/site-packages"))
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(site)
    (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"])
    python = tmp_path / "env" / "bin" / "python"
    shutil.copy(ROOT / "tests" / "installed.py", tmp_path)
    printed = ran([python, "-W", "error:The compiled loops", "installed.py"], tmp_path, PATH="")
    where, loops = printed.split()[-2:]
    assert Path(where) == site / "grevy"
    assert loops != "None"
