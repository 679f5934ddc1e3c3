"""A run that prepares its data: nothing of what is held out gets in, and all of it is archived."""

import numpy as np
import pytest

from grevy.config import make_config, read_config
from grevy.data import block_folds, blocked_split
from grevy.model import CEBRA
from grevy.runs import EvaluationRequest, evaluate_target, run_experiment
from grevy.runs.holding_out import holdout_split, training_gap
from grevy.runs.preparing import load_recordings, make_model, smoothing_reach

PREPARING = {
    "lag": "0.04s", "rates": True, "min_rate": 12.0, "square_root": True, "smoothing": "0.04s",
    "zscore": True, "scale_labels": True, "sampling_rate": 50.0,
}  # fmt: skip
LENGTH, NEURONS = 900, 8


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    place = np.cumsum(rng.normal(size=(LENGTH, 2)), axis=0) / 10
    rates = np.exp(np.clip(place @ rng.normal(size=(2, NEURONS)) / 2, -1, 2)) * 0.6
    rates[:, 3] = 0.05
    return {"spikes": rng.poisson(rates).astype(np.float32), "place": place}


def settings(folder, **others):
    return make_config(
        {
            "data": str(folder / "data.npz"), "neural": "spikes", "label": "place", "seed": 0,
            "max_iterations": 8, "batch_size": 32, "folds": 0, "nulls": 0, "device": "cpu",
            "time_offsets": 2, "output_dir": str(folder / "run"), **PREPARING, **others,
        }
    )  # fmt: skip


def weights(folder):
    model = CEBRA.load(folder / "run" / "models" / "cebra_model.pt")
    return model, [each.detach().numpy() for each in model.model_.parameters()]


def test_data_held_out_change_no_weight_and_no_number(tmp_path):
    kept = []
    for name in ("as it is", "changed"):
        folder = tmp_path / name
        folder.mkdir()
        data = arrays()
        np.savez(folder / "data.npz", **data)
        config = settings(folder, validation=0.1)
        if name == "changed":
            recordings = load_recordings(config)
            model = make_model(config, verbose=False)
            reach = smoothing_reach(config, recordings)
            assert reach == 16
            split = holdout_split(model, recordings, 0.2, "blocks", reach)
            rng = np.random.default_rng(5)
            data["spikes"][split.test] = rng.poisson(9, (len(split.test), NEURONS))
            data["place"][split.test + 2] = rng.normal(size=(len(split.test), 2)) * 1e4
            np.savez(folder / "data.npz", **data)
        done = run_experiment(config, verbose=False)
        kept.append((*weights(folder), done.metrics["scores"]["place"]["blocked"]))
    (first, ours, score), (second, theirs, other) = kept
    assert first.preparations_[0].same_as(second.preparations_[0])
    assert first.validation_ == second.validation_
    for before, after in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(before, after)
    assert score != other  # it is another test


def test_smoothing_widens_the_gap_of_holdout_and_folds(tmp_path):
    np.savez(tmp_path / "data.npz", **arrays())
    config = settings(tmp_path, lag=None, folds=2)
    recordings, model = load_recordings(config), make_model(config, verbose=False)
    gap = training_gap(model) + 16
    split = holdout_split(model, recordings, 0.2, "blocks", smoothing_reach(config, recordings))
    expected = blocked_split(recordings[0].segments, 0.2, gap)
    np.testing.assert_array_equal(split.train, expected.train)
    from grevy.runs.holding_out import fold_splits

    for fold, other in zip(
        fold_splits(model, recordings, config),
        block_folds(recordings[0].segments, 2, gap),
        strict=True,
    ):
        np.testing.assert_array_equal(fold.train, other.train)


def test_a_prepared_run_is_archived_scored_again_and_its_model_embeds_raw_data(tmp_path, grevy_run):
    np.savez(tmp_path / "data.npz", **arrays())
    code, _, err = grevy_run(
        "run", "--data", tmp_path / "data.npz", "--neural", "spikes", "--label", "place",
        "--sampling-rate", 50, "--rates", "--min-rate", 12, "--square-root", "--smoothing", "40ms",
        "--zscore", "--scale-labels", "--lag", "-2", "--seed", 0, "--max-iterations", 8,
        "--batch-size", 32, "--folds", 2, "--nulls", 20, "--seeds", 2, "--device", "cpu",
        "--output-dir", tmp_path / "run",
    )  # fmt: skip
    assert code == 0, err
    assert "3 of 8 neurons" in err
    assert "fire less than 12 spikes per second and are left out: 3, 5, 6\n" in err
    archived = read_config(tmp_path / "run" / "config.yaml")
    assert archived["smoothing"] == "0.04s"
    assert archived["lag"] == "-2"
    assert [archived[name] for name in ("rates", "zscore", "min_rate")] == [True, True, 12.0]
    model, _ = weights(tmp_path)
    assert model.preparations_[0].left_out.tolist() == [3, 5, 6]
    embedding = np.load(tmp_path / "run" / "embeddings" / "embedding.npy")
    code, _, err = grevy_run(
        "embed", tmp_path / "run" / "models" / "cebra_model.pt", tmp_path / "data.npz",
        "--neural", "spikes", "-o", tmp_path / "new.npy",
    )  # fmt: skip
    assert code == 0, err
    inside = slice(30, LENGTH - 30)  # steps without a partner are in no segment of the run
    np.testing.assert_array_equal(np.load(tmp_path / "new.npy")[inside], embedding[inside])
    assert np.isnan(embedding[:2]).all()
    from grevy.archive import RunFolder, read_run

    run = read_run(RunFolder(tmp_path / "run"))
    again = evaluate_target(EvaluationRequest(tmp_path / "run"))
    assert again["scores"]["place"]["blocked"] == run.metrics["scores"]["place"]["blocked"]
    np.testing.assert_array_equal(run.labels[0].values[2:], arrays()["place"][:-2])
    code, _, err = grevy_run(
        "embed", tmp_path / "run" / "models" / "cebra_model.pt", tmp_path / "data.npz",
        "--neural", "place", "-o", tmp_path / "new.npy",
    )  # fmt: skip
    assert code == 2
    assert "has 2 neurons; what prepares it was fitted to 8" in err


