"""Builds the compiled loops of `grevy.kernels`; the rest of the project is in pyproject.toml."""

import platform
from pathlib import Path

from setuptools import Extension, setup

FOLDER = Path("src/grevy/kernels")
# Compiled with OpenMP but not linked to it: see `grevy.kernels`. Nobody looks at errno or traps.
FLAGS = ["-std=gnu11", "-O3", "-fopenmp", "-fno-math-errno", "-fno-trapping-math"]
# For each name in `kernels.load`, the floats in a vector and the instructions that have them.
X86 = {
    "_avx512": (16, "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512"),
    "_avx2": (8, "-mavx2 -mfma"),
}
OTHERS = {"_plain": (4, "")}


def extension(name: str, lanes: int, instructions: str) -> Extension:
    """Describe one build of the loops: a shared library that knows nothing of Python."""
    return Extension(
        f"grevy.kernels.{name}",
        sources=sorted(map(str, FOLDER.glob("*.c"))),
        depends=sorted(map(str, FOLDER.glob("*.h"))),
        extra_compile_args=[*FLAGS, f"-DLANES={lanes}", *instructions.split()],
        optional=True,  # without a compiler, torch does the work
    )


builds = X86 if platform.machine().lower() in ("x86_64", "amd64") else OTHERS
setup(ext_modules=[extension(name, *build) for name, build in builds.items()])
