"""torch's own generators: lent to one training at a time, and given back."""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cebra.models
import numpy as np
import pytest
import torch
from cebra.models import ConvolutionalModelMixin
from torch import nn

import grevy
from grevy.data import seeded
from grevy.model import states
from grevy.model.architectures import describe_models, model_receptive_field
from grevy.model.replicates import fit_replicates

STEPS = 10


def draw_slowly(size):
    """Draw twice, and let others draw in between."""
    first = torch.randn(size)
    time.sleep(1e-3)
    return first + torch.randn(size)


class Noisy(nn.Module, ConvolutionalModelMixin):
    """Initial weights and noise are drawn with pauses, in evaluation too."""

    def __init__(self, num_neurons, num_units, num_output):
        super().__init__()
        self.weight = nn.Parameter(draw_slowly((num_output, num_neurons, 1)))
        self.num_input, self.num_output = num_neurons, num_output

    def get_offset(self):
        return cebra.data.Offset(0, 1)

    def forward(self, x):
        out = nn.functional.conv1d(x, self.weight)
        out = (out + 0.1 * draw_slowly(out.shape)).squeeze(-1)
        return out / out.norm(dim=1, keepdim=True)


def made(name, **settings):
    options = {"batch_size": 8, "max_iterations": STEPS, "output_dimension": 3, "device": "cpu"}
    return grevy.CEBRA(name, num_hidden_units=4, **{**options, "seed": 1, **settings})


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(120, 5)), np.cumsum(rng.normal(size=(120, 2)), axis=0)


def bits(name, seed):
    validation = grevy.Validation([(80, 120)], every=3)
    model = made(name, seed=seed).fit(*data(), segments=[(0, 80)], validation=validation)
    weights = [value.numpy().tobytes() for value in model.model_.state_dict().values()]
    return b"".join([*weights, np.array(model.solver_.history).tobytes()]), model.validation_


@pytest.mark.parametrize("name", ["a user's", "offset36-model-dropout", "offset5-model"])
def test_fits_in_threads_give_the_bits_of_fits_in_a_row(name, monkeypatch):
    if name == "a user's":
        name = "offset1-model"
        monkeypatch.setattr(states, "new_model", lambda _estimator, n: Noisy(n, 4, 3))
    seeds = [number % 4 for number in range(12)]
    in_a_row = [bits(name, seed) for seed in range(4)]
    torch.manual_seed(7)
    before = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(bits, [name] * len(seeds), seeds))
    assert [each == in_a_row[seed] for each, seed in zip(found, seeds, strict=True)] == [True] * 12
    assert len({weights for weights, _ in in_a_row}) == 4
    assert torch.equal(torch.get_rng_state(), before)


def test_compiled_networks_leave_the_generator_alone():
    torch.manual_seed(7)
    before, seen = torch.get_rng_state(), []
    made("offset5-model").fit(
        *data(),
        callback=lambda _step, _solver: seen.append(torch.get_rng_state()),
        callback_frequency=1,
    )
    assert len(seen) == STEPS
    assert all(torch.equal(each, before) for each in seen)


def test_nobody_reaches_for_gpus(monkeypatch):
    """Some replace parts of `torch.cuda`, or have a driver without a GPU."""

    def refuse(*_args, **_kwargs):
        raise AssertionError("a training on the CPU asked for a GPU")

    for name in ("device_count", "get_rng_state", "set_rng_state", "manual_seed", "_lazy_init"):
        monkeypatch.setattr(torch.cuda, name, refuse)
    monkeypatch.setattr(torch.random, "fork_rng", refuse)
    model = made("offset36-model-dropout").fit(*data())
    model.partial_fit(*data())
    assert model_receptive_field(model) == (18, 18)
    assert describe_models(5, 4, 3)
    recording = grevy.make_recording(data()[0], [grevy.continuous(data()[1])])
    assert len(fit_replicates(made("offset5-model"), recording, [1, 2])) == 2


def test_seeded_restores_also_after_an_error_and_inside_itself():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    with contextlib.suppress(KeyError), seeded(1):
        first = torch.rand(3)
        with seeded(1):
            assert torch.equal(torch.rand(3), first)
        second = torch.rand(3)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)
    generator = torch.Generator().manual_seed(1)
    assert torch.equal(torch.rand(6, generator=generator), torch.cat([first, second]))


def test_others_wait_meanwhile():
    order = []

    def other():
        with seeded(2):
            order.append("other")

    with seeded(1):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "other"]
