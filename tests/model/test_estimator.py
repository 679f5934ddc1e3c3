"""`grevy.CEBRA` as its users meet it: fit, transform, save, load, mistakes, and real learning."""

import copy
import pickle

import cebra
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import grevy
from grevy.errors import GrevyError, UnsupportedError
from grevy.model.checkpoints import Checkpoints
from grevy.model.estimator import CEBRA

RNG = np.random.default_rng(0)
X, X2 = (RNG.normal(size=shape).astype(np.float32) for shape in ((120, 6), (100, 4)))
LINE = np.cumsum(RNG.normal(size=(120, 2)), axis=0)
KLASS = RNG.integers(0, 3, 120)
SMALL = {"max_iterations": 4, "batch_size": 16, "num_hidden_units": 4, "device": "cpu", "seed": 0}

OWN = ("seed", "prior", "num_negatives", "precision", "causal", "pad_short")


def small(**options):
    return CEBRA(**{**SMALL, **options})


KINDS = {
    "time": ((X,), {}),
    "single": ((X, LINE), {"model_architecture": "offset10-model"}),
    "hybrid": ((X, LINE), {"hybrid": True, "output_dimension": 5}),
    "discrete": ((X, KLASS), {}),
    "mixed": ((X, LINE, KLASS), {"num_negatives": 7}),
    "mixed, hybrid": ((X, LINE, KLASS), {"hybrid": True}),
    "several": (([X, X2], [LINE, LINE[:100]]), {"model_architecture": "offset5-model"}),
    "several, classes": (([X, X2], [KLASS, KLASS[:100]]), {"prior": "uniform"}),
    "several, hybrid": (([X, X2], [LINE, LINE[:100]]), {"hybrid": True}),
    "whole data": ((X, LINE), {"batch_size": None}),
    "learnt temperature": ((X, LINE), {"temperature_mode": "auto", "temperature": 0.5}),
    "euclidean": ((X, LINE), {"model_architecture": "offset1-model-mse", "distance": "euclidean"}),
    "offsets": ((X, LINE), {"time_offsets": (1, 5)}),
    "masks": ((X, LINE), {"masking_kwargs": (("RandomNeuronMask", 0.3),)}),
    "numpy scalars": ((X, LINE), {"learning_rate": np.float64(1e-3), "seed": np.int64(3)}),
}


def sessions_of(data):
    """(recording, session_id) pairs to transform."""
    first = data[0]
    return (
        list(zip(first, range(len(first)), strict=True))
        if isinstance(first, list)
        else [(first, None)]
    )


# --- scikit-learn ----------------------------------------------------------------------------


def test_parameters_are_those_of_cebra_and_six_more():
    mine, theirs = CEBRA().get_params(), cebra.CEBRA().get_params()
    assert set(mine) - set(theirs) == set(OWN)
    assert {name: mine[name] for name in theirs} == theirs


def test_clone_and_set_params():
    model = small(output_dimension=5, seed=3).fit(X)
    copy = clone(model)
    assert type(copy) is CEBRA
    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "model_")
    assert copy.set_params(seed=4, batch_size=9).get_params()["seed"] == 4
    with pytest.raises(ValueError, match="Invalid parameter"):
        copy.set_params(sed=4)
    np.testing.assert_array_equal(
        copy.set_params(seed=3, batch_size=16).fit(X).transform(X), model.transform(X)
    )


def test_in_a_pipeline():
    pipeline = make_pipeline(StandardScaler(), small(max_iterations=2))
    assert pipeline.fit(X, LINE).transform(X).shape == (120, 8)


@pytest.mark.parametrize("kind", KINDS)
def test_pickle_and_save_keep_the_model(kind, tmp_path):
    data, options = KINDS[kind]
    model = small(**options).fit(*data)
    model.save(tmp_path / "model.pt")
    plain = cebra.CEBRA.load(str(tmp_path / "model.pt"))
    ours = CEBRA.load(tmp_path / "model.pt")
    unpickled = pickle.loads(pickle.dumps(model))
    assert type(plain) is cebra.CEBRA
    assert type(ours) is type(unpickled) is CEBRA
    assert ours.get_params() == model.get_params()
    assert (ours.seed_, ours.n_steps_) == (model.seed_, 4)
    assert ours.solver_.history == pytest.approx(model.solver_.history, rel=1e-6)
    assert len(plain.state_dict_["loss"]) == 4
    for recording, session in sessions_of(data):
        expected = model.transform(recording, session_id=session)
        assert expected.shape == (len(recording), model.output_dimension)
        for other in (ours, unpickled):
            np.testing.assert_array_equal(other.transform(recording, session_id=session), expected)
        got = plain.transform(recording, session_id=session)
        np.testing.assert_allclose(got, expected, atol=1e-5)


