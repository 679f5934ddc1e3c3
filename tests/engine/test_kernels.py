"""The compiled loops: there, right on every instruction set at hand, and dispensable."""

import ctypes
import itertools
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import cebra.models
import numpy as np
import pytest
import torch
from torch.nn import functional

import grevy
from grevy.engine import kernels
from grevy.engine import loss as infonce
from grevy.engine.adam import Adam
from grevy.engine.kernels import library as loops
from grevy.engine.kernels import structures
from grevy.engine.kernels.library import warn_if_absent
from grevy.engine.layers.base import Arena, Need
from grevy.engine.layers.compilation import compile_network
from grevy.engine.layers.fused import Fused, FusedNormalise, fuse, gather, reading, scatter
from grevy.engine.layers.kinds import Convolution, Gelu, Normalise, Skip, Tanh

HERE = torch.backends.cpu.get_cpu_capability()
CAPABILITIES = {"AVX512": ["AVX512", "AVX2", "DEFAULT"], "AVX2": ["AVX2", "DEFAULT"]}.get(
    HERE, ["DEFAULT"]
)
built = pytest.mark.skipif(kernels.load() is None, reason="no C compiler when Grevy was installed")
# (rows out, columns in, columns out, taps, batch): tiles whole and cut, windows and sequences. Rows
# are those of whole steps, a multiple of the batch.
SHAPES = [
    (1, 1, 1, 1, 1),
    (7, 4, 3, 2, 1),
    (8, 32, 32, 3, 1),
    (300, 100, 32, 2, 1),
    (35, 33, 65, 3, 5),
    (48, 32, 3, 3, 16),
    (90, 16, 16, 4, 9),
    (260, 5, 40, 3, 130),
    (6, 3, 2, 5, 2),
]


