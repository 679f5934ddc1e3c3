"""UMAP as a baseline: fitted on training steps alone, seeded, and asked for plainly."""

import numpy as np
import pytest

from grevy.config import make_config
from grevy.data.labels import continuous
from grevy.data.recording import make_recording
from grevy.data.splits import Split
from grevy.errors import GrevyError
from grevy.evaluation import baselines
from grevy.evaluation.baselines import umap_components
from grevy.evaluation.scoring import evaluate
from grevy.runs.experiment import run_experiment

SPLIT = Split(np.arange(150), np.arange(160, 200))


def ring(length=200):
    rng = np.random.default_rng(0)
    phase = np.cumsum(rng.normal(0.3, 0.1, length))
    latent = np.stack([np.cos(phase), np.sin(phase)], axis=1)
    neural = latent @ rng.normal(size=(2, 8)) + 0.1 * rng.normal(size=(length, 8))
    return neural.astype(np.float32), latent


@pytest.fixture
def missing(monkeypatch):
    monkeypatch.setattr(baselines, "find_spec", lambda name: None)


def test_where_it_is_missing_it_is_asked_for(missing):
    neural, _ = ring()
    with pytest.raises(GrevyError, match=r"pip install 'grevy\[umap\]'"):
        umap_components(neural, SPLIT.train, SPLIT.test, 2, seed=0)


def test_a_run_says_so_before_it_trains(missing, tmp_path):
    settings = {"dataset": "demo-continuous", "umap": True, "output_dir": str(tmp_path / "run")}
    with pytest.raises(GrevyError, match="pip install"):
        run_experiment(make_config(settings), verbose=False)
    assert not (tmp_path / "run" / "models").exists()


def test_too_few_training_steps(monkeypatch):
    monkeypatch.setattr(baselines, "find_spec", lambda name: name)
    neural, _ = ring()
    with pytest.raises(GrevyError, match="10 training steps; expected at least 20"):
        umap_components(neural, np.arange(10), np.arange(20, 40), 2, seed=0)


def test_it_needs_a_holdout():
    with pytest.raises(GrevyError, match="`umap`"):
        make_config({"dataset": "x", "umap": True, "holdout": 0})


class TestTheLibrary:
    @pytest.fixture(autouse=True)
    def umap(self):
        return pytest.importorskip("umap")

    def test_test_steps_move_nothing_of_the_training(self):
        neural, _ = ring()
        planted = neural.copy()
        planted[150:] += 100
        one, two = (umap_components(x, SPLIT.train, SPLIT.test, 2, 3) for x in (neural, planted))
        np.testing.assert_array_equal(one[:150], two[:150])
        assert (one[160:] != two[160:]).any()
        assert (one[150:160] == 0).all()
        assert one.dtype == np.float32

    def test_the_seed_decides(self):
        neural, _ = ring()
        one, same, other = (
            umap_components(neural, SPLIT.train, SPLIT.test, 2, seed) for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(one, same)
        assert (one != other).any()

    def test_it_stands_beside_the_other_baselines(self):
        neural, latent = ring()
        whole = make_recording(neural, [continuous(latent, "place")])
        found = evaluate(neural, whole, SPLIT, neural, nulls=0, umap=True, n_bootstrap=100)
        blocked = found.metrics["scores"]["place"]["blocked"]
        assert list(blocked) == ["embedding", "pca", "raw", "umap", "chance"]
        assert blocked["umap"]["test_r2"] > 0.8
        assert blocked["umap"]["intervals"]