PLAIN_KINDS = ["time", "single", "discrete", "mixed", "several", "learnt temperature", "euclidean"]


@pytest.mark.parametrize("kind", [*PLAIN_KINDS, "hybrid", "whole data"])
def test_what_plain_cebra_wrote_loads_and_goes_on(kind, tmp_path):
    data, options = KINDS[kind]
    options = {**SMALL, **options}
    for name in OWN:
        options.pop(name, None)
    if isinstance(data[0], list):
        data = data[0], [labels.astype(np.float32) for labels in data[1]]
    plain = cebra.CEBRA(**options).fit(*data)
    plain.save(str(tmp_path / "model.pt"))
    loaded = CEBRA.load(tmp_path / "model.pt")
    for recording, session in sessions_of(data):
        np.testing.assert_allclose(
            loaded.transform(recording, session_id=session),
            plain.transform(recording, session_id=session),
            atol=1e-5,
        )
    assert loaded.n_steps_ == 4
    before = loaded.transform(*sessions_of(data)[0][:1], session_id=sessions_of(data)[0][1])
    loaded.partial_fit(*data)
    assert loaded.n_steps_ == 8
    assert len(loaded.solver_.history) == 8
    after = loaded.transform(*sessions_of(data)[0][:1], session_id=sessions_of(data)[0][1])
    assert (before != after).any()


# --- fit, partial_fit, adapt, callbacks -------------------------------------------------------


def test_the_fitted_attributes():
    model = small(model_architecture="offset10-model").fit(X, LINE, segments=np.repeat([0, 1], 60))
    assert model.n_features_ == model.n_features_in_ == 6
    assert model.num_sessions is None
    assert (model.offset_.left, model.offset_.right) == (5, 5)
    assert model.label_types_ == [(np.dtype("float64"), (120, 2))]
    several = small().fit([X, X2], [LINE, LINE[:100]])
    assert several.n_features_ == [6, 4]
    assert several.num_sessions == 2


def test_without_a_seed_one_is_drawn_and_kept():
    first, second = (small(seed=None).fit(X) for _ in range(2))
    assert first.seed_ != second.seed_
    assert first.seed is None
    again = small(seed=first.seed_).fit(X)
    np.testing.assert_array_equal(again.transform(X), first.transform(X))


def test_fit_starts_afresh():
    model = small().fit(X, LINE)
    first = model.transform(X)
    model.fit(X2, LINE[:100])
    assert model.n_features_ == 4
    assert model.n_steps_ == len(model.solver_.history) == 4
    np.testing.assert_array_equal(model.fit(X, LINE).transform(X), first)


def test_partial_fit_follows_the_data_and_the_learning_rate():
    start = small().fit(X, LINE)
    there, elsewhere = (pickle.loads(pickle.dumps(start)) for _ in range(2))
    there.partial_fit(X, LINE)
    elsewhere.partial_fit(X[::-1].copy(), LINE[:, ::-1].copy())
    assert (there.transform(X) != elsewhere.transform(X)).any()
    unfitted = small().partial_fit(X, LINE)
    np.testing.assert_array_equal(unfitted.transform(X), start.transform(X))
    still = start.transform(X)
    start.set_params(learning_rate=1e-30).partial_fit(X, LINE)
    np.testing.assert_array_equal(start.transform(X), still)


