"""Builds the compiled loops of `grevy.engine.kernels`; the rest stands in pyproject.toml."""

import os
import platform
import runpy
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

FOLDER = Path("src/grevy/engine/kernels")
SOURCES = runpy.run_path(str(FOLDER / "sources.py"))["fingerprint"](FOLDER)
# Nobody looks at errno or traps; products and sums are only joined where the sources say so.
FLAGS = ["-std=gnu11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-g0"]
# For each name in `kernels.load`, the floats in a vector and the instructions that have them.
BUILDS = {
    "x86_64": {
        "_plain": (4, ""),
        "_avx2": (8, "-mavx2 -mfma"),
        "_avx512": (
            16,
            "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512",
        ),
    },
    "aarch64": {"_neon": (4, "")},
}
OTHERWISE = {"_plain": (4, "")}
MACHINE = {"amd64": "x86_64", "arm64": "aarch64"}.get(
    platform.machine().lower(), platform.machine().lower()
)


def extension(name: str, lanes: int, instructions: str) -> Extension:
    """Describe one build of the loops: a shared library that knows nothing of Python."""
    return Extension(
        f"grevy.engine.kernels.{name}",
        sources=sorted(map(str, FOLDER.glob("*.c"))),
        depends=[*sorted(map(str, FOLDER.glob("*.h"))), str(FOLDER / "structures.py")],
        define_macros=[("LANES", str(lanes)), ("SOURCES", f"{SOURCES}LL")],
        extra_compile_args=[*FLAGS, *instructions.split()],
        extra_link_args=["-Wl,--strip-all"] if sys.platform == "linux" else [],
        libraries=["m", "pthread"],
        optional=True,  # without a compiler, torch does the work
    )


class BuildLoops(build_ext):
    """Names libraries after no Python, for they serve all of them."""

    def get_ext_filename(self, fullname: str) -> str:
        """Return the path of a library below the package's folder."""
        return fullname.replace(".", "/") + ".so"

    def get_export_symbols(self, ext: Extension) -> list[str]:
        """No function that starts a module is there to be exported."""
        return list(ext.export_symbols)


class BuildWheel(bdist_wheel):
    """Tags the wheel as one for every Python 3 on a platform."""

    def finalize_options(self) -> None:
        """Say that the wheel is of one platform, also where no loops are built."""
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self) -> tuple[str, str, str]:
        """Return the tags of Python, of its ABI and of the platform."""
        return "py3", "none", super().get_tag()[2].replace("universal2", platform.machine())


# Pythons for macOS would have everything built for two processors at once.
if sys.platform == "darwin":
    os.environ.setdefault("ARCHFLAGS", f"-arch {platform.machine()}")
# The compiler of Windows has no vectors; torch computes there.
BUILT = {} if sys.platform == "win32" else BUILDS.get(MACHINE, OTHERWISE)
setup(
    ext_modules=[extension(name, *build) for name, build in BUILT.items()],
    cmdclass={"build_ext": BuildLoops, "bdist_wheel": BuildWheel},
)
