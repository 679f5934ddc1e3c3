"""Made recordings of one behaviour by other neurons: a place along a line, and a choice."""

import numpy as np


def made_session(seed, neurons, length, *, related=True):
    """Arrays of one recording; if not related, the neurons know nothing of the behaviour."""
    rng = np.random.default_rng(seed)
    position = np.zeros(length)
    for t in range(1, length):
        position[t] = 0.9 * position[t - 1] + rng.normal(scale=0.45)
    choice = np.repeat(rng.integers(0, 2, length // 25 + 1), 25)[:length]
    shown = position if related else rng.permutation(position)
    other = choice if related else rng.permutation(choice)
    latent = np.stack([np.sin(shown), np.cos(shown), shown / 2, other - 0.5], axis=1)
    rate = np.exp(0.7 * latent @ rng.normal(size=(4, neurons)) + 0.5)
    return {
        "spikes": rng.poisson(rate).astype(np.float32),
        "position": position,
        "choice": np.array(["left", "right"])[choice],
        "trial": np.repeat(np.arange(length // 100 + 1), 100)[:length],
    }


def write_session(path, seed, neurons, length, **options):
    """Write one recording as an .npz file, and return its arrays."""
    arrays = made_session(seed, neurons, length, **options)
    np.savez(path, **arrays)
    return arrays