def test_a_fitted_model_knows_how_far_its_smoothing_reaches(tmp_path):
    np.savez(tmp_path / "data.npz", **arrays())
    run_experiment(settings(tmp_path), verbose=False)
    model, _ = weights(tmp_path)
    unfitted = make_model(settings(tmp_path), verbose=False)
    assert training_gap(model) == training_gap(unfitted, 16) == training_gap(unfitted) + 16


def test_a_prepared_run_goes_on_where_it_was(tmp_path):
    np.savez(tmp_path / "data.npz", **arrays())
    done = run_experiment(settings(tmp_path), verbose=False)
    assert run_experiment(settings(tmp_path), resume=True).folder == done.folder
    from grevy.errors import GrevyError

    with pytest.raises(GrevyError, match=r"`smoothing` is 0\.04s there and 3 here"):
        run_experiment(settings(tmp_path, smoothing=3), resume=True)


def test_scores_are_of_labels_in_their_own_unit(tmp_path):
    data = arrays()
    data["place"] = data["place"] * [1, 1000]
    np.savez(tmp_path / "data.npz", **data)
    done = run_experiment(settings(tmp_path), verbose=False)
    found = done.metrics["scores"]["place"]["blocked"]["embedding"]
    assert found["per_dimension_mean_absolute_error"][1] > 100


def test_windows_without_a_future_are_smoothed_without_one(tmp_path):
    np.savez(tmp_path / "data.npz", **arrays())
    run_experiment(settings(tmp_path, causal=True), verbose=False)
    model, _ = weights(tmp_path)
    assert model.preparations_[0].kernel.kind == "causal"


def test_steps_with_nan_are_left_out_where_asked_for(tmp_path, grevy_run):
    data = arrays()
    data["spikes"][100:140, 2] = np.nan
    data["place"][500] = np.nan
    trials = np.repeat(np.arange(3.0), 300)
    trials[700:720] = np.nan
    np.savez(tmp_path / "data.npz", **data, trials=trials)
    asked = ["--data", tmp_path / "data.npz", "--neural", "spikes", "--label", "place",
             "--segments", "trials", "--max-iterations", 5, "--batch-size", 32, "--folds", 0,
             "--nulls", 0, "--seed", 0, "--device", "cpu",
             "--output-dir", tmp_path / "run"]  # fmt: skip
    code, _, err = grevy_run("run", *asked)
    assert code == 2
    assert "NaN" in err
    code, _, err = grevy_run("run", *asked, "--gaps", "nan")
    assert code == 0, err
    assert "61 of 900 steps hold NaN and are left out" in err
    from grevy.archive import RunFolder, read_run

    run = read_run(RunFolder(tmp_path / "run"))
    expected = [[0, 100], [140, 300], [300, 500], [501, 600], [600, 700], [720, 900]]
    np.testing.assert_array_equal(run.segments, expected)
    gone = np.isnan(run.embedding).any(axis=1)
    assert gone.sum() == 61
    again = evaluate_target(EvaluationRequest(tmp_path / "run"))
    assert again["scores"]["place"]["blocked"] == run.metrics["scores"]["place"]["blocked"]
    model = tmp_path / "run" / "models" / "cebra_model.pt"
    embed = ["embed", model, tmp_path / "data.npz", "--neural", "spikes", "-o", tmp_path / "e.npy"]
    assert grevy_run(*embed)[0] == 2
    assert grevy_run(*embed, "--gaps", "nan")[0] == 0
    assert np.isnan(np.load(tmp_path / "e.npy")).any(axis=1).sum() == 40
    code, _, err = grevy_run(*embed, "--gaps", "none")
    assert code == 2
    assert "unknown --gaps" in err or "unknown gaps 'none'" in err


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"smoothing": "x"}, "`smoothing` is 'x': expected a number above 0, of steps"),
        ({"smoothing": -1}, "`smoothing` is -1: expected"),
        ({"lag": "1 day"}, "`lag` is '1 day': expected a number, of steps"),
        ({"min_rate": 0}, "`min_rate` is 0: expected a number above 0"),
        ({"smoothing_kernel": "causal", "smoothing": None}, "needs `smoothing=TIME`"),
        ({"smoothing_kernel": "centred", "causal": True}, "looks into the future"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path, given, words):
    with pytest.raises(ValueError, match=words):
        settings(tmp_path, **given)
