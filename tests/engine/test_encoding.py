"""How a model is applied: windows, sequence and chunks give one and the same embedding."""

import dataclasses
import itertools

import cebra.models
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grevy.engine.encoding.encoder import Encoder, encode, pack
from grevy.engine.encoding.layout import Layout, choose_layout, expected_cover
from grevy.engine.encoding.models import is_convolutional, receptive_field
from grevy.engine.encoding.sequence import embed, window_embedder
from grevy.engine.kernels.library import kernels_for
from grevy.engine.layers.compilation import compile_network
from grevy.engine.layers.fused import Fused, FusedNormalise, fuse

# Of the families that differ by a number in their name alone, a few members.
FAMILIES = ("-clip-", "-v2-", "-resnet-")
FEW = (
    "offset1-model-mse-clip-10-5",
    "offset1-model-mse-v2-4layers-tanh",
    "offset1-model-mse-v2-1layers",
    "offset1-model-mse-resnet-4layers",
    "offset1-model-mse-resnet-2layers-tanh",
)
TRAINABLE = [
    name
    for name in cebra.models.get_options()
    if "supervised" not in name and (name in FEW or not any(f in name for f in FAMILIES))
]
RESAMPLING = [name for name in TRAINABLE if "sample" in name]
PLAIN = [name for name in TRAINABLE if name not in RESAMPLING]
WHOLE = np.array([[0, 60]])


def make_model(name, neurons=5, seed=0, units=8):
    torch.manual_seed(seed)
    return cebra.models.init(name, num_neurons=neurons, num_units=units, num_output=3).eval()


def make_neural(length=60, neurons=5, seed=0):
    return np.random.default_rng(seed).normal(size=(length, neurons)).astype(np.float32)


def windows_by_hand(neural, positions, left, right):
    """(Q, N, W), one slice after the other."""
    rows = [neural[t - left : t + right].T for t in positions]
    return torch.from_numpy(np.stack(rows).copy())


def embed_alone(model, neural):
    """One segment by itself: pad with its first and last row, cut windows by hand."""
    left, right = receptive_field(model)
    padded = np.concatenate(
        [np.repeat(neural[:1], left, 0), neural, np.repeat(neural[-1:], right - 1, 0)]
    )
    positions = range(left, left + len(neural))
    with torch.no_grad():
        output = model(windows_by_hand(padded, positions, left, right))
    return output.reshape(len(neural), -1).numpy()


def test_the_families_are_there():
    assert set(FEW) <= set(TRAINABLE)
    assert {"offset1-model", "offset5-model", "offset10-model", "offset36-model"} <= set(PLAIN)
    assert len(PLAIN) > 15
    assert len({name for name, depth, *_ in FORMS if depth > 2}) >= 10


def forms_of(name):
    """(depth, compiled, packed) for every way in which a model can be applied."""
    model = make_model(name)
    forms = [(0, False, False)] + [(1, False, False)] * is_convolutional(model)
    network = compile_network(model)
    if network is not None:
        for depth in range(len(network.layers) + 1):
            forms += [(depth, True, False), (depth, True, True)]
    return forms


@pytest.mark.parametrize("name", ["offset1-model", "offset5-model", "offset10-model-mse"])
@pytest.mark.parametrize("n_windows", [3, 40, 300])
def test_compiled_loops_have_the_gradients_of_torch(name, n_windows):
    """At every depth, also where windows hold more steps than the recording has."""
    neural = torch.as_tensor(make_neural())
    positions = np.random.default_rng(2).integers(10, 50, n_windows)
    for dims in (3, 32):
        model = cebra.models.init(name, neural.shape[1], 32, dims)
        network = compile_network(model)
        grad = torch.randn(n_windows, dims)
        for depth in range(len(network.layers) + 1):
            for steps in (len(neural), 50):
                results = []
                for library in (network.library, None):
                    encoder = make_encoder([model], [neural], 0, True, False)
                    encoder = dataclasses.replace(
                        encoder,
                        networks=(dataclasses.replace(network, library=library, plans={}),),
                        layouts=(Layout(depth, steps),),
                    )
                    encoded = encode(encoder, positions)
                    values = encoded.values.clone()
                    encoded.pull_back(grad)
                    results.append((values, *[p.grad.clone() for p in model.parameters()]))
                for one, other in zip(*results, strict=True):
                    scale = float(other.abs().max())
                    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5 * scale)


