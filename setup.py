"""Builds the compiled loops of `grevy.engine.kernels`; the rest stands in pyproject.toml."""

import os
import platform
import runpy
import shutil
from pathlib import Path

from setuptools import Extension, setup

FOLDER = Path("src/grevy/engine/kernels")
SOURCES = runpy.run_path(str(FOLDER / "sources.py"))["fingerprint"](FOLDER)
# Compiled with OpenMP but not linked to it: see `grevy.engine.kernels`. Nobody looks at errno
# or traps.
FLAGS = ["-std=gnu11", "-O3", "-fopenmp", "-fno-math-errno", "-fno-trapping-math"]
# For each name in `kernels.load`, the floats in a vector and the instructions that have them.
BUILDS = {"_plain": (4, "")}
if platform.machine().lower() in ("x86_64", "amd64"):
    BUILDS["_avx2"] = (8, "-mavx2 -mfma")
    BUILDS["_avx512"] = (
        16,
        "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512",
    )


# Pythons that were built with clang ask for it; its OpenMP is not the one that torch brings.
if shutil.which("gcc"):
    os.environ.setdefault("CC", "gcc")


def extension(name: str, lanes: int, instructions: str) -> Extension:
    """Describe one build of the loops: a shared library that knows nothing of Python."""
    return Extension(
        f"grevy.engine.kernels.{name}",
        sources=sorted(map(str, FOLDER.glob("*.c"))),
        depends=[*sorted(map(str, FOLDER.glob("*.h"))), str(FOLDER / "structures.py")],
        define_macros=[("LANES", str(lanes)), ("SOURCES", f"{SOURCES}LL")],
        extra_compile_args=[*FLAGS, *instructions.split()],
        optional=True,  # without a compiler, torch does the work
    )


setup(ext_modules=[extension(name, *build) for name, build in BUILDS.items()])
