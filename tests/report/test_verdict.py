"""What a run found, in words: which finding follows from which numbers, and how it is said."""

import re

import numpy as np
import pytest

from archived_runs import made_null, made_scores, scored_run, typed
from grevy.data.labels import circular
from grevy.report.results import label_results
from grevy.report.verdict import run_verdicts

NO_BASELINE = ("pca", "raw", "pca_one_step", "raw_one_step")


def verdicts_of(scores, window_steps=10, labels=()):
    run = scored_run(scores, window_steps, labels, dimension=8)
    return run_verdicts(label_results(run), run.metrics)


def verdict_of(kind, window_steps=10, **scores):
    made = made_scores(kind, window_steps=window_steps, **scores)
    return verdicts_of({"x": made}, window_steps)[0]


def without(scores, *paths):
    """The same scores without some of their parts."""
    for path in paths:
        *inside, last = path
        holder = scores
        for each in inside:
            holder = holder[each]
        del holder[last]
    return scores


CASES = [
    ("continuous", {}, "better"),
    ("circular", {}, "better"),
    ("discrete", {}, "better"),
    ("continuous", {"p": 0.05 + 1e-9, "n": 20}, "chance"),
    ("continuous", {"p": 0.3}, "chance"),
    ("circular", {"p": 0.3}, "chance"),
    ("continuous", {"value": 0.1, "low_high": (-0.01, 0.2), "pca": 0.0}, "untested"),
    ("continuous", {"value": 0.1, "low_high": (0.0, 0.2), "pca": 0.0}, "untested"),
    ("continuous", {"value": 0.1, "low_high": (-0.01, 0.2), "p": 0.3}, "chance"),
    ("continuous", {"value": -0.3, "pca": -0.5}, "chance"),
    ("circular", {"value": 85.0, "low_high": (80.0, 91.0), "pca": 90.0}, "untested"),
    ("discrete", {"value": 0.3, "low_high": (0.24, 0.36), "pca": 0.2}, "untested"),
    ("continuous", {"p": 0.25, "n": 11}, "untested"),
    ("continuous", {"p": 1 / 20, "n": 19}, "untested"),
    ("continuous", {"p": 1 / 21, "n": 20}, "better"),
    ("continuous", {"p": 2 / 21, "n": 20}, "chance"),
    *[
        (kind, {"gain_ends": ends}, finding)
        for kind in ("continuous", "circular", "discrete")
        for ends, finding in [
            ((0.001, 0.1), "better"), ((0.0, 0.1), "no different"), ((-0.1, 0.3), "no different"),
            ((-0.1, 0.0), "no different"), ((-0.1, -0.001), "worse"),
        ]
    ],
    # The scores themselves decide nothing: the paired difference does.
    ("continuous", {"pca": 0.2, "gain_ends": (-0.1, -0.01)}, "worse"),
    ("circular", {"pca": 2.0, "gain_ends": (0.1, 0.2)}, "better"),
    # Of chance the first word is its own, whatever lies beside it.
    ("continuous", {"p": 0.3, "gain_ends": (0.1, 0.2)}, "chance"),
    ("continuous", {"window_steps": 1}, "better"),
    ("continuous", {"window_steps": None}, "better"),
]  # fmt: skip
CLAIMS = {
    "better": "Better than chance, and than principal components of the same dimension",
    "no different": "no different from principal components",
    "worse": "Better than chance, but worse than principal components",
    "chance": "No better than chance",
    "untested": "Not shown to be better than chance",
}


class TestFindings:
    @pytest.mark.parametrize(("kind", "scores", "finding"), CASES)
    def test_what_counts_as_what(self, kind, scores, finding):
        verdict = verdict_of(kind, **scores)
        assert verdict.finding == finding
        assert CLAIMS[finding] in verdict.claim

    @pytest.mark.parametrize("missing", [("interval",), ()])
    def test_a_difference_without_an_interval_decides_nothing(self, missing):
        gone = ("blocked", "pca", "gain", *missing)
        (verdict,) = verdicts_of({"x": without(made_scores("continuous"), gone)})
        assert verdict.finding == "above chance"
        assert ("0.20 more;" in verdict.numbers) == bool(missing)

    def test_a_difference_in_another_score_decides_nothing(self):
        scores = made_scores("continuous")
        scores["blocked"]["pca"]["gain"]["score"] = "balanced_accuracy"
        assert verdicts_of({"x": scores})[0].finding == "above chance"

    def test_without_components_it_claims_nothing_about_them(self):
        gone = [("blocked", name) for name in NO_BASELINE]
        (verdict,) = verdicts_of({"x": without(made_scores("continuous"), *gone)})
        assert (verdict.finding, verdict.claim) == ("above chance", "Better than chance")
        assert "no baseline from the neural data was computed" in verdict.numbers

    def test_nothing_held_out(self):
        (verdict,) = verdicts_of({"x": without(made_scores("continuous"), ("blocked",))})
        assert verdict.finding == "none"
        assert "picked at random" in verdict.numbers


