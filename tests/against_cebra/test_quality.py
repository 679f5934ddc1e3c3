"""Embeddings are as good as plain cebra's: held-out scores over five seeds."""

import os
from pathlib import Path

import cebra
import numpy as np
import pytest
import scipy.io
import scipy.stats

import grevy
from grevy.data.datasets.synthetic import generate
from grevy.data.splits import Split
from grevy.evaluation.baselines import linear_map_r2

SEEDS = range(5)
DATA = Path(os.environ.get("GREVY_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


def synthetic():
    made = generate("poisson", 0, length=4000)
    settings = {
        "model_architecture": "offset1-model-mse",
        "distance": "euclidean",
        "conditional": "delta_normal",
        "delta": 0.1,
        "output_dimension": 2,
        "learning_rate": 1e-3,
        "max_iterations": 500,
    }
    steps = np.arange(4000)

    def score(embedding):
        return linear_map_r2(embedding, made.z, steps[:3000], steps[3000:])

    return made.x, made.u.astype(np.float32), 3000, settings, score


def reaching():
    path = DATA / "s1-reach" / "s1_data.mat"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    data = scipy.io.loadmat(path)
    neural = data["spikes"][:5000].astype(np.float32)
    velocity = data["vel"][:5000].astype(np.float32)
    split = Split(np.arange(4000), np.arange(4020, 5000))
    settings = {"model_architecture": "offset10-model", "output_dimension": 4}
    settings |= {"time_offsets": 10, "learning_rate": 1e-3, "max_iterations": 300}

    def score(embedding):
        return grevy.decode(embedding, velocity, split, gap=20, n_bootstrap=0).statistic

    return neural, velocity, 4000, settings, score


@pytest.mark.slow
@pytest.mark.parametrize("task", [synthetic, reaching])
def test_scores_are_those_of_cebra(task):
    """Permutation test of the means; a false alarm has a probability of 2 in 252."""
    neural, label, trained, settings, score = task()
    settings = {**settings, "batch_size": 512, "device": "cpu"}
    scores = {"ours": [], "theirs": []}
    for seed in SEEDS:
        pair = {"ours": grevy.CEBRA(**settings, seed=seed), "theirs": cebra.CEBRA(**settings)}
        for name, model in pair.items():
            fitted = model.fit(neural[:trained], label[:trained])
            scores[name].append(score(fitted.transform(neural)))
    p = scipy.stats.permutation_test(
        (scores["ours"], scores["theirs"]),
        lambda a, b, axis: a.mean(axis) - b.mean(axis),
        vectorized=True,
    ).pvalue
    assert p > 0.01, scores
    assert np.mean(scores["ours"]) > 0.4  # both have learnt something
