"""Figures of what a run found: what they show, what they refuse, and no state left behind."""

import io

import matplotlib as mpl
import numpy as np
import pytest

from archived_runs import (
    HOSTILE,
    decoded_label,
    held_out,
    made_labels,
    made_scores,
    scored_run,
    typed,
)
from grevy import archive
from grevy.data.labels import continuous, discrete
from grevy.errors import GrevyError
from grevy.evaluation.scoring import Decoded
from grevy.report.figures.evidence import evidence_figure
from grevy.report.figures.findings import (
    confusion_figure,
    consistency_figure,
    decoded_figure,
    loss_figure,
)
from grevy.report.figures.heldout import class_bands
from grevy.report.figures.sheet import MAX_ROWS
from grevy.report.results import label_results
from grevy.report.words import short


def decoded(names=None, length=300):
    rng = np.random.default_rng(0)
    return [
        (label, decoded_label(label, held_out(length), rng)) for label in made_labels(length, names)
    ]


def weighed(window_steps=10, **kinds):
    """Results of labels by their names, of the kinds or with the scores given."""
    scores = {
        name: made_scores(kind, window_steps=window_steps) if isinstance(kind, str) else kind
        for name, kind in kinds.items()
    }
    return label_results(scored_run(scores, window_steps))


ALL = {"velocity": "continuous", "direction": "circular", "odour": "discrete"}


NOTHING = Decoded(*[np.zeros(0, np.int64)] * 3)
FIGURES = {
    "decoded": lambda: decoded_figure(decoded(), 20.0),
    "evidence": lambda: evidence_figure(weighed(**ALL)),
    "no differences, no nulls": lambda: evidence_figure(weighed(x=lacking("gain", "null"))),
    "no nulls": lambda: evidence_figure(weighed(velocity=lacking("null"))),
    "evidence of one step": lambda: evidence_figure(weighed(1, velocity="continuous")),
    "confusion": lambda: confusion_figure(decoded()),
    "loss": lambda: loss_figure(np.exp(-np.arange(300) / 50), 1.0),
    "consistency": lambda: consistency_figure(["a", "b"], np.array([[1.0, 0.5], [0.25, 1.0]])),
}


def words(figure):
    return [
        text.get_text()
        for axes in figure.axes
        if axes.axison
        for text in axes.findobj(mpl.text.Text)
        if text.get_text()
    ]


def written(figure, kind="png"):
    stream = io.BytesIO()
    figure.savefig(stream, format=kind)
    return stream.getvalue()


@pytest.mark.parametrize("name", FIGURES)
def test_each_is_drawn_without_a_trace(name):
    before = dict(mpl.rcParams)
    assert written(FIGURES[name]())
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("name", FIGURES)
def test_what_is_written_stays_on_the_page(name):
    figure = FIGURES[name]()
    written(figure)
    width, height = figure.get_size_inches() * figure.dpi
    for axes in figure.axes:
        box = axes.get_tightbbox()
        if box is not None:  # an axis that is switched off has none
            assert box.x0 >= 0
            assert box.y0 >= 0
            assert box.x1 <= width
            assert box.y1 <= height


class TestDecoded:
    def test_each_dimension_has_a_row(self):
        figure = decoded_figure(decoded(), 20.0)
        assert len(figure.axes) == 2 * 4
        shown = words(figure)
        for title in ("velocity [0]", "velocity [1]", "direction (degrees)", "odour", "time (s)"):
            assert title in shown

    def test_lines_hold_the_values(self):
        label, each = decoded()[0]
        axes = decoded_figure([(label, each)]).axes[0]
        guess, true = (line.get_ydata() for line in axes.lines)
        np.testing.assert_array_equal(true, each.true[:20, 0])  # the first of three blocks
        np.testing.assert_array_equal(guess, each.decoded[:20, 0])
        np.testing.assert_array_equal(axes.lines[0].get_xdata(), each.steps[:20])

    def test_no_more_rows_than_a_page_holds(self):
        label = continuous(np.random.default_rng(0).normal(size=(100, 40)), "pose")
        each = Decoded(np.arange(50), label.values[:50], label.values[:50])
        assert len(decoded_figure([(label, each)]).axes) == 2 * MAX_ROWS

    def test_one_held_out_step(self):
        few = [
            (label, Decoded(each.steps[:1], each.true[:1], each.decoded[:1]))
            for label, each in decoded()
        ]
        assert written(decoded_figure(few))

    def test_hostile_names_are_plain_text(self):
        figure = decoded_figure(decoded((HOSTILE, "$\\frac{", "__odour\x1b[2J")))
        assert any("$\\frac{" in text for text in words(figure))
        assert not any("\x1b" in text for text in words(figure))
        svg = written(figure, "svg")
        assert b"<script" not in svg


