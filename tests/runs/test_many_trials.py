"""500 trials of 3 to 400 steps, each with an offset of its own: nothing reaches across a border."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from grevy.config import make_config
from grevy.data import continuous, make_recording, prepare, steps_inside
from grevy.engine import draw, make_sampler
from grevy.model import CEBRA, check_parameters, model_receptive_field, sampling_plan
from grevy.runs import run_experiment, train
from grevy.runs.preparing import make_model

N_TRIALS = 500
USUAL = {"model_architecture": "offset10-model", "device": "cpu", "seed": 3, "batch_size": 256}


@pytest.fixture(scope="module")
def trials():
    """Trials with a pause after each; within one the activity is its number alone."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 401, N_TRIALS)
    lengths[:5] = [3, 4, 9, 10, 400]
    pauses = rng.integers(0, 4, N_TRIALS)
    stops = np.cumsum(lengths + pauses) - pauses
    segments = np.stack([stops - lengths, stops], axis=1)
    owner = np.full(int(stops[-1] + pauses[-1]), -1)
    for number, (start, stop) in enumerate(segments):
        owner[start:stop] = number
    neural = np.where(owner[:, None] < 0, -(10.0**6), owner[:, None] + np.array([1.0, 1000.0]))
    label = np.cumsum(rng.normal(size=len(owner)))
    return make_recording(neural, [continuous(label)], segments=segments), owner


def parameters(**others):
    return check_parameters(CEBRA(**{**USUAL, **others}).get_params(deep=False))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("way", [{"conditional": "time"}, {}, {"hybrid": True}])
def test_no_window_and_no_pair_crosses_a_border(trials, way, causal):
    recording, owner = trials
    given = parameters(time_offsets=(2, 7), output_dimension=4, causal=causal, **way)
    left, right = model_receptive_field(given)
    plan = sampling_plan(given, [recording])
    batches = draw(make_sampler([recording], left, right, plan), 200, np.random.default_rng(0))
    drawn = [batches.reference, batches.positive, batches.negative]
    later = batches.positive if plan.conditional == "time" else batches.time_positive
    if plan.hybrid:
        drawn.append(batches.time_positive)
    for positions in drawn:
        windows = positions.reshape(-1, 1) + np.arange(-left, right)
        owners = owner[windows]
        assert (owners >= 0).all()
        assert (owners == owners[:, :1]).all()
        read = recording.neural[windows][..., 0]
        assert (read == read[:, :1]).all()
    if later is not None:
        np.testing.assert_array_equal(owner[later], owner[batches.reference])
        assert set(np.unique(later - batches.reference)) == {2, 7}
    met = set(np.unique(owner[batches.reference]).tolist())
    lengths = np.diff(recording.segments)[:, 0]
    needed = left + right + (2 if later is not None else 0)
    could = set(np.flatnonzero(lengths >= needed).tolist())
    assert met <= could
    assert len(met) > 0.9 * len(could)


@pytest.mark.parametrize("kind", ["centred", "causal"])
def test_no_smoothing_crosses_a_border(trials, kind):
    recording, owner = trials
    found = prepare(recording, smoothing=6, smoothing_kernel=kind)
    inside = owner >= 0
    np.testing.assert_allclose(found.neural[inside], recording.neural[inside], rtol=1e-6)


def test_each_trial_is_embedded_as_if_it_were_alone(trials):
    recording, _ = trials
    rng = np.random.default_rng(1)
    noisy = replace(recording, neural=rng.normal(size=(len(recording), 2)).astype(np.float32))
    prepared = prepare(noisy, smoothing=2, zscore=True)
    model = CEBRA(**USUAL, max_iterations=3, output_dimension=3).fit(prepared)
    whole = model.transform(noisy)
    assert np.isnan(whole).any(axis=1).sum() == len(noisy) - len(steps_inside(noisy.segments))
    for start, stop in noisy.segments[:40].tolist():
        alone = model.transform(noisy.neural[start:stop])
        np.testing.assert_allclose(alone, whole[start:stop], atol=1e-5)


def trained(recording, neural, caplog, **options):
    """The weights, and what was said of trials that are short."""
    config = make_config(
        {
            **USUAL, "dataset": "arrays", "max_iterations": 20, "holdout": 0.0, "time_offsets": 2,
            **options,
        }
    )  # fmt: skip
    model = make_model(config, verbose=False)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        train(model, [replace(recording, neural=neural)], None, config, None, False)
    (record,) = caplog.records
    return [each.detach().numpy().copy() for each in model.model_.parameters()], record


def test_what_short_trials_and_pauses_hold_changes_no_weight(trials, caplog):
    recording, owner = trials
    rng = np.random.default_rng(2)
    neural = rng.normal(size=(len(recording), 2)).astype(np.float32)
    lengths = np.diff(recording.segments)[:, 0]
    unread = np.append(lengths < 10, True)[owner]  # the last is for steps outside of all trials
    assert 0 < (lengths < 10).sum() < 50
    changed = np.where(unread[:, None], np.float32(1e3), neural)
    weights = []
    for values in (neural, changed):
        found, record = trained(recording, values, caplog)
        assert record.levelno == logging.WARNING
        count = int((lengths < 10).sum())
        assert (
            f"{count} of 500 segments are shorter than a window (10 steps)" in record.getMessage()
        )
        weights.append(found)
    for before, after in zip(*weights, strict=True):
        np.testing.assert_array_equal(before, after)


def test_trials_that_are_padded_change_weights_and_pauses_do_not(trials, caplog):
    recording, owner = trials
    rng = np.random.default_rng(2)
    neural = rng.normal(size=(len(recording), 2)).astype(np.float32)
    short = np.diff(recording.segments)[:, 0] < 10
    unread, padded = owner < 0, np.append(short, False)[owner]
    first, record = trained(recording, neural, caplog, pad_short=True)
    assert record.levelno == logging.INFO
    assert f"{short.sum()} of 500" in record.getMessage()
    assert "are padded" in record.getMessage()
    for changed, same in ((unread, True), (padded, False)):
        values = np.where(changed[:, None], np.float32(1e3), neural)
        found, _ = trained(recording, values, caplog, pad_short=True)
        pairs = zip(first, found, strict=True)
        assert all(np.array_equal(before, after) for before, after in pairs) == same


def test_a_run_of_trials_of_very_different_lengths(trials, tmp_path):
    recording, _ = trials
    rng = np.random.default_rng(3)
    some = recording.segments[:60]
    length = int(some[-1, 1])
    label = recording.labels[0].values[:length]
    spikes = label[:, :1] * [1, -1, 0] + rng.normal(size=(length, 3))
    np.savez(tmp_path / "data.npz", spikes=spikes, label=label[:, 0])
    rows = "\n".join(f"{start},{stop}" for start, stop in some.tolist())
    (tmp_path / "trials.csv").write_text(f"start,stop\n{rows}\n")
    config = make_config(
        {
            **USUAL, "data": str(tmp_path / "data.npz"), "neural": "spikes", "label": "label",
            "segments": str(tmp_path / "trials.csv"), "split": "segments", "max_iterations": 20,
            "folds": 0, "nulls": 0, "smoothing": 2, "output_dir": str(tmp_path / "run"),
        }
    )  # fmt: skip
    run = run_experiment(config, verbose=False)
    embedding = np.load(run.folder / "embeddings/embedding.npy")
    assert np.isfinite(embedding[steps_inside(some)]).all()
    assert run.metrics["holdout"]["test_segments"] >= 1
