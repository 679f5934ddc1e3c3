"""Builds of the compiled loops by other compilers and for other processors."""

import fcntl
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "grevy" / "engine" / "kernels"
# setup.py as it runs on a processor that is named to it.
SETUP = """
import platform, runpy, sys
machine, *sys.argv = sys.argv[1:]
platform.machine = lambda: machine
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def built(folder, compiler, machine):
    """Have setup.py build the loops below `folder`; return where they lie, beside their sources."""
    to = folder / "grevy" / "engine" / "kernels"
    command = [sys.executable, "-c", SETUP, machine, "setup.py", "-q", "build_ext"]
    command += ["--build-lib", str(folder), "--build-temp", str(folder / "objects")]
    environment = {**os.environ, "CC": compiler}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert list(to.glob("*.so")), done.stderr
    for source in [*SOURCES.glob("*.[ch]"), SOURCES / "structures.py"]:
        shutil.copy(source, to)
    return to


def once(shared, name, make):
    """Call ``make(folder)`` in the first of the processes that test together."""
    folder = shared / name
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            folder.mkdir(exist_ok=True)
            (folder / "done").write_text(str(make(folder)))
    return Path((folder / "done").read_text())


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """One for all processes that test together."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def of_clang(shared_folder):
    """Where the loops lie that clang has built for this processor."""
    if shutil.which("clang") is None:
        pytest.skip("no clang")
    return once(shared_folder, "clang", lambda to: built(to, "clang", platform.machine()))


@pytest.fixture(scope="session")
def of_aarch64(shared_folder):
    """Where the loops lie that were built for an ARM processor, which qemu-aarch64 plays."""
    for program in ("aarch64-linux-gnu-gcc", "qemu-aarch64"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program}")
    return once(shared_folder, "aarch64", lambda to: built(to, "aarch64-linux-gnu-gcc", "aarch64"))