def make_encoder(models, neurals, depth, compiled, packed):
    """Some batches of these tests fit into what is packed, others do not."""
    layouts = tuple(Layout(depth, len(neural) - 15 * packed) for neural in neurals)
    networks = [compile_network(model) if compiled else None for model in models]
    starts = np.cumsum([0, *map(len, neurals)])
    left, right = receptive_field(models[0])
    tensors = tuple(map(torch.as_tensor, neurals))
    return Encoder(tuple(models), tuple(networks), tensors, starts, left, right, layouts)


FORMS = [(name, *form) for name in TRAINABLE for form in forms_of(name)]


@pytest.mark.parametrize(("name", "depth", "compiled", "packed"), FORMS)
def test_every_model_embeds_windows_as_by_hand(name, depth, compiled, packed):
    model, neural = make_model(name), make_neural()
    left, right = receptive_field(model)
    positions = np.random.default_rng(1).integers(left, 60 - right + 1, 20)
    positions[:2] = left, 60 - right
    encoder = make_encoder([model], [neural], depth, compiled, packed)
    with torch.no_grad():
        expected = model(windows_by_hand(neural, positions, left, right)).reshape(20, -1)
        got = encode(encoder, positions).values
    assert got.shape == expected.shape
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["offset10-model", "offset10-model-mse", "offset5-model"])
def test_all_forms_have_the_same_gradients(name):
    gradients = []
    for depth, compiled, packed in forms_of(name):
        model = make_model(name).double()
        encoder = make_encoder([model], [make_neural().astype(np.float64)], depth, compiled, packed)
        for _ in range(2):  # the second pass meets the buffers that the first has left
            for parameter in model.parameters():
                parameter.grad = None
            encoded = encode(encoder, np.array([10, 11, 40, 11, 25]))
            encoded.pull_back(torch.arange(1.0, 16.0, dtype=torch.float64).view(5, 3))
        gradients.append([p.grad for p in model.parameters()])
    assert len(gradients) > 5
    for other in gradients[1:]:
        for one, its_twin in zip(gradients[0], other, strict=True):
            torch.testing.assert_close(one, its_twin)


@pytest.mark.parametrize(("depth", "compiled", "packed"), forms_of("offset5-model"))
def test_several_recordings_keep_the_order_asked_for(depth, compiled, packed):
    models = [make_model("offset5-model", 5, 0), make_model("offset5-model", 3, 1)]
    neurals = [make_neural(30, 5), make_neural(40, 3)]
    left, right = receptive_field(models[0])
    positions = np.array([35, 4, 60, 10, 10, 66, 33])
    encoder = make_encoder(models, neurals, depth, compiled, packed)
    encoded = encode(encoder, positions)
    got = encoded.values.clone()
    for row, t in zip(got, positions, strict=True):
        k = int(t >= 30)
        window = windows_by_hand(neurals[k], [t - 30 * k], left, right)
        torch.testing.assert_close(row, models[k](window)[0], rtol=1e-5, atol=1e-6)
    only_second = encode(encoder, np.array([33, 50])).values
    torch.testing.assert_close(only_second[:1], got[6:], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("depth", "compiled", "packed"), forms_of("offset5-model"))
def test_gradients_find_their_recording(depth, compiled, packed):
    models = [make_model("offset5-model", 5, 0), make_model("offset5-model", 3, 1)]
    neurals = [make_neural(30, 5), make_neural(40, 3)]
    positions = np.array([35, 4, 60, 10, 10, 66, 33])
    weights = torch.arange(1.0, 22.0).view(7, 3)
    encode(make_encoder(models, neurals, depth, compiled, packed), positions).pull_back(weights)
    for k, model in enumerate(models):
        mine = [p.grad.clone() for p in model.parameters()]
        model.zero_grad()
        here = (positions >= 30) == k
        windows = windows_by_hand(neurals[k], positions[here] - 30 * k, *receptive_field(model))
        (model(windows) * weights[torch.from_numpy(here)]).sum().backward()
        for one, other in zip(mine, model.parameters(), strict=True):
            torch.testing.assert_close(one, other.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("depth", "compiled", "packed"), forms_of("offset5-model"))