class TestWithoutP:
    def test_where_nulls_were_not_asked_for_the_interval_decides(self):
        scores = without(made_scores("continuous"), ("null",))
        assert verdicts_of({"x": scores})[0].finding == "better"
        scores["blocked"]["embedding"]["intervals"] = {"test_r2": [-0.1, 0.9]}
        assert verdicts_of({"x": scores})[0].finding == "chance"

    def test_with_neither_p_nor_interval_luck_is_not_ruled_out(self):
        scores = made_scores("continuous")
        gone = without(scores, ("null",), ("blocked", "embedding", "intervals"))
        (verdict,) = verdicts_of({"x": gone})
        assert verdict.finding == "untested"
        assert "Neither an interval nor nulls" in verdict.numbers

    @pytest.mark.parametrize(
        ("value", "ends", "finding"),
        [
            (0.7, (0.6, 0.8), "untested"), (0.1, (-0.1, 0.3), "untested"),
            (-0.1, (-0.3, 0.1), "chance"),
        ],
    )  # fmt: skip
    def test_where_none_can_be_given_nothing_is_shown(self, value, ends, finding):
        scores = without(made_scores("continuous", value, ends), ("null",))
        (verdict,) = verdicts_of({"x": {**scores, "no_p": "it is too slow."}})
        assert verdict.finding == finding
        told = "No p can be given for this label (the note says why), so luck is not ruled out."
        assert verdict.numbers.endswith(told) == (finding == "untested")

    def test_anothers_lack_of_p_is_not_its_own(self):
        scores = without(made_scores("continuous"), ("null",))
        slow = {**scores, "no_p": "it is too slow."}
        assert [each.finding for each in verdicts_of({"x": scores, "y": slow})] == [
            "better", "untested",
        ]  # fmt: skip

    def test_an_interval_that_reaches_chance_is_said(self):
        verdict = verdict_of("continuous", value=0.1, low_high=(-0.01, 0.2), pca=0.0)
        assert typed(verdict.numbers).endswith(
            "The 95 % interval reaches chance, so luck is not ruled out."
        )


class TestSeveralLabels:
    """Of several labels the adjusted p counts, and more nulls are needed for it."""

    def verdicts(self, n, *beaten):
        adjusted = sorted((1 + each) / (1 + n) for each in beaten)
        holm = np.maximum.accumulate([(len(beaten) - i) * p for i, p in enumerate(adjusted)])
        scores = {}
        for place, each in enumerate(beaten):
            p = (1 + each) / (1 + n)
            own = float(holm[adjusted.index(p)])
            scores[f"label {place}"] = made_scores("continuous", p=p, n=n, p_adjusted=own)
        return verdicts_of(scores)

    @pytest.mark.parametrize(
        ("n", "beaten", "findings"),
        [
            (60, (0, 0, 0), ["better"] * 3),  # 3 / 61
            (59, (0, 0, 0), ["untested"] * 3),  # 3 / 60, and none could do better
            (100, (2, 2, 2), ["chance"] * 3),  # 9 / 101, where each alone has 3 / 101
            (100, (0, 1, 50), ["better", "better", "chance"]),
            (59, (0, 0, 40), ["untested", "untested", "chance"]),
        ],
    )
    def test_what_counts_as_what(self, n, beaten, findings):
        assert [each.finding for each in self.verdicts(n, *beaten)] == findings

    def test_it_is_said(self):
        assert "did as well, p = 0.010, adjusted for 3 labels p = 0.030" in typed(
            self.verdicts(100, 0, 0, 0)[0].numbers
        )
        assert typed(self.verdicts(50, 0, 0, 0)[0].numbers).endswith(
            "With 50 nulls of each label, an adjusted p cannot be below 0.05; at least 60 are "
            "needed."
        )

    def test_too_few_for_one_label_alone(self):
        assert typed(verdict_of("continuous", p=0.25, n=11).numbers).endswith(
            "With 11 nulls, p cannot be below 0.05; at least 20 are needed."
        )


