"""The compiled loops give the same bits by any compiler, on any processor, on any threads.

A driver in C (`kernels/`) prints hashes of what each kernel gives. It is linked with the loops as
setup.py builds them: with those that are installed, with clang's, and with those for ARM.
"""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
import torch

DRIVER = Path(__file__).parent / "kernels"
INSTALLED = Path(__file__).parents[2] / "src" / "grevy" / "engine" / "kernels"
HERE = torch.backends.cpu.get_cpu_capability()
# Those that multiply and add in one rounding, as far as this processor has them.
FUSED = {"AVX512": ["_avx512", "_avx2"], "AVX2": ["_avx2"]}.get(HERE, ["_neon"])
X86 = HERE in ("AVX512", "AVX2")
THREADS = (1, 2, 3, 8)
EMULATED_THREADS = (1, 3)
EMULATOR = ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu")

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere what is loaded cannot be linked"
)


@cache
def driver(library, compiler, target):
    """Compile the driver for a library of loops; return what runs it."""
    command = [compiler, "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{INSTALLED}"]
    sources = sorted(map(str, DRIVER.glob("*.c")))
    subprocess.run([*command, *sources, str(library), "-o", target, "-lpthread"], check=True)
    return target


@cache
def printed(mode, threads, *program):
    command = [*program, mode, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{command}: {done.returncode} {done.stderr}"
    return dict(line.split() for line in done.stdout.splitlines())


def each(cases):
    """What programs print, two at a time; cases are those of `printed`."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda case: printed(*case), cases))


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Return a function that links the driver with a library, once."""
    folder = tmp_path_factory.mktemp("drivers")

    def program(library, compiler):
        if not library.exists():
            pytest.skip(f"no {library.name} was built")
        name = f"{compiler}{library.name}".removesuffix(".so")
        return driver(library, compiler, str(folder / name))

    return program


@pytest.fixture(params=["gcc", "clang"])
def linked(request, programs):
    """Link the driver with loops by their name: those installed, or those that clang has built."""
    if shutil.which(request.param) is None:
        pytest.skip(f"no {request.param}")
    clang = request.param == "clang"
    folder = request.getfixturevalue("of_clang") if clang else INSTALLED
    return lambda name: programs(folder / f"{name}.so", request.param)


@pytest.fixture
def expected(programs):
    """What the installed loops for this processor print on one thread, by mode."""
    program = programs(INSTALLED / f"{FUSED[0]}.so", "gcc" if shutil.which("gcc") else "clang")
    return lambda mode: printed(mode, 1, program)


@pytest.mark.parametrize("mode", ["kernels", "train", "fork", "together"])
def test_fused_loops_give_the_same_bits(linked, expected, mode):
    """Whatever the vectors, the compiler and the threads."""
    cases = [(mode, threads, linked(name)) for name in FUSED for threads in THREADS]
    for case, found in zip(cases, each(cases), strict=True):
        assert found == expected(mode), case


@pytest.mark.skipif(not X86, reason="only for x86")
@pytest.mark.parametrize("mode", ["kernels", "train", "fork", "together"])
def test_plain_loops_give_their_own(linked, programs, expected, mode):
    """They round twice; but the same on any threads, and by any compiler."""
    installed = programs(INSTALLED / "_plain.so", "gcc" if shutil.which("gcc") else "clang")
    of_one = printed(mode, 1, installed)
    cases = [(mode, threads, linked("_plain")) for threads in THREADS]
    for case, found in zip(cases, each(cases), strict=True):
        assert found == of_one, case
    fused = expected(mode)
    assert fused.keys() == of_one.keys()
    # What neither multiplies nor adds in one is the same even so.
    for name in fused:
        if name.startswith(("neighbours", "windows", "rows")):
            assert fused[name] == of_one[name]


@pytest.mark.skipif(not X86, reason="these are the loops that are installed")
@pytest.mark.parametrize("mode", ["kernels", "train"])
def test_arm_gives_the_bits_of_x86(of_aarch64, programs, expected, mode):
    """In an emulator, which is itself unsure of forks and of many threads at once."""
    program = programs(of_aarch64 / "_neon.so", "aarch64-linux-gnu-gcc")
    cases = [(mode, threads, *EMULATOR, program) for threads in EMULATED_THREADS]
    for case, found in zip(cases, each(cases), strict=True):
        assert found == expected(mode), case


def test_each_kernel_is_looked_at(expected):
    """And no two cases give the same by looking at nothing."""
    found = expected("kernels")
    assert len(found) > 50
    assert len(set(found.values())) == len(found)
    kinds = {name.split("_")[0] for name in found}
    assert kinds == {
        "convolution", "infonce", "adam", "rows", "lengths", "windows", "neighbours", "stretches",
    }  # fmt: skip
