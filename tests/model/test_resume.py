"""A training that is cut off at any instant goes on to the same bits."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import grevy
from grevy import Checkpoints

# Trains with a checkpoint every few steps, goes on from what is there, and writes the embedding.
PROGRAM = """
import sys
from pathlib import Path
import numpy as np
import grevy
from grevy import Checkpoints

folder, output = Path(sys.argv[1]), Path(sys.argv[2])
rng = np.random.default_rng(0)
X, y = rng.poisson(1.0, (300, 5)).astype("float32"), rng.normal(size=(300, 2))
model = grevy.CEBRA(
    model_architecture="offset5-model", batch_size=32, output_dimension=3, num_hidden_units=8,
    max_iterations=400, time_offsets=3, seed=3, device="cpu", temperature_mode="auto",
)
print("training", flush=True)
model.fit(X, y, checkpoints=Checkpoints(folder, minutes=None, steps=7), resume=True)
weights = np.concatenate([p.detach().numpy().ravel() for p in model.model_.parameters()])
np.save(output, np.concatenate([weights, model.solver_.history]))
"""


def data():
    rng = np.random.default_rng(0)
    return rng.poisson(1.0, (300, 5)).astype("float32"), rng.normal(size=(300, 2))


def estimator(**changes):
    settings = {
        "model_architecture": "offset5-model",
        "batch_size": 32,
        "output_dimension": 3,
        "num_hidden_units": 8,
        "max_iterations": 100,
        "time_offsets": 3,
        "seed": 3,
        "device": "cpu",
    }
    return grevy.CEBRA(**{**settings, **changes})


def bits(model):
    weights = [p.detach().numpy().ravel() for p in model.model_.parameters()]
    return np.concatenate([*weights, model.solver_.history])


def run(folder: Path, output: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(folder), str(output)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def killed_until_done(tmp_path: Path, kills: int, seed: int) -> np.ndarray:
    """Kill -9 at random instants of the training, again and again, then let it end."""
    chance = random.Random(seed)
    output = tmp_path / "result.npy"
    done = 0
    while done < kills:
        process = run(tmp_path / "checkpoints", output)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.wait()
        done += 1
        if output.exists():  # it ended before the blow: start over
            output.unlink()
            for path in (tmp_path / "checkpoints").glob("*"):
                path.unlink()
    assert run(tmp_path / "checkpoints", output).wait() == 0
    return np.load(output)


@pytest.mark.parametrize(
    "kills", [pytest.param(2, id="two"), pytest.param(30, id="thirty", marks=pytest.mark.slow)]
)
def test_kill_at_any_moment_changes_no_bit(tmp_path, kills):
    (tmp_path / "whole").mkdir()
    assert run(tmp_path / "whole" / "checkpoints", tmp_path / "whole.npy").wait() == 0
    result = killed_until_done(tmp_path, kills, seed=kills)
    np.testing.assert_array_equal(result, np.load(tmp_path / "whole.npy"))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hybrid": True},
        {"batch_size": None, "max_iterations": 20},
        {"model_architecture": "offset36-model-dropout", "max_iterations": 20},
        {"masking_kwargs": (("RandomNeuronMask", 0.3),), "max_iterations": 20},
    ],
    ids=["plain", "hybrid", "whole data", "dropout", "masks"],
)
def test_resume_after_an_interrupt_equals_one_go(tmp_path, changes):
    X, y = data()
    whole = estimator(**changes).fit(X, y)
    checkpoints = Checkpoints(tmp_path / "checkpoints", minutes=None)

    def interrupt(step, _solver):
        if step == 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        estimator(**changes).fit(
            X, y, callback=interrupt, callback_frequency=1, checkpoints=checkpoints
        )
    resumed = estimator(**changes).fit(X, y, checkpoints=checkpoints, resume=True)
    np.testing.assert_array_equal(bits(resumed), bits(whole))


def test_two_checkpoints_are_kept_and_a_damaged_one_is_passed_over(tmp_path):
    X, y = data()
    checkpoints = Checkpoints(tmp_path / "checkpoints", minutes=None, steps=10)
    whole = estimator().fit(X, y, checkpoints=checkpoints)
    newest, before = checkpoints.newest()
    assert [newest.name, before.name] == ["step_000000100.pt", "step_000000090.pt"]
    newest.write_bytes(newest.read_bytes()[:1000])
    resumed = estimator().fit(X, y, checkpoints=checkpoints, resume=True)
    np.testing.assert_array_equal(bits(resumed), bits(whole))


def test_a_longer_training_goes_on_from_a_finished_one(tmp_path):
    X, y = data()
    checkpoints = Checkpoints(tmp_path / "checkpoints", minutes=None, steps=50)
    estimator(max_iterations=50).fit(X, y, checkpoints=checkpoints)
    longer = estimator().fit(X, y, checkpoints=checkpoints, resume=True)
    np.testing.assert_array_equal(bits(longer), bits(estimator().fit(X, y)))


def test_a_checkpoint_beyond_the_training_is_refused(tmp_path):
    X, y = data()
    checkpoints = Checkpoints(tmp_path / "checkpoints", minutes=None, steps=50)
    estimator().fit(X, y, checkpoints=checkpoints)
    with pytest.raises(grevy.GrevyError, match=r"100 steps already.*max_iterations=50"):
        estimator(max_iterations=50).fit(X, y, checkpoints=checkpoints, resume=True)


@pytest.mark.parametrize(
    ("changes", "shift", "told"),
    [({"learning_rate": 1e-2}, 0, "learning_rate"), ({"seed": 4}, 0, "seed"), ({}, 1, "the data")],
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path, changes, shift, told):
    X, y = data()
    checkpoints = Checkpoints(tmp_path / "checkpoints", minutes=None, steps=50)
    estimator().fit(X, y, checkpoints=checkpoints)
    with pytest.raises(grevy.GrevyError, match=f"differs in {told}"):
        estimator(**changes).fit(X + shift, y, checkpoints=checkpoints, resume=True)


def test_resume_without_a_checkpoint_starts_from_the_beginning(tmp_path):
    X, y = data()
    model = estimator(max_iterations=5)
    model.fit(X, y, checkpoints=Checkpoints(tmp_path / "none"), resume=True)
    np.testing.assert_array_equal(bits(model), bits(estimator(max_iterations=5).fit(X, y)))


def test_a_checkpoint_is_a_model_that_plain_cebra_opens(tmp_path):
    import cebra

    X, y = data()
    checkpoints = Checkpoints(tmp_path / "checkpoints", minutes=None, steps=100)
    model = estimator().fit(X, y, checkpoints=checkpoints)
    plain = cebra.CEBRA.load(checkpoints.newest()[0])
    np.testing.assert_allclose(plain.transform(X), model.transform(X), atol=1e-5)


def test_sigterm_keeps_a_checkpoint_and_ends_as_a_batch_system_expects(tmp_path):
    process = run(tmp_path / "checkpoints", tmp_path / "result.npy")
    assert process.stdout is not None
    process.stdout.readline()
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    while not checkpoints.newest():
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    assert checkpoints.newest()


def test_a_loss_that_is_no_number_stops_with_the_step_and_the_last_good_model():
    X, y = data()
    model = estimator(learning_rate=1e30)
    with pytest.raises(grevy.GrevyError, match=r"not a finite number at step \d+.*learning rate"):
        model.fit(X, y)
    assert np.isfinite(model.solver_.history).all()
    assert all(torch.isfinite(torch.tensor(loss)) for loss in model.solver_.log["total"])
