"""The validation loss: what it is, when training stops for it, and that it changes nothing else."""

import numpy as np
import pytest
import torch

import grevy
from grevy.errors import GrevyError
from grevy.model.validation import has_stalled

TRAIN, APART = [[0, 300]], [[320, 400]]
SETTINGS = {
    "model_architecture": "offset5-model",
    "batch_size": 32,
    "output_dimension": 3,
    "max_iterations": 40,
    "device": "cpu",
    "seed": 1,
}


def made(noise=0.1, length=400, seed=0):
    rng = np.random.default_rng(seed)
    label = np.stack([np.sin(np.arange(length) / 9), np.cos(np.arange(length) / 23)], axis=1)
    neural = label @ rng.normal(size=(2, 6)) + noise * rng.normal(size=(length, 6))
    return neural.astype(np.float32), label


def fitted(data, validation=None, segments=TRAIN, **settings):
    model = grevy.CEBRA(**{**SETTINGS, **settings})
    return model.fit(*data, segments=segments, validation=validation)


@pytest.mark.parametrize(
    ("losses", "patience", "stop"),
    [
        ([], 1, False),
        ([3.0], 1, False),
        ([3.0, 2.0], 1, False),
        ([3.0, 3.0], 1, True),
        ([3.0, 2.0, 2.5], 2, False),
        ([3.0, 2.0, 2.5, 2.1], 2, True),
        ([3.0, 2.0, 2.5, 1.9], 2, False),
    ],
)
def test_when_training_stops(losses, patience, stop):
    assert has_stalled(losses, patience) is stop


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"hybrid": True},
        {"temperature_mode": "auto"},
        {"model_architecture": "offset36-model-dropout"},
        {"masking_kwargs": (("RandomNeuronMask", 0.5),)},
        {"distance": "euclidean", "model_architecture": "offset10-model-mse"},
    ],
)
def test_watching_changes_no_bit_of_the_training(settings):
    data = made()
    watched = fitted(data, grevy.Validation(APART, every=10), **settings)
    alone = fitted(data, **settings)
    assert [step for step, _ in watched.validation_] == [10, 20, 30, 40]
    assert all(np.isfinite(loss) for _, loss in watched.validation_)
    np.testing.assert_array_equal(watched.transform(data[0]), alone.transform(data[0]))
    assert alone.validation_ == []


def test_it_falls_where_there_is_something_to_learn_and_not_on_noise():
    neural, label = made()
    shuffled = np.random.default_rng(1).permutation(neural)
    # Windows of one step: longer ones of neighbours overlap, and tell time even in noise.
    settings = {"max_iterations": 300, "learning_rate": 3e-3}
    settings |= {"model_architecture": "offset1-model"}
    losses = {}
    for name, data in (("true", neural), ("noise", shuffled)):
        model = fitted((data, label), grevy.Validation(APART, every=100), **settings)
        losses[name] = model.validation_[-1][1] - model.chance_
    # Among 80 steps a positive is often the reference itself, so that noise is below chance too.
    assert losses["true"] < losses["noise"] - 0.3


def test_it_is_the_loss_on_the_segments_given():
    neural, label = made()
    changed = neural.copy()
    changed[:310] += 5  # outside of what validation and its windows see
    one = fitted((neural, label), grevy.Validation(APART, every=1), max_iterations=1)
    frozen = fitted(
        (changed, label), grevy.Validation(APART, every=1), max_iterations=1, learning_rate=1e-12
    )
    same = fitted(
        (neural, label), grevy.Validation(APART, every=1), max_iterations=1, learning_rate=1e-12
    )
    assert frozen.validation_[0][1] == pytest.approx(same.validation_[0][1], abs=1e-5)
    assert one.validation_[0][1] != same.validation_[0][1]


def test_training_stops_early_and_a_file_tells():
    neural, label = made()
    noise = np.random.default_rng(2).permutation(neural)
    watch = grevy.Validation(APART, every=20, patience=3)
    model = fitted((noise, label), watch, max_iterations=5000, learning_rate=1e-2)
    assert model.n_steps_ < 5000
    assert model.n_steps_ == model.validation_[-1][0] == len(model.solver_.history)


def test_the_last_step_is_looked_at_whatever_its_number():
    for steps, looked in ((5, [5]), (25, [10, 20, 25])):
        model = fitted(made(), grevy.Validation(APART, every=10), max_iterations=steps)
        assert [step for step, _ in model.validation_] == looked


def test_a_resumed_training_sees_the_same(tmp_path):
    data = made()

    def train(name, steps, resume=False):
        model = grevy.CEBRA(**{**SETTINGS, "max_iterations": steps})
        watch = grevy.Validation(APART, every=7, patience=50)
        places = grevy.Checkpoints(tmp_path / name, steps=10)
        return model.fit(*data, segments=TRAIN, validation=watch, checkpoints=places, resume=resume)

    whole = train("whole", 40)
    train("parts", 25)
    resumed = train("parts", 40, resume=True)
    assert resumed.validation_ == whole.validation_
    np.testing.assert_array_equal(resumed.transform(data[0]), whole.transform(data[0]))


def test_several_recordings():
    (first, label), (second, other) = made(seed=0), made(seed=1)
    model = grevy.CEBRA(**SETTINGS)
    watch = grevy.Validation([APART, APART], every=20)
    model.fit([first, second], [label, other], segments=[TRAIN, TRAIN], validation=watch)
    assert len(model.validation_) == 2


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"every": 0}, "every is 0"),
        ({"every": 2.5}, "every is 2.5"),
        ({"patience": 0}, "patience is 0"),
        ({"patience": -3}, "patience is -3"),
    ],
)
def test_numbers_out_of_range(arguments, match):
    with pytest.raises(GrevyError, match=match):
        grevy.Validation(APART, **arguments)


@pytest.mark.parametrize(
    ("segments", "match"),
    [([[0, 3]], "validation: .*receptive field"), ([[390, 500]], "0 <= start < stop <= 400")],
)
def test_segments_that_do_not_fit(segments, match):
    with pytest.raises(GrevyError, match=match):
        fitted(made(), grevy.Validation(segments))


def test_adapting_takes_none():
    neural, label = made()
    model = fitted((neural, label))
    with pytest.raises(GrevyError, match="adapt takes neither"):
        model.fit(neural[:, :4], label, adapt=True, validation=grevy.Validation(APART))


def test_bf16_trains_nearly_as_well_and_repeats():
    neural, label = made()
    settings = {"max_iterations": 300, "learning_rate": 3e-3, "precision": "bf16"}
    model, again = (fitted((neural, label), **settings) for _ in range(2))
    exact = fitted((neural, label), **{**settings, "precision": "float32"})
    np.testing.assert_array_equal(model.transform(neural), again.transform(neural))
    near, far = (np.mean(m.solver_.history[-50:]) for m in (model, exact))
    assert near == pytest.approx(far, abs=0.05)
    assert far < model.chance_ - 0.3
    assert all(p.dtype == torch.float32 for p in model.model_.parameters())


@pytest.mark.parametrize(
    "settings",
    [
        {"model_architecture": "offset36-model-dropout"},
        {"masking_kwargs": (("RandomNeuronMask", 0.5),)},
    ],
)
def test_bf16_is_refused_where_it_cannot_be(settings):
    with pytest.raises(GrevyError, match="precision 'bf16' needs"):
        fitted(made(), precision="bf16", **settings)