def test_an_alteration_sees_the_windows(depth, compiled, packed):
    model = make_model("offset5-model")
    seen = []

    def silence(windows):
        seen.append(tuple(windows.shape))
        return windows * 0

    encoder = make_encoder([model], [make_neural()], depth, compiled, packed)
    got = encode(encoder, np.array([9, 20, 30]), silence).values
    torch.testing.assert_close(got, model(torch.zeros(3, 5, 5)))
    assert seen == [(3, 5, 5)]


@pytest.mark.parametrize("name", PLAIN)
def test_embed_equals_cebra(name):
    import cebra.solver.base as cebra_solver

    model, neural = make_model(name), make_neural()
    with torch.no_grad():
        expected = cebra_solver._not_batched_transform(
            model, torch.from_numpy(neural), len(model.get_offset()) > 1, model.get_offset()
        ).numpy()
    got = embed(model, neural, WHOLE, "cpu")
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-6)


SEGMENTS = {
    "whole": [[0, 60]],
    "two": [[0, 25], [25, 60]],
    "holes": [[3, 4], [6, 20], [20, 22], [30, 59]],
    "single steps": [[t, t + 1] for t in range(0, 60, 2)],
}


@pytest.mark.parametrize("segments", SEGMENTS)
@pytest.mark.parametrize(
    "name", ["offset1-model", "offset5-model", "offset10-model", "offset40-model"]
)
@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_each_segment_is_embedded_as_if_alone(name, segments, chunk):
    model, neural = make_model(name), make_neural()
    expected = np.full((60, 3), np.nan, np.float32)
    for low, high in SEGMENTS[segments]:
        expected[low:high] = embed_alone(model, neural[low:high])
    got = embed(model, neural, np.array(SEGMENTS[segments]), "cpu", chunk)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


class Watched(np.memmap):
    """A memory map that notes how many rows are asked of it at once."""

    def __getitem__(self, rows):
        found = super().__getitem__(rows)
        self.asked.append(len(found))
        return found


@pytest.mark.parametrize("name", ["offset10-model", "offset36-model-dropout"])
def test_a_memory_map_is_read_in_chunks(name, tmp_path):
    neural = make_neural(500)
    neural.tofile(tmp_path / "neural.raw")
    mapped = Watched(tmp_path / "neural.raw", np.float32, "r", shape=neural.shape)
    mapped.asked = []
    model = make_model(name)
    assert (compile_network(model) is None) is ("dropout" in name)
    whole = embed(model, neural, np.array([[0, 500]]), "cpu")
    got = embed(model, mapped, np.array([[0, 500]]), "cpu", chunk=50)
    np.testing.assert_allclose(got, whole, rtol=1e-5, atol=1e-6)
    assert len(mapped.asked) >= 10
    assert max(mapped.asked) <= 50 + sum(receptive_field(model))


needs_loops = pytest.mark.skipif(not kernels_for(torch.zeros(1)), reason="loops were not built")
COMPILED = [
    name
    for name in PLAIN
    if (network := compile_network(make_model(name))) is not None and network.library is not None
]


def has_only_compiled_loops(name):
    network = compile_network(make_model(name))
    layers = fuse(network.layers, network.library)
    return all(isinstance(layer, Fused | FusedNormalise) for layer in layers)


# Torch computes what is left over when it divides by the length of a vector in another way.
ALONE = [name for name in COMPILED if has_only_compiled_loops(name)]


@needs_loops
def test_models_that_are_embedded_by_compiled_loops():
    assert {"offset1-model", "offset5-model", "offset10-model", "offset36-model"} <= set(ALONE)
    assert "offset1-model-v3" in set(COMPILED) - set(ALONE)


@needs_loops
@pytest.mark.parametrize("name", COMPILED)
def test_compiled_loops_embed_as_torch_does(name, monkeypatch):
    """With as many columns as a vector has lanes, and as no vector has."""
    for neurons, units in ((100, 32), (7, 12)):
        model, neural = make_model(name, neurons, units=units), make_neural(400, neurons)
        expected = embed_alone(model, neural)
        with monkeypatch.context() as without_torch:
            without_torch.setattr(torch.nn.Conv1d, "forward", None)
            without_torch.setattr(torch.nn.Linear, "forward", None)
            got = embed(model, neural, np.array([[0, 400]]), "cpu")
        assert np.linalg.norm(got - expected) < 1e-6 * np.linalg.norm(expected)
        # Where a short vector is made longer, so is what rounding has done to it.
        assert np.abs(got - expected).max() < 1e-5 * np.abs(expected).max()


