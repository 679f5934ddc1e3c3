"""Several recordings: who sees which labels, scores by hand, and no p where there is nothing."""

import json
from dataclasses import replace

import numpy as np
import pytest

from grevy.archive.schema import Metrics, checked
from grevy.data.holdout import cut_folds, hold_out
from grevy.data.joining import end_to_end, join_recordings, laid_out
from grevy.data.labels import continuous, discrete
from grevy.data.recording import make_recording
from grevy.evaluation.across import Together, evaluate_across, read_left_out
from grevy.evaluation.decoding.decoder import prepare

LENGTHS = (600, 500, 700)


def made(seed=0, related=(True, True, True)):
    """Recordings in one space (or not), their embedding, and a split."""
    rng = np.random.default_rng(seed)
    recordings, parts = [], []
    for length, is_related in zip(LENGTHS, related, strict=True):
        noise = rng.normal(size=(length + 20, 1))
        place = np.stack([noise[i : i + 20].sum() for i in range(length)]) / 4
        side = (place > 0.3).astype(int) + (place > -0.5)
        shown = place if is_related else np.roll(rng.permutation(place), 7)
        parts.append(np.stack([np.sin(shown), np.cos(shown), shown / 2], axis=1))
        parts[-1] += 0.2 * rng.normal(size=parts[-1].shape)
        labels = [continuous(place, "place"), discrete(side, "side")]
        recordings.append(make_recording(np.ones((length, 2), np.float32), labels))
    whole = join_recordings(recordings)
    together = Together(whole, ("a", "b", "c"), end_to_end(LENGTHS))
    split = hold_out(laid_out(recordings), "blocks", 0.2, 20, 0)
    return np.concatenate(parts).astype(np.float32), together, split, recordings


def with_other_labels(together, steps):
    """The same, with nonsense in the labels of some steps."""
    rng = np.random.default_rng(5)
    labels = []
    for label in together.whole.labels:
        values = label.values.copy()
        values[steps] = values[rng.permutation(steps)] * (-1 if label.kind == "continuous" else 1)
        labels.append(replace(label, values=values))
    return replace(together, whole=replace(together.whole, labels=tuple(labels)))


@pytest.mark.parametrize("number", [0, 2])
def test_the_decoder_of_the_others_sees_no_label_of_the_recording(number):
    embedding, together, split, _ = made()
    own = np.arange(together.edges[number], together.edges[number + 1])
    read = read_left_out(embedding, together, split)
    blind = read_left_out(embedding, with_other_labels(together, own), split)
    others = read_left_out(
        embedding, with_other_labels(together, together.others(number, split.train)), split
    )
    for name in ("place", "side"):
        np.testing.assert_array_equal(read[number][name].decoded, blind[number][name].decoded)
        assert (read[number][name].decoded != others[number][name].decoded).any()


def test_scores_are_those_of_decoders_fitted_by_hand():
    embedding, together, split, _ = made()
    found = evaluate_across(embedding, together, split, nulls=0, n_bootstrap=0)
    segments = together.whole.segments
    for number, one in enumerate(found["recordings"]):
        test = together.of(number, split.test)
        own = together.of(number, split.train)
        assert (one["train_steps"], one["test_steps"]) == (len(own), len(test))
        assert one["time_steps"] == LENGTHS[number]
        fitted = {"all": split.train, "own": own, "others": together.others(number, split.train)}
        for label in together.whole.labels:
            key = {"place": "test_r2", "side": "balanced_accuracy"}[label.name]
            for which, train in fitted.items():
                alone = replace(split, train=train, test=test)
                if which == "all":  # one choice of decoder for all
                    whole = prepare(embedding, split, segments=segments).read(label)
                    decoded = whole.decoded[np.isin(split.test, test)]
                    if label.kind == "discrete":
                        hits = decoded == label.values[test]
                        classes = np.unique(label.values[test])
                        by_hand = np.mean([hits[label.values[test] == c].mean() for c in classes])
                    else:
                        residual = ((decoded - label.values[test]) ** 2).sum()
                        by_hand = 1 - residual / (label.values[test].var() * len(test))
                else:
                    by_hand = getattr(
                        prepare(embedding, alone, segments=segments).decode(label, 0).scores, key
                    )
                assert one["scores"][label.name][which][key] == pytest.approx(by_hand)
    pooled = found["left_out"]["place"]["test_r2"]
    each = [one["scores"]["place"]["others"]["test_r2"] for one in found["recordings"]]
    assert min(each) - 0.1 < pooled < max(each) + 0.1
    assert min(each) > 0.5


def test_agreement_is_far_above_its_chance_where_the_space_is_one():
    embedding, together, split, _ = made()
    found = evaluate_across(embedding, together, split, nulls=0, n_bootstrap=0)["agreement"]
    assert found["place"]["names"] == ["a", "b", "c"]
    assert found["place"]["mean"] > found["place"]["chance"] + 0.2
    turned, *_ = made(related=(True, True, False))
    less = evaluate_across(turned, together, split, nulls=0, n_bootstrap=0)["agreement"]
    assert less["place"]["mean"] < found["place"]["mean"] - 0.2


def test_what_is_found_is_as_the_archive_wants_it():
    embedding, together, split, recordings = made()
    folds = cut_folds(laid_out(recordings), "blocks", 3, 20, 0)
    read = [read_left_out(embedding, together, fold) for fold in folds]
    found = evaluate_across(embedding, together, split, folds=read, nulls=20, n_bootstrap=100)
    assert checked(Metrics, json.loads(json.dumps(found))) == found
    for one in found["recordings"]:
        for scores in one["scores"].values():
            assert scores["null"]["method"] == "folds"
            assert scores["null"]["folds"] == 3
            assert scores["null"]["p"] <= scores["null"]["p_adjusted"]
    alone = evaluate_across(embedding, together, split, nulls=20, n_bootstrap=0)
    methods = {
        scores.get("null", {"method": "none"})["method"]
        for one in alone["recordings"]
        for scores in one["scores"].values()
    }
    assert methods <= {"held-out", "none"}


@pytest.mark.slow
def test_no_p_is_small_too_often_where_a_recording_knows_nothing():
    """Of 60 unrelated recordings beside two related ones; 3 are expected below 0.05."""
    small, related = 0, 0
    for seed in range(60):
        embedding, together, _, recordings = made(seed, (True, True, False))
        folds = cut_folds(laid_out(recordings), "blocks", 2, 20, 0)
        read = [read_left_out(embedding, together, fold) for fold in folds]
        p = null_p(embedding, together, folds[0], read)
        small += p[2] < 0.05
        related += p[0] < 0.05
    assert small <= 8  # more than 8 of 60 has a probability of 0.3 % at 0.05
    assert related == 60


def null_p(embedding, together, split, read):
    place = replace(together.whole, labels=together.whole.labels[:1])
    one = replace(together, whole=place)
    found = evaluate_across(embedding, one, split, folds=read, nulls=40, n_bootstrap=0)
    return [each["scores"]["place"]["null"]["p"] for each in found["recordings"]]
