"""That all of a training is where its model is, without a GPU: tensors there are only pretended.

`FakeTensorMode` keeps of every tensor its shape, dtype and device, and refuses what a GPU would
refuse. It shows that nothing is left on the CPU; not that the numbers are right.
"""

from contextlib import contextmanager
from typing import ClassVar

import numpy as np
import pytest
import torch
from cebra.io import HasDevice
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode

import grevy
from grevy.engine import loop
from grevy.model import states

# A CPU build of torch slices no tensor of a "cuda" that is not there, but does of "meta".
GPU = torch.device("meta")
SETTINGS = {
    "model_architecture": "offset5-model",
    "batch_size": 16,
    "output_dimension": 4,
    "num_hidden_units": 8,
    "max_iterations": 6,
    "device": "meta",
    "seed": 1,
}


class PretendedGpu(TorchFunctionMode):
    """Answers what pretended tensors cannot: their addresses and numbers."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in (torch.Tensor.numpy, torch.Tensor.tolist) and args[0].device.type == "cpu":
            zeros = np.zeros(args[0].shape, np.float32)
            return zeros if func is torch.Tensor.numpy else zeros.tolist()
        if func is torch.Tensor.data_ptr:
            return id(args[0])
        if func in (torch.Tensor.item, torch.Tensor.__float__):
            return 1.0
        if func is torch.Tensor.__int__:
            return 0
        return func(*args, **kwargs)


class Tape:
    """Replays the body; on the CPU test_cuda_graph.py holds that this is the same step."""

    made: ClassVar[list] = []

    def __init__(self, device):
        self.device, self.replays = device, 0
        Tape.made.append(self)

    def warm_up(self, body):
        return body()

    def record(self, body):
        self.body = body

    def replay(self):
        self.replays += 1
        return self.body()


class CpuGenerator(torch.Generator):
    """Takes the name of any device."""

    def __new__(cls, device=None):
        return super().__new__(cls)


def move_module(module, device):
    """Replace parameters: pretended ones cannot change their device."""
    for each in module.modules():
        for name, parameter in each._parameters.items():
            if parameter is not None:
                each._parameters[name] = torch.nn.Parameter(parameter.detach().to(device))
    return module


@contextmanager
def pretended_gpu(monkeypatch):
    monkeypatch.setattr(states, "resolve_device", str)
    monkeypatch.setattr(torch.nn.Module, "to", move_module)
    monkeypatch.setattr(HasDevice, "_set_device", lambda self, name: setattr(self, "_device", name))
    monkeypatch.setattr(loop, "CudaGraph", Tape)
    monkeypatch.setattr(torch, "Generator", CpuGenerator)
    monkeypatch.setattr(Tape, "made", [])
    there = property(lambda tensor: tensor.device.type == GPU.type)
    monkeypatch.setattr(FakeTensor, "is_cuda", there, raising=False)
    with FakeTensorMode(allow_non_fake_inputs=True), PretendedGpu():
        yield


def data(n=120):
    rng = np.random.default_rng(0)
    label = np.cumsum(rng.normal(size=(n, 2)), axis=0)
    return rng.normal(size=(n, 6)).astype(np.float32), label


def test_the_pretence_refuses_what_a_gpu_would(monkeypatch):
    with pretended_gpu(monkeypatch):
        there = torch.from_numpy(np.arange(3)).to(GPU)
        assert isinstance(there, FakeTensor)
        assert there.is_cuda
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.arange(3)
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.from_numpy(np.arange(3))


@pytest.mark.parametrize(
    ("settings", "captured"),
    [
        ({}, True),
        ({"hybrid": True}, True),
        ({"temperature_mode": "auto"}, True),
        ({"model_architecture": "offset10-model-mse", "distance": "euclidean"}, True),
        ({"precision": "bf16"}, True),
        ({"batch_size": None}, True),
        ({"num_negatives": 40}, True),
        ({"model_architecture": "offset36-model-dropout"}, False),
        ({"model_architecture": "offset10-model", "batch_size": 2}, True),
        *[
            ({"masking_kwargs": ((kind, value),)}, False)
            for kind, value in (
                ("RandomNeuronMask", 0.3),
                ("RandomTimestepMask", 0.3),
                ("NeuronBlockMask", 0.3),
                ("TimeBlockMask", (0.3, 2)),
            )
        ],
    ],
)
def test_a_training_stays_on_its_device(settings, captured, monkeypatch):
    neural, label = data()
    validation = grevy.Validation([(80, 120)], every=2)
    with pretended_gpu(monkeypatch):
        model = grevy.CEBRA(**{**SETTINGS, **settings})
        model.fit(neural, label, segments=[(0, 80)], validation=validation)
        model.partial_fit(neural, label)
        assert model.transform(neural).shape == (120, 4)
    optimizer = model.solver_.optimizer
    tensors = [*model.model_.parameters(), *model.solver_.criterion.parameters()]
    tensors += [parameter.grad for parameter in model.model_.parameters()]
    tensors += [value for state in optimizer.state.values() for value in state.values()]
    assert {each.device for each in tensors} == {GPU}
    assert [tape.device for tape in Tape.made] == [GPU] * (2 * captured)
    assert all(tape.replays for tape in Tape.made)


def test_several_recordings_stay_on_their_device(monkeypatch):
    (neural, label), (other, same) = data(), data(90)
    with pretended_gpu(monkeypatch):
        model = grevy.CEBRA(**SETTINGS).fit([neural, other], [label, same])
        assert model.transform(other, session_id=1).shape == (90, 4)
    assert {each.device for each in model.model_.parameters()} == {GPU}


def test_a_numbered_gpu_keeps_its_number(monkeypatch):
    """A solver of `cebra` takes the kind of its model's device alone, and moves the model there."""
    neural, label = data()
    with pretended_gpu(monkeypatch):
        model = grevy.CEBRA(**{**SETTINGS, "device": "meta:1"}).fit(neural, label)
        assert model.transform(neural).shape == (120, 4)
    assert {each.device for each in model.model_.parameters()} == {torch.device("meta", 1)}
