"""Time training steps on a GPU: Grevy and plain cebra in turn, and ten seeds at once.

Every measurement is a process of its own; both libraries get the same data, windows, batches and
device. Steps are timed between callbacks, which wait for the GPU, after the first ones.

    python benchmarks/gpu.py --repeats 2
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from typing import Any

from cases import COMMON, Case, made_data
from run import Enough, estimator

CASES = (
    Case("T=1e4, B=512", 10_000, 120, ("3d",), 10, 10),
    Case("T=1e4, B=4096", 10_000, 120, ("3d",), 10, 10, {"batch_size": 4096}),
    Case("T=1e4, time", 10_000, 120, (), 10, 10, {"conditional": "time"}),
    Case("T=1e5, B=512", 100_000, 120, ("3d",), 10, 10),
    Case("T=1e5, B=4096", 100_000, 120, ("3d",), 10, 10, {"batch_size": 4096}),
    Case("T=1e6, B=512", 1_000_000, 100, ("2d",), 10, 10),
    Case("T=1e6, B=4096", 1_000_000, 100, ("2d",), 10, 10, {"batch_size": 4096}),
)
STRIDE = {"grevy": 320, "cebra": 20}  # steps between two looks, each of which waits for the GPU


def measure(case: Case, library: str, seconds: float) -> dict[str, float]:
    """Train on the GPU; return steps/s and the seconds that the start took."""
    import torch

    warnings.simplefilter("ignore")
    neural, labels = made_data(case)
    model = estimator(library, {**COMMON, **case.settings, "device": "cuda"})
    stamps: list[float] = []

    def look(_step: int, _solver: Any) -> None:
        torch.cuda.synchronize()
        stamps.append(time.perf_counter())
        if len(stamps) >= 4 and stamps[-1] - stamps[1] > seconds:
            raise Enough

    began = time.perf_counter()
    with contextlib.suppress(Enough):
        model.fit(neural, *labels, callback=look, callback_frequency=STRIDE[library])
    steps = (len(stamps) - 2) * STRIDE[library]
    return {
        "rate": steps / (stamps[-1] - stamps[1]),
        "start": stamps[0] - began,
        "peak_gb": torch.cuda.max_memory_allocated() / 2**30,
    }


def measure_seeds(steps: int, n_seeds: int) -> dict[str, float]:
    """Train several seeds one after another and side by side."""
    import torch

    import grevy
    from grevy.model import fit_replicates

    warnings.simplefilter("ignore")
    neural, labels = made_data(CASES[0])
    recording = grevy.make_recording(neural, [grevy.continuous(each) for each in labels])
    model = grevy.CEBRA(**{**COMMON, "device": "cuda", "max_iterations": steps}, seed=0)
    model.fit(recording)
    began = time.perf_counter()
    for seed in range(n_seeds):
        model.set_params(seed=seed).fit(recording)
    torch.cuda.synchronize()
    middle = time.perf_counter()
    fit_replicates(model, recording, range(n_seeds))
    torch.cuda.synchronize()
    return {"alone": middle - began, "together": time.perf_counter() - middle}


def in_process(*arguments: str) -> dict[str, float]:
    """Run one measurement in a process of its own."""
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(cases: Sequence[Case], repeats: int, seconds: float) -> None:
    """Measure both libraries in turn, and print a line for each case."""
    print(f"{'case':16}{'steps/s':>9}{'cebra':>9}{'ratio':>8}{'start':>8}{'cebra':>8}{'GB':>7}")
    for case in cases:
        pairs = [
            [in_process("--measure", case.name, each, str(seconds)) for each in ("grevy", "cebra")]
            for _ in range(repeats)
        ]
        ours, theirs = ([pair[which] for pair in pairs] for which in (0, 1))
        ratio = statistics.median(a["rate"] / b["rate"] for a, b in pairs)

        def middle(side: list[dict[str, float]], what: str) -> float:
            return statistics.median(each[what] for each in side)

        print(
            f"{case.name:16}{middle(ours, 'rate'):9.0f}{middle(theirs, 'rate'):9.0f}{ratio:8.1f}"
            f"{middle(ours, 'start'):8.2f}{middle(theirs, 'start'):8.2f}"
            f"{middle(ours, 'peak_gb'):7.2f}",
            flush=True,
        )


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement, at least")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--measure", nargs=3, metavar=("CASE", "LIBRARY", "SECONDS"))
    parser.add_argument("--seeds", nargs=2, type=int, metavar=("STEPS", "SEEDS"))
    asked = parser.parse_args()
    if asked.measure:
        name, library, seconds = asked.measure
        case = next(each for each in CASES if each.name == name)
        print(json.dumps(measure(case, library, float(seconds))))
    elif asked.seeds:
        print(json.dumps(measure_seeds(*asked.seeds)))
    else:
        import torch

        name = torch.cuda.get_device_name()
        print(f"{name}, torch {torch.__version__}, {os.cpu_count()} CPUs, {platform.platform()}")
        compare([each for each in CASES if asked.only in each.name], asked.repeats, asked.seconds)
        if not asked.only:
            found = in_process("--seeds", "2000", "10")
            ratio = found["alone"] / found["together"]
            print(
                f"ten seeds, 2 000 steps each: {found['alone']:.1f} s one by one, "
                f"{found['together']:.1f} s side by side ({ratio:.1f} x)"
            )


if __name__ == "__main__":
    main()