@st.composite
def cuts(draw, length=90):
    """Segments of a recording, with holes or without."""
    edges = sorted(draw(st.sets(st.integers(0, length), min_size=2, max_size=12)))
    runs = [run for run in itertools.pairwise(edges) if draw(st.booleans())]
    return np.array(runs or [edges[:2]])


@needs_loops
@given(
    name=st.sampled_from(ALONE or [""]),
    shape=st.sampled_from([(5, 8, 3), (1, 4, 2), (33, 32, 8), (16, 16, 40)]),
    segments=cuts(),
    chunk=st.integers(1, 120),
    other=st.integers(1, 120),
)
def test_an_embedding_depends_on_its_window_alone(name, shape, segments, chunk, other):
    """To the last bit: whatever the chunk, and wherever else in a longer segment it lies."""
    neurons, units, dims = shape
    torch.manual_seed(1)
    model = cebra.models.init(name, num_neurons=neurons, num_units=units, num_output=dims)
    neural = make_neural(90, neurons)
    got = embed(model, neural, segments, "cpu", chunk)
    np.testing.assert_array_equal(got, embed(model, neural, segments, "cpu", other))
    whole = embed(model, neural, np.array([[0, 90]]), "cpu")
    left, right = receptive_field(model)
    unpadded = [np.arange(start + left, stop - right + 1) for start, stop in segments]
    inside = np.concatenate(unpadded).astype(int)
    np.testing.assert_array_equal(got[inside], whole[inside])
    outside = np.setdiff1d(np.arange(90), np.concatenate([np.arange(*run) for run in segments]))
    assert np.isnan(got[outside]).all()
    assert np.isfinite(np.delete(got, outside, axis=0)).all()


@needs_loops
def test_neither_chunks_nor_threads_change_an_embedding(monkeypatch):
    model, neural = make_model("offset10-model", 100, units=32), make_neural(5000, 100)
    found = []
    for threads in (1, 2, 3):
        monkeypatch.setattr("grevy.engine.kernels.library.thread_count", lambda: threads)  # noqa: B023
        found += [embed(model, neural, np.array([[0, 5000]]), "cpu", n) for n in (None, 777, 2000)]
    assert all(np.array_equal(found[0], each) for each in found[1:])


@needs_loops
@pytest.mark.parametrize("name", PLAIN)
def test_a_window_by_itself_has_the_row_of_the_sequence(name):
    model, neural = make_model(name), make_neural(length=80)
    left, right = receptive_field(model)
    rows = embed(model, neural, np.array([[0, 80]]), "cpu")
    embed_window = window_embedder(model, left + right, 5, "cpu")
    found = [embed_window(neural[t - left : t + right]).copy() for t in range(left, 80 - right + 1)]
    expected = rows[left : 80 - right + 1]
    if name in ALONE:
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int8, np.uint16, bool])
def test_recordings_of_other_types_are_embedded_as_float32(dtype):
    model, neural = make_model("offset5-model"), make_neural().round().clip(0, 3).astype(dtype)
    expected = embed(model, neural.astype(np.float32), WHOLE, "cpu")
    for form in (neural, np.asfortranarray(neural)):
        np.testing.assert_array_equal(embed(model, form, WHOLE, "cpu"), expected)


