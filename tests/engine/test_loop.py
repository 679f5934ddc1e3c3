"""The loop: what a step draws, that a seed repeats it to the last bit, and that it can stop."""

import os
import random
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from grevy.data.labels import continuous
from grevy.data.recording import make_recording
from grevy.engine.interruption import interruptible
from grevy.engine.loop import BLOCK, batches, made_ahead, weights_seed
from grevy.engine.sampling.plan import SamplingPlan
from grevy.engine.sampling.preparation import make_sampler
from grevy.engine.step import chance_loss
from grevy.model.estimator import CEBRA
from grevy.model.inputs import gather_recordings
from grevy.model.plan import sampling_plan

# Every way of drawing; run in a process of its own by `python -c`, so kept free of fixtures.
RECIPES = """
import hashlib, sys
import numpy as np
import grevy
from grevy import CEBRA

rng = np.random.default_rng(0)
X, other = rng.normal(size=(150, 6)), rng.normal(size=(120, 4))
line = np.cumsum(rng.normal(size=(150, 2)), axis=0)
klass = rng.integers(0, 3, 150)
angle = grevy.circular(rng.uniform(0, 6, 150))
settings = {
    "time": ((X,), dict(conditional="time")),
    "time_delta": ((X, line), {}),
    "delta_normal": ((X, line), dict(conditional="delta_normal", delta=0.5)),
    "circular": ((X, angle), {}),
    "discrete": ((X, klass), {}),
    "mixed": ((X, line, klass), {}),
    "hybrid": ((X, line), dict(hybrid=True, output_dimension=4)),
    "several": (([X, other], [line, line[:120]]), {}),
    "several classes": (([X, other], [klass, klass[:120]]), {}),
    "whole": ((X, line), dict(batch_size=None)),
    "masks": ((X, line), dict(masking_kwargs=(("RandomNeuronMask", [0.2, 0.4]),))),
    "dropout": ((X, line), dict(model_architecture="offset36-model-dropout")),
    "windows": ((X, line), dict(model_architecture="offset10-model", temperature_mode="auto")),
}

def digest(name, seed):
    data, options = settings[name]
    options = {"batch_size": 16, "max_iterations": 8, "output_dimension": 3, **options}
    model = CEBRA(device="cpu", num_hidden_units=4, seed=seed, **options).fit(*data)
    first = data[0][0] if isinstance(data[0], list) else data[0]
    session = 0 if isinstance(data[0], list) else None
    hashed = hashlib.sha256(model.transform(first, session_id=session).tobytes())
    hashed.update(np.array(model.solver_.history).tobytes())
    for value in model.solver_.model.state_dict().values():
        hashed.update(value.numpy().tobytes())
    return hashed.hexdigest()
"""
SPACE: dict = {}
exec(RECIPES, SPACE)
NAMES = list(SPACE["settings"])


