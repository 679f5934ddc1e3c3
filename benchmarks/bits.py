"""Is an embedding the same, bit for bit, whatever the threads and instructions? A table of hashes.

Each mode is trained for 500 steps in processes of their own: on 1, 2, 3 and 8 threads, and with the
instructions of older processors than this one (as far as it has them). The table shows the SHA-256
of each embedding; "plain" are the loops for a processor without fused multiply-add, which may
differ. Ends with status 1 if anything else does.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

T, N = 2_000, 30
MODES: dict[str, dict[str, Any]] = {
    "time": {"conditional": "time"},
    "time_delta": {},
    "delta_normal": {"conditional": "delta_normal", "delta": 0.1, "distance": "euclidean"},
    "discrete": {},
    "mixed": {"model_architecture": "offset36-model"},
    "hybrid": {"hybrid": True},
    "circular": {"model_architecture": "offset5-model", "temperature_mode": "auto"},
    "two recordings": {"model_architecture": "offset1-model"},
    "whole data": {"batch_size": None, "max_iterations": 20},
}
COMMON = {
    "model_architecture": "offset10-model", "batch_size": 256, "output_dimension": 3, "seed": 7,
    "learning_rate": 1e-3, "max_iterations": 500, "time_offsets": 5, "device": "cpu",
}  # fmt: skip


def made(mode: str) -> tuple[Any, list[Any]]:
    """Make neural data and labels for a mode."""
    rng = np.random.default_rng(1)
    neural: Any = rng.poisson(0.7, (T, N)).astype(np.float32)
    place = np.cumsum(rng.normal(size=(T, 2)), axis=0) / 10
    classes = rng.integers(0, 4, T)
    labels: dict[str, list[Any]] = {
        "time": [],
        "discrete": [classes],
        "mixed": [place, classes],
        "circular": [place[:, 0] % (2 * np.pi)],
    }
    if mode == "two recordings":
        return [neural, neural[: T // 2, : N // 2]], [[place, place[: T // 2]]]
    return neural, labels.get(mode, [place])


def embedding(mode: str) -> npt.NDArray[np.float32]:
    """Train, and embed what was trained on."""
    import grevy

    neural, labels = made(mode)
    model = grevy.CEBRA(**{**COMMON, **MODES[mode]}).fit(neural, *labels)
    if isinstance(neural, list):
        parts = [model.transform(each, session_id=i) for i, each in enumerate(neural)]
        return np.concatenate(parts)
    return np.asarray(model.transform(neural))


def hashes() -> dict[str, str]:
    return {mode: hashlib.sha256(embedding(mode).tobytes()).hexdigest()[:16] for mode in MODES}


def in_process(threads: int, capability: str) -> dict[str, Any]:
    """Train in a process that sees so many threads and so old a processor."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    if capability != "default":
        environment["ATEN_CPU_CAPABILITY"] = capability
    if capability == "avx2":  # those of torch's convolutions and of numpy as well
        environment["ONEDNN_MAX_CPU_ISA"] = "AVX2"
        environment["NPY_DISABLE_CPU_FEATURES"] = "AVX512F AVX512CD AVX512_SKX AVX512_CLX"
    command = [sys.executable, "-W", "ignore", __file__, "--measure"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        from grevy.engine import instructions

        print(json.dumps({"loops": instructions(), **hashes()}))
        return
    cases = [(threads, "default") for threads in (1, 2, 3, 8)] + [(1, "avx2"), (3, "avx2")]
    found = [in_process(*case) for case in cases]
    differ = False
    for mode in MODES:
        values = sorted({each[mode] for each in found})
        print(f"{mode:16}", "the same" if len(values) == 1 else "DIFFERENT", *values)
        differ = differ or len(values) > 1
    for (threads, _), each in zip(cases, found, strict=True):
        print(f"on {threads} threads, {each['loops']}")
    sys.exit(int(differ))


if __name__ == "__main__":
    main()