@cache
def loaded(folder, capability):
    """The loops for a processor that lie in another folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("grevy.engine.kernels.library.__file__", str(folder / "library.py"))
        return kernels.load.__wrapped__(capability)


@pytest.fixture(params=[(by, for_) for by in ("installed", "clang") for for_ in CAPABILITIES])
def library(request):
    """Loops as they are installed, and as clang builds them."""
    by, capability = request.param
    if by == "clang":
        return loaded(request.getfixturevalue("of_clang"), capability)
    found = kernels.load(capability)
    if found is None:
        pytest.skip("no C compiler when Grevy was installed")
    return found


@pytest.fixture
def work_on(monkeypatch):
    """Have work shared by so many threads, however little it is, and however few processors."""

    def share(threads):
        monkeypatch.setattr("grevy.engine.kernels.library.thread_count", lambda: threads)
        monkeypatch.setattr("grevy.engine.kernels.points.thread_count", lambda: threads)
        monkeypatch.setattr("grevy.engine.kernels.library._GRAIN", 1)

    return share


def matrix(rows, columns, seed=0):
    """Numbers that lie as an arena lays them: narrow ones transposed."""
    generator = torch.Generator().manual_seed(seed)
    room = Arena(torch.zeros(1)).take(rows, columns)
    return room.copy_(torch.randn(rows, columns, generator=generator))


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_they_were_built():
    """`.ci/run` brings a compiler."""
    assert kernels.kernels_for(torch.zeros(1)) is not None
    assert kernels.kernels_for(torch.zeros(1, dtype=torch.float64)) is None


def by_hand(rows, convolution, batch, activated, before):
    """The same by autograd in float64; the parameters come back too."""
    rows = rows.double().requires_grad_()
    weight = convolution.weight.detach().double().requires_grad_()
    bias = None if convolution.bias is None else convolution.bias.detach().double()
    n = len(rows) - (convolution.taps - 1) * batch
    taps = weight.view(*weight.shape[:2], -1)
    out = sum(rows[t * batch :][:n] @ taps[:, :, t].T for t in range(convolution.taps))
    if bias is not None:
        bias.requires_grad_()
        out = out + bias
    if activated:
        out = functional.gelu(out)
    if before >= 0:
        out = out + rows[before * batch :][:n]
    return rows, weight, bias, out


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("activated", [False, True])
@pytest.mark.parametrize("need", list(Need))
@pytest.mark.parametrize("threads", [1, 3])
def test_convolutions(library, shape, activated, need, threads, work_on):
    n, n_in, n_out, taps, batch = shape
    work_on(threads)
    weight = torch.nn.Parameter(torch.randn(n_out, n_in, taps))
    bias = torch.nn.Parameter(torch.randn(n_out)) if n % 2 == 0 else None
    convolution = Convolution(weight, bias, taps)
    for before in [-1] + list(range(taps)) * (n_in == n_out):
        rows = matrix(n + (taps - 1) * batch, n_in)
        mine, weight64, bias64, expected = by_hand(rows, convolution, batch, activated, before)
        layer, gradients = Fused(convolution, activated, before, library), {}
        out, forward, back = layer.plan(rows, batch, need, Arena(rows), gradients)
        assert len(forward) == 1
        forward[0]()
        torch.testing.assert_close(out.double(), expected.detach(), rtol=1e-4, atol=1e-4)
        grad = matrix(n, n_out, 2)
        rows_grad, (operation,) = back(grad)
        operation()
        expected.backward(grad.double())
        scale = float(weight64.grad.abs().max())
        torch.testing.assert_close(
            gradients[weight].double(), weight64.grad, rtol=1e-4, atol=1e-5 * scale
        )
        if bias is not None:
            torch.testing.assert_close(gradients[bias].double(), bias64.grad, rtol=1e-4, atol=1e-4)
        if need is not Need.NONE:
            torch.testing.assert_close(rows_grad.double(), mine.grad, rtol=1e-4, atol=1e-4)
        assert (rows_grad.data_ptr() == rows.data_ptr()) is (need is Need.REUSE)


@pytest.mark.parametrize("batch", [1, 7, 128, 200])
@pytest.mark.parametrize("n_in", [1, 5, 40])
def test_rows_are_read_in_place(library, batch, n_in):
    """As if they had been copied to where they are listed."""
    source, n = torch.randn(90, n_in), 4 * batch if batch > 1 else 50
    index = torch.randint(0, 90, (n + 2 * batch,))
    weight = torch.nn.Parameter(torch.randn(6, n_in, 3))
    layer, grad, results = Fused(Convolution(weight, None, 3), True, -1, library), matrix(n, 6), []
    for each, rows in ((layer, source[index]), (reading(layer, source, index), source)):
        gradients = {}
        out, (forward,), back = each.plan(rows, batch, Need.NONE, Arena(rows), gradients)
        _, (backward,) = back(grad)
        forward()
        backward()
        results.append((out, gradients[weight]))
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)
    assert reading(Fused(Convolution(weight, None, 3), True, 1, library), source, index) is None
    if n_in > 1:
        assert reading(layer, source.T.contiguous().T, index) is None
    else:  # which torch calls contiguous at any distance of its columns
        results = []
        for lying in (source, source.as_strided((90, 1), (1, 90))):
            gradients = {}
            out, (forward,), back = reading(layer, lying, index).plan(
                lying, batch, Need.NONE, Arena(source), gradients
            )
            forward()
            (backward,) = back(torch.ones_like(out))[1]
            backward()
            results.append(gradients[weight])
        assert torch.equal(*results)


def test_frozen_parameters_get_no_gradient(library):
    weight = torch.nn.Parameter(torch.randn(4, 3, 2), requires_grad=False)
    bias = torch.nn.Parameter(torch.randn(4))
    rows, gradients = matrix(10, 3), {}
    layer = Fused(Convolution(weight, bias, 2), True, -1, library)
    _, forward, back = layer.plan(rows, 1, Need.FRESH, Arena(rows), gradients)
    grad = matrix(9, 4)
    _, backward = back(grad)
    for operation in (*forward, *backward):
        operation()
    assert list(gradients) == [bias]


def test_gelu_over_all_numbers(library):
    """Against float64, to the absolute error of its polynomial; nothing overflows."""
    numbers = torch.cat([torch.linspace(-30, 30, 20_001), torch.tensor([0.0, 1e-30, 1e4, -1e4])])
    one = torch.nn.Parameter(torch.ones(1, 1, 1))
    rows = numbers[:, None].contiguous()
    layer = Fused(Convolution(one, None, 1), True, -1, library)
    out, (forward,), back = layer.plan(rows, 1, Need.FRESH, Arena(rows), {})
    grad, (backward,) = back(torch.ones_like(out))
    forward()
    backward()
    exact = numbers.double().requires_grad_()
    functional.gelu(exact).sum().backward()
    assert (out[:, 0] - functional.gelu(exact)).abs().max() < 2e-6
    assert (grad[:, 0] - exact.grad).abs().max() < 2e-6


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_so(library, bad):
    """Or a training that diverges would go on unnoticed."""
    rows = matrix(20, 8)
    rows[3, 2] = bad
    weight = torch.nn.Parameter(torch.ones(8, 8, 1))
    for activated in (False, True):
        layer = Fused(Convolution(weight, None, 1), activated, -1, library)
        out, (forward,), _ = layer.plan(rows, 1, Need.NONE, Arena(rows), {})
        forward()
        assert not out[3].isfinite().any()
        assert out[4].isfinite().all()
    given = [torch.randn(20, 3), torch.randn(20, 3), torch.randn(30, 3)]
    for part in given:
        part[5, 1] = bad
        loss, _ = infonce._compiled(library, *given, torch.tensor(1.0), False)
        assert not loss.total.isfinite()
        part[5, 1] = 0.0


@pytest.mark.parametrize("columns", [1, 3, 40])
def test_lengths(library, columns):
    rows, grad = matrix(50, columns), matrix(50, columns, 1)
    results = []
    for layer in (Normalise(), FusedNormalise(library)):
        arena = Arena(rows)
        out, forward, back = layer.plan(rows, 1, Need.FRESH, arena, {})
        target, backward = back(grad.clone())
        for operation in (*forward, *backward):
            operation()
        results += [(out.clone(), target.clone())]
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-6)


def lying(rows, columns, transposed):
    return (
        torch.full((columns, rows), torch.nan).T
        if transposed
        else torch.full((rows, columns), torch.nan)
    )


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("columns", [1, 3, 17])
@pytest.mark.parametrize("lie", list(itertools.product([False, True], repeat=3)))
def test_rows_are_copied_and_added(library, threads, columns, lie, work_on):
    work_on(threads)
    source, index = lying(40, columns, lie[0]).normal_(), torch.randint(0, 40, (200,))
    out = lying(200, columns, lie[1])
    gather(library, source, index, out)()
    assert torch.equal(out, source[index])
    total = lying(40, columns, lie[2])
    scatter(library, out, index, total)()
    torch.testing.assert_close(total, torch.zeros(40, columns).index_add_(0, index, out))


SIZES = [(1, 1, 1), (8, 32, 3), (9, 33, 2), (512, 512, 3), (100, 700, 17), (40, 5, 40)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("euclidean", [False, True])
@pytest.mark.parametrize("scale", [0.1, 1.0, 100.0])
def test_infonce(library, size, euclidean, scale):
    """Against torch in float64, also where nearly all exponentials underflow."""
    n, m, d = size
    generator = torch.Generator().manual_seed(n + m)
    given = [torch.randn(rows, d, generator=generator) for rows in (n, n, m)]
    given[1] = given[1].T.contiguous().T  # lies transposed, as narrow embeddings do
    loss, gradient = infonce._compiled(library, *given, torch.tensor(scale), euclidean)
    exact = [part.double() for part in given]
    distance = "euclidean" if euclidean else "cosine"
    expected, slope = infonce.infonce_gradient(*exact, torch.tensor(scale).double(), distance)
    torch.testing.assert_close(
        loss, infonce.Loss(*(x.float() for x in expected)), rtol=1e-4, atol=1e-4
    )
    for got, wanted in zip(gradient, slope, strict=True):
        highest = float(wanted.abs().max())
        # Logits are as large as the scale, and their rounding is that of the weights.
        within = 1e-6 + 1e-5 * max(1.0, scale) * highest
        torch.testing.assert_close(got.double(), wanted, rtol=1e-3, atol=within)


def test_infonce_far_from_the_origin(library):
    """A common shift of all points, large beside their distances, costs no digits."""
    given = [torch.randn(60, 3) for _ in range(3)]
    far = [part + 1000.0 for part in given]
    near = [part - 1000.0 for part in far]  # as they were rounded
    one = infonce._compiled(library, *near, torch.tensor(1.0), True)
    other = infonce._compiled(library, *far, torch.tensor(1.0), True)
    torch.testing.assert_close(one[0], other[0], rtol=1e-3, atol=1e-3)


def test_calls_are_joined_where_they_follow_each_other(library):
    source, index = torch.arange(6.0).view(3, 2), torch.tensor([2, 0])
    middle, out = torch.empty(2, 2), torch.empty(2, 2)
    calls = [
        gather(library, source, index, middle),
        gather(library, middle, torch.tensor([1, 0]), out),
    ]
    (both,) = kernels.join_calls(calls)
    both()
    assert out.tolist() == [[0, 1], [4, 5]]
    assert len(kernels.join_calls([calls[0], out.zero_, calls[1]])) == 3
    assert kernels.join_calls([]) == ()


def test_what_is_fused(library):
    def convolution():
        return Convolution(torch.nn.Parameter(torch.zeros(4, 4, 3)), None, 3)

    kinds = fuse(
        [
            *(convolution(), Gelu(), Skip((convolution(), Gelu()), 1, 1), Tanh(), Gelu()),
            *(Skip((convolution(),), 0, 2), Skip((convolution(), Tanh()), 1, 1), Normalise()),
        ],
        library,
    )
    assert [type(kind) for kind in kinds] == [Fused, Fused, Tanh, Gelu, Fused, Skip, FusedNormalise]
    found = [(kind.activated, kind.before) for kind in kinds if isinstance(kind, Fused)]
    assert found == [(True, -1), (True, 1), (False, 0)]


@pytest.mark.parametrize("settings", [{}, {"weight_decay": 0.1}, {"amsgrad": True}])
def test_adam_is_near_torch(settings):
    torch.manual_seed(0)
    mine = [torch.nn.Parameter(torch.randn(shape)) for shape in ((33, 7), (3,), ())]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in mine]
    ours, plain = Adam(mine, **settings), torch.optim.Adam(theirs, **settings)
    for _ in range(30):
        for one, other in zip(mine, theirs, strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        ours.step()
        plain.step()
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shift", [1, 3])
def test_bits_do_not_depend_on_where_numbers_lie(library, shift):
    """A model that was loaded lies elsewhere than one that was made."""
    there = []
    for offset in (0, shift):
        generator = torch.Generator().manual_seed(0)

        def numbers(size, offset=offset, generator=generator):
            room = torch.empty(size + offset)[offset:]
            return room.copy_(torch.rand(size, generator=generator))

        weight, bias = numbers(5 * 7 * 2).view(5, 7, 2), numbers(5)
        rows, grad = numbers(100 * 7).view(100, 7), numbers(99 * 5).view(99, 5)
        parameters = [torch.nn.Parameter(weight), torch.nn.Parameter(bias)]
        gradients = {}
        layer = Fused(Convolution(*parameters, 2), True, -1, library)
        out, forward, back = layer.plan(rows, 1, Need.FRESH, Arena(rows), gradients)
        rows_grad, backward = back(grad)
        for operation in (*forward, *backward):
            operation()
        optimizer = Adam(parameters, lr=0.1)
        for step in range(3):
            for parameter in parameters:
                parameter.grad = gradients[parameter] / (1 + step)
            optimizer.step()
        loss = infonce._compiled(library, out, out + 1, out, torch.tensor(2.0), False)
        there.append([out, rows_grad, *gradients.values(), *parameters, *loss[0], *loss[1]])
    assert all(torch.equal(one, other) for one, other in zip(*there, strict=True))


# With a folder of the loops' sources alone, as a machine without a compiler leaves it.
NOT_BUILT = """
import sys, warnings
from pathlib import Path
import numpy as np
import grevy
from grevy.engine.kernels import library
library.__file__ = sys.argv[1] + "/library.py"
with warnings.catch_warnings(record=True) as found:
    warnings.simplefilter("always")
    for _ in range(2):
        model = grevy.CEBRA("offset5-model", batch_size=8, max_iterations=2, device="cpu", seed=1)
        model.fit(np.random.default_rng(0).normal(size=(60, 4)))
