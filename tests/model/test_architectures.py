"""From parameters and recordings to a training: what is chosen, and every mistake named."""

import cebra.models
import numpy as np
import pytest
import torch
from torch import nn

from grevy.data.labels import circular, continuous, discrete
from grevy.data.recording import make_recording
from grevy.engine.devices import resolve_device
from grevy.errors import GrevyError
from grevy.model.architectures import check_one_row_for_each_step, usable_models
from grevy.model.assembly import make_training
from grevy.model.estimator import CEBRA
from grevy.model.parameters import check_parameters, time_offsets
from grevy.model.plan import sampling_plan
from grevy.model.states import fresh_state

RNG = np.random.default_rng(0)
LINE = continuous(RNG.normal(size=(40, 2)), "line")
ANGLE = circular(RNG.uniform(0, 6, 40), name="angle")
KLASS = discrete(RNG.integers(0, 3, 40), "class")


def recording(*labels, neurons=3):
    return make_recording(RNG.normal(size=(40, neurons)), labels)


PLANS = [
    ((), {}, "time", "empirical"),
    ((), {"conditional": "time"}, "time", "empirical"),
    ((LINE,), {}, "time_delta", "empirical"),
    ((ANGLE,), {}, "time_delta", "empirical"),
    ((LINE,), {"conditional": "time"}, "time", "empirical"),
    ((LINE,), {"conditional": "delta_normal", "delta": 0.1}, "delta_normal", "empirical"),
    ((LINE,), {"conditional": "delta", "delta": 0.1}, "delta_normal", "empirical"),
    ((KLASS,), {}, "discrete", "empirical"),
    ((KLASS,), {"conditional": "time_delta"}, "discrete", "empirical"),
    ((KLASS,), {"prior": "uniform"}, "discrete", "uniform"),
    ((KLASS, LINE), {}, "time_delta", "uniform"),
    ((KLASS, LINE), {"prior": "empirical"}, "time_delta", "empirical"),
    ((KLASS, LINE), {"batch_size": None}, "time_delta", "empirical"),
    ((KLASS, ANGLE), {"conditional": "delta_normal", "delta": 1.0}, "delta_normal", "uniform"),
]


@pytest.mark.parametrize(("labels", "options", "conditional", "prior"), PLANS)
def test_the_plan_follows_from_labels_and_parameters(labels, options, conditional, prior):
    estimator = CEBRA(**{"batch_size": 8, **options})
    plan = sampling_plan(estimator.parameters, [recording(*labels)])
    assert (plan.conditional, plan.prior) == (conditional, prior)
    assert plan.batch_size == estimator.batch_size


@pytest.mark.parametrize(
    ("given", "expected"),
    [(1, (1,)), ((1, 5), (1, 5)), ([2], (2,)), (np.array([3, 4]), (3, 4)), (np.int64(7), (7,))],
)
def test_time_offsets(given, expected):
    assert time_offsets(given) == expected
    plan = sampling_plan(CEBRA(time_offsets=given).parameters, [recording()])
    assert plan.time_offsets == expected
    assert all(type(k) is int for k in plan.time_offsets)


@pytest.mark.parametrize(
    ("labels", "options", "words"),
    [
        ((), {"conditional": "time_delta"}, ["time_delta", "label"]),
        ((), {"conditional": "delta_normal", "delta": 1.0}, ["delta_normal", "label"]),
        ((), {"hybrid": True}, ["hybrid", "label"]),
        ((KLASS,), {"conditional": "delta_normal", "delta": 1.0}, ["discrete", "nearness"]),
        ((KLASS,), {"prior": "uniform", "batch_size": None}, ["uniform", "batch_size=None"]),
        ((LINE,), {"prior": "uniform"}, ["uniform", "no discrete label"]),
        ((), {"prior": "uniform"}, ["uniform", "no discrete label"]),
    ],
)
def test_plans_that_make_no_sense(labels, options, words):
    with pytest.raises(GrevyError) as caught:
        sampling_plan(CEBRA(**{"batch_size": 8, **options}).parameters, [recording(*labels)])
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(("labels", "options"), [((), {}), ((LINE,), {"conditional": "time"})])
def test_several_recordings_need_a_label_in_common(labels, options):
    with pytest.raises(GrevyError, match="several recordings are aligned through their labels"):
        sampling_plan(CEBRA(batch_size=8, **options).parameters, [recording(*labels)] * 2)


