"""Networks of layers in any order have autograd's gradients."""

from itertools import product

import cebra.models.layers
import cebra.models.model
import pytest
import torch
from torch import nn

from grevy.engine.layers.compilation import compile_network
from grevy.engine.layers.network import PLANS, apply_network

UNITS = 6


class AnyNetwork(cebra.models.model._OffsetModel):
    """Layers as given; linear maps of rows follow, so that none of them is the last."""

    def __init__(self, *layers):
        super().__init__(*layers, num_input=4, num_output=3, normalize=False)

    def get_offset(self):
        return cebra.data.Offset(0, 1)  # not asked for where nothing is flattened


def skip(*layers, crop=(1, 1)):
    return cebra.models.layers._Skip(*layers, crop=crop)


KINDS = {
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "norm": cebra.models.layers._Norm,
    "convolution": lambda: nn.Conv1d(UNITS, UNITS, 2),
    "skip-gelu": lambda: skip(nn.Conv1d(UNITS, UNITS, 3), nn.GELU()),
    "skip-tanh": lambda: skip(nn.Conv1d(UNITS, UNITS, 3), nn.Tanh()),
    "skip-norm": lambda: skip(nn.Conv1d(UNITS, UNITS, 3), cebra.models.layers._Norm()),
    "skip-bare": lambda: skip(nn.Conv1d(UNITS, UNITS, 3)),
    "skip of gelu, convolution": lambda: skip(nn.GELU(), nn.Conv1d(UNITS, UNITS, 3)),
    "skip of tanh, convolution": lambda: skip(nn.Tanh(), nn.Conv1d(UNITS, UNITS, 3)),
    "skip of elementwise": lambda: skip(nn.Tanh(), nn.GELU(), crop=(0, 0)),
}


def steps_lost(model):
    return 40 - model(torch.zeros(1, 4, 40, dtype=torch.float64)).shape[-1]


@pytest.mark.parametrize("last", ["none", *KINDS])
@pytest.mark.parametrize(("first", "second"), list(product(KINDS, KINDS)))
def test_gradients_are_those_of_autograd(first, second, last):
    torch.manual_seed(0)
    middle = [KINDS[kind]() for kind in (first, second)]
    end = [] if last == "none" else [KINDS[last]()]
    model = AnyNetwork(nn.Conv1d(4, UNITS, 2), *middle, *end).double()
    network = compile_network(model)
    width = steps_lost(model) + 1
    source = torch.randn(40, 4, dtype=torch.float64)
    starts = torch.tensor([0, 7, 20, 8, 7])
    weights = torch.randn(5, UNITS, dtype=torch.float64)
    windows = torch.stack([source[t : t + width].T for t in starts])
    expected = model(windows).reshape(5, UNITS)
    gradients = torch.autograd.grad(expected, list(model.parameters()), weights)
    for depth in range(len(network.layers) + 1):
        output, pull_back = apply_network(network, source, starts, depth, width)
        torch.testing.assert_close(output, expected.detach())
        pull_back(weights)
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            torch.testing.assert_close(parameter.grad, gradient)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_few_plans_are_kept_and_all_are_right(dtype):
    """Batches of ever other sizes, large after small, so that buffers grow under older plans."""
    torch.manual_seed(0)
    layers = [nn.Conv1d(4, UNITS, 2), nn.GELU(), skip(nn.Conv1d(UNITS, UNITS, 3), nn.GELU())]
    model = AnyNetwork(*layers, nn.Conv1d(UNITS, UNITS, 2)).to(dtype)
    network, width = compile_network(model), 5
    source = torch.randn(60, 4, dtype=dtype)
    for size in [*range(1, PLANS + 20), 1, 2, PLANS + 19, *range(PLANS + 10, 0, -3)]:
        starts, weights = torch.randint(60 - width, (size,)), torch.randn(size, UNITS, dtype=dtype)
        expected = model(torch.stack([source[t : t + width].T for t in starts])).reshape(size, -1)
        gradients = torch.autograd.grad(expected, list(model.parameters()), weights)
        output, pull_back = apply_network(network, source, starts, 1, width)
        torch.testing.assert_close(output, expected.detach())
        pull_back(weights)
        got = [parameter.grad for parameter in model.parameters()]
        torch.testing.assert_close(got, list(gradients))
        assert len(network.plans) <= PLANS


def test_the_plans_last_used_are_kept():
    model = AnyNetwork(nn.Conv1d(4, UNITS, 1))
    network, source = compile_network(model), torch.randn(60, 4)
    often = network.plan(source, 0, 0, 1, 7)
    for size in range(8, 8 + 2 * PLANS):
        network.plan(source, 0, 0, 1, size)
        assert network.plan(source, 0, 0, 1, 7) is often


def test_a_shortcut_around_a_shortcut_is_left_to_torch():
    inner = skip(nn.Conv1d(UNITS, UNITS, 3))
    model = AnyNetwork(nn.Conv1d(4, UNITS, 2), skip(inner, nn.GELU()))
    assert compile_network(model) is None


def test_layers_that_share_weights_are_left_to_torch():
    """Their gradients would have to be added."""
    shared = nn.Conv1d(UNITS, UNITS, 1)
    model = AnyNetwork(nn.Conv1d(4, UNITS, 2), shared, nn.GELU(), shared)
    assert compile_network(model) is None
    other = nn.Conv1d(UNITS, UNITS, 1)
    assert compile_network(AnyNetwork(nn.Conv1d(4, UNITS, 2), shared, nn.GELU(), other)) is not None