def test_adapt_trains_the_first_layer_alone():
    model = small(max_adapt_iterations=6).fit(X, LINE)
    before = {name: value.clone() for name, value in model.model_.state_dict().items()}
    first, bias, *rest = before
    model.fit(X2, LINE[:100], adapt=True)
    after = model.model_.state_dict()
    assert after[first].shape[1] == 4
    for name in rest:
        assert torch.equal(after[name], before[name])
    assert model.transform(X2).shape == (100, 8)
    assert len(model.solver_.history) == model.n_steps_ == 6
    untrained = small(max_adapt_iterations=6, learning_rate=1e-30).fit(X, LINE)
    untrained.fit(X2, LINE[:100], adapt=True)
    assert not torch.equal(untrained.model_.state_dict()[first], after[first])
    assert not torch.equal(untrained.model_.state_dict()[bias], after[bias])
    model.partial_fit(X2, LINE[:100])  # and everything learns again
    assert any(not torch.equal(model.model_.state_dict()[name], before[name]) for name in rest)


def test_adapt_without_a_model_is_fit():
    np.testing.assert_array_equal(
        small().fit(X, LINE, adapt=True).transform(X), small().fit(X, LINE).transform(X)
    )


@pytest.mark.parametrize("frequency", [1, 3, 7, 100])
def test_callbacks_come_when_those_of_cebra_do(frequency):
    seen, theirs = [], []
    model = small(max_iterations=10)
    model.fit(
        X,
        callback=lambda step, solver: seen.append((step, len(solver.history))),
        callback_frequency=frequency,
    )
    options = {name: value for name, value in SMALL.items() if name != "seed"}
    cebra.CEBRA(**{**options, "max_iterations": 10}).fit(
        X,
        callback=lambda step, solver: theirs.append((step, len(solver.history))),
        callback_frequency=frequency,
    )
    assert seen == theirs
    np.testing.assert_array_equal(small(max_iterations=10).fit(X).transform(X), model.transform(X))


def test_a_callback_may_stop_the_training():
    class Enough(Exception):  # noqa: N818
        pass

    def stop(step, solver):
        if step:
            raise Enough

    model = small(max_iterations=50)
    with pytest.raises(Enough):
        model.fit(X, callback=stop, callback_frequency=7)
    assert model.n_steps_ == len(model.solver_.history) == 8
    assert model.transform(X).shape == (120, 8)
    np.testing.assert_array_equal(model.transform(X), small(max_iterations=8).fit(X).transform(X))


# --- transform -------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["offset1-model", "offset10-model", "offset36-model"])
def test_padding(architecture):
    model = small(model_architecture=architecture).fit(X)
    whole = model.transform(X)
    left, right = model.offset_.left, model.offset_.right
    assert whole.shape == (120, 8)
    model.set_params(pad_before_transform=False)
    inner = model.transform(X)
    assert inner.shape == (120 - (left + right - 1), 8)
    np.testing.assert_allclose(inner, whole[left : 120 - right + 1], atol=1e-6)
    runs = [[0, 50], [60, 120]]
    assert len(model.transform(X, segments=runs)) == 110 - 2 * (left + right - 1)


@pytest.mark.parametrize("given", [np.asarray, torch.from_numpy, lambda x: x.tolist(), np.float64])
def test_any_array_is_transformed(given):
    model = small().fit(X)
    np.testing.assert_allclose(model.transform(given(X)), model.transform(X), atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 60, 1000])
def test_the_batch_size_of_transform_does_not_matter(batch_size):
    model = small(model_architecture="offset10-model").fit(X)
    expected = model.transform(X)
    np.testing.assert_allclose(model.transform(X, batch_size=batch_size), expected, atol=1e-6)


def test_a_silent_stretch_is_transformed():
    model = small().fit(X, LINE)
    embedding = model.transform(np.zeros((30, 6)))
    np.testing.assert_allclose(embedding, embedding[:1].repeat(30, axis=0), atol=1e-6)


def test_a_recording_is_transformed_within_its_segments():
    model = small(model_architecture="offset10-model").fit(X)
    runs = [[0, 60], [60, 120]]
    recording = grevy.make_recording(X, segments=runs)
    expected = np.concatenate([model.transform(X[:60]), model.transform(X[60:])])
    np.testing.assert_allclose(model.transform(recording), expected, atol=1e-6)
    np.testing.assert_allclose(model.transform(X, segments=runs), expected, atol=1e-6)
    over = model.transform(recording, segments=[[0, 120]])
    np.testing.assert_allclose(over, model.transform(X), atol=1e-6)


