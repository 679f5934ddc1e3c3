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


def test_validation_chooses_and_the_score_is_reported(tmp_path):
    runs = with_bits(made(tmp_path, [0.9, 0.5, 0.7]), [1.0, 2.0, 3.0])
    choice = chosen(runs)
    assert choice.by == "validation"
    assert (choice.row.mean, choice.independent) == (0.7, 0.7)
    assert choice.run is runs[2]


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
    assert words in choice.why_not[0]


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
