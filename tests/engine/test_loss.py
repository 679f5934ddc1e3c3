"""The loss and its hand-made gradient, held to the plain formula and to `cebra`'s criteria."""

import itertools
import subprocess
import sys

import cebra.models
import pytest
import torch

from grevy.engine import loss
from grevy.engine.loss import CHUNK_ELEMENTS, infonce

CRITERIA = {
    ("cosine", False): cebra.models.FixedCosineInfoNCE,
    ("euclidean", False): cebra.models.FixedEuclideanInfoNCE,
    ("cosine", True): cebra.models.LearnableCosineInfoNCE,
    ("euclidean", True): cebra.models.LearnableEuclideanInfoNCE,
}
DISTANCES = ("cosine", "euclidean")


def samples(n_references, n_negatives, dims=3, dtype=torch.float64, seed=0, size=1.0):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((n_references, dims), (n_references, dims), (n_negatives, dims))
    return [
        (torch.randn(shape, generator=generator, dtype=torch.float64) * size)
        .to(dtype)
        .requires_grad_()
        for shape in shapes
    ]


def plain(reference, positive, negative, scale, distance):
    """The formula of the module, pair by pair, for autograd to differentiate."""
    if distance == "cosine":
        pair = (reference * positive).sum(1)
        table = (reference[:, None] * negative[None]).sum(-1)
    else:
        pair = -((reference - positive) ** 2).sum(1)
        table = -((reference[:, None] - negative[None]) ** 2).sum(-1)
    align, uniform = -(scale * pair).mean(), torch.logsumexp(scale * table, dim=1).mean()
    return align + uniform, align, uniform


@pytest.mark.parametrize(
    ("distance", "sizes", "chunk"),
    list(itertools.product(DISTANCES, [(4, 4), (5, 3), (2, 7), (1, 1), (7, 1)], [1, 3, None])),
)
def test_loss_and_gradients_are_those_of_the_formula(distance, sizes, chunk):
    given = samples(*sizes)
    scale = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
    expected = plain(*given, scale, distance)
    got = infonce(*given, scale, distance, chunk)
    torch.testing.assert_close(tuple(got), expected, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(
        torch.autograd.grad(got.total, [*given, scale]),
        torch.autograd.grad(expected[0], [*given, scale]),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("chunk", [1, 3, None])
def test_gradcheck(distance, chunk):
    scale = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)

    def total(*inputs):
        return infonce(*inputs, distance, chunk).total

    assert torch.autograd.gradcheck(total, (*samples(5, 4), scale))


@pytest.mark.parametrize(
    "asked", [pattern for pattern in itertools.product([False, True], repeat=4) if any(pattern)]
)
def test_only_what_is_asked_for_gets_a_gradient(asked):
    inputs = [*samples(4, 6), torch.tensor(2.0, dtype=torch.float64, requires_grad=True)]
    expected = torch.autograd.grad(plain(*inputs, "cosine")[0], inputs)
    partly = [x.detach().requires_grad_(wish) for x, wish in zip(inputs, asked, strict=True)]
    (3 * infonce(*partly, "cosine", 3).total).backward()
    for x, wish, gradient in zip(partly, asked, expected, strict=True):
        assert (x.grad is not None) == wish
        if wish:
            torch.testing.assert_close(x.grad, 3 * gradient)


@pytest.mark.parametrize("distance", DISTANCES)
def test_one_tensor_in_several_roles_collects_all_its_gradients(distance):
    (x,) = samples(6, 6)[:1]
    scale = torch.tensor(1.0, dtype=torch.float64)
    rolled = [x, x.roll(1, 0), x.roll(2, 0)]
    expected = torch.autograd.grad(plain(*rolled, scale, distance)[0], x)[0]
    got = torch.autograd.grad(infonce(*rolled, scale, distance).total, x)[0]
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize(
    ("distance", "learnable", "temperature"),
    list(itertools.product(DISTANCES, [False, True], [0.05, 1.0, 3.0])),
)
def test_equals_cebra_in_float32(distance, learnable, temperature):
    given = samples(64, 64, dims=8, dtype=torch.float32, seed=1)
    criterion = CRITERIA[distance, learnable](temperature=temperature)
    expected = criterion(*given)
    scale = (
        criterion._prepare_inverse_temperature()
        if learnable
        else torch.tensor(1 / temperature, dtype=torch.float32)
    )
    got = infonce(*given, scale, distance)
    torch.testing.assert_close(tuple(got), tuple(expected), rtol=2e-5, atol=2e-5)
    wanted = [*given, *criterion.parameters()]
    theirs = torch.autograd.grad(expected[0], wanted, retain_graph=True)
    mine = torch.autograd.grad(got.total, wanted)
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5 / temperature)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize(("size", "inverse"), [(100.0, 1.0), (1.0, 1e4), (1e-20, 1.0), (30.0, 1e2)])
def test_extreme_similarities_stay_finite(distance, size, inverse):
    given = samples(8, 9, dtype=torch.float32, size=size)
    scale = torch.tensor(inverse, requires_grad=True)
    loss = infonce(*given, scale, distance, 3)
    gradients = torch.autograd.grad(loss.total, [*given, scale])
    assert all(torch.isfinite(x).all() for x in (*loss, *gradients))
    double = [x.detach().double() for x in given]
    expected = plain(*double, torch.tensor(inverse, dtype=torch.float64), distance)
    highest = float(max(abs(part) for part in expected))
    torch.testing.assert_close(
        loss.total.double(), expected[0], rtol=1e-4, atol=max(1e-5, 1e-5 * highest)
    )


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_collapsed_embedding_has_the_loss_of_chance(distance):
    point = torch.full((10, 3), 1 / 3**0.5, dtype=torch.float64)
    loss = infonce(point, point, point[:7], torch.tensor(5.0, dtype=torch.float64), distance)
    assert float(loss.total) == pytest.approx(torch.log(torch.tensor(7.0)).item())


