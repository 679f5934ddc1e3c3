"""Time a training step of Grevy and of plain cebra in turn, and write the table.

Every measurement is a process of its own: it trains for a while and notes the time of every few
steps, after the first ones. The ratio is taken pair by pair, so that it holds when the machine's
speed drifts. See benchmarks/README.md for what is compared and what is not.
"""

import argparse
import contextlib
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from cases import CASES, COMMON, Case, made_data

HERE = Path(__file__).parent


class Enough(Exception):  # noqa: N818 -- no error, it ends a measurement
    """Enough has been measured."""


def estimator(library: str, settings: dict[str, Any]) -> Any:
    """Make the estimator of a library, which alone is imported."""
    if library == "grevy":
        import grevy

        return grevy.CEBRA(**settings, seed=0)
    import cebra

    return cebra.CEBRA(**settings)


def measure(case: Case, library: str) -> dict[str, float]:
    """Train and time; return ms/step, peak memory in MB, and that of the data."""
    warnings.simplefilter("ignore")
    neural, labels = made_data(case)
    model = estimator(library, {**COMMON, **case.settings})
    stamps: list[float] = []

    def look(_step: int, _solver: Any) -> None:
        stamps.append(time.perf_counter())
        if len(stamps) >= 5 and stamps[-1] - stamps[1] > case.seconds:
            raise Enough

    with contextlib.suppress(Enough):
        model.fit(neural, *labels, callback=look, callback_frequency=case.stride)
    # The first interval holds warm-up. The mean over the rest, for some steps do work for others.
    steps = (len(stamps) - 2) * case.stride
    seconds = stamps[-1] - stamps[1]
    return {
        "ms": 1e3 * seconds / steps,
        "peak_mb": peak_mb(),
        "data_mb": neural.nbytes / 2**20,
    }


def peak_mb() -> float:
    """Return this process's peak memory.

    `getrusage` would count the process that started it, before this program was loaded.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(each for each in status.read_text().splitlines() if each.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 1024)


def matrix_rate() -> float:
    """Measure this machine's float32 matrix-product rate, in GFLOP/s: the best of several."""
    import torch

    a = torch.randn(2048, 2048)
    best = float("inf")
    for _ in range(12):
        began = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - began)
    return float(2 * 2048**3 / best / 1e9)


def step_gflop(case: Case) -> float:
    """Count the matrix products of a step over gathered windows, forward and backward, in GFLOP."""
    import cebra.models
    from torch import nn

    settings = {**COMMON, **case.settings}
    windows = (settings["batch_size"] or case.T) * (4 if settings.get("hybrid") else 3)
    model = cebra.models.init(
        settings["model_architecture"], case.N, 32, settings["output_dimension"]
    )
    width, products, passes = len(model.get_offset()), 0, 2  # the first layer's input needs none
    for module in model.modules():
        if isinstance(module, nn.Conv1d | nn.Linear):
            width -= module.weight[0, 0].numel() - 1
            products += passes * windows * width * module.weight.numel()
            passes = 3
    return 2 * products / 1e9


def in_process(case: Case, library: str) -> dict[str, float]:
    """Run one measurement in a process of its own."""
    command = [sys.executable, __file__, "--measure", case.name, library]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(case: Case, repeats: int, rate: float) -> dict[str, Any]:
    """Measure both libraries in turn."""
    pairs = [(in_process(case, "grevy"), in_process(case, "cebra")) for _ in range(repeats)]
    ratios = sorted(theirs["ms"] / ours["ms"] for ours, theirs in pairs)
    ms = statistics.median(ours["ms"] for ours, _ in pairs)
    return {
        "case": case.name,
        "ms": ms,
        "cebra_ms": statistics.median(theirs["ms"] for _, theirs in pairs),
        "ratio": statistics.median(ratios),
        "ratio_min": ratios[0],
        "ratio_max": ratios[-1],
        "least": case.least,
        "aim": case.aim,
        "peak_mb": max(ours["peak_mb"] for ours, _ in pairs),
        "cebra_peak_mb": max(theirs["peak_mb"] for _, theirs in pairs),
        "data_mb": pairs[0][0]["data_mb"],
        "rate_fraction": step_gflop(case) / (ms / 1e3) / rate,
    }


HEADER = (
    f"{'case':34}{'ms/step':>9}{'cebra':>9}{'ratio':>8}{'(min-max)':>15}{'least':>7}{'aim':>6}"
    f"{'peak MB':>9}{'cebra':>7}{'of rate':>9}"
)


def line(row: dict[str, Any]) -> str:
    spread = f"({row['ratio_min']:.1f}-{row['ratio_max']:.1f})"
    return (
        f"{row['case']:34}{row['ms']:9.2f}{row['cebra_ms']:9.1f}{row['ratio']:8.1f}{spread:>15}"
        f"{row['least']:7g}{row['aim']:6g}{row['peak_mb']:9.0f}{row['cebra_peak_mb']:7.0f}"
        f"{row['rate_fraction']:9.0%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", help="cases whose name contains this")
    parser.add_argument("--output", type=Path, default=HERE / "results.json")
    parser.add_argument("--measure", nargs=2, metavar=("CASE", "LIBRARY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    by_name = {case.name: case for case in CASES}
    if options.measure:
        print(json.dumps(measure(by_name[options.measure[0]], options.measure[1])))
        return
    import torch

    rate = matrix_rate()
    threads = torch.get_num_threads()
    print(f"{platform.machine()}, {threads} threads, float32 products at {rate:.0f} GFLOP/s")
    print(HEADER)
    rows = []
    for case in CASES:
        if options.only is None or options.only in case.name:
            rows.append(compare(case, options.repeats, rate))
            print(line(rows[-1]), flush=True)
    result = {"threads": threads, "gflop_per_s": rate, "repeats": options.repeats, "rows": rows}
    options.output.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written to {options.output}")


if __name__ == "__main__":
    main()