def test_every_wrong_parameter_is_named_at_once():
    estimator = CEBRA(batch_size=0, learning_rate=-1, seed=-3, time_offsets=0, delta=0.5)
    with pytest.raises(GrevyError, match="5 problems") as caught:
        check_parameters(estimator.get_params())
    for name in (
        "batch_size is 0",
        "learning_rate is -1",
        "seed is -3",
        "time_offsets",
        "delta=0.5",
    ):
        assert name in str(caught.value)


def test_devices():
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") in ("cpu", "cuda", "mps")
    assert resolve_device("cuda_if_available") == resolve_device("auto")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gpu", ["unknown device 'gpu'", "cpu"]),
        ("cpu:x", ["unknown device"]),
        ("cuda:one", ["unknown device"]),
        ("", ["unknown device"]),
        ("cuda:99", ["cuda:99", "CUDA device"]),
    ],
)
def test_devices_that_are_not_there(name, words):
    with pytest.raises(GrevyError) as caught:
        resolve_device(name)
    for word in words:
        assert word in str(caught.value)


def test_models_that_learn_by_contrast():
    models = usable_models()
    assert "offset10-model" in models
    assert "supervised10-model" not in models
    assert set(models) < set(cebra.models.get_options())


@pytest.mark.parametrize(
    ("options", "several", "solver"),
    [
        ({"batch_size": 8}, False, "SingleSessionSolver"),
        ({"batch_size": None}, False, "BatchSingleSessionSolver"),
        (
            {"batch_size": 8, "hybrid": True, "output_dimension": 4},
            False,
            "SingleSessionHybridSolver",
        ),
        ({"batch_size": 8}, True, "MultiSessionSolver"),
    ],
)
def test_a_fresh_state_is_what_cebra_would_make(options, several, solver):
    recordings = [recording(LINE), recording(LINE, neurons=5)][: 1 + several]
    estimator = CEBRA(device="cpu", learning_rate=0.01, temperature_mode="auto", **options)
    state = fresh_state(estimator.parameters, recordings, several, seed=3)
    assert type(state.solver).__name__ == solver
    assert isinstance(state.model, nn.ModuleList) == several
    (group,) = state.solver.optimizer.param_groups
    assert group["lr"] == 0.01
    optimised = {id(p) for p in group["params"]}
    owned = [*state.model.parameters(), *state.solver.criterion.parameters()]
    assert optimised == {id(p) for p in owned}
    again = fresh_state(estimator.parameters, recordings, several, seed=3).model.state_dict()
    other = fresh_state(estimator.parameters, recordings, several, seed=4).model.state_dict()
    weights = state.model.state_dict()
    assert all(torch.equal(value, again[key]) for key, value in weights.items())
    assert any(not torch.equal(value, other[key]) for key, value in weights.items())


def test_a_training_brings_all_together(tmp_path):
    np.save(tmp_path / "x.npy", RNG.normal(size=(40, 3)).astype(np.float32))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    estimator = CEBRA("offset5-model", batch_size=8, device="cpu", num_negatives=5)
    recordings = [make_recording(mapped, [LINE])]
    state = fresh_state(estimator.parameters, recordings, False, seed=1)
    training = make_training(estimator.parameters, state, recordings)
    assert (training.encoder.left, training.encoder.right) == (2, 3)
    assert training.chance == pytest.approx(np.log(5))
    np.testing.assert_array_equal(training.encoder.starts, [0, 40])
    training.encoder.neural[0][0] = 0  # a copy: the file on the disk is not ours to write
    assert np.load(tmp_path / "x.npy")[0].any()


def test_models_that_subsample_are_told_apart():
    check_one_row_for_each_step(CEBRA("offset10-model").parameters, 3)
    check_one_row_for_each_step(
        CEBRA("offset4-model-2x-subsample").parameters, 3
    )  # window by window
    with pytest.raises(GrevyError, match="one row for several time steps"):
        check_one_row_for_each_step(CEBRA("offset40-model-4x-subsample").parameters, 3)
