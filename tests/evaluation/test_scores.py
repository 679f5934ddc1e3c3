"""The table of scores: every name in it is a score, and the first of each kind decides."""

from dataclasses import fields

import numpy as np
import pytest

from grevy.data.labels import circular, continuous, discrete
from grevy.data.splits import random_split
from grevy.evaluation import MEASURES
from grevy.evaluation.decoding.decoder import decode
from grevy.evaluation.decoding.scores import CircularScores, ContinuousScores, DiscreteScores

SCORES = {"continuous": ContinuousScores, "circular": CircularScores, "discrete": DiscreteScores}
LABELS = {
    "continuous": lambda phase: continuous(np.sin(phase), "position"),
    "circular": lambda phase: circular(np.rad2deg(phase), 360.0, "direction"),
    "discrete": lambda phase: discrete((phase // 2).astype(int), "place"),
}


def test_every_measure_is_a_score_of_its_kind():
    assert set(MEASURES) == set(SCORES)
    keys = [measure.key for measures in MEASURES.values() for measure in measures]
    assert len(set(keys)) == len(keys)
    for kind, measures in MEASURES.items():
        known = {field.name for field in fields(SCORES[kind])}
        for measure in measures:
            assert measure.key in known
            assert measure.at_chance in known | {""}
            assert measure.name


@pytest.mark.parametrize("kind", LABELS)
def test_the_first_decides_and_the_table_says_how_to_read_it(kind):
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, 400)
    embedding = np.stack([np.cos(phase), np.sin(phase)], axis=1)
    split = random_split(400, 0.25, 0)
    good, bad = (
        decode(each, LABELS[kind](phase), split, n_bootstrap=0)
        for each in (embedding, rng.normal(size=(400, 2)))
    )
    first, *others = MEASURES[kind]
    assert good.statistic == first.sign * getattr(good.scores, first.key)
    assert good.statistic_name == first.statistic
    assert not any(measure.statistic for measure in others)
    assert good.statistic > bad.statistic
    for measure in MEASURES[kind]:
        values = getattr(good.scores, measure.key), getattr(bad.scores, measure.key)
        assert measure.better(*values)
        assert not measure.better(*values[::-1])
        assert not measure.better(values[0], values[0])


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("continuous", lambda values, by: continuous(by * values)),
        ("circular", lambda values, by: circular(by * values, by)),
    ],
)
def test_what_is_in_the_unit_grows_with_it(kind, make):
    """In a unit of a thousandth a number is a thousand times as large; other scores stay."""
    rng = np.random.default_rng(1)
    values = rng.uniform(0, 1, 300)
    embedding = np.stack([values, rng.normal(size=300)], axis=1)
    split = random_split(300, 0.25, 0)
    one, thousand = (
        decode(embedding, make(values, by), split, decoder="knn", n_bootstrap=0).scores
        for by in (1.0, 1024.0)
    )
    for measure in MEASURES[kind]:
        ratio = getattr(thousand, measure.key) / getattr(one, measure.key)
        assert ratio == pytest.approx(1024 if measure.in_unit else 1, rel=1e-6), measure.key
