"""Made recordings with a known latent: the generator of CEBRA's published synthetic data.

A label u on a circle's worth of angles moves a two-dimensional latent z; z is mixed into N rates by
an invertible network (RealNVP) and read out with one of five kinds of noise. Introduced by Zhou and
Wei, "Learning identifiable and interpretable latent models of high-dimensional neural activity
using pi-VAE" (NeurIPS 2020); used by Schneider, Lee and Mathis (Nature 2023).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from grevy.atomic import whole_file
from grevy.errors import GrevyError, unknown

Floats = npt.NDArray[np.float64]
Layer = tuple[tuple[Floats, Floats], ...]

NOISES = ("poisson", "gaussian", "laplace", "uniform", "t")

N_BLOCKS = 4
LAYERS_PER_BLOCK = 2


@dataclass(frozen=True, eq=False)
class Synthetic:
    """A made recording and everything that is known about it.

    Attributes
    ----------
    x : ndarray of shape (T, N), float32
        The observed activity: rates with noise.
    z : ndarray of shape (T, 2), float64
        The true latent.
    u : ndarray of shape (T, 1), float64
        The label, in [0, 2 pi).
    lam : ndarray of shape (T, N), float64
        The rates, within [exp(-2.2), exp(2.2)].
    """

    x: npt.NDArray[np.float32]
    z: Floats
    u: Floats
    lam: Floats


def generate(noise: str, seed: int, length: int = 15000, n_neurons: int = 100) -> Synthetic:
    """Make a recording whose latent is known.

    u ~ U(0, 2 pi); z ~ N((u, 2 sin u), diag(0.6 - 0.3 |sin u|, 0.3 |sin u|)), the diagonal holding
    variances; z is padded with zeros to N coordinates and mixed by 4 RealNVP blocks; the rates are
    exp(2.2 tanh(.)); the noise comes last. Two kinds of noise with the same seed share u, z and
    the rates.

    Parameters
    ----------
    noise : {"poisson", "gaussian", "laplace", "uniform", "t"}
        Counts, or what is added to the rates.
    seed : int
        Decides every draw but the permutations between the blocks, which are always the same.
    length : int
        T, the number of time steps.
    n_neurons : int
        N; even, because a layer halves its input, and at least 4.

    Raises
    ------
    GrevyError
        If the noise is unknown or a number is out of range.
    """
    if noise not in NOISES:
        raise unknown("noise", noise, NOISES)
    if seed < 0:
        raise GrevyError(f"seed {seed}; expected a whole number, 0 or more.")
    if length < 1:
        raise GrevyError(f"{length} time steps; expected at least 1.")
    if n_neurons < 4 or n_neurons % 2:
        raise GrevyError(
            f"{n_neurons} neurons; expected an even number, at least 4, because the mixing network "
            f"halves its input and halves it again."
        )
    rng = np.random.default_rng(seed)
    u = rng.uniform(0, 2 * np.pi, (length, 1))
    spread = 0.3 * np.abs(np.sin(u))
    variance = np.hstack([0.6 - spread, spread])
    z = np.hstack([u, 2 * np.sin(u)]) + np.sqrt(variance) * rng.standard_normal((length, 2))
    layers = [draw_layer(rng, n_neurons) for _ in range(N_BLOCKS * LAYERS_PER_BLOCK)]
    blocks = [layers[i : i + LAYERS_PER_BLOCK] for i in range(0, len(layers), LAYERS_PER_BLOCK)]
    padded = np.hstack([z, np.zeros((length, n_neurons - 2))])
    lam = np.exp(2.2 * np.tanh(mix(padded, blocks)))
    x = _NOISE[noise](lam, rng).astype(np.float32)
    return Synthetic(x, z, u, lam)


def draw_layer(rng: np.random.Generator, width: int) -> Layer:
    """Draw the dense net of one coupling layer: d -> d/2 -> d/2 -> N, with d = N/2.

    Weights are uniform within sqrt(6 / (inputs + outputs)) of zero (Glorot and Bengio, 2010), the
    biases zero.
    """
    half = width // 2
    sizes = (half, half // 2, half // 2, width)
    layer = []
    for inputs, outputs in pairwise(sizes):
        limit = np.sqrt(6 / (inputs + outputs))
        layer.append((rng.uniform(-limit, limit, (inputs, outputs)), np.zeros(outputs)))
    return tuple(layer)


def couple(values: Floats, layer: Layer) -> Floats:
    """Apply one RealNVP layer: halves (a, b) become (b exp(0.1 tanh s) + t, a), s and t from a.

    Parameters
    ----------
    values : ndarray of shape (T, N)
    layer : tuple of (weights, biases)
        As `draw_layer` makes it.

    Returns
    -------
    ndarray of shape (T, N)
    """
    half = values.shape[1] // 2
    first, second = values[:, :half], values[:, half:]
    hidden = first
    for weights, biases in layer[:-1]:
        hidden = np.maximum(hidden @ weights + biases, 0)
    weights, biases = layer[-1]
    output = hidden @ weights + biases
    scale, shift = np.exp(0.1 * np.tanh(output[:, :half])), output[:, half:]
    return np.hstack([second * scale + shift, first])


def mix(values: Floats, blocks: Sequence[Sequence[Layer]]) -> Floats:
    """Apply blocks of layers, with the coordinates permuted between one block and the next."""
    for index, block in enumerate(blocks):
        if index:
            values = values[:, permutation(index - 1, values.shape[1])]
        for layer in block:
            values = couple(values, layer)
    return values


def permutation(index: int, width: int) -> npt.NDArray[np.int64]:
    """Return the fixed permutation after block `index`, the one that the published data has."""
    return np.random.RandomState(index).permutation(width)


def _poisson(lam: Floats, rng: np.random.Generator) -> Floats:
    return rng.poisson(lam).astype(np.float64)


def _gaussian(lam: Floats, rng: np.random.Generator) -> Floats:
    # Truncated to [rate, rate + 1000] at unit scale: the upper half of the normal distribution.
    return lam + np.minimum(np.abs(rng.standard_normal(lam.shape)), 1000)


def _laplace(lam: Floats, rng: np.random.Generator) -> Floats:
    return np.clip(rng.laplace(lam), 0, 1000)


def _uniform(lam: Floats, rng: np.random.Generator) -> Floats:
    return lam + rng.uniform(0, 2, lam.shape)


def _student(lam: Floats, rng: np.random.Generator) -> Floats:
    return lam + rng.standard_t(2, lam.shape)


_NOISE: dict[str, Callable[[Floats, np.random.Generator], Floats]] = {
    "poisson": _poisson,
    "gaussian": _gaussian,
    "laplace": _laplace,
    "uniform": _uniform,
    "t": _student,
}


def write(synthetic: Synthetic, path: str | Path) -> None:
    """Write the `.jl` file that `cebra.datasets` reads, whole or not at all.

    A joblib dictionary with the keys `x`, `z`, `u` and `lam`, each a float32 torch tensor.

    Parameters
    ----------
    synthetic : Synthetic
    path : str or Path
        For `cebra` to find it: `synthetic/continuous_label_<noise>.jl` below its data directory.
        Missing folders are made.

    Raises
    ------
    GrevyError
        If the file cannot be written; what was there before stays.
    """
    import joblib
    import torch

    arrays: dict[str, npt.NDArray[np.floating[Any]]]
    arrays = {"x": synthetic.x, "z": synthetic.z, "u": synthetic.u, "lam": synthetic.lam}
    tensors = {key: torch.from_numpy(value.astype(np.float32)) for key, value in arrays.items()}
    with whole_file(Path(path)) as stream:
        joblib.dump(tensors, stream)


def write_all(
    noises: Sequence[str], folder: Path, seed: int, length: int, n_neurons: int
) -> list[Path]:
    """Generate data sets and write them under the names by which `cebra` finds them.

    All are made before any is written, so that a mistake leaves nothing behind.

    Returns
    -------
    list of Path
    """
    made = {noise: generate(noise, seed, length, n_neurons) for noise in noises}
    paths = [folder / f"continuous_label_{noise}.jl" for noise in made]
    for path, each in zip(paths, made.values(), strict=True):
        write(each, path)
    return paths