messages = [str(each.message) for each in found if "loops" in str(each.message)]
print(grevy.engine.instructions(), *messages)
"""


@pytest.mark.parametrize("wanted", [True, False])
def test_a_machine_without_them_is_told_once(wanted, tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "ATEN_CPU_CAPABILITY"}
    if not wanted:
        environment["ATEN_CPU_CAPABILITY"] = "default"
    command = [sys.executable, "-W", "ignore", "-c", NOT_BUILT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.startswith("None")
    assert done.stdout.count("half as fast") == wanted
    assert done.stdout.count("pip install") == wanted
    assert "The compiled loops of Grevy were not built" in done.stdout or not wanted


@built
def test_a_machine_with_them_is_told_nothing(recwarn):
    warn_if_absent.__wrapped__()
    assert not recwarn.list
    assert kernels.instructions() in ("avx512", "avx2", "neon", "plain")


@built
def test_what_was_built_from_other_sources_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr("grevy.engine.kernels.library.fingerprint", lambda folder: 1)
    with pytest.warns(RuntimeWarning, match="built from other sources"):
        assert kernels.load.__wrapped__() is None


def test_parameters_of_another_kind_are_left_to_torch():
    """Also where the data are float32 and the default is float64."""
    model = cebra.models.init("offset5-model", 4, 8, 3)
    assert (compile_network(model, torch.float32).library is None) is (kernels.load() is None)
    assert compile_network(model.double(), torch.float32).library is None
    given = [torch.randn(20, 3) for _ in range(3)]
    scale = torch.tensor(1.0)
    expected = infonce.infonce_gradient(*given, scale, "cosine")
    torch.set_default_dtype(torch.float64)
    try:
        loss, gradient = infonce.infonce_gradient(*given, scale, "cosine")
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close((loss, gradient), expected)
    assert loss.total.dtype == torch.float32


def test_few_threads_for_little_work(monkeypatch):
    monkeypatch.setattr("grevy.engine.kernels.library.thread_count", lambda: 4)
    works = (0, 10, 10**6, 10**9)
    assert [kernels.threads_for(work) for work in works] == [1, 1, 2, 4]


def test_shapes_are_looked_at(library):
    rows = matrix(20, 1)
    wide = Convolution(torch.nn.Parameter(torch.randn(40, 1, 3)), None, 3)
    for layer in (Fused(wide, True, 1, library), Fused(wide, True, 3, library)):
        with pytest.raises(ValueError, match="shortcut"):
            layer.plan(rows, 1, Need.NONE, Arena(rows), {})
    with pytest.raises(ValueError, match="2 columns"):
        Fused(wide, True, -1, library).plan(matrix(20, 2), 1, Need.NONE, Arena(rows), {})
    listed = reading(Fused(wide, True, -1, library), rows, torch.arange(20))
    with pytest.raises(ValueError, match="in place"):
        listed.plan(rows, 1, Need.REUSE, Arena(rows), {})
    one = torch.randn(8, 3)
    for other in (torch.randn(4, 3), torch.randn(8, 3).double()):
        try:
            expected = infonce.infonce_gradient(one, other, one, torch.tensor(1.0), "cosine", 8)
        except RuntimeError:
            with pytest.raises(RuntimeError):
                infonce.infonce_gradient(one, other, one, torch.tensor(1.0), "cosine")
        else:
            got = infonce.infonce_gradient(one, other, one, torch.tensor(1.0), "cosine")
            torch.testing.assert_close(got[0].total, expected[0].total)


def test_adam_takes_any_state():
    """Moments of float64, which a file may bring, are left to torch, which says what is wrong."""
    parameter = torch.nn.Parameter(torch.ones(5))
    optimizer = Adam([parameter])
    parameter.grad = torch.ones(5)
    optimizer.step()
    optimizer.state[parameter]["exp_avg"] = torch.ones(5).double()
    with pytest.raises(RuntimeError):
        optimizer.step()
    optimizer.state[parameter]["exp_avg"] = torch.ones(5)
    before = parameter.detach().clone()
    optimizer.step()
    assert (parameter < before).all()


def test_a_parameter_may_move():
    parameter = torch.nn.Parameter(torch.ones(5))
    optimizer = Adam([parameter], lr=0.5)
    for _ in range(3):
        parameter.data = parameter.data.clone()
        parameter.grad = torch.ones(5)
        before = parameter.detach().clone()
        optimizer.step()
        torch.testing.assert_close(parameter.detach(), before - 0.5)


TRAIN = """
import numpy as np, grevy, grevy.engine.kernels
rng = np.random.default_rng(0)
neural, label = rng.poisson(1.0, (300, 12)), rng.normal(size=(300, 2))
model = grevy.CEBRA(model_architecture="offset10-model", batch_size=64, max_iterations=20, seed=0,
                    output_dimension=3, time_offsets=5, device="cpu", verbose=False)
