"""The published generator: its formulas, its invertibility, its errors and its file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from grevy.data.datasets import synthetic
from grevy.errors import GrevyError

SCRIPT = Path(__file__).parents[2] / "experiments" / "generate_synthetic_data.py"


def uncouple(values, layer):
    """Invert `couple` from its definition: the second half of the output is the input's first."""
    half = values.shape[1] // 2
    moved, first = values[:, :half], values[:, half:]
    hidden = first
    for weights, biases in layer[:-1]:
        hidden = np.maximum(hidden @ weights + biases, 0)
    weights, biases = layer[-1]
    output = hidden @ weights + biases
    second = (moved - output[:, half:]) * np.exp(-0.1 * np.tanh(output[:, :half]))
    return np.hstack([first, second])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 12).map(lambda half: 2 * half))
def test_mixing_is_a_bijection(seed, width):
    rng = np.random.default_rng(seed)
    layers = [synthetic.draw_layer(rng, width) for _ in range(8)]
    blocks = [layers[start : start + 2] for start in range(0, 8, 2)]
    before = rng.normal(size=(20, width))
    after = synthetic.mix(before, blocks)
    for index in reversed(range(4)):
        for layer in reversed(blocks[index]):
            after = uncouple(after, layer)
        if index:
            after = after[:, np.argsort(synthetic.permutation(index - 1, width))]
    np.testing.assert_allclose(after, before, atol=1e-9)


def test_a_layer_by_hand():
    layer = (
        (np.array([[2.0], [0.0]]), np.zeros(1)),
        (np.array([[-1.0]]), np.array([3.0])),
        (np.array([[1.0, -1.0, 10.0, 20.0]]), np.zeros(4)),
    )
    values = np.array([[1.0, 5.0, 7.0, 8.0]])
    hidden = 1.0  # relu(2 * 1) = 2, relu(-2 + 3) = 1
    scale = np.exp(0.1 * np.tanh(np.array([1.0, -1.0]) * hidden))
    expected = [[7 * scale[0] + 10, 8 * scale[1] + 20, 1.0, 5.0]]
    np.testing.assert_allclose(synthetic.couple(values, layer), expected)


def test_weights_fill_their_glorot_range():
    layer = synthetic.draw_layer(np.random.default_rng(0), 100)
    shapes = [(50, 25), (25, 25), (25, 100)]
    for (weights, biases), (inputs, outputs) in zip(layer, shapes, strict=True):
        limit = np.sqrt(6 / (inputs + outputs))
        assert weights.shape == (inputs, outputs)
        assert 0.95 * limit < np.abs(weights).max() <= limit
        assert not biases.any()


def test_permutations_are_the_published_ones():
    """The published script seeds numpy's legacy generator with 0, 1, 2 and permutes."""
    starts = [synthetic.permutation(index, 100)[:4].tolist() for index in range(3)]
    assert starts == [[26, 86, 2, 55], [80, 84, 33, 81], [83, 30, 56, 24]]
    assert sorted(synthetic.permutation(1, 100)) == list(range(100))


@pytest.mark.parametrize("noise", synthetic.NOISES)
def test_shapes_ranges_and_noise(noise):
    made = synthetic.generate(noise, 3, length=4000, n_neurons=20)
    assert made.x.shape == made.lam.shape == (4000, 20)
    assert made.z.shape == (4000, 2)
    assert made.u.shape == (4000, 1)
    assert made.x.dtype == np.float32
    assert made.z.dtype == made.u.dtype == made.lam.dtype == np.float64
    assert made.u.min() >= 0
    assert made.u.max() < 2 * np.pi
    assert made.lam.min() >= np.exp(-2.2)
    assert made.lam.max() <= np.exp(2.2)
    added = made.x - made.lam
    expected = {"poisson": 0, "gaussian": np.sqrt(2 / np.pi), "uniform": 1, "t": 0}
    if noise in expected:
        tolerance = 0.1 if noise == "t" else 0.02
        assert added.mean() == pytest.approx(expected[noise], abs=tolerance)
    if noise == "poisson":
        np.testing.assert_array_equal(made.x, np.round(made.x))
        assert (added**2).mean() == pytest.approx(made.lam.mean(), rel=0.05)
    if noise == "gaussian":
        assert added.min() >= -1e-6
        assert (added**2).mean() == pytest.approx(1, rel=0.05)
    if noise == "laplace":
        assert made.x.min() == 0
        far = added[made.lam > 6]  # rarely clipped there
        assert np.abs(far).mean() == pytest.approx(1, rel=0.1)
    if noise == "uniform":
        assert -1e-6 <= added.min() < 0.01
        assert 1.99 < added.max() <= 2 + 1e-5
    if noise == "t":
        assert np.median(np.abs(added)) == pytest.approx(0.8165, rel=0.02)  # of 2 degrees


