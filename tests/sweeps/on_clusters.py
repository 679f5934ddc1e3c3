"""What tests of sweeps on clusters share: a small sweep, its command, and what it left."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

SWEEP = """\
base:
  data: {data}
  neural: neural
  label: position:continuous
  model_architecture: offset1-model
  max_iterations: {steps}
  batch_size: 128
  nulls: 0
  folds: 0
  seed: 0
grid:
  learning_rate: [0.003, 0.001, 0.0003, 0.0001]
"""
N_RUNS = 4
SECONDS = 600
"""After which something hangs, on however busy a machine."""


def write_sweep(folder: Path, steps: int) -> Path:
    """Write a small recording, and a sweep of four runs over it."""
    rng = np.random.default_rng(0)
    position = np.sin(np.cumsum(rng.normal(size=(2000, 2)), axis=0) * 0.05)
    neural = rng.poisson(np.exp(position @ rng.normal(size=(2, 20))))
    np.savez(
        folder / "data.npz", neural=neural.astype("float32"), position=position.astype("float32")
    )
    path = folder / "sweep.yaml"
    path.write_text(SWEEP.format(data=folder / "data.npz", steps=steps))
    return path


def start_sweep(
    file: Path,
    output: Path,
    on: str,
    *more: str,
    minutes: float = 0.01,
    env: Mapping[str, str] | None = None,
) -> "subprocess.Popen[str]":
    """Start `grevy sweep` in a process of its own."""
    command = [sys.executable, "-m", "grevy", "sweep", str(file), "-o", str(output), "--on", on]
    return subprocess.Popen(
        [*command, "--checkpoint-minutes", str(minutes), *more],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env,
    )  # fmt: skip


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Wait for a command to end; what it printed is in the message of a test that fails."""
    output, _ = process.communicate(timeout=SECONDS)
    print(output)
    return process.returncode, output


def wait_until(
    true: Callable[[], object], what: str, process: "subprocess.Popen[str] | None" = None
) -> None:
    """Wait for something that takes as long as the machine is busy, and that a process brings."""
    end = time.monotonic() + SECONDS
    while not true():
        if process is not None and process.poll() is not None:
            raise AssertionError(f"waited for {what}: {process.communicate()[0]}")
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


def steps_kept(output: Path) -> dict[str, int]:
    """Return the step of the newest checkpoint of each run that has one."""
    found: dict[str, int] = {}
    for path in sorted(output.glob("runs/*/checkpoints/step_*.pt")):
        found[path.parents[1].name] = int(path.stem.removeprefix("step_"))
    return found


def sealed(output: Path) -> dict[str, bytes]:
    """Return the manifest of each run that is finished, which says when and how long."""
    found = {}
    for path in output.glob("runs/*/manifest.json"):
        manifest = json.loads(path.read_text())
        found[path.parent.name] = json.dumps([manifest["finished"], manifest["seconds"]]).encode()
    return found


def assert_same_results(one: Path, other: Path) -> None:
    """Compare the bits of every embedding, and every metric."""
    names = sorted(path.name for path in (one / "runs").iterdir())
    assert names == sorted(path.name for path in (other / "runs").iterdir())
    assert len(names) == N_RUNS
    for name in names:
        for file in ("embeddings/embedding.npy", "logs/metrics.json"):
            mine, theirs = (each / "runs" / name / file for each in (one, other))
            assert mine.read_bytes() == theirs.read_bytes(), (name, file)


def assert_nothing_is_left(output: Path) -> None:
    """No claim, no sign of life, no checkpoint, no half-written file."""
    assert not [path.name for path in (output / "claims").iterdir()]
    assert not list(output.glob("runs/*/checkpoints"))
    assert not list(output.rglob("*.part"))


def children(pid: int) -> list[int]:
    """List the processes that a process has started, and those that these have."""
    found = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    pairs = [tuple(map(int, line.split())) for line in found.stdout.splitlines()]
    own = [child for child, parent in pairs if parent == pid]
    return [*own, *(each for child in own for each in children(child))]


def kill(pids: Sequence[int]) -> None:
    """Kill processes, as a machine that is lost would."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
