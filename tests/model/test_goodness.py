"""Goodness of fit: brute force, noise that scores nothing, and row 10 of the facts."""

import cebra
import numpy as np
import pytest

from grevy.data.labels import circular, continuous, discrete
from grevy.data.recording import make_recording
from grevy.errors import GrevyError
from grevy.model.estimator import CEBRA
from grevy.model.goodness import goodness_of_fit, heldout_goodness_of_fit

fault = pytest.mark.cebra_fault

NOISE = np.random.default_rng(7)
X = NOISE.normal(size=(3000, 10)).astype(np.float32)
X2 = NOISE.normal(size=(2500, 12)).astype(np.float32)
Y, Y2 = NOISE.normal(size=(3000, 1)), NOISE.normal(size=(2500, 1))
KLASS = NOISE.integers(0, 4, 3000)
ANGLE = NOISE.uniform(0, 2 * np.pi, 3000)
TRAINED = {
    "max_iterations": 120, "batch_size": 128, "num_hidden_units": 8, "output_dimension": 4,
    "device": "cpu", "seed": 0,
}  # fmt: skip


@pytest.fixture(autouse=True)
def fewer_batches(monkeypatch):
    """A quarter of the usual ones, to be quick."""
    monkeypatch.setattr("grevy.model.goodness.MAX_STEPS", 25)


def labelled(neural, *labels, segments=None):
    return make_recording(neural, labels, segments=segments)


def modes():
    """Noise for every mode: what is trained on, held-out noise, and the model's options."""
    half, other = slice(0, 2000), slice(2000, 3000)
    kinds = {
        "time": ((), {}),
        "continuous": ((continuous(Y),), {}),
        "circular": ((circular(ANGLE),), {}),
        "discrete": ((discrete(KLASS),), {}),
        "discrete, uniform": ((discrete(KLASS),), {"prior": "uniform"}),
        "mixed": ((continuous(Y, "y"), discrete(KLASS, "k")), {}),
        "hybrid": ((continuous(Y),), {"hybrid": True, "conditional": "time_delta"}),
        "whole data": ((continuous(Y),), {"batch_size": None, "max_iterations": 15}),
        "more negatives": ((continuous(Y),), {"num_negatives": 300}),
        "euclidean": (
            (continuous(Y),),
            {"distance": "euclidean", "model_architecture": "offset1-model-mse"},
        ),
        "learnt temperature": ((continuous(Y),), {"temperature_mode": "auto"}),
        "windows": ((continuous(Y),), {"model_architecture": "offset5-model"}),
    }
    for name, (labels, options) in kinds.items():
        parts = [
            labelled(X[rows], *(label.take(rows) for label in labels)) for rows in (half, other)
        ]
        yield pytest.param(*parts, options, id=name)
    several = [
        [labelled(X[rows], continuous(Y[rows])), labelled(X2[rows], continuous(Y2[rows]))]
        for rows in (half, other)
    ]
    yield pytest.param(*several, {}, id="several recordings")
    yield pytest.param(
        *several, {"batch_size": None, "max_iterations": 6}, id="several recordings, whole data"
    )


@pytest.mark.parametrize(("trained", "heldout", "options"), list(modes()))
def test_noise_fits_as_well_as_chance(trained, heldout, options):
    """Chance counted with twice the negatives, or once for hybrid, would be off by a bit or seven.

    An encoder that overfits is worse than nothing on held-out noise, hence the room below.
    """
    model = CEBRA(**{**TRAINED, **options}).fit(trained)
    assert goodness_of_fit(model) == pytest.approx(0, abs=0.06)
    found = heldout_goodness_of_fit(model, heldout)
    assert -0.06 < found.bits < 4 * found.standard_error + 0.005
    assert 0 <= found.standard_error < 0.03