class TestEvidence:
    def test_scores_differences_chance_and_nulls(self):
        figure = evidence_figure(weighed(velocity="continuous"))
        baselines, gains, nulls = figure.axes
        shown = set(map(typed, words(figure)))
        assert {"velocity: baselines", "Embedding better by", "Labels moved in time"} <= shown
        assert {"Embedding", "Principal components", "Raw activity"} <= shown
        assert {
            "10 steps, 3 numbers",
            "10 steps lagged, 50 numbers",
            "one step, 5 numbers",
        } <= shown
        assert {"0.71", "0.51", "0.41", "0.73", "0.63"} <= shown
        assert {"+0.20", "+0.30", "-0.02", "+0.08"} <= shown
        assert sum(patch.get_height() for patch in nulls.patches) == 50
        assert 0 in [line.get_xdata()[0] for line in gains.lines if len(line.get_xdata()) == 2]
        assert baselines.get_ylim() == gains.get_ylim()

    def test_each_difference_stands_in_the_row_of_its_baseline(self):
        baselines, gains, _ = evidence_figure(weighed(velocity="continuous")).axes
        rows = [dots(axes) for axes in (baselines, gains)]
        assert [place for place, _ in rows[0]][1:] == [place for place, _ in rows[1]]
        for (_, score), (_, gain) in zip(rows[0][1:], rows[1], strict=True):
            assert gain == pytest.approx(0.71 - score)

    def test_an_error_is_better_where_it_is_smaller(self):
        baselines, gains, nulls = evidence_figure(weighed(direction="circular")).axes
        assert [gain for _, gain in dots(gains)] == pytest.approx([20.0, 30.0, -2.0, 8.0])
        assert [score for _, score in dots(baselines)] == pytest.approx([24.0, 44, 54, 22, 32])
        low, high = nulls.get_xlim()
        assert low < 24 < high

    @pytest.mark.parametrize(
        ("gone", "panels"),
        [(("gain",), ["baselines", "nulls"]), (("null",), ["baselines", "gains"]),
         (("gain", "null"), ["baselines"])],
    )  # fmt: skip
    def test_what_no_label_has_takes_no_room(self, gone, panels):
        figure = evidence_figure(weighed(velocity=lacking(*gone)))
        assert len(figure.axes) == len(panels)
        assert all(axes.axison for axes in figure.axes)

    @pytest.mark.parametrize(("gone", "place"), [("gain", 1), ("null", 2)])
    def test_what_one_label_lacks_is_left_empty(self, gone, place):
        figure = evidence_figure(weighed(velocity=lacking(gone), odour="discrete"))
        assert [axes.axison for axes in figure.axes] == [i != place for i in range(6)]

    def test_a_terrible_baseline_is_drawn_at_the_edge(self):
        scores = made_scores("continuous")
        scores["blocked"]["raw"] |= {"test_r2": -3456.7}
        scores["blocked"]["raw"]["gain"] |= {"value": 3457.4, "interval": [3000.0, 4000.0]}
        figure = evidence_figure(weighed(velocity=scores))
        assert {"◂ -3457", "▸ +3457"} <= set(map(typed, words(figure)))
        for axes in figure.axes[:2]:
            low, high = axes.get_xlim()
            assert -2 < low < high < 2

    def test_a_null_of_one_value(self):
        scores = made_scores("continuous")
        scores["null"]["values"] = [0.0] * 19
        assert written(evidence_figure(weighed(velocity=scores)))

    def test_hostile_names_are_plain_text(self):
        scores = made_scores("continuous")
        scores["blocked"]["$\\frac{"] = dict(scores["blocked"]["pca"])
        figure = evidence_figure(weighed(**{HOSTILE: scores}))
        assert "$\\frac{" in words(figure)
        assert b"<script" not in written(figure, "svg")


def lacking(*gone):
    """Scores without nulls, or without differences from baselines."""
    scores = made_scores("continuous")
    if "null" in gone:
        del scores["null"]
    for each in scores["blocked"].values() if "gain" in gone else ():
        each.pop("gain", None)
    return scores


