"""A run on a file of counts that is read by rows: the same as on the same numbers in memory."""

import numpy as np

from grevy.config import make_config
from grevy.runs import run_experiment


def test_a_run_on_bytes_is_the_run_on_floats(tmp_path):
    rng = np.random.default_rng(0)
    place = np.cumsum(rng.normal(size=(500, 1)), axis=0) / 5
    counts = rng.poisson(np.exp(np.sin(place + np.arange(6)))).astype(np.uint8)
    np.savez(tmp_path / "labels.npz", place=place)
    found = {}
    for dtype in (np.uint8, np.float32):
        path = tmp_path / f"{np.dtype(dtype)}.npy"
        np.save(path, counts.astype(dtype))
        settings = {
            "data": str(path), "label_data": str(tmp_path / "labels.npz"), "label": "place",
            "seed": 0, "max_iterations": 20, "batch_size": 32, "folds": 0, "nulls": 0,
            "device": "cpu", "model_architecture": "offset5-model",
            "output_dir": str(tmp_path / str(np.dtype(dtype))),
        }  # fmt: skip
        found[dtype] = run_experiment(make_config(settings), verbose=False).metrics
    assert found[np.uint8]["scores"] == found[np.float32]["scores"]
    assert "raw" in found[np.uint8]["scores"]["place"]["blocked"]