embedding = model.fit(neural, label).transform(neural)
print(grevy.engine.kernels.instructions(), *map(repr, embedding.ravel().tolist()))
"""


@built
def test_training_is_the_same_without_them():
    """`ATEN_CPU_CAPABILITY=default` stands for a machine without them."""
    results = []
    for capability in (None, None, "avx2", "default"):
        environment = {k: v for k, v in os.environ.items() if k != "ATEN_CPU_CAPABILITY"}
        if capability:
            environment["ATEN_CPU_CAPABILITY"] = capability
        done = subprocess.run(
            [sys.executable, "-c", TRAIN],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        name, *numbers = done.stdout.split()
        assert (name == "None") is (capability == "default")
        results.append(np.array(numbers, float))
    same = 3 if HERE in ("AVX512", "AVX2") else 2
    assert all(np.array_equal(results[0], each) for each in results[1:same])
    np.testing.assert_allclose(results[3], results[0], atol=2e-3)


MODES = [
    {"model_architecture": "offset10-model", "distance": "cosine"},
    {"model_architecture": "offset5-model", "distance": "euclidean", "hybrid": True},
    {"model_architecture": "offset1-model", "batch_size": None},
]


@built
@pytest.mark.parametrize("settings", MODES)
def test_training_is_the_same_on_any_threads(settings, work_on):
    rng = np.random.default_rng(0)
    neural, label = rng.normal(size=(700, 35)), np.cumsum(rng.normal(size=(700, 2)), axis=0)
    found = []
    for threads in (1, 2, 3, 8):
        work_on(threads)
        chosen = {"batch_size": 300, "max_iterations": 15, "seed": 0, "device": "cpu", **settings}
        found.append(grevy.CEBRA(output_dimension=4, **chosen).fit(neural, label).transform(neural))
    assert all(np.array_equal(found[0], each) for each in found[1:])


@built
def test_trainings_side_by_side_do_not_disturb_each_other(work_on):
    """One has the team of threads, the other is alone meanwhile."""
    work_on(3)
    rng = np.random.default_rng(0)
    neural = rng.normal(size=(500, 20))

    def train(seed):
        chosen = {"batch_size": 200, "max_iterations": 40, "device": "cpu", "seed": seed}
        return grevy.CEBRA("offset5-model", **chosen).fit(neural).transform(neural)

    alone = [train(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        beside = list(pool.map(train, range(4)))
    np.testing.assert_array_equal(beside, alone)


def test_structures_that_differ_are_found(library, monkeypatch):
    assert structures.differences(library) == []

    class Rows(structures.Rows):
        _fields_ = (("more", ctypes.c_int64),)

    monkeypatch.setattr(structures, "Rows", Rows)
    assert structures.differences(library) == ["Rows"]


def test_structures_of_other_kinds_are_found(library, monkeypatch):
    class Adam(ctypes.Structure):
        _fields_ = tuple((name, ctypes.c_int64) for name, _ in structures.Adam._fields_)

    monkeypatch.setattr(structures, "Adam", Adam)
    Adam.__name__ = "Adam"
    assert structures.differences(library) == ["Adam"]


@built
def test_threads_keep_or_drop_what_is_tiny_as_their_caller_does(work_on):
    """A processor's mode belongs to a thread, and may change after its helpers were started."""

    def product(threads):
        work_on(threads)
        generator = torch.Generator().manual_seed(0)
        rows = 1e-20 * torch.rand(3000, 8, generator=generator)
        weight = torch.nn.Parameter(1e-20 * torch.rand(8, 8, 1, generator=generator))
        layer = Fused(Convolution(weight, None, 1), False, -1, kernels.load())
        out, (forward,), _ = layer.plan(rows, 1, Need.NONE, Arena(rows), {})
        forward()
        return out.clone()

    kept = product(2)
    assert (kept != 0).any()
    try:
        if not torch.set_flush_denormal(True):
            pytest.skip("this processor has no such mode")
        dropped = [product(threads) for threads in (1, 2, 8)]
    finally:
        torch.set_flush_denormal(False)
    assert all(torch.equal(dropped[0], each) for each in dropped[1:])
    assert (dropped[0] == 0).all()
    assert torch.equal(product(2), kept)


def test_rows_fewer_than_taps_are_refused(library):
    weight = torch.nn.Parameter(torch.randn(2, 3, 3))
    with pytest.raises(ValueError, match="fewer than 3 taps"):
        Fused(Convolution(weight, None, 3), False, -1, library).plan(
            torch.randn(2, 3), 1, Need.NONE, Arena(torch.zeros(1)), {}
        )


def test_the_best_of_what_was_built_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(loops, "__file__", str(tmp_path / "library.py"))
    assert loops._built("AVX512") is None
    for name in ("_plain", "_avx2", "_avx512"):  # of which the newest is better and better
        (tmp_path / f"{name}.so").touch()
        assert loops._built("AVX512") == tmp_path / f"{name}.so"
    assert loops._built("AVX2") == tmp_path / "_avx2.so"
    assert loops._built("DEFAULT") == tmp_path / "_plain.so"
