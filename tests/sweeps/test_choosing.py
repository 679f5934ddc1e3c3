"""Choosing among runs: what chose is not what is reported, and luck is told from worth."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import r2_score

from archived_runs import held_out, made_labels, write_run
from grevy.archive import read_decoded, write_decoded
from grevy.errors import GrevyError
from grevy.evaluation import Decoded
from grevy.sweeps import choose, cross_chosen, find_metric, read_records
from grevy.sweeps.choosing import halves
from grevy.sweeps.words import choice_facts

LENGTH = 300
STEPS = held_out(LENGTH)


def made(root, values, noise=4.0, **config):
    """Runs that decode the velocity with so much error; the score in the metrics is that."""
    rng = np.random.default_rng(1)
    label = made_labels(LENGTH)[0]
    for place, value in enumerate(values):
        true = label.values[STEPS]
        decoded = true + noise * rng.normal(size=true.shape)
        score = r2_score(true, decoded) if value is None else value
        metrics = {
            "scores": {
                "velocity": {
                    "kind": "continuous",
                    "random": {},
                    "blocked": {"embedding": {"test_r2": score}, "chance": {"test_r2": -0.1}},
                }
            }
        }
        own = {"temperature": 0.1 + 0.1 * place, "seed": 0, **config}
        folder = write_run(root / f"{place:03d}", [label], metrics=metrics, config=own)
        write_decoded(folder, {"velocity": Decoded(STEPS, true, decoded)})
    return read_records([root]).runs


def chosen(runs, by=None):
    return choose(runs, find_metric(runs, by))


def test_halves_are_whole_blocks_in_turn():
    first, second = halves(np.array([1, 2, 3, 10, 11, 20, 21, 22]))
    assert (first.tolist(), second.tolist()) == ([1, 2, 3, 20, 21, 22], [10, 11])
    first, second = halves(np.arange(5, 12))
    assert (first.tolist(), second.tolist()) == ([5, 6, 7], [8, 9, 10, 11])


def test_the_score_of_noise_is_told_from_worth():
    rng = np.random.default_rng(0)
    found = np.array([cross_chosen(rng.normal(size=(50, 2))) for _ in range(300)])
    independent, on_own = found.mean(axis=0)
    assert abs(independent) < 0.15
    assert on_own > 2


def test_without_anything_else_blocks_are_halved(tmp_path):
    runs = made(tmp_path, [None] * 8, noise=9.0)
    choice = chosen(runs)
    assert choice.by == "halves"
    assert len(choice.why_not) == 2
    parts = halves(STEPS)
    scores = []
    for run in runs:
        each = read_decoded(run.folder)[1]["velocity"]
        places = [np.isin(each.steps, part) for part in parts]
        scores.append([r2_score(each.true[at], each.decoded[at]) for at in places])
    scores = np.array(scores)
    best = scores.argmax(axis=0)
    assert choice.independent == pytest.approx((scores[best[0], 1] + scores[best[1], 0]) / 2)
    assert choice.on_own == pytest.approx((scores[best[0], 0] + scores[best[1], 1]) / 2)
    assert choice.independent < choice.on_own
    assert choice.row.mean == max(run.numbers[choice.comparison.metric.name] for run in runs)


def with_bits(runs, bits):
    return [
        replace(run, numbers={**run.numbers, "validation.bits": each})
        for run, each in zip(runs, bits, strict=True)
    ]


def decoded_there(runs, scores):
    name = "validation.scores.velocity.test_r2"
    return [
        replace(run, numbers={**run.numbers, name: each})
        for run, each in zip(runs, scores, strict=True)
    ]


def test_the_label_on_validation_blocks_chooses_and_the_score_is_reported(tmp_path):
    """Bits would choose the third, the held-out score the first."""
    runs = with_bits(made(tmp_path, [0.9, 0.5, 0.7]), [1.0, 2.0, 3.0])
    choice = chosen(decoded_there(runs, [0.6, 0.8, 0.75]))
    assert choice.by == "validation"
    assert (choice.row.mean, choice.independent) == (0.5, 0.5)
    apart = choice.apart
    assert (apart.chose, apart.held_out) == (0.8, 0.5)
    assert apart.better == pytest.approx(0.3)
    assert apart.usual == pytest.approx((-0.3 + 0.3 + 0.05) / 3)
    said = dict(choice_facts(choice))
    assert "validation blocks" in said["chosen"]
    assert "among 3 settings" in said["chosen"]
    assert said["choosing"].startswith("0.800 ")
    assert said["honest"].startswith("0.500 on held-out time")
    assert said["apart"] == "0.300 better where it chose; the mean over all 3: 0.017 better"


def test_bits_choose_where_not_all_runs_decoded_on_validation_blocks(tmp_path):
    runs = with_bits(made(tmp_path, [0.9, 0.5, 0.7]), [1.0, 2.0, 3.0])
    choice = chosen([*decoded_there(runs[:2], [0.6, 0.8]), runs[2]])
    assert choice.by == "validation"
    assert choice.apart.metric.name == "validation.bits"
    assert choice.apart.held_out is None  # no goodness of fit on held-out time is archived
    assert (choice.row.mean, choice.independent) == (0.7, 0.7)
    assert choice.run is runs[2]
    assert choice.why_not == ("1 of 3 runs did not decode the label on validation blocks",)


def test_labels_choose_among_runs_whose_bits_cannot_be_compared(tmp_path):
    runs = with_bits(made(tmp_path, [0.9, 0.5, 0.7]), [1.0, 2.0, 3.0])
    runs = decoded_there(runs, [0.6, 0.8, 0.7])
    runs[0] = replace(runs[0], settings={**runs[0].settings, "batch_size": 64, "time_offsets": 3})
    assert chosen(runs).apart.metric.name == "validation.scores.velocity.test_r2"
    runs[0] = replace(runs[0], settings={**runs[0].settings, "validation": 0.3})
    assert chosen(runs).by == "halves"  # of other blocks


def test_a_score_of_the_validation_blocks_themselves_is_not_called_honest(tmp_path):
    runs = decoded_there(with_bits(made(tmp_path, [0.9, 0.5]), [1.0, 2.0]), [0.6, 0.8])
    for by in ("validation.scores.velocity.test_r2", "validation.bits"):
        choice = chosen(runs, by)
        assert (choice.by, choice.independent) == ("score", None)


def test_a_training_score_is_not_called_unseen(tmp_path):
    runs = decoded_there(made(tmp_path, [0.9, 0.5]), [0.6, 0.8])
    runs = [replace(run, numbers={**run.numbers, "goodness_of_fit_bits": 1.0}) for run in runs]
    choice = chosen(runs, "goodness_of_fit_bits")
    assert (choice.by, choice.independent) == ("validation", None)
    assert "not of held-out time alone" in dict(choice_facts(choice))["warning"]


def test_early_stopping_by_the_same_blocks_is_said(tmp_path):
    runs = decoded_there(made(tmp_path, [0.9, 0.5]), [0.6, 0.8])
    assert "note" not in dict(choice_facts(chosen(runs)))
    runs = [replace(run, settings={**run.settings, "patience": 3}) for run in runs]
    assert "stopped the training" in dict(choice_facts(chosen(runs)))["note"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"batch_size": 64}, "numbers of negatives"),
        ({"num_negatives": 7}, "numbers of negatives"),
        ({"time_offsets": 3}, "in different ways"),
        ({"validation": 0.3}, "in different ways"),
    ],
)
def test_validation_of_other_tasks_does_not_choose(tmp_path, changed, words):
    runs = with_bits(made(tmp_path, [0.9, 0.5, 0.7]), [1.0, 2.0, 3.0])
    runs[0] = replace(runs[0], settings={**runs[0].settings, **changed})
    choice = chosen(runs)
    assert choice.by == "halves"
    assert choice.why_not[0] == "3 of 3 runs did not decode the label on validation blocks"
    assert words in choice.why_not[1]


def test_folds_choose_and_each_is_reported_by_the_others(tmp_path):
    folds = [(0.9, 0.15, 0.2), (0.5, 0.45, 0.7), (0.1, 0.8, 0.3)]
    runs = [
        replace(run, folds={"velocity": each})
        for run, each in zip(made(tmp_path, [0.9, 0.5, 0.7]), folds, strict=True)
    ]
    choice = chosen(runs)
    assert choice.by == "folds"
    assert choice.row.runs[0] is runs[1]
    # Without each fold in turn, means are 0.175, 0.575, 0.55; 0.55, 0.6, 0.2; 0.525, 0.475, 0.45.
    assert choice.independent == pytest.approx((0.5 + 0.45 + 0.2) / 3)
    assert choice.on_own == pytest.approx((0.575 + 0.6 + 0.525) / 3)


def test_where_nothing_is_left_the_score_is_called_optimistic(tmp_path):
    runs = made(tmp_path, [0.9, 0.5])
    for run in runs:
        (run.folder / "embeddings/decoded.npz").unlink()
    choice = chosen(runs)
    assert (choice.by, choice.independent) == ("score", None)
    assert len(choice.why_not) == 3


def test_of_one_row_nothing_is_chosen(tmp_path):
    assert chosen(made(tmp_path, [0.9])).by == "nothing"


def test_other_recordings_are_refused(tmp_path):
    runs = made(tmp_path, [0.9, 0.5])
    runs = [runs[0], replace(runs[1], checksums=("other",))]
    with pytest.raises(GrevyError, match="2 different recordings"):
        chosen(runs)


def test_raw_losses_of_other_batches_are_refused(tmp_path):
    runs = [
        replace(run, numbers={"validation.loss": 3.0, "validation.bits": 1.0})
        for run in made(tmp_path, [0.9, 0.5])
    ]
    runs[0] = replace(runs[0], settings={**runs[0].settings, "batch_size": 64})
    with pytest.raises(GrevyError, match=r"512, 64.*validation\.bits"):
        chosen(runs, "validation.loss")
    assert chosen(runs, "validation.bits").row.mean == 1.0


def test_the_run_of_the_row_is_typical(tmp_path):
    runs = made(tmp_path, [0.1, 0.5, 0.6])
    seeds = [replace(run, settings=runs[0].settings, seed=seed) for seed, run in enumerate(runs)]
    choice = chosen(seeds)
    assert choice.run.seed == 1
    assert choice.row.mean == pytest.approx(0.4)
