"""On a real GPU: the numbers of a training, recorded or not, alone or beside others.

Skipped where torch finds none. `test_devices.py` holds without one that nothing is left behind.
"""

import numpy as np
import pytest
import torch

import grevy
from grevy.engine import step
from grevy.errors import GrevyError
from grevy.model import Checkpoints, fit_replicates

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use")

STEPS = 30
SETTINGS = {
    "model_architecture": "offset10-model",
    "batch_size": 128,
    "output_dimension": 4,
    "max_iterations": STEPS,
    "learning_rate": 1e-3,
    "time_offsets": 5,
    "seed": 3,
}
MODES = {
    "label": {},
    "time": {"conditional": "time"},
    "hybrid": {"hybrid": True},
    "normal changes": {"conditional": "delta_normal", "delta": 0.2},
    "learnt temperature": {"temperature_mode": "auto"},
    "euclidean": {"model_architecture": "offset10-model-mse", "distance": "euclidean"},
    "whole data": {"batch_size": None, "max_iterations": 8},
    "other negatives": {"num_negatives": 300},
    "offset36": {"model_architecture": "offset36-model"},
    "offset1": {"model_architecture": "offset1-model"},
    "other layers": {"model_architecture": "offset5-model"},
}


def data(n=1500, n_neurons=20):
    rng = np.random.default_rng(0)
    label = np.cumsum(rng.normal(size=(n, 2)), axis=0) / 20
    rates = np.exp(np.clip(label @ rng.normal(size=(2, n_neurons)) / 3, -3, 2))
    return rng.poisson(rates).astype(np.float32), label


def fitted(device, *labels, segments=None, validation=None, **settings):
    neural, label = data()
    model = grevy.CEBRA(**{**SETTINGS, **settings}, device=device)
    given = () if settings.get("conditional") == "time" else labels or (label,)
    return model.fit(neural, *given, segments=segments, validation=validation)


def losses(model):
    return np.array(model.solver_.log["total"])


def assert_alike(one, other):
    """Sums are taken in another order there: a training drifts apart, from equal first steps."""
    ours, theirs = losses(one), losses(other)
    assert len(ours) == len(theirs)
    np.testing.assert_allclose(ours[:5], theirs[:5], rtol=2e-5)
    np.testing.assert_allclose(ours, theirs, rtol=2e-3)


@pytest.mark.parametrize("mode", MODES)
def test_a_training_is_that_of_the_cpu(mode):
    here, there = fitted("cpu", **MODES[mode]), fitted("cuda", **MODES[mode])
    assert next(there.solver_.model.parameters()).is_cuda
    assert_alike(here, there)
    neural, _ = data()
    np.testing.assert_allclose(here.transform(neural), there.transform(neural), atol=0.05)


def test_labels_of_all_kinds():
    _, label = data()
    classes = (label[:, 0] > 0).astype(np.int64)
    for given in ((classes,), (label, classes), (grevy.circular(np.mod(label[:, 0], 6)),)):
        assert_alike(fitted("cpu", *given), fitted("cuda", *given))


def test_segments_and_validation():
    kept = {"segments": [(0, 700), (800, 1200)], "max_iterations": 60}
    watched = {"validation": grevy.Validation([(1200, 1500)], every=10)}
    one, other = (fitted(device, **kept, **watched) for device in ("cpu", "cuda"))
    assert_alike(one, other)
    assert len(one.validation_) == 6
    np.testing.assert_allclose(one.validation_, other.validation_, rtol=2e-3)


def test_several_recordings():
    neural, label = data()
    parts = [
        grevy.make_recording(neural[:700, :12], [grevy.continuous(label[:700])]),
        grevy.make_recording(neural[700:], [grevy.continuous(label[700:])]),
    ]
    here, there = (grevy.CEBRA(**SETTINGS, device=device).fit(parts) for device in ("cpu", "cuda"))
    assert_alike(here, there)


@pytest.mark.parametrize("mode", ["label", "hybrid", "learnt temperature"])
def test_a_recorded_step_is_the_step(mode, monkeypatch):
    recorded = fitted("cuda", **MODES[mode])
    monkeypatch.setattr(step, "WARM_UP", 10**9)  # never recorded
    plain = fitted("cuda", **MODES[mode])
    np.testing.assert_allclose(losses(recorded), losses(plain), rtol=1e-5)


@pytest.mark.parametrize("settings", [{"precision": "bf16"}, {"masking_kwargs": None}])
def test_what_the_cpu_does_otherwise_trains(settings):
    if "masking_kwargs" in settings:
        settings = {"masking_kwargs": (("RandomNeuronMask", 0.3),)}
    found = losses(fitted("cuda", **settings, max_iterations=100))
    assert np.isfinite(found).all()
    assert found[-10:].mean() < found[:10].mean()


def test_seeds_side_by_side_are_those_of_their_own_trainings():
    neural, label = data()
    recording = grevy.make_recording(neural, [grevy.continuous(label)])
    together = fit_replicates(grevy.CEBRA(**SETTINGS, device="cuda"), recording, [3, 4, 5])
    for model in together:
        alone = fitted("cuda", seed=model.seed_)
        np.testing.assert_allclose(losses(model), losses(alone), rtol=1e-4)


def test_it_goes_on_from_a_checkpoint_and_on_the_cpu(tmp_path):
    neural, label = data()
    whole = fitted("cuda", max_iterations=60)
    kept = Checkpoints(tmp_path, minutes=None, steps=20)
    half = grevy.CEBRA(**{**SETTINGS, "max_iterations": 40}, device="cuda")
    half.fit(neural, label, checkpoints=kept)
    more = grevy.CEBRA(**{**SETTINGS, "max_iterations": 60}, device="cuda")
    more.fit(neural, label, checkpoints=kept, resume=True)
    np.testing.assert_allclose(losses(more), losses(whole), rtol=1e-3)
    more.save(tmp_path / "model.pt")
    moved = grevy.CEBRA.load(tmp_path / "model.pt", map_location="cpu")
    np.testing.assert_allclose(moved.transform(neural), more.transform(neural), atol=1e-4)


def test_a_diverged_training_is_put_back():
    with pytest.raises(GrevyError, match="not a finite number"):
        fitted("cuda", learning_rate=1e30, max_iterations=200)


def test_a_gpu_that_is_not_there_is_named():
    with pytest.raises(GrevyError, match="cuda:9"):
        fitted("cuda:9")
