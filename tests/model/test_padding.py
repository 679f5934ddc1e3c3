"""Segments too short for a sample, padded: windows, steps and pairs are those of looking at all."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from grevy.data import continuous, discrete, make_recording, steps_inside
from grevy.engine import draw, make_sampler
from grevy.engine.encoding.encoder import encode
from grevy.errors import GrevyError
from grevy.model import CEBRA, Validation, sampling_plan
from grevy.model.assembly import make_training
from grevy.model.goodness import heldout_goodness_of_fit
from grevy.model.states import fresh_state

SMALL = {
    "model_architecture": "offset5-model", "max_iterations": 5, "batch_size": 32,
    "num_hidden_units": 8, "output_dimension": 4, "device": "cpu", "seed": 0,
    "pad_short": True,
}  # fmt: skip


def recording(seed, longest=12, neurons=3):
    """Trials of 1 to `longest` steps with pauses, in which labels and activity are wild."""
    rng = np.random.default_rng(seed)
    lengths, pauses = rng.integers(1, longest + 1, 30), rng.integers(0, 4, 30)
    lengths[:2] = [3, longest]
    stops = np.cumsum(lengths + pauses)
    segments = np.stack([stops - lengths, stops], axis=1)
    outside = np.ones(int(stops[-1]) + 3, bool)
    outside[steps_inside(segments)] = False
    neural = rng.normal(size=(len(outside), neurons))
    neural[outside] = 1e6
    line = np.cumsum(rng.uniform(0.5, 1, len(outside)))
    line[outside] = -1e6
    labels = [continuous(line, name="line"), discrete(rng.integers(0, 2, len(line)), name="class")]
    return make_recording(neural.astype(np.float32), labels, segments=segments)


def owners(found):
    owner = np.full(len(found), -1)
    for number, (start, stop) in enumerate(found.segments):
        owner[start:stop] = number
    return owner


def parameters(**options):
    return CEBRA(**{**SMALL, **options}).parameters


def training(recordings, **options):
    given = parameters(**options)
    several = len(recordings) > 1
    return make_training(given, fresh_state(given, recordings, several, 0), recordings)


WAYS = {
    "time": {"conditional": "time"},
    "label": {},
    "hybrid": {"hybrid": True},
    "delta": {"conditional": "delta_normal", "delta": 0.5},
}


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(3))
def test_steps_and_pairs_are_those_of_looking_at_all(seed, way, causal):
    given = parameters(**WAYS[way], causal=causal, time_offsets=(2, 4))
    found = recording(seed)
    plan, owner = sampling_plan(given, [found]), owners(found)
    left, right = (4, 1) if causal else (2, 3)
    in_time = way in ("time", "hybrid")
    valid = set()
    for start, stop in found.segments.tolist():
        if stop - start < 5 + 2 * in_time:
            valid |= set(range(start, stop))
        else:
            valid |= set(range(start + left, stop - right + 1))
    same = found.labels[1].values
    pairs = {
        (t, t + k)
        for t in valid
        for k in (2, 4)
        if t + k in valid and owner[t] == owner[t + k] and (way != "time" or same[t] == same[t + k])
    }
    drawn = draw(make_sampler([found], left, right, plan), 300, np.random.default_rng(seed))
    references = {t for t, _ in pairs} if in_time else valid
    assert set(drawn.reference.ravel().tolist()) == references
    assert set(drawn.negative.ravel().tolist()) == references
    assert set(drawn.positive.ravel().tolist()) <= valid
    later = drawn.positive if way == "time" else drawn.time_positive
    if in_time:
        assert set(zip(drawn.reference.ravel(), later.ravel(), strict=True)) == pairs
    # Short trials are there: this test would see it if they were left out.
    lengths = np.diff(found.segments)[:, 0]
    assert any(lengths[owner[t]] < 5 for t in references)


def test_changes_of_the_label_are_those_within_trials():
    found = recording(0)
    plan = sampling_plan(parameters(time_offsets=2), [found])
    (runs,) = make_sampler([found], 2, 3, plan).changes
    owner = owners(found)
    expected = [t for t in range(len(found) - 2) if owner[t] == owner[t + 2] != -1]
    assert runs.at(np.arange(runs.count)).tolist() == expected


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", ["offset5-model", "offset36-model-dropout", "offset1-model"])
def test_windows_repeat_the_first_and_the_last_step(kind, causal):
    several = [recording(1), recording(2, longest=40, neurons=5)]
    made = training(several, model_architecture=kind, causal=causal)
    encoder, sampler = made.encoder, made.sampler
    for model in encoder.models:
        model.eval()
    positions = np.unique(np.concatenate([pool.positions for pool in sampler.pools]))
    values, row = encode(encoder, positions).values.numpy(), 0
    for number, found in enumerate(several):
        own = (
            positions[
                (positions >= encoder.starts[number]) & (positions < encoder.starts[number + 1])
            ]
            - encoder.starts[number]
        )
        owner = owners(found)[own]
        rows = np.clip(
            own[:, None] + np.arange(-encoder.left, encoder.right),
            found.segments[owner, :1], found.segments[owner, 1:] - 1,
        )  # fmt: skip
        windows = torch.from_numpy(found.neural[rows]).transpose(1, 2)
        with torch.no_grad():
            expected = encoder.models[number](windows).reshape(len(own), -1).numpy()
        np.testing.assert_allclose(values[row : row + len(own)], expected, atol=1e-5)
        row += len(own)
        if kind != "offset1-model":
            assert len(encoder.neural[number]) > len(found)
    assert row == len(values)


def test_trials_all_of_which_are_short_are_trained_on_and_measured():
    found = recording(3, longest=4)
    with pytest.raises(GrevyError, match="pad_short=True"):
        CEBRA(**{**SMALL, "pad_short": False}).fit(found)
    model = CEBRA(**{**SMALL, "max_iterations": 200, "learning_rate": 3e-3}).fit(found)
    embedding = model.transform(found)
    assert np.isfinite(embedding[owners(found) >= 0]).all()
    assert heldout_goodness_of_fit(model, found).bits > 0.2
    with pytest.raises(GrevyError, match="validation: recording 0"):
        CEBRA(**SMALL).fit(found, validation=Validation(found.segments))


@pytest.mark.parametrize("option", [{}, {"precision": "bf16"}, {"batch_size": None}])
def test_nothing_changes_where_no_trial_is_short(option):
    found = recording(4)
    found = replace(found, segments=found.segments[np.diff(found.segments)[:, 0] >= 5])
    settings = {**SMALL, **option}
    one = CEBRA(**settings).fit(found)
    other = CEBRA(**{**settings, "pad_short": False}).fit(found)
    assert one.solver_.history == other.solver_.history


def test_a_saved_model_knows_it(tmp_path):
    model = CEBRA(**SMALL).fit(recording(5))
    model.save(tmp_path / "model.pt")
    assert CEBRA.load(tmp_path / "model.pt").pad_short is True


def test_what_is_read_step_by_step_is_not_padded(tmp_path, monkeypatch):
    found = recording(6)
    np.save(tmp_path / "x.npy", found.neural)
    monkeypatch.setattr("grevy.data.stored.HELD", 0)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    with pytest.raises(GrevyError, match=r"larger than memory.* short segments cannot be padded"):
        CEBRA(**SMALL).fit(mapped, segments=found.segments)