def dots(axes):
    """Where the dots of a chart of rows lie: (from the top, value)."""
    found = [line.get_data() for line in axes.lines if line.get_marker() == "o"]
    return [(float(y[0]), float(x[0])) for x, y in found]


class TestConfusion:
    def test_rows_add_up(self):
        label = discrete([0, 1, 2], "x")
        each = Decoded(np.arange(6), np.array([0, 0, 0, 0, 1, 2]), np.array([0, 0, 0, 1, 1, 0]))
        (axes,) = confusion_figure([(label, each)]).axes
        np.testing.assert_allclose(
            axes.images[0].get_array(), [[0.75, 0.25, 0], [0, 1, 0], [1, 0, 0]]
        )
        assert {"75%", "25%", "100%"} <= {text.get_text() for text in axes.texts}

    @pytest.mark.parametrize(("count", "said"), [(3, ["not tested"]), (40, [])])
    def test_a_class_that_the_test_lacks_is_hatched(self, count, said):
        label = discrete(np.arange(count), "x")
        codes = np.delete(np.arange(count), 1)
        each = Decoded(np.arange(count - 1), codes, codes)
        figure = confusion_figure([(label, each)])
        assert written(figure)
        (axes,) = figure.axes
        shares = np.ma.filled(axes.images[0].get_array().astype(float), np.nan)
        assert np.isnan(shares).all(axis=1).nonzero()[0].tolist() == [1]
        assert not np.isnan(np.delete(shares, 1, axis=0)).any()
        (hatched,) = axes.patches
        assert hatched.get_hatch()
        assert (hatched.get_x(), hatched.get_width()) == (-0.5, count)
        assert hatched.get_y() < 1 < hatched.get_y() + hatched.get_height()
        assert [text.get_text() for text in axes.texts if "%" not in text.get_text()] == said
        assert axes.get_xlim() == (-0.5, count - 0.5)
        assert axes.get_ylim() == (count - 0.5, -0.5)

    def test_only_discrete_labels_are_drawn(self):
        assert len(confusion_figure(decoded()).axes) == 1

    def test_a_hundred_classes(self):
        label = discrete(np.arange(100), "cell")
        each = Decoded(np.arange(100), np.arange(100), np.arange(100))
        (axes,) = confusion_figure([(label, each)]).axes
        assert len(axes.get_xticks()) <= 16


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: decoded_figure([]), "no decoded"),
        (
            lambda: decoded_figure([(made_labels(300)[2], Decoded(*[np.zeros(0, int)] * 3))]),
            "no decoded",
        ),
        (lambda: evidence_figure([]), "no evidence"),
        (
            lambda: evidence_figure(weighed(x={**made_scores("discrete"), "blocked": {}})),
            "no evidence",
        ),
        (lambda: confusion_figure(decoded()[:2]), "no discrete"),
        (lambda: loss_figure([]), "no finite loss"),
        (lambda: loss_figure([np.nan]), "no finite loss"),
        (lambda: consistency_figure([], np.zeros((0, 0))), "no consistency"),
        (lambda: consistency_figure(["a"], np.zeros((2, 2))), "must match"),
    ],
)
def test_nothing_to_draw_is_said(make, message):
    with pytest.raises(GrevyError, match=message):
        make()


@pytest.mark.parametrize("kind", ["png", "svg"])
@pytest.mark.parametrize("name", FIGURES)
def test_the_same_figure_gives_the_same_bytes(name, kind, tmp_path):
    for copy in "ab":
        archive.write_figure(tmp_path / f"{copy}.{kind}", FIGURES[name]())
    assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_bands_of_classes():
    steps = np.array([3, 4, 5, 6, 10, 11])
    start, stop, code = class_bands(steps, np.array([0, 0, 1, 1, 1, 0]))
    assert start.tolist() == [2.5, 4.5, 9.5, 10.5]
    assert stop.tolist() == [4.5, 6.5, 10.5, 11.5]
    assert code.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a  b\n\tc", "a b c"),
        ("x" * 11, "xxxxxxxxx…"),
        ("\ud800", r"\ud800"),
        ("a\x1bb", r"a\x1bb"),
        ("\u202eabc", r"\u202eabc"),
        ("", ""),
        ("数据", "数据"),
    ],
)
def test_short_texts(text, shown):
    assert short(text, 10) == shown
