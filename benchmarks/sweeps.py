"""Sweeps: rate of workers beside one process, runs kept through kills, and what many runs cost."""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

GREVY = [sys.executable, "-m", "grevy"]
USUAL = {"neural": "spikes", "label": "position", "device": "cpu", "folds": 0}
SHORT = {"model_architecture": "offset1-model", "num_hidden_units": 4, "batch_size": 16, "nulls": 0}
TINY = {**SHORT, "max_iterations": 1, "holdout": 0}
GRID_OF_48 = {
    "seed": [0, 1, 2, 3],
    "output_dimension": [2, 3, 8],
    "temperature": [0.3, 1.0],
    "learning_rate": [0.001, 0.003],
}


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as name:
        globals()[arguments.what](Path(name), arguments)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("rate", "kills", "many"))
    parser.add_argument("--pairs", type=int, default=3, help="rate: pairs in alternation")
    parser.add_argument("--steps", type=int, default=400, help="rate: steps of each training")
    parser.add_argument("--kills", type=int, default=20, help="kills: how many")
    parser.add_argument("--of", type=int, default=40, help="kills: of how many runs")
    parser.add_argument("--within", type=float, default=30, help="kills: seconds to each")
    parser.add_argument("--runs", type=int, default=2000, help="many: how many")
    return parser.parse_args()


class Spent(NamedTuple):
    """What a command has spent: seconds by the clock, and of the processor, all children's too."""

    clock: float
    processor: float


def measured(command: Sequence[Any]) -> Spent:
    """Run a command that must succeed."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    words = [str(each) for each in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(time.monotonic() - began, processor)


def write_data(path: Path, length: int, neurons: int) -> str:
    """Make counts, and a label in two dimensions that moves them."""
    rng = np.random.default_rng(0)
    angle = np.cumsum(rng.normal(0, 0.1, length))
    position = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    rates = np.exp(position @ rng.normal(size=(2, neurons)))
    np.savez(path, spikes=rng.poisson(rates).astype(np.float32), position=position)
    return str(path)


def write_sweep(folder: Path, base: dict[str, Any], grid: dict[str, Any]) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump({"base": base, "grid": grid}))
    return path


def manifests(sweep: Path) -> dict[str, dict[str, Any]]:
    found = sorted((sweep / "runs").glob("*/manifest.json"))
    return {path.parent.name: json.loads(path.read_text()) for path in found}


def rate(folder: Path, arguments: argparse.Namespace) -> None:
    """Do 48 runs by one worker in this process and by one for each core, in alternation."""
    os.environ["OMP_NUM_THREADS"] = "1"
    data = write_data(folder / "data.npz", 3000, 30)
    base = {**USUAL, "data": data, "max_iterations": arguments.steps, "nulls": 100}
    path = write_sweep(folder, base, GRID_OF_48)
    ratios = []
    for pair in range(arguments.pairs):
        spent = {}
        for place in ("debug", "here") if pair % 2 else ("here", "debug"):
            sweep = folder / place
            shutil.rmtree(sweep, ignore_errors=True)
            spent[place] = measured([*GREVY, "sweep", path, "-o", sweep, "--on", place])
            seconds = sum(each["seconds"] for each in manifests(sweep).values())
            workers = 1 if place == "debug" else len(os.sched_getaffinity(0))
            beyond = spent[place].clock - seconds / workers
            print(
                f"{place:5} {spent[place].clock:7.1f} s, of the processor "
                f"{spent[place].processor:7.1f} s; runs {seconds:7.1f} s on {workers}; "
                f"beyond them {beyond:.1f} s",
                flush=True,
            )
        ratios.append(spent["debug"].clock / spent["here"].clock)
        print(f"ratio {ratios[-1]:.2f}", flush=True)
    print(f"median ratio {np.median(ratios):.2f}")
    compare_with_single_runs(folder)


def compare_with_single_runs(folder: Path) -> None:
    """Do each run by itself with `grevy run`, and compare bits of embeddings and metrics."""
    plan = [json.loads(line) for line in (folder / "here" / "plan.jsonl").read_text().splitlines()]
    same = 0
    for run in plan:
        config, alone = folder / "config.yaml", folder / "alone"
        config.write_text(yaml.safe_dump(run["settings"]))
        command = [*GREVY, "run", "--config", config, "--output-dir", alone, "--overwrite"]
        measured(command)
        swept = folder / "here" / "runs" / run["run_id"]
        names = ("embeddings/embedding.npy", "logs/metrics.json")
        same += all((alone / name).read_bytes() == (swept / name).read_bytes() for name in names)
    print(f"{same} of {len(plan)} runs are the same, bit for bit, as by `grevy run`")


def workers_left() -> list[str]:
    """List the processes of workers, of whoever."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"grevy.sweeps.places.worker" in words:
            found.append(path.parent.name)
    return found


def kills(folder: Path, arguments: argparse.Namespace) -> None:
    """Kill a sweep again and again at random moments, and let it finish."""
    rng = random.Random(0)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background of a shell
    data = write_data(folder / "data.npz", 2000, 20)
    base = {**USUAL, "data": data, "nulls": 20, "max_iterations": 2000}
    path = write_sweep(folder, base, {"seed": list(range(arguments.of))})
    output = str(folder / "S")
    command = [*GREVY, "sweep", str(path), "-o", output, "--checkpoint-minutes", "0.02"]
    before, codes = set(workers_left()), []
    for number in range(arguments.kills):
        sweep = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.5, arguments.within))
        sweep.send_signal(signal.SIGKILL if number % 2 else signal.SIGINT)
        codes.append(sweep.wait())
        print(f"kill {number + 1}: {codes[-1]}, {len(manifests(folder / 'S'))} done", flush=True)
    for path in (folder / "S").glob("runs/*/logs/error.txt"):
        print(path.read_text())
    measured(command)
    found = manifests(folder / "S")
    for name in found:
        measured([*GREVY, "verify", folder / "S" / "runs" / name])
    left = set(workers_left()) - before
    print(
        f"{len(found)} of {arguments.of} finished and verified; {len(left)} workers left; "
        f"codes {codes}"
    )
    claims = sorted(each.name for each in (folder / "S" / "claims").iterdir())
    print(f"claims left: {claims}; failed: {list((folder / 'S').glob('runs/*/logs/error.txt'))}")


def many(folder: Path, arguments: argparse.Namespace) -> None:
    """Do runs of one step; say what the main process costs, and the status."""
    data = write_data(folder / "data.npz", 120, 5)
    path = write_sweep(
        folder, {**USUAL, **TINY, "data": data}, {"seed": list(range(arguments.runs))}
    )
    command = [*GREVY, "sweep", path, "-o", folder / "S"]
    print("dry run", measured([*command, "--dry-run"]), flush=True)
    began = time.monotonic()
    process = subprocess.Popen([str(each) for each in command], stderr=subprocess.PIPE, text=True)
    first, peak = None, 0
    assert process.stderr is not None
    for line in process.stderr:
        first = first or time.monotonic() - began
        if line.startswith((f"{arguments.runs}/", f"{arguments.runs // 2}/")):
            peak = max(peak, peak_memory(process.pid))
            print(line.strip(), "main process:", processor_time(process.pid), "s", flush=True)
    _, status, used = os.wait4(process.pid, 0)
    print(f"ended with {status}; told of the start after {first:.1f} s")
    print(f"all processes: {used.ru_utime + used.ru_stime:.1f} s of the processor")
    print(f"main process: at most {peak / 2**20:.0f} MiB")
    print("status", measured([*GREVY, "status", folder / "S"]))
    print("again", measured(command))


def peak_memory(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def processor_time(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
