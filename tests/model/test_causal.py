"""Windows that end at the present: nothing of the future is seen, and nothing else changes."""

import cebra
import numpy as np
import pytest
import torch

import grevy
from grevy.errors import GrevyError
from grevy.model import heldout_goodness_of_fit, model_receptive_field
from grevy.model.checkpoints import Checkpoints
from grevy.model.estimator import CEBRA

RNG = np.random.default_rng(0)
LENGTH, NEURONS = 150, 6
X = RNG.normal(size=(LENGTH, NEURONS)).astype(np.float32)
LINE = np.cumsum(RNG.normal(size=(LENGTH, 2)), axis=0)
SMALL = {
    "max_iterations": 4, "batch_size": 16, "num_hidden_units": 4, "device": "cpu", "seed": 0,
    "output_dimension": 3,
}  # fmt: skip
ARCHITECTURES = ["offset1-model", "offset5-model", "offset10-model-mse", "offset36-model-dropout"]


def small(architecture="offset10-model", **options):
    return CEBRA(architecture, **{**SMALL, "causal": True, **options})


def moved(model, at, **options):
    """The rows of an embedding that change with one step of the data."""
    changed = X.copy()
    changed[at] += 300
    before, after = (model.transform(x, **options) for x in (X, changed))
    return np.flatnonzero((before != after).any(axis=1))


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "offset4-model-2x-subsample"])
def test_the_future_changes_nothing(architecture):
    model = small(architecture).fit(X, LINE)
    left, right = model_receptive_field(model.parameters)
    assert (left, right) == model.fitted.receptive_field
    assert right == 1
    reached, lags = moved(model, 70), np.arange(70, 70 + left + 1)
    assert set(reached) <= set(lags)
    # The far ends of a long window may weigh too little to show.
    assert left > 15 or set(reached) == set(lags)
    around = small(architecture, causal=False).fit(X, LINE)
    assert left + 1 == sum(around.fitted.receptive_field)
    assert (moved(around, 70).min() < 70) == (left > 0)


def test_nor_does_it_in_a_model_that_gives_one_row_for_several_steps():
    model = small("offset20-model-4x-subsample").fit(X, LINE)
    assert model.transform(X).shape == (-(-LENGTH // 4), 3)
    assert moved(model, 80).min() == 20


def test_padding_is_of_the_past_and_of_each_segment():
    model, cut = small().fit(X, LINE), 60
    whole = model.transform(X, segments=[[0, cut], [cut, LENGTH]])
    padded = np.concatenate([np.repeat(X[cut : cut + 1], 9, axis=0), X[cut:]])
    np.testing.assert_allclose(whole[cut:], model.transform(padded)[9:], atol=1e-6)
    bare = small(pad_before_transform=False).fit(X, LINE).transform(X)
    np.testing.assert_array_equal(bare, model.transform(X)[9:])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("labelled", [False, True])
def test_training_is_that_on_data_moved_by_the_offset(architecture, labelled):
    """The window at t is the one that otherwise lies around t - later: pair that with the label."""
    plan = {"conditional": "delta_normal", "delta": 0.5} if labelled else {}
    first = small(architecture, **plan).fit(X, *([LINE] if labelled else []))
    plain = CEBRA(architecture, **SMALL)
    later = model_receptive_field(plain.parameters)[1] - 1
    # What is moved in from beyond the end lies where no window fits.
    earlier = np.concatenate([LINE[later:], np.zeros((later, 2))])
    second = small(architecture, causal=False, **plan).fit(X, *([earlier] if labelled else []))
    assert first.solver_.history == second.solver_.history
    for one, other in zip(first.model_.parameters(), second.model_.parameters(), strict=True):
        assert torch.equal(one, other)
    same = first.transform(X)[later:], second.transform(X)[: LENGTH - later]
    inside = slice(40, LENGTH - 40)
    np.testing.assert_array_equal(same[0][inside], same[1][inside])


def test_files_keep_it(tmp_path):
    model = small().fit(X, LINE)
    model.save(tmp_path / "model.pt")
    loaded = CEBRA.load(tmp_path / "model.pt")
    assert loaded.causal is True
    assert loaded.fitted.receptive_field == (9, 1)
    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    loaded.partial_fit(X, LINE)
    assert loaded.fitted.receptive_field == (9, 1)
    # Plain cebra knows nothing of it: the same windows, each at its middle.
    around = cebra.CEBRA.load(str(tmp_path / "model.pt")).transform(X)
    np.testing.assert_allclose(around[5:-4], model.transform(X)[9:], atol=1e-5)


def test_a_training_goes_on_as_it_began(tmp_path):
    checkpoints = Checkpoints(tmp_path, minutes=None, steps=2)
    small(max_iterations=2).fit(X, LINE, checkpoints=checkpoints)
    gone_on = small().fit(X, LINE, checkpoints=checkpoints, resume=True)
    assert gone_on.solver_.history == small().fit(X, LINE).solver_.history
    with pytest.raises(GrevyError, match="differs in causal"):
        small(causal=False).fit(X, LINE, checkpoints=checkpoints, resume=True)
    with pytest.raises(GrevyError, match=r"`causal`.*changed after fit"):
        gone_on.set_params(causal=False).partial_fit(X, LINE)


def test_a_fitted_model_stays_what_it_was_trained_as():
    model = small().fit(X, LINE)
    before = model.transform(X)
    np.testing.assert_array_equal(model.set_params(causal=False).transform(X), before)


def test_the_fit_is_measured_where_windows_fit():
    recording = grevy.make_recording(X, [grevy.continuous(LINE)], segments=[[0, 12], [100, 112]])
    model = small().fit(X, LINE)
    found = heldout_goodness_of_fit(model, recording)
    # Changes beyond the last window, and steps outside segments, count for nothing.
    changed = X.copy()
    changed[12:100] = 7
    again = grevy.make_recording(changed, recording.labels, segments=recording.segments)
    assert heldout_goodness_of_fit(model, again).loss == found.loss
    around = heldout_goodness_of_fit(small(causal=False).fit(X, LINE), recording)
    assert around.loss != found.loss