def test_a_resampling_model_is_applied_as_cebra_does(tmp_path, monkeypatch):
    model = small(model_architecture="offset40-model-4x-subsample").fit(X, LINE)
    model.save(tmp_path / "model.pt")
    plain = cebra.CEBRA.load(str(tmp_path / "model.pt"))
    expected = plain.transform(X)
    np.testing.assert_allclose(model.transform(X), expected, atol=1e-6)
    monkeypatch.setattr(cebra, "CEBRA", CEBRA)  # as whoever wants ours everywhere does
    np.testing.assert_allclose(model.transform(X), expected, atol=1e-6)


def test_a_resampling_model_does_not_run_across_segments():
    model = small(model_architecture="offset40-model-4x-subsample").fit(X, LINE)
    with pytest.raises(GrevyError, match=r"39 time steps; .* at least 40"):
        model.set_params(pad_before_transform=False).transform(X[:39])
    assert model.transform(X[:40]).shape == (1, 8)
    with pytest.raises(GrevyError, match="borders of segments"):
        model.transform(X, segments=[[0, 60], [60, 120]])


def test_and_window_by_window_where_cebra_cannot():
    model = small(model_architecture="offset4-model-2x-subsample").fit(X, LINE)
    left, right = model.offset_.left, model.offset_.right
    windows = np.stack([X[t - left : t + right].T for t in range(left, 120 - right + 1)])
    with torch.no_grad():
        expected = model.model_.eval()(torch.from_numpy(windows)).numpy()
    got = model.transform(X)[left : 120 - right + 1]
    np.testing.assert_allclose(got, expected.reshape(got.shape), atol=1e-6)


# --- mistakes --------------------------------------------------------------------------------

NARROWEST = "offset1-model-mse-v2-1layers"  # takes no fewer than 2 hidden units
PARAMETERS = [
    ({"model_architecture": "offset10"}, ["unknown model 'offset10'", "offset10-model"]),
    ({"model_architecture": "supervised10-model"}, ["supervised10-model", "classifier"]),
    ({"model_architecture": 3}, ["unknown model '3'"]),
    ({"device": "gpu"}, ["unknown device 'gpu'"]),
    ({"criterion": "nce"}, ["unknown criterion 'nce'", "infonce"]),
    ({"distance": "cosin"}, ["unknown distance 'cosin'", "cosine"]),
    ({"distance": None}, ["unknown distance"]),
    ({"conditional": "time-delta"}, ["unknown conditional 'time-delta'", "time_delta"]),
    ({"temperature": 0}, ["temperature is 0", "positive"]),
    ({"temperature": float("nan")}, ["temperature is nan"]),
    ({"temperature": "1"}, ["temperature is '1'"]),
    ({"temperature_mode": "learn"}, ["unknown temperature_mode 'learn'"]),
    ({"temperature_mode": "auto", "min_temperature": -1}, ["min_temperature is -1"]),
    ({"temperature_mode": "auto", "temperature": 0.05}, ["0.05", "min_temperature 0.1"]),
    ({"time_offsets": 0}, ["time_offsets holds 0"]),
    ({"time_offsets": (1, -2)}, ["time_offsets holds -2"]),
    ({"time_offsets": 1.5}, ["time_offsets holds 1.5"]),
    ({"time_offsets": ()}, ["time_offsets is empty"]),
    ({"time_offsets": 120}, ["time offset 120", "smaller"]),
    ({"conditional": "delta_normal"}, ["delta_normal", "positive delta", "None"]),
    ({"conditional": "delta_normal", "delta": -1.0}, ["-1.0"]),
    ({"delta": 0.1}, ["delta=0.1", "delta_normal"]),
    ({"max_iterations": 0}, ["max_iterations is 0"]),
    ({"max_iterations": 10.0}, ["max_iterations is 10.0"]),
    ({"max_adapt_iterations": -1}, ["max_adapt_iterations is -1"]),
    ({"batch_size": 0}, ["batch_size is 0"]),
    ({"batch_size": True}, ["batch_size is True"]),
    ({"batch_size": "512"}, ["batch_size is '512'"]),
    ({"num_negatives": 0}, ["num_negatives is 0"]),
    ({"precision": "fp16"}, ["precision 'fp16'"]),
    ({"learning_rate": 0.0}, ["learning_rate is 0.0"]),
    ({"learning_rate": float("inf")}, ["learning_rate is inf"]),
    ({"optimizer": "sgd"}, ["unknown optimizer 'sgd'", "adam"]),
    ({"optimizer_kwargs": (("beta", 1),)}, ["optimizer_kwargs", "beta"]),
    ({"optimizer_kwargs": (("betas", (2.0, 0.9)),)}, ["optimizer_kwargs", "2.0"]),
    ({"optimizer_kwargs": 3}, ["optimizer_kwargs is 3"]),
    ({"output_dimension": 0}, ["output_dimension is 0"]),
    ({"output_dimension": 1}, ["output_dimension=1", "euclidean"]),
    ({"hybrid": True, "output_dimension": 2}, ["hybrid", "at least 3"]),
    ({"num_hidden_units": 0}, ["num_hidden_units is 0"]),
    ({"num_hidden_units": 1, "model_architecture": NARROWEST}, ["1 hidden units"]),
    ({"masking_kwargs": (("Mask", 0.3),)}, ["unknown mask 'Mask'"]),
    ({"masking_kwargs": (("RandomNeuronMask", 3),)}, ["masking ratio 3"]),
    ({"seed": -1}, ["seed is -1"]),
    ({"seed": 1.0}, ["seed is 1.0"]),
    ({"prior": "flat"}, ["unknown prior 'flat'", "uniform"]),
    ({"prior": "uniform"}, ["prior='uniform'", "no discrete label"]),
]  # fmt: skip