def test_being_near_oneself_is_no_goodness_of_fit():
    """With three members to a class, every third positive is the reference itself."""
    classes = np.random.default_rng(5).permutation(np.arange(3000) // 3)
    model = CEBRA(**TRAINED).fit(labelled(X[:2000], discrete(classes[:2000])))
    found = heldout_goodness_of_fit(model, labelled(X[2000:], discrete(classes[2000:])))
    assert -0.06 < found.bits < 4 * found.standard_error + 0.005
    alone = labelled(X[:2000], discrete(np.arange(2000)))
    model = CEBRA(**{**TRAINED, "max_iterations": 2}).fit(alone)
    with pytest.raises(GrevyError, match="every sample drawn was its own positive"):
        heldout_goodness_of_fit(model, alone)


def test_a_true_relation_has_a_goodness_of_fit_held_out():
    rng = np.random.default_rng(0)
    place = rng.uniform(size=(3000, 1))
    neural = np.column_stack([np.cos(6 * place), np.sin(6 * place)]) + 0.1 * rng.normal(
        size=(3000, 2)
    )
    options = {"delta": 0.05, "conditional": "delta_normal", "max_iterations": 400}
    recording = labelled(neural, continuous(place), segments=[[0, 2000]])
    model = CEBRA(**{**TRAINED, **options, "learning_rate": 3e-3}).fit(recording)
    heldout = labelled(neural, continuous(place), segments=[[2000, 3000]])
    found = heldout_goodness_of_fit(model, heldout)
    assert found.bits > 0.5
    assert found.bits == pytest.approx(goodness_of_fit(model), abs=0.1)
    assert found.bits == pytest.approx((found.chance - found.loss) / np.log(2))
    assert found.n_negatives == 128
    assert found.chance == pytest.approx(np.log(128))


def test_held_out_data_alone_decides():
    """Nothing outside the segments given moves it, and the same seed gives the same number."""
    model = CEBRA(**{**TRAINED, "model_architecture": "offset5-model"}).fit(X[:2000], Y[:2000])
    segments = [[2000, 2400], [2500, 3000]]
    found = heldout_goodness_of_fit(model, labelled(X, continuous(Y), segments=segments), seed=3)
    absurd = np.full_like(X, 1e6)
    values = np.full_like(Y, -1e6)
    for start, stop in segments:
        absurd[start:stop], values[start:stop] = X[start:stop], Y[start:stop]
    recording = labelled(absurd, continuous(values), segments=segments)
    assert heldout_goodness_of_fit(model, recording, seed=3) == found
    assert heldout_goodness_of_fit(model, recording, seed=4) != found


def test_its_error_is_that_of_the_data():
    """It covers the scatter between stretches of noise; not more than twice."""
    model = CEBRA(**TRAINED).fit(X[:2000])
    rng = np.random.default_rng(1)
    found = [
        heldout_goodness_of_fit(model, make_recording(rng.normal(size=(500, 10))), seed=seed)
        for seed in range(30)
    ]
    scatter = np.std([each.bits for each in found])
    stated = np.mean([each.standard_error for each in found])
    assert 0.8 * scatter < stated < 2.2 * scatter  # sd of a sd of 30: 13 %


def test_telling_recordings_apart_is_no_goodness_of_fit():
    """In hybrid training the positive in time stays in its recording, and negatives do not."""
    options = {**TRAINED, "hybrid": True, "conditional": "time_delta", "max_iterations": 200}
    model = CEBRA(**{**options, "learning_rate": 3e-3}).fit([X, X2], [Y, Y2])
    assert goodness_of_fit(model) > 0.3
    rng = np.random.default_rng(2)
    fresh = [
        labelled(rng.normal(size=each.shape), continuous(rng.normal(size=len(each))))
        for each in (X, X2)
    ]
    found = heldout_goodness_of_fit(model, fresh)
    assert -0.15 < found.bits < 0.02
    assert found.chance == pytest.approx(np.log(256) + np.log(128))


def test_a_large_whole_is_measured_in_parts(monkeypatch):
    monkeypatch.setattr("grevy.model.goodness.SIMILARITIES", 10_000)
    model = CEBRA(**{**TRAINED, "batch_size": None, "max_iterations": 2}).fit(X[:2000], Y[:2000])
    found = heldout_goodness_of_fit(model, labelled(X[2000:], continuous(Y[2000:])))
    assert found.n_negatives == 100
    assert found.bits == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda model: (CEBRA(), labelled(X, continuous(Y))), "no fitted grevy.CEBRA"),
        (lambda model: (model, [labelled(X, continuous(Y))] * 2), "2 recording.*fitted to 1"),
        (lambda model: (model, labelled(X[:, :3], continuous(Y))), "has 3 neurons.*fitted to 10"),
        (
            lambda model: (model, labelled(X, continuous(Y), segments=[[0, 4], [4, 8]])),
            "longest segment has 4 time steps.*receptive field of 5",
        ),
    ],
)
def test_heldout_goodness_of_fit_refuses(make, message):
    options = {**TRAINED, "max_iterations": 1, "model_architecture": "offset5-model"}
    model = CEBRA(**options).fit(X, Y)
    with pytest.raises(GrevyError, match=message):
        heldout_goodness_of_fit(*make(model))


def test_goodness_of_fit_refuses_a_model_that_is_not_fitted():
    with pytest.raises(GrevyError, match="Call fit first"):
        goodness_of_fit(CEBRA())


SHORT = {**{k: v for k, v in TRAINED.items() if k != "seed"}, "max_iterations": 20}


class TestRow10GoodnessOfFit:
    """Row 10 of the facts."""

    @fault
    def test_cebra_gives_noise_in_two_sessions_a_bit(self):
        model = cebra.CEBRA(**SHORT, conditional="time_delta").fit([X, X2], [Y, Y2])
        score = cebra.sklearn.metrics.goodness_of_fit_score(
            model, X, Y, session_id=0, num_batches=50
        )
        assert score == pytest.approx(1, abs=0.1)

    @fault
    def test_cebra_has_none_for_hybrid(self):
        model = cebra.CEBRA(**SHORT, conditional="time_delta", hybrid=True).fit(X, Y)
        with pytest.raises(AttributeError):
            cebra.sklearn.metrics.goodness_of_fit_score(model, X, Y, num_batches=5)

    @pytest.mark.parametrize(("hybrid", "several"), [(False, False), (False, True), (True, False)])
    def test_ours_gives_noise_none(self, hybrid, several):
        options = {**SHORT, "conditional": "time_delta", "hybrid": hybrid, "seed": 0}
        data = ([X, X2], [Y, Y2]) if several else (X, Y)
        model = CEBRA(**options).fit(*data)
        assert goodness_of_fit(model) == pytest.approx(0, abs=0.1)
        fresh = [labelled(X, continuous(Y)), labelled(X2, continuous(Y2))]
        assert heldout_goodness_of_fit(model, fresh if several else fresh[0]).bits == pytest.approx(
            0, abs=0.05
        )
