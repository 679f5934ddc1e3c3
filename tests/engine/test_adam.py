"""Our Adam against torch's: the same steps, the same state, and no compiler."""

import copy
import subprocess
import sys

import pytest
import torch

from grevy.engine.adam import Adam

SETTINGS = [
    {},
    {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3},
    {"weight_decay": 0.1},
    {"weight_decay": 0.1, "decoupled_weight_decay": True},
    {"amsgrad": True},
    {"maximize": True},
]


def parameters(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 4), (5,), ()]
    return [
        torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=dtype)) for shape in shapes
    ]


def train(optimizers, steps, first=0):
    for step in range(first, first + steps):
        generator = torch.Generator().manual_seed(step)
        groups = [o.param_groups[0]["params"] for o in optimizers]
        for number, twins in enumerate(zip(*groups, strict=True)):
            # The second parameter meets a gradient only now and then.
            grad = torch.randn(twins[0].shape, generator=generator, dtype=twins[0].dtype)
            for parameter in twins:
                parameter.grad = grad.clone() if number != 1 or step % 3 == 0 else None
        for optimizer in optimizers:
            optimizer.step()


def assert_equal(one, other):
    for mine, theirs in zip(one, other, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("settings", SETTINGS)
def test_it_steps_as_torch(settings):
    mine, theirs = parameters(), parameters()
    ours, plain = Adam(mine, **settings), torch.optim.Adam(theirs, **settings, fused=True)
    train([ours, plain], 20)
    assert_equal(mine, theirs)
    assert not torch.equal(mine[0], parameters()[0])


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("direction", ["to torch", "from torch"])
def test_either_goes_on_where_the_other_stopped(settings, direction):
    through, over = parameters(), parameters()
    straight, first = Adam(through, **settings), Adam(over, **settings)
    if direction == "from torch":
        first = torch.optim.Adam(over, **settings, fused=True)
    train([straight, first], 5)
    second_class = torch.optim.Adam if direction == "to torch" else Adam
    second = second_class(over, **settings, fused=True)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train([straight, second], 5, first=5)
    assert_equal(through, over)


def test_a_closure_is_refused():
    with pytest.raises(TypeError, match="closure"):
        Adam(parameters()).step(lambda: 0.0)


def test_the_compiler_stays_away():
    program = (
        "import sys, torch\nfrom grevy.engine.adam import Adam\n"
        "p = torch.nn.Parameter(torch.ones(2))\no = Adam([p])\np.grad = torch.ones(2)\n"
        "o.step()\no.load_state_dict(o.state_dict())\n"
        "print([m for m in sys.modules if m in ('torch._dynamo', 'sympy')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
