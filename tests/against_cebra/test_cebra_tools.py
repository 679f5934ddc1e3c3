"""What `cebra` does with a fitted estimator works on ours: its plots, metrics, decoders, search."""

import cebra
import cebra.grid_search
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from grevy.model.estimator import CEBRA

RNG = np.random.default_rng(0)
X, X2 = (RNG.normal(size=shape).astype(np.float32) for shape in ((120, 6), (100, 4)))
LINE = np.cumsum(RNG.normal(size=(120, 2)), axis=0)
KLASS = RNG.integers(0, 3, 120)
SMALL = {
    "max_iterations": 4, "batch_size": 16, "num_hidden_units": 4, "output_dimension": 4,
    "device": "cpu", "seed": 0,
}  # fmt: skip
KINDS = {
    "time": ((X,), {}),
    "single": ((X, LINE), {"model_architecture": "offset10-model"}),
    "tensors": ((torch.tensor(X), torch.tensor(LINE), torch.tensor(KLASS)), {}),
    "discrete": ((X, KLASS), {}),
    "mixed": ((X, LINE, KLASS), {}),
    "hybrid": ((X, LINE), {"hybrid": True}),
    "several": (([X, X2], [LINE, LINE[:100]]), {"model_architecture": "offset5-model"}),
    "several, classes": (([X, X2], [KLASS, KLASS[:100]]), {}),
    "whole data": ((X, LINE), {"batch_size": None}),
    "learnt temperature": ((X, LINE), {"temperature_mode": "auto", "temperature": 0.5}),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def _no_windows():
    mpl.use("Agg")
    yield
    plt.close("all")


def fitted(kind, **changes):
    data, options = KINDS[kind]
    return CEBRA(**{**SMALL, **options, **changes}).fit(*data)


def first_of(kind):
    """The first recording, its labels, and the session to name, as `cebra`'s metrics take them."""
    data, _ = KINDS[kind]
    if isinstance(data[0], list):
        return [column[0] for column in data], 0
    return list(data), None


@every_kind
def test_loss_temperature_and_comparison(kind):
    model = fitted(kind)
    axis = cebra.plot_loss(model)
    np.testing.assert_allclose(axis.lines[0].get_ydata(), model.solver_.history, rtol=1e-5)
    axis = cebra.plot_temperature(model)
    np.testing.assert_allclose(
        axis.lines[0].get_ydata(), model.state_dict_["log"]["temperature"], rtol=1e-5
    )
    axis = cebra.compare_models([model, fitted("time")], labels=["one", "two"])
    assert len(axis.lines) == 2


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "several" not in kind])
def test_overview(kind):
    (neural, *_), _ = first_of(kind)
    _, axes = cebra.plot_overview(fitted(kind), neural)
    assert [axis.has_data() for axis in axes] == [True] * 3


@every_kind
def test_embedding_drawn(kind):
    (neural, *_), session = first_of(kind)
    embedding = fitted(kind).transform(neural, session_id=session)
    axis = cebra.plot_embedding(embedding, embedding_labels=LINE[:, 0])
    assert len(axis.collections[0].get_offsets()) == 120
    figure = cebra.plot_embedding_interactive(embedding, embedding_labels=LINE[:, 0])
    assert len(figure.data[0]["x"]) == 120


def test_consistency_scored_and_drawn():
    embeddings = [fitted("single", seed=seed).transform(X) for seed in range(3)]
    scores, pairs, runs = cebra.sklearn.metrics.consistency_score(embeddings, between="runs")
    assert scores.shape == (6,)
    assert cebra.plot_consistency(scores, pairs, runs).has_data()
    several = fitted("several")
    scores, _, _ = cebra.sklearn.metrics.consistency_score(
        [several.transform(X, session_id=0), several.transform(X2, session_id=1)],
        labels=[LINE[:, 0], LINE[:100, 0]],
        num_discretization_bins=5,
        between="datasets",
    )
    assert np.isfinite(scores).all()


# Of hybrid and whole-data models `cebra` computes neither; `grevy.goodness_of_fit` does.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("hybrid", "whole data")])
def test_infonce_loss_and_goodness_of_fit(kind):
    model = fitted(kind)
    history = cebra.sklearn.metrics.goodness_of_fit_history(model)
    assert history.shape == (4,)
    assert np.isfinite(history).all()
    data, session = first_of(kind)
    loss = cebra.sklearn.metrics.infonce_loss(model, *data, session_id=session, num_batches=3)
    assert loss == pytest.approx(np.log(16), abs=1.5)  # nothing is learnt in four steps
    score = cebra.sklearn.metrics.goodness_of_fit_score(
        model, *data, session_id=session, num_batches=3
    )
    assert np.isfinite(score)


@pytest.mark.parametrize("kind", ["time", "single", "discrete", "mixed"])
def test_the_loss_is_the_one_that_training_saw(kind):
    model = fitted(kind, max_iterations=150)
    data, _ = first_of(kind)
    loss = cebra.sklearn.metrics.infonce_loss(model, *data, num_batches=60)
    assert loss == pytest.approx(np.mean(model.solver_.history[-60:]), abs=0.25)


@every_kind
def test_decoders(kind):
    (neural, *_), session = first_of(kind)
    embedding = fitted(kind).transform(neural, session_id=session)
    classes = cebra.KNNDecoder().fit(embedding, KLASS).predict(embedding)
    assert set(classes) <= {0, 1, 2}
    line = cebra.L1LinearRegressor().fit(embedding, LINE[:, 0]).predict(embedding)
    assert np.isfinite(line).all()


def test_grid_search(tmp_path, monkeypatch):
    monkeypatch.setattr("cebra.integrations.sklearn.cebra.CEBRA", CEBRA)
    monkeypatch.setattr("cebra.CEBRA", CEBRA)
    grid = {**SMALL, "learning_rate": [1e-3, 1e-2]}
    datasets = {"time": X, "line": (X, LINE)}
    search = cebra.grid_search.GridSearch()
    search.fit_models(datasets=datasets, params=grid, models_dir=str(tmp_path / "models"))
    models, parameters = cebra.grid_search.GridSearch.load(str(tmp_path / "models"))
    assert len(models) == len(parameters) == 4
    assert {type(model) for model in models.values()} == {CEBRA}
    best, name = search.get_best_model(dataset_name="line", models_dir=str(tmp_path / "models"))
    assert name in models
    np.testing.assert_array_equal(best.transform(X), models[name].transform(X))
    assert len(search.get_df_results(models_dir=str(tmp_path / "models"))) == 4


@pytest.mark.parametrize("kind", ["time", "single", "hybrid", "several"])
def test_attribution(kind):
    pytest.importorskip("captum", reason="an extra of cebra's")
    pytest.importorskip("cvxpy", reason="an extra of cebra's")
    import cebra.attribution

    (neural, *_), session = first_of(kind)
    model = fitted(kind)
    encoder = model.model_ if session is None else model.model_[session]
    method = cebra.attribution.init(
        name="jacobian-based",
        model=encoder,
        input_data=torch.tensor(neural).requires_grad_(True),
        output_dimension=model.output_dimension,
    )
    result = method.compute_attribution_map()
    assert np.abs(result["jf"]).sum(axis=(0, 1))[:6].all()  # every neuron counts