@needs_loops
def test_a_plan_of_a_training_is_none_of_an_embeddings_business():
    """Between a pass and its way back, too."""
    model, neural = make_model("offset5-model"), make_neural()
    encoder = make_encoder([model], [torch.from_numpy(neural)], 1, True, False)
    gradients = []
    for between in (lambda: None, lambda: embed(model, neural, WHOLE, "cpu", chunk=20)):
        encoded = encode(encoder, np.arange(5, 50))
        plans = list(encoder.networks[0].plans.items())
        between()
        assert list(encoder.networks[0].plans.items()) == plans
        encoded.pull_back(torch.ones_like(encoded.values))
        gradients.append([p.grad.clone() for p in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert torch.equal(one, other)


def test_a_model_with_hooks_is_left_to_torch():
    model, seen = make_model("offset5-model"), []
    model.net[0].register_forward_hook(lambda *_: seen.append(1))
    embed(model, make_neural(), WHOLE, "cpu")
    assert seen


@pytest.mark.parametrize("training", [False, True])
def test_embed_leaves_the_model_in_its_mode_and_drops_nothing(training):
    model = make_model("offset36-model-dropout").train(training)
    first, second = (embed(model, make_neural(), WHOLE, "cpu") for _ in range(2))
    assert model.training is training
    np.testing.assert_array_equal(first, second)
    assert not any(p.grad is not None for p in model.parameters())


def test_the_mode_is_restored_after_an_error():
    model = make_model("offset5-model").train()
    with pytest.raises((RuntimeError, ValueError), match="4"):
        embed(model, make_neural(neurons=4), WHOLE, "cpu")
    assert model.training


@pytest.mark.parametrize(
    ("name", "length", "n_windows", "compiled", "may_pack", "depths", "packs"),
    [
        ("offset10-model", 500, 1536, True, True, {5, 6, 7}, False),
        ("offset10-model", 500, 1536, False, True, {1}, False),
        # The first layers are the widest.
        ("offset10-model", 10_000, 1536, True, False, {1, 2, 3}, False),
        ("offset10-model", 10_000, 1536, True, True, {3, 4, 5}, True),
        ("offset10-model", 15_000, 1536, True, True, {2, 3, 4}, True),
        ("offset10-model", 1_000_000, 1536, True, True, {0}, False),
        ("offset10-model", 1_000_000, 1536, False, True, {0}, False),
        ("offset1-model", 10, 1536, True, True, {0, 1, 2, 3, 4, 5, 6, 7, 8}, False),
        ("offset1-model", 10, 1536, False, True, {0}, False),  # not convolutional
        # Differs in every window.
        ("offset36-model-dropout", 1000, 100_000, False, True, {0}, False),
        ("offset40-model-4x-subsample", 1000, 100_000, False, True, {0}, False),
    ],
)
def test_the_cheap_way_is_chosen_where_it_is_the_same(
    name, length, n_windows, compiled, may_pack, depths, packs
):
    model = make_model(name, neurons=100, units=32)
    network = compile_network(model) if compiled else None
    width = sum(receptive_field(model))
    layout = choose_layout((length, 100), n_windows, width, model, network, may_pack)
    assert layout.depth in depths
    assert (layout.steps < length) is packs


@pytest.mark.parametrize("library", [None, kernels_for(torch.zeros(1))], ids=["numpy", "compiled"])
@pytest.mark.parametrize("room", [1, 5, 13, 14, 15, 40])
def test_packed_steps_are_those_of_the_windows(room, library):
    start = np.array([30, 4, 6, 30, 20, 4])
    moved, kept = pack(start, 4, 40, room, library)
    covered = sorted({int(t) + lag for t in start for lag in range(4)})
    assert len(covered) == 14
    if room < 14:
        assert kept is None
        np.testing.assert_array_equal(moved, start)
        return
    assert kept.tolist() == covered + [covered[-1]] * (room - 14)
    for old, new in zip(start, moved, strict=True):
        assert kept[new : new + 4].tolist() == list(range(old, old + 4))


def test_expected_cover():
    """Against 300 draws; the standard error of their mean is about 0.6."""
    rng = np.random.default_rng(0)
    drawn = [
        len(np.unique(rng.integers(0, 1000, 100)[:, None] + np.arange(10))) for _ in range(300)
    ]
    assert abs(np.mean(drawn) - expected_cover(1000, 100, 10)) < 6


@pytest.mark.parametrize("name", ["offset1-model", "offset5-model", "offset10-model-mse"])
def test_bfloat16_is_near(name):
    model, neural = make_model(name), make_neural().round()
    network = compile_network(model, torch.bfloat16)
    left, right = receptive_field(model)
    data = (torch.from_numpy(neural).bfloat16(),)
    encoder = Encoder((model,), (network,), data, np.array([0, 60]), left, right, (Layout(0, 60),))
    positions = np.array([10, 20, 21])
    encoded = encode(encoder, positions)
    expected = model(windows_by_hand(neural, positions, left, right)).reshape(3, -1)
    assert encoded.values.dtype == torch.float32
    torch.testing.assert_close(encoded.values, expected.detach(), rtol=0.05, atol=0.02)
    weights = torch.arange(1.0, 10.0).view(3, 3)
    encoded.pull_back(weights)
    mine = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    expected.backward(weights)
    for one, other in zip(mine, model.parameters(), strict=True):
        assert one.dtype == torch.float32
        assert torch.dist(one, other.grad) < 0.03 * other.grad.norm()