@pytest.mark.parametrize(("options", "words"), PARAMETERS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_wrong_parameters_are_named(options, words, method):
    with pytest.raises(GrevyError) as caught:
        getattr(small(**options), method)(X, LINE)
    for word in words:
        assert word in str(caught.value)


HOLED = X.copy()
HOLED[[3, 7], [1, 2]] = np.nan
BAD_LINE = LINE.copy()
BAD_LINE[5, 0] = np.inf
INPUTS = {
    "nan": ((HOLED, LINE), {}, ["2 NaN", "step 3", "neuron 1"]),
    "zeros": ((X * 0, LINE), {}, ["zero everywhere"]),
    "complex": ((X + 1j, LINE), {}, ["complex"]),
    "text": ((X.astype(str), LINE), {}, ["dtype", "real numbers"]),
    "objects": ((X.astype(object), LINE), {}, ["object"]),
    "one dimension": ((X[:, 0], LINE), {}, ["(120,)", "(120, 1)"]),
    "three dimensions": ((X[None], LINE), {}, ["(1, 120, 6)"]),
    "empty": ((X[:0], LINE[:0]), {}, ["not empty"]),
    "short label": ((X, LINE[:50]), {}, ["50", "120"]),
    "label with nan": ((X, BAD_LINE), {}, ["1 of 240", "step 5"]),
    "constant label": ((X, np.ones(120)), {}, ["constant"]),
    "one class": ((X, np.ones(120, int)), {}, ["constant"]),
    "mixed objects": ((X, np.array([1, "a"] * 60, object)), {}, ["object", "astype"]),
    "dates": ((X, np.arange(120).astype("datetime64[s]")), {}, ["datetime64"]),
    "complex label": ((X, LINE + 1j), {}, ["complex"]),
    "discrete columns": ((X, np.stack([KLASS, KLASS], 1)), {}, ["(120, 2)"]),
    "no label": ((X,), {"conditional": "time_delta"}, ["needs a label"]),
    "no label, hybrid": ((X,), {"hybrid": True}, ["no label"]),
    "no nearness": ((X, KLASS), {"conditional": "delta_normal", "delta": 1.0}, ["discrete"]),
    "short": ((X[:9], LINE[:9]), {"model_architecture": "offset10-model"}, ["9 time steps", "10"]),
    "several, no label": (([X, X2],), {}, ["several recordings"]),
    "several, other kinds": (([X, X2], [LINE, KLASS[:100]]), {}, ["recording 1 and recording 2"]),
    "several, one label": (([X, X2], [LINE]), {}, ["2 recordings", "[1]"]),
}  # fmt: skip


@pytest.mark.parametrize("case", INPUTS)
def test_wrong_data_is_named_and_a_fitted_model_stays(case):
    data, options, words = INPUTS[case]
    model = small().fit(X, LINE)
    before, attributes = model.transform(X), dict(vars(model))
    model.set_params(**options)
    with pytest.raises(GrevyError) as caught:
        model.fit(*data)
    for word in words:
        assert word in str(caught.value)
    model.set_params(**{name: attributes[name] for name in options})
    assert vars(model) == attributes
    np.testing.assert_array_equal(model.transform(X), before)
    np.testing.assert_array_equal(
        model.partial_fit(X, LINE).transform(X), small(max_iterations=8).fit(X, LINE).transform(X)
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"segments": [[0, 200]]}, ["<= 120"]),
        ({"segments": [[50, 80], [0, 60]]}, ["sorted"]),
        ({"segments": np.zeros(7)}, ["7 segment identifiers"]),
        ({"segments": [[0, 5]]}, ["5 time steps", "10"]),
        ({"callback": print}, ["callback_frequency"]),
        ({"callback_frequency": 3}, ["callback"]),
        ({"callback": print, "callback_frequency": 0}, ["callback_frequency is 0"]),
        ({"callback": print, "callback_frequency": 1.5}, ["callback_frequency is 1.5"]),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_wrong_arguments_of_fit(arguments, words, method):
    with pytest.raises(GrevyError) as caught:
        getattr(small(model_architecture="offset10-model"), method)(X, LINE, **arguments)
    for word in words:
        assert word in str(caught.value)