class TestNumbers:
    def test_of_a_score(self):
        assert typed(verdict_of("continuous").numbers) == (
            "R² 0.71 on held-out time (95 % interval 0.67 to 0.75); chance is 0.00, and none of "
            "50 nulls (shifted within segments) did as well, p = 0.020; principal components of "
            "the same 10 steps reach 0.51, the embedding 0.20 more (95 % interval 0.16 to 0.24); "
            "the embedding is as good in 8 numbers as raw activity in 50 numbers (0.02 less; 95 % "
            "interval 0.08 less to 0.04 more)."
        )

    def test_of_an_error_in_its_unit(self):
        label = circular(np.array([0.0, 90.0]), 360.0, "x")
        (verdict,) = verdicts_of({"x": made_scores("circular")}, labels=(label,))
        assert typed(verdict.numbers) == (
            "mean angular error 24.0 degrees on held-out time (95 % interval 20.0 to 28.0 "
            "degrees); chance is 90.0 degrees, and none of 50 nulls (shifted within segments) did "
            "as well, p = 0.020; principal components of the same 10 steps err by 44.0 degrees, "
            "the embedding by 20.0 degrees less (95 % interval 16.0 to 24.0 degrees); the "
            "embedding is as good in 8 numbers as raw activity in 50 numbers (its error 2.00 "
            "degrees more; 95 % interval 4.00 degrees less to 8.00 degrees more)."
        )

    @pytest.mark.parametrize(
        ("kind", "ends", "words"),
        [
            ("continuous", (0.02, 0.06), "0.04 more (95 % interval 0.02 to 0.06)"),
            ("continuous", (-0.06, -0.02), "0.04 less (95 % interval 0.02 to 0.06)"),
            ("continuous", (-0.02, 0.06), "0.02 more (95 % interval 0.02 less to 0.06 more)"),
            ("continuous", (-0.06, 0.06), "no more (95 % interval 0.06 less to 0.06 more)"),
            ("continuous", (0.001, 0.007), "0.004 more (95 % interval 0.001 to 0.007)"),
            ("circular", (2.0, 6.0), "by 4.00 less (95 % interval 2.00 to 6.00)"),
            ("circular", (-6.0, -2.0), "by 4.00 more (95 % interval 2.00 to 6.00)"),
            ("circular", (-2.0, 6.0), "by 2.00 less (95 % interval 6.00 less to 2.00 more)"),
            ("discrete", (-0.06, -0.02), "0.04 less (95 % interval 0.02 to 0.06)"),
        ],
    )
    def test_differences_from_components(self, kind, ends, words):
        assert f"the embedding {words};" in typed(verdict_of(kind, gain_ends=ends).numbers)

    @pytest.mark.parametrize(
        ("kind", "ends", "words"),
        [
            (
                "continuous", (0.01, 0.05),
                "the embedding does better in 8 numbers than raw activity in 50 numbers, by 0.03 "
                "(95 % interval 0.01 to 0.05)",
            ),
            (
                "continuous", (-0.06, -0.02),
                "raw activity in 50 numbers does better, by 0.04 (95 % interval 0.02 to 0.06)",
            ),
            (
                "circular", (-6.0, -2.0),
                "raw activity in 50 numbers does better, by 4.00 (95 % interval 2.00 to 6.00)",
            ),
            (
                "circular", (2.0, 6.0),
                "the embedding does better in 8 numbers than raw activity in 50 numbers, by 4.00 "
                "(95 % interval 2.00 to 6.00)",
            ),
        ],
    )  # fmt: skip
    def test_raw_activity(self, kind, ends, words):
        assert f"; {words}." in typed(verdict_of(kind, raw_ends=ends).numbers)

    def test_at_chance_nothing_is_as_good_as_anything(self):
        words = typed(verdict_of("continuous", p=0.4).numbers)
        assert "as good" not in words
        assert "raw activity in 50 numbers reaches 0.73, the embedding 0.02 less (95 %" in words

    @pytest.mark.parametrize(
        ("steps", "words"),
        [
            (1, "components of the same time step reach"), (None, "components of one time step"),
            (10, "components of the same 10 steps reach"),
        ],
    )  # fmt: skip
    def test_the_window_is_named(self, steps, words):
        numbers = typed(verdict_of("continuous", window_steps=steps).numbers)
        assert words in numbers
        count = 50 if steps == 10 else 5
        assert f"raw activity in {count} numbers" in numbers

    def test_how_many_nulls_did_as_well(self):
        assert "9 of 50 nulls" in typed(verdict_of("continuous", p=10 / 51).numbers)

    def test_a_small_p(self):
        scores = made_scores("continuous")
        scores["null"] = made_null(0.71, 0.4, 1 / 5001, 5000)
        assert "p < 0.001" in typed(verdicts_of({"x": scores})[0].numbers)

    @pytest.mark.parametrize("kind", ["continuous", "circular", "discrete"])
    @pytest.mark.parametrize("steps", [1, 10, None])
    @pytest.mark.parametrize("ends", [(1e-9, 1e9), (-1e-9, 0.0), (0.0, 0.0), (-5.0, 5.0)])
    def test_every_sentence_ends_as_one(self, kind, steps, ends):
        numbers = verdict_of(kind, window_steps=steps, gain_ends=ends, raw_ends=ends).numbers
        assert numbers.endswith(".")
        assert not re.search(r"None|nan|  |\(\)|;\.", numbers)


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"goodness_of_fit_heldout_bits": 1.5, "goodness_of_fit_bits": 9.0}, "1.50 bits"),
        ({"goodness_of_fit_bits": 0.25}, "0.250 bits more than chance on the time it was"),
        ({}, "Nothing was decoded"),
    ],
)
def test_without_labels(metrics, words):
    (verdict,) = run_verdicts([], metrics)
    assert words in verdict.numbers
    assert verdict.finding == "none"