def test_latent_has_the_stated_mean_and_variance():
    made = synthetic.generate("poisson", 0, length=60000, n_neurons=4)
    u = made.u[:, 0]
    residual = made.z - np.column_stack([u, 2 * np.sin(u)])
    variance = np.column_stack([0.6 - 0.3 * np.abs(np.sin(u)), 0.3 * np.abs(np.sin(u))])
    for low in np.arange(0, 6, 0.5):
        inside = (u >= low) & (u < low + 0.5)
        assert np.abs(residual[inside].mean(axis=0)).max() < 0.05
        ratio = residual[inside].var(axis=0) / variance[inside].mean(axis=0)
        np.testing.assert_allclose(ratio, 1, atol=0.1)


def test_seed_decides_everything():
    first, again, other = (synthetic.generate("t", seed, 50, 8) for seed in (1, 1, 2))
    for name in ("x", "z", "u", "lam"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert not np.array_equal(getattr(first, name), getattr(other, name))
    np.testing.assert_array_equal(first.lam, synthetic.generate("poisson", 1, 50, 8).lam)


def test_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    synthetic.generate("poisson", 0, 20, 8)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("seed", [0, 1])
def test_a_linear_map_finds_most_of_the_latent(seed):
    made = synthetic.generate("poisson", seed)
    score = LinearRegression().fit(made.x[:12000], made.z[:12000]).score(made.x, made.z)
    assert 0.84 < score < 0.93


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("poison", 0), "Did you mean 'poisson'"),
        (("poisson", -1), "seed -1"),
        (("poisson", 0, 0), "0 time steps"),
        (("poisson", 0, 10, 7), "7 neurons; expected an even number"),
        (("poisson", 0, 10, 2), "2 neurons"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(GrevyError, match=message):
        synthetic.generate(*arguments)


def test_write_leaves_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "a.jl"
    made = synthetic.generate("poisson", 0, 10, 4)
    synthetic.write(made, path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GrevyError, match="No space left"):
        synthetic.write(synthetic.generate("poisson", 1, 10, 4), path)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["a.jl"]


def test_write_into_a_file_as_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(GrevyError, match="cannot be written"):
        synthetic.write(synthetic.generate("poisson", 0, 10, 4), tmp_path / "file" / "a.jl")


PLAIN_CEBRA = """
import json, cebra.datasets
data = cebra.datasets.init("continuous-label-poisson", download=False)
print(json.dumps([list(data.neural.shape), list(data.continuous_index.shape),
                  str(data.neural.dtype), data.input_dimension, float(data.neural.sum())]))
"""


def environment(home, **variables):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CEBRA_")}
    return {**kept, "HOME": str(home), "OMP_NUM_THREADS": "1", **variables}


def run_script(arguments, variables, cwd):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        env=variables,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_plain_cebra_loads_what_the_script_writes(tmp_path):
    variables = environment(tmp_path, CEBRA_DATADIR=str(tmp_path / "data"))
    done = run_script(["--noise", "poisson", "--n-samples", "300"], variables, tmp_path)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "data" / "synthetic" / "continuous_label_poisson.jl"
    assert done.stdout.splitlines() == [str(path)]
    plain = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PLAIN_CEBRA],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    made = synthetic.generate("poisson", 0, 300)
    shape, label_shape, dtype, width, total = json.loads(plain.stdout.splitlines()[-1])
    assert (shape, label_shape, dtype, width) == ([300, 100], [300, 1], "torch.float32", 100)
    assert total == pytest.approx(made.x.sum())


def test_script_says_what_to_export(tmp_path):
    arguments = ["--noise", "t", "--noise", "laplace", "--n-samples", "20", "--neurons", "4"]
    done = run_script(arguments, environment(tmp_path), tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    folder = tmp_path / ".cebra" / "synthetic"
    assert lines[:2] == [str(folder / f"continuous_label_{n}.jl") for n in ("t", "laplace")]
    assert lines[2].endswith(f"export CEBRA_DATADIR={tmp_path / '.cebra'}")
    assert all(Path(line).is_file() for line in lines[:2])


@pytest.mark.parametrize("arguments", [["--neurons", "5"], ["--n-samples", "0"]])
def test_script_ends_with_2_on_a_mistake(tmp_path, arguments):
    done = run_script([*arguments, "--save-path", "out"], environment(tmp_path), tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