def test_partial_fit_needs_the_same_neurons():
    model = small().fit(X, LINE)
    with pytest.raises(GrevyError, match="6 neurons"):
        model.partial_fit(X2, LINE[:100])
    with pytest.raises(GrevyError, match="neurons"):
        model.partial_fit([X, X2], [LINE, LINE[:100]])


def test_checkpoints_and_resume_are_never_ignored(tmp_path):
    with pytest.raises(GrevyError, match="resume was given without checkpoints"):
        small().fit(X, LINE, resume=True)
    model = small().fit(X, LINE)
    with pytest.raises(GrevyError, match="adapt takes neither checkpoints"):
        model.fit(X2, LINE[:100], adapt=True, checkpoints=Checkpoints(tmp_path))


@pytest.mark.parametrize(
    "changes",
    [
        {"model_architecture": "offset1-model-v4"},
        {"num_hidden_units": 9},
        {"output_dimension": 5},
        {"distance": "euclidean"},
        {"temperature": 0.5},
        {"temperature_mode": "auto"},
        {"causal": True, "model_architecture": "offset5-model"},
    ],
    ids=str,
)
@pytest.mark.parametrize("several", [False, True])
def test_partial_fit_refuses_what_it_cannot_honour(changes, several):
    given = ([X, X2], [LINE, LINE[:100]]) if several else (X, LINE)
    model = small().fit(*given)
    model.set_params(learning_rate=1e-2).partial_fit(*given)
    with pytest.raises(GrevyError, match="changed after fit"):
        model.set_params(**changes).partial_fit(*given)


TWO = ([X, X2], [LINE, LINE[:100]])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (TWO, (X, LINE)),
        (TWO, TWO),
        (TWO, ([X, X, X2], [LINE, LINE, LINE[:100]])),
        ((X, LINE), ([X2, X], [LINE[:100], LINE])),
    ],
    ids=["one alone", "none new", "others", "not the model's"],
)
def test_adapt_refuses_what_has_no_place_for_the_new(first, second):
    model = small().fit(*first)
    before = weights_of(model)
    with pytest.raises(UnsupportedError, match="multisession"):
        model.fit(*second, adapt=True)
    assert before == weights_of(model)


