"""Time a training step beside that of another version of Grevy, in turn, or beside busy processes.

    python benchmarks/step_beside.py --against OTHER/src    # the ratio of the two, case by case
    python benchmarks/step_beside.py --busy 1               # with and without a busy process

Ratios are taken pair by pair, so that they hold when the machine's speed drifts: below 1 is quicker
than the other version, 1.8 is 1.8 times as long as on a quiet machine.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from cases import CASES, Case

HERE = Path(__file__).parent
SPIN = "while True: pass"


@contextlib.contextmanager
def busy(number: int) -> Iterator[None]:
    """Keep processes busy meanwhile that have nothing to do with the measurement."""
    others = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(number)]
    try:
        yield
    finally:
        for each in others:
            each.kill()
            each.wait()


def ms(case: Case, source: Path) -> float:
    """Train in a process of its own; return milliseconds a step."""
    command = [sys.executable, str(HERE / "run_tmp.py"), "--measure", case.name, "grevy"]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(json.loads(done.stdout.splitlines()[-1])["ms"])


def pair(case: Case, own: Path, options: argparse.Namespace) -> tuple[float, float]:
    """Measure what is asked for, and what it is compared with."""
    with busy(options.busy):
        here = ms(case, own)
    return here, ms(case, options.against or own)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", type=Path, help="the folder that holds another grevy/")
    parser.add_argument("--busy", type=int, default=0, help="busy processes beside this version")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    own = HERE.parent / "src"
    print(f"{'case':34}{'ms/step':>9}{'other':>9}{'ratio':>8}  (min-max)")
    for case in CASES:
        if options.only in case.name:
            pairs = [pair(case, own, options) for _ in range(options.repeats)]
            ratios = sorted(here / other for here, other in pairs)
            here, other = (statistics.median(each) for each in zip(*pairs, strict=True))
            spread = f"({ratios[0]:.2f}-{ratios[-1]:.2f})"
            print(
                f"{case.name:34}{here:9.2f}{other:9.2f}{statistics.median(ratios):8.2f}  {spread}",
                flush=True,
            )


if __name__ == "__main__":
    main()
