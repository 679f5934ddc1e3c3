"""Training does not depend on what torch was told before, for other purposes."""

import pickle
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch

import grevy
from grevy.model.replicates import fit_replicates


@contextmanager
def double_precision():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        assert torch.get_default_dtype() == torch.float64
        torch.set_default_dtype(torch.float32)


MODES = {"float64": double_precision, "inference": torch.inference_mode, "no grad": torch.no_grad}
SETTINGS = {
    "compiled": {},
    "euclidean": {"model_architecture": "offset10-model-mse", "distance": "euclidean"},
    "dropout": {"model_architecture": "offset36-model-dropout"},
    "learnt temperature": {"temperature_mode": "auto"},
    "subsampled": {"model_architecture": "offset4-model-2x-subsample"},
    "masks": {"masking_kwargs": (("TimeBlockMask", (0.3, 2)), ("RandomNeuronMask", 0.3))},
}


def made(**settings):
    common = {"batch_size": 16, "max_iterations": 6, "output_dimension": 4, "device": "cpu"}
    options = {"model_architecture": "offset5-model", "num_hidden_units": 8, "seed": 1}
    return grevy.CEBRA(**{**common, **options, "max_adapt_iterations": 4, **settings})


def results(settings, path, mode=nullcontext):
    """The bits of all that is done with a model, inside a mode of torch; trained on outside too."""
    rng = np.random.default_rng(0)
    label = np.cumsum(rng.normal(size=(120, 2)), axis=0)
    neural = rng.normal(size=(120, 6)).astype(np.float32)
    with mode():
        model = made(**settings).fit(neural, label)
        first = model.transform(neural)
        model.partial_fit(neural, label)
        model.save(path)
        loaded = grevy.CEBRA.load(path).partial_fit(neural, label)
        copied = pickle.loads(pickle.dumps(model)).partial_fit(neural, label)
        recording = grevy.make_recording(neural, [grevy.continuous(label)])
        (replicate,) = fit_replicates(model, recording, [2])
        found = [first, *(each.transform(neural) for each in (model, loaded, copied, replicate))]
        if settings != SETTINGS["subsampled"]:
            found.append(np.array(grevy.goodness_of_fit(model)))
            found.append(model.fit(neural[:, :4], label, adapt=True).transform(neural[:, :4]))
    for each in (loaded, copied, replicate):
        found.append(each.partial_fit(neural, label).transform(neural))
    return [each.tobytes() for each in found]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SETTINGS)
def test_torch_may_be_in_any_mode(name, mode, tmp_path):
    settings = SETTINGS[name]
    expected = results(settings, tmp_path / "a.pt")
    assert results(settings, tmp_path / "b.pt", MODES[mode]) == expected


def test_to_load_draws_from_no_generator(tmp_path):
    model = made(max_iterations=1).fit(np.random.default_rng(0).normal(size=(60, 4)))
    model.save(tmp_path / "model.pt")
    before = torch.get_rng_state()
    grevy.CEBRA.load(tmp_path / "model.pt")
    assert torch.equal(torch.get_rng_state(), before)