def weights_of(model):
    return {name: value.tolist() for name, value in model.model_.state_dict().items()}


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("mode", ["constant", "auto"])
def test_adapt_adds_a_recording_and_leaves_the_others_as_they_are(tmp_path, distance, mode):
    """Bit for bit, weights and embeddings."""
    rng = np.random.default_rng(0)
    latent = np.cumsum(rng.normal(size=(600, 1)), axis=0) / 8
    latent = np.concatenate([np.sin(latent), np.cos(latent)], axis=1)
    neural = [latent @ rng.normal(size=(2, n)) + 0.1 * rng.normal(size=(600, n)) for n in (6, 9, 4)]
    neural = [each.astype(np.float32) for each in neural]
    model = small(
        max_iterations=300, max_adapt_iterations=300, learning_rate=3e-3, output_dimension=3,
        distance=distance, temperature_mode=mode, batch_size=128,
    ).fit(neural[:2], [latent, latent])  # fmt: skip
    before = [each.state_dict() for each in copy.deepcopy(model).model_]
    embedded = [model.transform(neural[i], session_id=i) for i in range(2)]
    model.fit(neural, [latent] * 3, adapt=True)
    assert (model.num_sessions_, model.n_features_) == (3, [6, 9, 4])
    for encoder, weights in zip(model.model_, before, strict=False):
        for name, value in encoder.state_dict().items():
            assert torch.equal(value, weights[name])
    model.save(tmp_path / "model.pt")
    again = grevy.CEBRA.load(tmp_path / "model.pt")
    for i in range(2):
        np.testing.assert_array_equal(again.transform(neural[i], session_id=i), embedded[i])
    assert all(parameter.requires_grad for parameter in model.model_.parameters())


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        (X2, {}, ["4 neurons", "6"]),
        (HOLED, {}, ["NaN"]),
        (X[:, 0], {}, ["(120,)"]),
        ("X", {}, ["dtype"]),
        (X, {"session_id": 2}, ["session"]),
        (X, {"batch_size": 0}, ["batch_size is 0"]),
        (X, {"batch_size": -5}, ["batch_size is -5"]),
        (X, {"batch_size": "9"}, ["batch_size is '9'"]),
        (X, {"batch_size": 1.5}, ["batch_size is 1.5"]),
        (X, {"segments": [[0, 999]]}, ["120"]),
    ],
)
def test_wrong_arguments_of_transform(given, options, words):
    model = small().fit(X)
    with pytest.raises(GrevyError) as caught:
        model.transform(given, **options)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("session", [None, 2, -1])
def test_several_recordings_need_a_session(session):
    model = small().fit([X, X2], [LINE, LINE[:100]])
    with pytest.raises(GrevyError, match="session_id"):
        model.transform(X, session_id=session)


def test_the_old_backend_is_written_safely_and_says_so(tmp_path):
    model = small().fit(X)
    with pytest.warns(UserWarning, match="backend 'torch' would pickle"):
        model.save(tmp_path / "model.pt", backend="torch")
    for backend in ("auto", "torch", "sklearn"):
        loaded = CEBRA.load(tmp_path / "model.pt", backend, weights_only=True)
        np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    with pytest.raises(GrevyError, match="unknown device 'tpu'"):
        CEBRA.load(tmp_path / "model.pt", map_location="tpu")


def test_what_needs_a_fit_says_so(tmp_path):
    with pytest.raises(NotFittedError):
        small().transform(X)
    with pytest.raises(GrevyError, match="not fitted"):
        small().save(tmp_path / "model.pt")
    with pytest.raises(GrevyError, match="unknown backend"):
        small().fit(X).save(tmp_path / "model.pt", backend="jax")
    with pytest.raises(GrevyError, match="unknown backend"):
        CEBRA.load(tmp_path / "model.pt", backend="jax")
    assert not list(tmp_path.iterdir())


# --- it learns -------------------------------------------------------------------------------


def ring(length=1200, neurons=30, seed=0):
    """Neurons tuned to a heading, and a gain common to all that hides it from few dimensions."""
    rng = np.random.default_rng(seed)
    heading = np.cumsum(rng.normal(0, 0.2, length)) % (2 * np.pi)
    preferred = np.linspace(0, 2 * np.pi, neurons, endpoint=False)
    gain = rng.uniform(1, 8, (length, 1))
    rate = gain * np.exp(2 * (np.cos(heading[:, None] - preferred) - 1))
    return rng.poisson(rate).astype(np.float32), heading


