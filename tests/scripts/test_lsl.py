"""The example that reads Lab Streaming Layer, with a real outlet in a process of its own."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest

import grevy

EXAMPLE = Path(__file__).parents[2] / "examples" / "lsl.py"
NEURONS, LENGTH = 5, 60
OUTLET = """
import sys, time
import numpy as np
import pylsl

data = np.load(sys.argv[1])
info = pylsl.StreamInfo(sys.argv[2], "counts", data.shape[1], 100, "float32", sys.argv[2])
outlet = pylsl.StreamOutlet(info)
if not outlet.wait_for_consumers(60):
    raise SystemExit("nobody listens")
for sample in data:
    outlet.push_sample(sample.tolist())
    time.sleep(0.005)
time.sleep(1)
"""


@pytest.fixture
def lsl(tmp_path):
    """The environment of processes that look for streams on this machine alone."""
    try:
        import pylsl

        pylsl.library_version()
    except (ImportError, RuntimeError, OSError) as error:  # RuntimeError: no liblsl
        pytest.skip(f"the Lab Streaming Layer is not here: {error}")
    config = tmp_path / "lsl_api.cfg"
    config.write_text("[multicast]\nResolveScope = machine\n[log]\nlevel = -3\n")
    return {**os.environ, "LSLAPICFG": str(config)}


def start(*arguments, env):
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_every_sample_of_a_stream_is_embedded(lsl, tmp_path):
    rng = np.random.default_rng(0)
    data = rng.poisson(2, (LENGTH, NEURONS)).astype(np.float32)
    model = grevy.CEBRA(
        "offset5-model", causal=True, max_iterations=2, batch_size=16, output_dimension=3,
        num_hidden_units=8, device="cpu", seed=0,
    ).fit(data)  # fmt: skip
    model.save(tmp_path / "model.pt")
    np.save(tmp_path / "data.npy", data)
    name = f"grevy-{uuid.uuid4().hex}"
    reader = start(EXAMPLE, tmp_path / "model.pt", name, "--wait", 60, env=lsl)
    outlet = start("-c", OUTLET, tmp_path / "data.npy", name, env=lsl)
    try:
        said, complaints = reader.communicate(timeout=120)
        assert outlet.wait(timeout=60) == 0, outlet.stderr.read()
    finally:
        for process in (reader, outlet):
            process.kill()
            process.communicate()
    assert reader.returncode == 0, complaints
    rows = np.array([[float(word) for word in line.split()] for line in said.splitlines()])
    assert rows.shape == (LENGTH, 4)
    assert (np.diff(rows[:, 0]) > 0).all()
    np.testing.assert_allclose(rows[:, 1:], model.transform(data), atol=1e-5)


def test_a_stream_that_is_not_there_is_named(lsl, tmp_path):
    data = np.random.default_rng(0).normal(size=(50, NEURONS))
    model = grevy.CEBRA(max_iterations=1, batch_size=8, device="cpu", seed=0).fit(data)
    model.save(tmp_path / "model.pt")
    reader = start(EXAMPLE, tmp_path / "model.pt", "nobody", "--wait", 0.2, env=lsl)
    _, complaints = reader.communicate(timeout=120)
    assert reader.returncode == 1
    assert "no stream is called 'nobody'" in complaints
