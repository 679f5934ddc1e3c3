"""How long the embedding of one sample takes as it comes, and whether memory grows in an hour.

Replays samples of 100 neurons one by one through `grevy.Stream`, as fast as they are taken unless
a rate is given, and prints quantiles of the time for each and the resident memory on the way.
360 000 are an hour at 100 Hz.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import grevy

NEURONS, CHECKS = 100, 10


def resident() -> int:
    """Return the memory that this process holds now, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=360_000)
    parser.add_argument("--architecture", default="offset10-model")
    parser.add_argument("--hertz", type=float, help="wait between samples, as they would come")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.5, (10_000, NEURONS)).astype(np.uint8)
    model = grevy.CEBRA(
        arguments.architecture, causal=True, max_iterations=5, batch_size=512, device="cpu", seed=0
    ).fit(counts)
    stream = grevy.Stream(model)
    stream.push(counts[:100])
    took = np.zeros(arguments.samples)
    every = max(arguments.samples // CHECKS, 1)
    for number in range(arguments.samples):
        if number % every == 0:
            print(f"{number:8} samples: {resident() / 2**20:.2f} MiB", flush=True)
        if arguments.hertz:
            time.sleep(1 / arguments.hertz)
        start = time.perf_counter()
        stream.push(counts[number % len(counts)])
        took[number] = time.perf_counter() - start
    print(f"{arguments.samples:8} samples: {resident() / 2**20:.2f} MiB")
    for name, fraction in (("median", 0.5), ("99 %", 0.99), ("99.9 %", 0.999), ("largest", 1.0)):
        print(f"{name:8} {np.quantile(took, fraction) * 1e6:9.1f} us")


if __name__ == "__main__":
    main()
