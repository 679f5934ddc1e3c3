"""A recorded step trains as one that is not: the logic, with a graph that replays in Python.

The graph of a GPU itself is tested where there is one.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

import grevy
from grevy.data.labels import continuous
from grevy.data.recording import make_recording
from grevy.engine.cuda_graph import CudaGraph
from grevy.engine.loop import batches
from grevy.engine.step import WARM_UP, can_be_captured, stepper
from grevy.model.assembly import make_training
from grevy.model.states import fresh_state

STEPS = 12
SETTINGS = {
    "model_architecture": "offset5-model",
    "batch_size": 16,
    "output_dimension": 4,
    "learning_rate": 1e-2,
    "device": "cpu",
}


class Tape:
    """Keeps the body and runs it at every replay, into the same output."""

    def __init__(self):
        self.calls, self.body, self.output = [], None, torch.empty(4)

    def warm_up(self, body):
        self.calls.append("warm up")
        return body()

    def record(self, body):
        self.calls.append("record")
        self.body = body

    def replay(self):
        self.calls.append("replay")
        return self.output.copy_(self.body())


def made(**settings):
    rng = np.random.default_rng(0)
    label = np.cumsum(rng.normal(size=(200, 2)), axis=0)
    neural = label @ rng.normal(size=(2, 6)) + rng.normal(size=(200, 6))
    recording = make_recording(neural.astype(np.float32), [continuous(label)])
    model = grevy.CEBRA(**{**SETTINGS, **settings}, seed=1)
    training = make_training(
        model.parameters, fresh_state(model.parameters, [recording], False, 1), [recording]
    )
    # On a GPU, for which steps are recorded, nothing is packed.
    layout = replace(training.encoder.layouts[0], steps=len(recording))
    return replace(training, encoder=replace(training.encoder, layouts=(layout,)))


def train(training, graph):
    take = stepper(training, graph)
    drawn = batches(training.sampler, training.seed, 0, STEPS)
    return [take(batch, step) for step, batch in drawn]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"hybrid": True},
        {"temperature_mode": "auto"},
        {"batch_size": None},
        {"model_architecture": "offset10-model-mse", "distance": "euclidean"},
        {"precision": "bf16"},
        {"num_negatives": 40},
    ],
)
def test_a_replayed_step_is_the_step(settings):
    plain, recorded, tape = made(**settings), made(**settings), Tape()
    expected, got = train(plain, None), train(recorded, tape)
    torch.testing.assert_close(torch.stack(got), torch.stack(expected), rtol=0, atol=0)
    weights = [list(t.encoder.models[0].parameters()) for t in (plain, recorded)]
    torch.testing.assert_close(*weights, rtol=0, atol=0)
    assert tape.calls == ["warm up"] * WARM_UP + ["record"] + ["replay"] * (STEPS - WARM_UP)


def test_records_outlive_the_next_replay():
    got = train(made(), Tape())
    assert len({float(record[0]) for record in got}) == STEPS


def test_nothing_is_captured_on_a_processor():
    assert not can_be_captured(made())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU at hand")
@pytest.mark.parametrize("settings", [{}, {"hybrid": True}, {"temperature_mode": "auto"}])
def test_a_graph_of_a_gpu(settings):
    plain, recorded = (made(**settings, device="cuda") for _ in range(2))
    assert can_be_captured(recorded)
    expected, got = train(plain, None), train(recorded, CudaGraph(torch.device("cuda", 0)))
    torch.testing.assert_close(torch.stack(got), torch.stack(expected), rtol=1e-4, atol=1e-5)
