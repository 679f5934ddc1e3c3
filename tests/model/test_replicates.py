"""Trainings side by side give what each gives alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.base import clone

import grevy
from grevy.data.labels import continuous
from grevy.data.recording import make_recording
from grevy.engine.loop import DivergedError
from grevy.model import fitting
from grevy.model.replicates import fit_replicates
from grevy.model.states import fresh_state
from grevy.model.tasks import Task
from grevy.model.validation import Validation

SETTINGS = {
    "model_architecture": "offset5-model",
    "batch_size": 16,
    "output_dimension": 4,
    "max_iterations": 70,  # more than one block of drawn steps
    "device": "cpu",
}


def made(neurons=6, seed=0):
    rng = np.random.default_rng(seed)
    label = np.cumsum(rng.normal(size=(200, 2)), axis=0)
    neural = label @ rng.normal(size=(2, neurons)) + rng.normal(size=(200, neurons))
    return make_recording(neural.astype(np.float32), [continuous(label, "place")])


CASES = {
    "plain": ({}, [made()]),
    "dropout": ({"model_architecture": "offset36-model-dropout"}, [made()]),
    "hybrid": ({"hybrid": True}, [made()]),
    "learnt temperature": ({"temperature_mode": "auto"}, [made()]),
    "masks": ({"masking_kwargs": {"RandomNeuronMask": 0.3}}, [made()]),
    "several recordings": ({}, [made(), made(5, 1)]),
    "whole data": ({"batch_size": None}, [made()]),
    "bf16": ({"precision": "bf16"}, [made()]),
}


@pytest.mark.parametrize("case", CASES)
def test_each_is_as_fitted_alone(case):
    settings, recordings = CASES[case]
    X = recordings if len(recordings) > 1 else recordings[0]
    model = grevy.CEBRA(**{**SETTINGS, **settings}, seed=9)
    for seed, got in zip((3, 5), fit_replicates(model, X, (3, 5)), strict=True):
        alone = grevy.CEBRA(**{**SETTINGS, **settings}, seed=seed).fit(X)
        assert got.seed_ == seed
        assert got.solver_.log == alone.solver_.log
        assert (got.chance_, got.n_steps_) == (alone.chance_, alone.n_steps_)
        for number, recording in enumerate(recordings):
            which = number if len(recordings) > 1 else None
            one, other = (m.transform(recording, session_id=which) for m in (got, alone))
            np.testing.assert_array_equal(one, other)
    assert not hasattr(model, "model_")


def test_each_stops_when_its_own_loss_stalls():
    recording = replace(made(), segments=np.array([[0, 60], [80, 200]]))
    apart = Validation(np.array([[60, 80]]), every=5, patience=2)
    model = grevy.CEBRA(**{**SETTINGS, "learning_rate": 0.01, "max_iterations": 300})
    several = fit_replicates(model, recording, (1, 2, 3), apart)
    for seed, got in zip((1, 2, 3), several, strict=True):
        alone = clone(model).set_params(seed=seed).fit(recording, validation=apart)
        assert got.validation_ == alone.validation_
        assert got.n_steps_ == alone.n_steps_ < 300
        np.testing.assert_array_equal(got.transform(recording), alone.transform(recording))


@pytest.mark.parametrize("architecture", ["offset5-model", "offset36-model-dropout"])
def test_steps_in_turn_are_the_steps_of_each(architecture, monkeypatch):
    """As on a GPU, but for the streams: a step of each, then the next of each."""
    monkeypatch.setattr(fitting, "_own_stream", lambda _training: None)
    settings = {**SETTINGS, "model_architecture": architecture}
    estimators = [grevy.CEBRA(**settings, seed=seed) for seed in (1, 2, 3)]
    courses = []
    for each in estimators:
        state = fresh_state(each.parameters, [made()], False, each.seed)
        task = Task(each.parameters, state, (made(),), (), 0, 70)
        first = courses[0].training if courses else None
        courses.append(fitting.Course(task, fitting._training(task, first), each.take_up))
    fitting._train_side_by_side(courses)
    for got in estimators:
        alone = clone(got).fit(made())
        assert got.solver_.log == alone.solver_.log
        np.testing.assert_array_equal(got.transform(made()), alone.transform(made()))


def test_none():
    assert fit_replicates(grevy.CEBRA(**SETTINGS), made(), ()) == []


def test_a_loss_that_diverges_is_said():
    with pytest.raises(DivergedError, match="not a finite number"):
        fit_replicates(grevy.CEBRA(**{**SETTINGS, "learning_rate": 1e30}), made(), (1, 2))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU at hand")
def test_on_a_gpu_each_is_as_fitted_alone():
    settings = {**SETTINGS, "device": "cuda"}
    for seed, got in zip(
        (3, 5), fit_replicates(grevy.CEBRA(**settings), made(), (3, 5)), strict=True
    ):
        alone = grevy.CEBRA(**settings, seed=seed).fit(made())
        np.testing.assert_allclose(got.transform(made()), alone.transform(made()), atol=1e-4)
