"""Sweeps whose runs take next to nothing."""

import numpy as np
import yaml

BASE = {
    "neural": "spikes",
    "label": "position",
    "model_architecture": "offset1-model",
    "num_hidden_units": 4,
    "max_iterations": 2,
    "batch_size": 16,
    "holdout": 0,
    "nulls": 0,
    "folds": 0,
    "device": "cpu",
}


def write_data(path, length=120, seed=0):
    """A recording of 5 neurons with a label in two dimensions."""
    rng = np.random.default_rng(seed)
    spikes = rng.poisson(1.0, (length, 5)).astype(np.float32)
    np.savez(path, spikes=spikes, position=rng.normal(size=(length, 2)))
    return path


def write_sweep(folder, text=None, /, **sections):
    """A sweep file beside its data; `base` is added to what every tiny run has."""
    path = folder / "sweep.yaml"
    if text is None:
        data = folder / "data.npz"
        if not data.exists():
            write_data(data)
        base = {**BASE, "data": str(data), **sections.pop("base", {})}
        text = yaml.safe_dump({"base": base, **sections}, sort_keys=False)
    path.write_text(text)
    return path