def test_the_default_chunk_bounds_the_memory_and_keeps_the_result(monkeypatch):
    given = samples(20, 50)
    scale = torch.tensor(1.0, dtype=torch.float64)
    whole = infonce(*given, scale, "euclidean")
    assert CHUNK_ELEMENTS * 4 <= 2**25
    monkeypatch.setattr("grevy.engine.loss.CHUNK_ELEMENTS", 60)
    largest = []
    softmax = torch.softmax
    monkeypatch.setattr(
        torch, "softmax", lambda x, dim, out: (largest.append(x.numel()), softmax(x, dim, out=out))
    )
    chunked = infonce(*given, scale, "euclidean")
    torch.testing.assert_close(tuple(chunked), tuple(whole), rtol=1e-12, atol=1e-12)
    assert len(largest) == 20
    assert max(largest) <= 60


def test_memory_does_not_grow_with_the_number_of_chunks():
    """A process of its own: 60 chunks of 8 MB each, twice."""
    program = (
        "import resource, torch\nfrom grevy.engine.loss import infonce_gradient\n"
        "x = torch.nn.functional.normalize(torch.randn(11000, 3))\nscale = torch.tensor(1.0)\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "infonce_gradient(x[:400], x[:400], x, scale, 'cosine')\nbefore = peak()\n"
        "infonce_gradient(x, x, x, scale, 'cosine')\nprint(peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 100


def test_without_gradients_nothing_is_kept():
    given = [x.detach() for x in samples(5, 5)]
    loss = infonce(*given, torch.tensor(1.0, dtype=torch.float64), "cosine")
    assert not loss.total.requires_grad
    expected = plain(*given, torch.tensor(1.0, dtype=torch.float64), "cosine")
    torch.testing.assert_close(tuple(loss), expected)


def test_the_parts_carry_no_gradient():
    loss = infonce(*samples(4, 4), torch.tensor(1.0, dtype=torch.float64), "cosine")
    assert loss.total.requires_grad
    assert not loss.positive.requires_grad
    assert not loss.negative.requires_grad


def spread_out(size, n=64, far=0.0):
    """Positives and some negatives lie about 1 from their references, these `size` apart."""
    generator = torch.Generator().manual_seed(0)
    reference, positive, negative = (
        torch.randn((n, 3), generator=generator, dtype=torch.float64) for _ in range(3)
    )
    places = size * torch.randn((n, 3), generator=generator, dtype=torch.float64) + far
    given = (reference + places, positive + places, negative + places.flip(0))
    return [x.float().requires_grad_() for x in given]


@pytest.mark.parametrize("chunk", [None, 5, 1000])
@pytest.mark.parametrize("far", [0.0, 1e4])
@pytest.mark.parametrize("inverse", [0.3, 1.0, 8.0])
@pytest.mark.parametrize("size", [3.0, 30.0, 100.0, 300.0, 3e3, 1e5, 1e10, 1e15])
def test_wide_spreads_are_exact(size, inverse, far, chunk):
    """Distances are small differences of large squares there."""
    given = spread_out(size, far=far)
    scale = torch.tensor(inverse, requires_grad=True)
    exact = [x.detach().double().requires_grad_() for x in (*given, scale)]
    expected = plain(*exact, "euclidean")
    got = infonce(*given, scale, "euclidean", chunk)
    torch.testing.assert_close(got.total.double(), expected[0], rtol=1e-3, atol=1e-3)
    mine = torch.autograd.grad(got.total, [*given, scale])
    for one, other in zip(mine, torch.autograd.grad(expected[0], exact), strict=True):
        assert (one - other).norm() <= 3e-3 * other.norm() + 1e-4


@pytest.mark.parametrize("chunk", [None, 5])
@pytest.mark.parametrize(
    "size", [1e9, 1e12, 1e15, 1e18, 1e19, 1e20, 1e25, 1e30, 1e38, float("inf"), float("nan")]
)
def test_a_loss_is_right_or_not_finite(size, chunk):
    given = [x.detach() for x in spread_out(1.0)]
    given = [given[0] * size, given[1], given[2]]
    scale = torch.tensor(1.0)
    expected = plain(*(x.double() for x in given), scale.double(), "euclidean")[0]
    total = infonce(*given, scale, "euclidean", chunk).total
    if total.isfinite():
        torch.testing.assert_close(total.double(), expected, rtol=1e-3, atol=0)
    else:
        assert not size < 1e15


def test_where_nobody_may_look_a_lost_loss_is_not_finite(monkeypatch):
    """On a GPU, whose tensors are only told apart by their device here."""
    monkeypatch.setattr(loss, "_on_cpu", lambda _tensor: False)
    scale = torch.tensor(1.0)
    for size, chunk in itertools.product([1.0, 30.0, 300.0, 3e3, 1e10], [7, 1000]):
        given = [x.detach() for x in spread_out(size)]
        expected = plain(*(x.double() for x in given), scale.double(), "euclidean")[0]
        total = infonce(*given, scale, "euclidean", chunk).total.double()
        assert size > 300 or total.isfinite()
        if total.isfinite():
            torch.testing.assert_close(total, expected, rtol=0.1, atol=0.1)
        else:
            assert size > 300


@pytest.mark.parametrize("chunk", [None, 5])
def test_usual_spreads_are_not_computed_twice(chunk, monkeypatch):
    def refuse(*_given):
        raise AssertionError("the slow way was taken")

    monkeypatch.setattr(loss, "_exact", refuse)
    infonce(*spread_out(20.0), torch.tensor(1.0), "euclidean", chunk)
    with pytest.raises(AssertionError, match="slow"):
        infonce(*spread_out(300.0), torch.tensor(1.0), "euclidean", chunk)
