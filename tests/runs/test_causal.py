"""A run whose windows end at the present, from its settings to its archive and back."""

import numpy as np

from grevy.config import make_config
from grevy.model import CEBRA
from grevy.runs import EvaluationRequest, evaluate_target, run_experiment


def test_a_causal_run_is_scored_and_scored_again_beside_causal_baselines(tmp_path):
    rng = np.random.default_rng(0)
    place = np.cumsum(rng.normal(size=(600, 2)), axis=0) / 10
    spikes = (place @ rng.normal(size=(2, 7)) + rng.normal(size=(600, 7))).astype(np.float32)
    np.savez(tmp_path / "data.npz", spikes=spikes, place=place)
    settings = {
        "data": str(tmp_path / "data.npz"), "neural": "spikes", "label": "place", "seed": 0,
        "max_iterations": 20, "batch_size": 32, "folds": 0, "nulls": 0, "device": "cpu",
    }  # fmt: skip
    kept = {}
    for causal in (True, False):
        config = make_config(
            {**settings, "causal": causal, "output_dir": str(tmp_path / str(causal))}
        )
        done = run_experiment(config, verbose=False)
        again = evaluate_target(EvaluationRequest(done.folder.root))
        blocked = done.metrics["scores"]["place"]["blocked"]
        assert again["scores"]["place"]["blocked"] == blocked
        kept[causal] = blocked["raw"]["test_r2"]
        model = CEBRA.load(done.folder.root / "models" / "cebra_model.pt")
        assert model.causal is causal
        np.testing.assert_array_equal(
            model.transform(spikes), np.load(done.folder.root / "embeddings" / "embedding.npy")
        )
    assert kept[True] != kept[False]  # baselines see another window
