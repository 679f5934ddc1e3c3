"""What training on a recording that is larger than memory takes: time for a step, and memory.

Writes a recording of bytes (T, N), and a label, into a folder; then each measurement is a process
of its own: it trains, embeds all of the recording to three dimensions, and says how many seconds of
the processor passed before the first step, what a step took, and how much memory it held at most:
in all (VmHWM, pages of mapped files included) and of its own (RssAnon). The step is compared, in
turn, with that of a recording in memory.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 2**16
SMALL = 100_000
SKIPPED = 10


def status(name: str) -> float:
    """Return a number of this process as the system keeps it, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def write(folder: Path, kind: str, length: int, neurons: int) -> None:
    """Write counts by blocks that come again, and a label that wanders between -1 and 1."""
    rng = np.random.default_rng(0)
    block = rng.poisson(0.5, (BLOCK, neurons)).astype(np.uint8)
    path = folder / f"counts-{length}.{kind}"
    target: Any
    if kind == "npy":
        target = np.lib.format.open_memmap(path, "w+", np.uint8, (length, neurons))
    elif kind == "h5":
        import h5py

        file = h5py.File(path, "w")
        target = file.create_dataset("counts", (length, neurons), "u1", chunks=(4096, neurons))
    else:
        import zarr

        target = zarr.create_array(
            path, shape=(length, neurons), dtype="u1", chunks=(4096, neurons), compressors=None
        )
    for start in range(0, length, BLOCK):
        target[start : start + BLOCK] = block[: length - start]
    if kind == "h5":
        file.close()
    label = np.lib.format.open_memmap(folder / f"label-{length}.npy", "w+", np.float32, (length,))
    last = 0.0
    for start in range(0, length, BLOCK):
        steps = rng.normal(0, 0.01, min(BLOCK, length - start))
        label[start : start + BLOCK] = np.sin(last + np.cumsum(steps))
        last += steps.sum()


def opened(folder: Path, kind: str, length: int) -> Any:
    """Open what `write` wrote."""
    path = folder / f"counts-{length}.{kind}"
    if kind == "npy":
        return np.load(path, mmap_mode="r")
    if kind == "h5":
        import h5py

        return h5py.File(path)["counts"]
    import zarr

    return zarr.open_array(path, mode="r")


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """Train and embed in this process."""
    import grevy

    folder, length = Path(arguments.folder), arguments.length
    labels = []
    if arguments.conditional == "time_delta":
        labels.append(np.load(folder / f"label-{length}.npy", mmap_mode="r"))
    neural = opened(folder, arguments.kind, length)
    if arguments.memory:
        neural = np.asarray(neural, np.float32)
    most, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            most[0] = max(most[0], status("RssAnon"))

    before, imports = time.process_time(), status("VmRSS")
    threading.Thread(target=watch, daemon=True).start()
    marks: list[float] = []
    model = grevy.CEBRA(
        "offset10-model", conditional=arguments.conditional, batch_size=512, output_dimension=3,
        max_iterations=arguments.steps, device="cpu", seed=0,
    )  # fmt: skip
    model.fit(
        neural, *labels, callback=lambda *_: marks.append(time.process_time()),
        callback_frequency=1,
    )  # fmt: skip
    took = np.diff(marks)[SKIPPED:] * 1e3
    trained = time.process_time()
    result = {
        "imports_mib": imports, "first_step_s": marks[0] - before, "step_ms": took.mean(),
        "least_step_ms": took.min(), "fit_mib": status("VmHWM"), "fit_own_mib": most[0],
    }  # fmt: skip
    if arguments.transform:
        embedding = model.transform(neural)
        assert np.isfinite(embedding[::1000]).all()
        result["transform_s"] = time.process_time() - trained
    ended.set()
    return result | {"peak_mib": status("VmHWM"), "own_mib": most[0]}


def in_process(arguments: argparse.Namespace, folder: str, **more: Any) -> dict[str, float]:
    """Measure in a new process."""
    flags = {
        "folder": folder, "length": arguments.length, "kind": arguments.kind,
        "steps": arguments.steps, "conditional": arguments.conditional, **more,
    }  # fmt: skip
    command = [sys.executable, __file__, "--measure"]
    for name, value in flags.items():
        command += [f"--{name}"] if value is True else [f"--{name}", str(value)] * bool(value)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {name: float(value) for name, value in json.loads(done.stdout).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=lambda text: int(float(text)), default=10_000_000)
    parser.add_argument("--neurons", type=int, default=100)
    parser.add_argument("--kind", choices=["npy", "h5", "zarr"], default="npy")
    parser.add_argument("--conditional", choices=["time", "time_delta"], default="time")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", help="keep the files there")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--transform", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments)))
        return
    with tempfile.TemporaryDirectory() as made:
        folder = arguments.folder or made
        for kind, length in ((arguments.kind, arguments.length), ("npy", SMALL)):
            if not Path(folder, f"counts-{length}.{kind}").exists():
                write(Path(folder), kind, length, arguments.neurons)
        ratios = []
        for number in range(arguments.repeats):
            large = in_process(arguments, folder, transform=number == 0)
            small = in_process(arguments, folder, length=SMALL, kind="npy", memory=True)
            ratios.append(large["step_ms"] / small["step_ms"])
            for name, found in (("stored", large), ("in memory", small)):
                words = ", ".join(f"{key} {value:.4g}" for key, value in found.items())
                print(f"{name:10}{words}", flush=True)
        print(
            f"a step beside that in memory: {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