def ridge_score(embedding, heading, border=800):
    target = np.stack([np.cos(heading), np.sin(heading)], 1)
    ridge = Ridge(1e-3).fit(embedding[:border], target[:border])
    return ridge.score(embedding[border:], target[border:])


LEARNING = {
    "angle": (lambda h: [grevy.circular(h)], {}),
    "line": (lambda h: [np.stack([np.cos(h), np.sin(h)], 1)], {}),
    "delta_normal": (lambda h: [grevy.circular(h)], {"conditional": "delta_normal", "delta": 0.2}),
    "euclidean": (
        lambda h: [grevy.circular(h)],
        {"model_architecture": "offset1-model-mse", "distance": "euclidean"},
    ),
    "hybrid": (lambda h: [grevy.circular(h)], {"hybrid": True, "output_dimension": 4}),
    "classes": (lambda h: [(h / (np.pi / 4)).astype(int)], {}),
    "time": (lambda _h: [], {"conditional": "time", "time_offsets": 2}),
}


@pytest.mark.parametrize("name", LEARNING)
def test_training_finds_what_is_there(name):
    """Trained on the first 800 steps, decoded on the last 400: poor before, good after."""
    spikes, heading = ring()
    labels, options = LEARNING[name]
    options = {"batch_size": 128, "num_hidden_units": 16, "output_dimension": 3, **options}
    common = {"device": "cpu", "seed": 1, "learning_rate": 3e-3, **options}
    shown = labels(heading[:800])
    untrained = CEBRA(**{**common, "learning_rate": 1e-30}, max_iterations=1).fit(
        spikes[:800], *shown
    )
    trained = CEBRA(**common, max_iterations=300).fit(spikes[:800], *shown)
    before = ridge_score(untrained.transform(spikes), heading)
    after = ridge_score(trained.transform(spikes), heading)
    assert before < 0.4
    assert after > 0.7
    assert np.mean(trained.solver_.history[-20:]) < trained.solver_.history[0] - 0.3


def test_classes_become_separable():
    rng = np.random.default_rng(0)
    klass = np.repeat(rng.integers(0, 3, 90), 10)
    pattern = rng.choice([-1.0, 1.0], (3, 12))
    signal = pattern[klass] * rng.choice([-1.0, 1.0], 900)[:, None]  # the mean tells nothing
    spikes = signal + rng.normal(0, 1.0, signal.shape)
    options = {"batch_size": 128, "output_dimension": 3, "device": "cpu", "seed": 0}
    scores = []
    for steps, rate in ((1, 1e-30), (400, 3e-3)):
        model = CEBRA(max_iterations=steps, learning_rate=rate, **options)
        Z = model.fit(spikes[:600], klass[:600]).transform(spikes)
        decoder = KNeighborsClassifier(15).fit(Z[:600], klass[:600])
        scores.append(decoder.score(Z[600:], klass[600:]))
    assert scores[0] < 0.75
    assert scores[1] > 0.9


def test_several_recordings_come_to_lie_together():
    (one, heading), (two, other) = ring(seed=0), ring(seed=5, neurons=14)
    options = {"batch_size": 128, "output_dimension": 3, "device": "cpu", "seed": 0}
    labels = [grevy.circular(heading), grevy.circular(other)]
    scores = []
    for steps, rate in ((1, 1e-30), (300, 3e-3)):
        model = CEBRA(max_iterations=steps, learning_rate=rate, **options).fit([one, two], labels)
        ridge = Ridge(1e-3).fit(
            model.transform(one, session_id=0), np.stack([np.cos(heading), np.sin(heading)], 1)
        )
        target = np.stack([np.cos(other), np.sin(other)], 1)
        scores.append(ridge.score(model.transform(two, session_id=1), target))
    assert scores[0] < 0.5
    assert scores[1] > 0.8


def test_noise_is_not_learnt():
    """Labels unrelated to the data: nothing to decode on the held-out part."""
    spikes, _ = ring()
    _, heading = ring(seed=9)
    model = CEBRA(max_iterations=150, batch_size=128, output_dimension=3, device="cpu", seed=0)
    Z = model.fit(spikes[:800], grevy.circular(heading[:800])).transform(spikes)
    assert ridge_score(Z, heading) < 0.2