def test_two_processes_give_the_same_bits():
    code = RECIPES + "print(*[digest(name, 7) for name in settings], sep='\\n')"
    outputs = []
    for hashing in ("0", "1"):  # Python's own hashing differs, nothing else
        environment = {**os.environ, "PYTHONHASHSEED": hashing}
        outputs.append(
            subprocess.run(
                [sys.executable, "-W", "ignore", "-c", code],
                capture_output=True,
                text=True,
                check=True,
                env=environment,
            ).stdout.split()
        )
    assert len(outputs[0]) == len(NAMES)
    assert dict(zip(NAMES, outputs[0], strict=True)) == dict(zip(NAMES, outputs[1], strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_alone_decides(name):
    digest = SPACE["digest"]
    torch.manual_seed(1)
    first = digest(name, 7)
    torch.manual_seed(2)
    np.random.seed(3)  # noqa: NPY002
    assert digest(name, 7) == first
    assert digest(name, 8) != first


@pytest.mark.parametrize("name", ["time", "hybrid", "masks", "dropout", "several", "whole"])
def test_global_generators_are_left_alone(name):
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    before = (random.getstate(), np.random.get_state(), torch.get_rng_state())  # noqa: NPY002
    SPACE["digest"](name, 3)
    assert random.getstate() == before[0]
    after = np.random.get_state()  # noqa: NPY002
    assert after[0] == before[1][0]
    np.testing.assert_array_equal(after[1], before[1][1])
    assert after[2:] == before[1][2:]
    assert torch.equal(torch.get_rng_state(), before[2])


@pytest.mark.parametrize(
    ("name", "split"),
    [(name, 5) for name in NAMES]
    + [(name, split) for name in ("time", "mixed") for split in (1, BLOCK - 1, BLOCK)],
)
def test_stopping_and_going_on_equals_going_through(name, split, tmp_path):
    data, options = SPACE["settings"][name]
    total = split + 4
    options = {"batch_size": 16, "output_dimension": 3, **options}
    common = {"device": "cpu", "num_hidden_units": 4, "seed": 1, **options}
    through = CEBRA(max_iterations=total, **common).fit(*data)
    stopped = CEBRA(max_iterations=split, **common).fit(*data)
    stopped.save(tmp_path / "model.pt")
    loaded = CEBRA.load(tmp_path / "model.pt")
    for model in (stopped, loaded):
        model.set_params(max_iterations=total - split).partial_fit(*data)
        assert model.n_steps_ == total
        np.testing.assert_allclose(model.solver_.history, through.solver_.history, rtol=1e-6)
        for key, value in through.solver_.model.state_dict().items():
            assert torch.equal(value, model.solver_.model.state_dict()[key]), key
    assert stopped.solver_.history == through.solver_.history


def sampler_of(batch_size):
    rng = np.random.default_rng(0)
    recording = make_recording(rng.normal(size=(50, 2)), [continuous(rng.normal(size=50))])
    return make_sampler([recording], 0, 1, SamplingPlan("time_delta", batch_size=batch_size))


@pytest.mark.parametrize("batch_size", [4, None])
@pytest.mark.parametrize(("first", "last"), [(0, 3), (60, 70), (63, 65), (64, 64), (130, 200)])
def test_a_step_draws_the_same_whenever_it_is_reached(batch_size, first, last):
    sampler = sampler_of(batch_size)
    whole = dict(batches(sampler, 5, 0, 200))
    part = dict(batches(sampler, 5, first, last))
    assert list(part) == list(range(first, last))
    for step, batch in part.items():
        for name in ("reference", "positive", "negative"):
            np.testing.assert_array_equal(getattr(batch, name), getattr(whole[step], name))


def test_steps_and_seeds_differ():
    sampler = sampler_of(8)
    drawn = [b.negative.tolist() for seed in (1, 2) for _, b in batches(sampler, seed, 0, 130)]
    assert len({tuple(row) for row in drawn}) == len(drawn)
    assert weights_seed(1) != weights_seed(2)


def test_chance_is_the_loss_of_one_point():
    assert chance_loss(512, hybrid=False) == pytest.approx(np.log(512))
    assert chance_loss(512, hybrid=True) == pytest.approx(2 * np.log(512))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_request_and_a_second_ctrl_c_does_what_it_used_to(number):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    seen = []
    signal.signal(number, lambda *_: seen.append(number))
    try:
        with interruptible() as interruption:
            interruption.raise_if_requested()  # nothing yet
            signal.raise_signal(number)
            assert not seen
            with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else SystemExit):
                interruption.raise_if_requested()
            signal.raise_signal(number)
            assert seen == ([number] if number == signal.SIGINT else [])
    finally:
        signal.signal(number, before[number == signal.SIGTERM])
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_the_handler_comes_back_after_an_error():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(RuntimeError), interruptible():
        raise RuntimeError
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("name", ["time", "mixed", "hybrid", "several classes", "whole"])
@pytest.mark.parametrize(("first", "last"), [(0, 0), (0, 3), (0, 2 * BLOCK), (60, 3 * BLOCK + 5)])
def test_batches_drawn_ahead_are_the_same(name, first, last):
    data, options = SPACE["settings"][name]
    recordings, _ = gather_recordings(data[0], data[1:])
    plan = sampling_plan(CEBRA(**{"batch_size": 16, **options}).parameters, recordings)
    sampler = make_sampler(recordings, 0, 1, plan)
    expected = list(batches(sampler, 5, first, last))
    got = list(batches(sampler, 5, first, last, ahead=True))
    assert [step for step, _ in got] == list(range(first, last))
    for (_, one), (_, other) in zip(expected, got, strict=True):
        for part in ("reference", "positive", "negative", "time_positive"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


def drawing_threads():
    return [each for each in threading.enumerate() if each.name.startswith("grevy-draws-ahead")]


def test_one_is_made_while_another_is_used_and_no_more():
    begun = {number: threading.Event() for number in range(5)}
    made = made_ahead(lambda number: (begun[number].set(), number)[1], range(5))
    assert not drawing_threads()  # nothing begins before it is asked for
    for number in range(5):
        assert next(made) == number
        if number < 4:
            assert begun[number + 1].wait(30)
        assert not any(begun[later].is_set() for later in range(number + 2, 5))
    assert list(made) == []
    assert not drawing_threads()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_goes_wrong_in_drawing_comes_out_at_its_turn(error):
    def make(number):
        if number == 2:
            raise error("in drawing")
        return number

    made, seen = made_ahead(make, range(5)), []
    with pytest.raises(error, match="in drawing"):
        seen.extend(iter(made))
    assert not drawing_threads()
    made = made_ahead(make, range(5))
    assert [next(made), next(made)] == [0, 1]
    with pytest.raises(error, match="in drawing"):
        next(made)
    assert not drawing_threads()


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_the_thread_ends_when_nobody_goes_on(taken):
    drawn = batches(sampler_of(4), 5, 0, 10 * BLOCK, ahead=True)
    for _ in range(taken):
        next(drawn)
    assert bool(drawing_threads()) is (taken > 0)
    drawn.close()
    assert not drawing_threads()
    drawn = batches(sampler_of(4), 5, 0, 10 * BLOCK, ahead=True)
    next(drawn)
    with pytest.raises(KeyboardInterrupt):
        drawn.throw(KeyboardInterrupt)
    assert not drawing_threads()


def test_on_a_cpu_no_thread_draws(monkeypatch):
    monkeypatch.setattr("grevy.engine.loop.made_ahead", None)
    options = {"max_iterations": 2, "batch_size": 8, "num_hidden_units": 4, "device": "cpu"}
    model = CEBRA(seed=0, **options).fit(np.random.default_rng(0).normal(size=(60, 4)))
    assert len(model.state_dict_["loss"]) == 2  # trained, though nothing draws ahead


def test_training_works_in_another_thread():
    models = []
    X = np.random.default_rng(0).normal(size=(60, 4))
    options = {"max_iterations": 3, "batch_size": 8, "num_hidden_units": 4, "device": "cpu"}
    thread = threading.Thread(target=lambda: models.append(CEBRA(seed=0, **options).fit(X)))
    thread.start()
    thread.join()
    here = CEBRA(seed=0, **options).fit(X)
    np.testing.assert_array_equal(models[0].transform(X), here.transform(X))


def test_the_record_is_what_was_trained():
    """Recompute the first loss from the initial weights and the first batch."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(80, 5)).astype(np.float32), rng.normal(size=80)
    options = {"batch_size": 12, "num_hidden_units": 4, "device": "cpu", "temperature": 0.5}
    trained = CEBRA(max_iterations=1, seed=4, **options).fit(X, y)
    untrained = CEBRA(max_iterations=1, learning_rate=1e-30, seed=4, **options).fit(X, y)
    recording = make_recording(X, [continuous(y)])
    plan = SamplingPlan("time_delta", batch_size=12)
    (_, batch), *_ = batches(make_sampler([recording], 0, 1, plan), 4, 0, 1)
    Z = untrained.transform(X)
    logits = Z[batch.reference] @ Z[batch.negative].T / 0.5
    align = -(Z[batch.reference] * Z[batch.positive]).sum(1).mean() / 0.5
    expected = align + np.log(np.exp(logits).sum(1)).mean()
    log = trained.solver_.log
    np.testing.assert_allclose(log["total"][0], expected, rtol=1e-5)
    np.testing.assert_allclose(log["pos"][0], align, rtol=1e-5)
    np.testing.assert_allclose(log["neg"][0], expected - align, rtol=1e-5)
    assert log["temperature"] == [0.5]
    assert trained.solver_.history == log["total"]


def test_masks_change_what_is_learnt():
    X, y = np.random.default_rng(0).normal(size=(80, 5)), np.arange(80.0)
    options = {"max_iterations": 5, "batch_size": 16, "device": "cpu", "seed": 1}
    plain = CEBRA(**options).fit(X, y)
    masked = CEBRA(**options, masking_kwargs=(("RandomNeuronMask", 0.5),)).fit(X, y)
    assert (plain.transform(X) != masked.transform(X)).any()


def test_digest_tells_models_apart():
    assert len({SPACE["digest"](name, 7) for name in NAMES}) == len(NAMES)
