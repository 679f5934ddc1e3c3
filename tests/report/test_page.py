"""The report as text: what it says, in which order, and that nothing in it is taken for markup."""

import json
import re
import tracemalloc
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from typer.testing import CliRunner

import grevy
from archived_runs import (
    CHANCE,
    HOSTILE,
    MAIN,
    held_out,
    made_folds,
    made_labels,
    made_metrics,
    made_scores,
    typed,
    write_run,
)  # fmt: skip
from grevy import archive
from grevy.archive.reading import read_run
from grevy.config import RunConfig, make_config
from grevy.data.labels import circular, continuous, discrete, make_label
from grevy.errors import GrevyError
from grevy.evaluation.scoring import Decoded
from grevy.report.figures.heldout import (
    best_constant,
    confusion,
    error_by_value,
    middle,
    row_shares,
    stretches,
    unbroken,
)
from grevy.report.files import write_figures, write_report
from grevy.report.page.baselines import baseline_chart, gain_chart
from grevy.report.page.decoded import decoded_charts
from grevy.report.page.evidence import (
    chance_loss,
    evidence_lead,
    folds_chart,
    loss_chart,
    null_chart,
)
from grevy.report.page.methods import bibtex, command, methods
from grevy.report.page.packing import NOTHING, plain, quantised, script_json
from grevy.report.page.page import report_html
from grevy.report.page.space import space_data
from grevy.report.page.table import score_table
from grevy.report.results import label_results
from grevy.report.summary import describe_metrics
from grevy.report.verdict import run_verdicts
from grevy.report.words import duration, listed, number, probability, score

ROOT = Path(__file__).parents[2]
# Elements that have no end.
VOID = {"meta", "input", "br", "link", "img", "hr"}


class Page(HTMLParser):
    """What a browser would make of the page: its elements, its text, its headings."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.text, self.titles = [], [], [], []
        self.scripts = []
        self.feed(html)
        self.close()
        assert self.open == [], "elements that never end"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> ends another element"

    def handle_data(self, text):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += text
        elif self.open and self.open[-1] != "style":
            self.text.append(text)
            if self.open[-1] in ("h2", "h3"):
                self.titles.append(" ".join(text.split()))

    @property
    def words(self):
        return typed(" ".join("".join(self.text).split()))

    def data(self, name):
        number = [a.get("id") for tag, a, _ in self.elements if tag == "script"].index(name)
        return json.loads(self.scripts[number])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def run(finished):
    return read_run(finished)


@pytest.fixture(scope="module")
def page(run):
    return Page(report_html(run))


def changed(run, **metrics):
    """The same run with other metrics; None takes one away."""
    kept = {name: each for name, each in {**run.metrics, **metrics}.items() if each is not None}
    return replace(run, metrics=kept)


class TestPage:
    def test_the_sections_come_in_order(self, page):
        assert [title for title in page.titles if title] == [
            "Verdict", "Embedding", "Decoding", "velocity", "direction", "odour",
            "Baselines and nulls", "velocity", "direction", "odour", "Training", "Consistency",
            "Settings", "Provenance", "Data", "Versions", "Do it again", "Methods and citation",
        ]  # fmt: skip

    def test_it_refers_to_nothing_outside(self, page):
        for tag, attributes, _ in page.elements:
            assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form")
            assert "src" not in attributes
            assert not any(name.startswith("on") for name in attributes)
            if tag == "a":
                assert attributes["href"].startswith("#")
        policy = next(a["content"] for tag, a, _ in page.elements if "http-equiv" in a)
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe-eval" not in policy
        assert "unsafe-inline" not in policy.split("style-src")[0]
        style = report_html_style(page)
        assert "url(" not in style
        assert "@import" not in style

    def test_everything_that_acts_or_shows_has_a_name(self, page):
        identities = [a["id"] for _, a, _ in page.elements if "id" in a]
        assert len(identities) == len(set(identities))
        for tag, attributes, inside in page.elements:
            if tag in ("select", "input"):
                assert inside[-1] == "label"
            if tag == "div" and "plot" in attributes.get("class", "").split():
                assert attributes["role"] == "img"
                assert len(attributes["aria-label"]) > 20
            for reference in ("aria-labelledby", "aria-describedby"):
                if reference in attributes:
                    assert attributes[reference] in identities
            if attributes.get("href", "#x").startswith("#") and tag == "a":
                assert attributes["href"][1:] in identities
        assert ("html", {"lang": "en"}, ()) in page.elements

    def test_it_says_what_was_run(self, page):
        for words in (
            "~/data/session.npz", "300 steps", "1 min 1 s", "15.0 s", "0123456789ab", "seed",
            "velocity (continuous), direction (circular), odour (discrete)", "3 dimensions",
            "2.50 bits", "2.25 bits", "max iterations", "Linux", "python", "random split, leaky",
        ):  # fmt: skip
            assert words in page.words, words

    def test_what_the_random_split_says_never_stands_alone(self, run):
        scores = {
            name: {key: each for key, each in of.items() if key in ("kind", "random")}
            for name, of in run.metrics["scores"].items()
        }
        bare = replace(changed(run, scores=scores, holdout=None), decoded={})
        words = Page(report_html(bare)).words
        assert words.count("random split, leaky") == 3
        assert "Nothing was held out, so nothing is shown" in words

    def test_the_same_run_gives_the_same_page(self, run):
        assert report_html(run) == report_html(run)

    @pytest.mark.parametrize("version", ["", "9.9.9"])
    def test_versions_are_the_archives_not_todays(self, run, version):
        manifest = {**run.manifest, "versions": {"grevy": version} if version else {}}
        words = Page(report_html(replace(run, manifest=manifest))).words
        assert (f"version = {{{version or grevy.__version__}}}") in words


def report_html_style(page):
    """The style sheet; the parser hands it on as text of its element."""
    return (ROOT / "src/grevy/report/static/report.css").read_text()


HOSTILE_NAMES = (HOSTILE, '"><img src=x onerror=alert(1)>', "</script><script>alert(2)</script>")


class TestHostileNames:
    @pytest.fixture(scope="class")
    @classmethod
    def page(cls, tmp_path_factory):
        labels = made_labels(
            300, HOSTILE_NAMES, ("</script>", "<b>bold</b>", "{{ 7 * 7 }}", "&lt;")
        )
        folder = write_run(
            tmp_path_factory.mktemp("runs") / "run", labels, source=f"~/{HOSTILE}.npz",
            config={"dataset": HOSTILE},
        )  # fmt: skip
        metrics = json.loads((folder / archive.METRICS).read_text())
        metrics["note"] = HOSTILE
        metrics["consistency"]["names"] = [HOSTILE, "{{ config }}"]
        for scores in metrics["scores"].values():
            scores["null"]["how"] = scores["null"]["method"] = HOSTILE
            scores["blocked"]["embedding"]["decoder"] = HOSTILE
            scores["blocked"][HOSTILE] = dict(scores["blocked"]["pca"])
        run = replace(read_run(folder), metrics=metrics)
        hostile = {
            HOSTILE: HOSTILE,
            "versions": {HOSTILE: HOSTILE},
            "platform": {"system": HOSTILE},
        }
        return Page(report_html(replace(run, manifest={**run.manifest, **hostile})))

    def test_they_are_text(self, page):
        tags = [(tag, attributes) for tag, attributes, _ in page.elements]
        assert sum(tag == "script" for tag, _ in tags) == 4
        assert not any(tag in ("img", "b") for tag, _ in tags)
        assert not any("onerror" in attributes for _, attributes in tags)
        for name in HOSTILE_NAMES:
            assert name in page.words
        assert "49" not in page.titles

    def test_they_are_data_to_the_script(self, page):
        colours = page.data("space-data")["colours"]
        assert colours[1]["name"] == f"{HOSTILE} [0]"
        assert colours[-1]["classes"] == sorted(["</script>", "<b>bold</b>", "{{ 7 * 7 }}", "&lt;"])

    def test_plotly_gets_no_markup(self, page):
        for chart in page.data("chart-data").values():
            told = json.dumps({**chart, "data": without_templates(chart["data"])})
            assert "<" not in re.sub(OWN_MARKUP, "", told)


# The second, smaller line of the name of a row.
OWN_MARKUP = r"<br>|<span style=\\\"font-size:11px;color:#[0-9a-f]{6}\\\">|</span>"


def without_templates(traces):
    """Traces without plotly's own markup, which comes from us."""
    return [{k: v for k, v in trace.items() if k != "hovertemplate"} for trace in traces]


@pytest.mark.parametrize("text", ["x" * 20_000, "\u202e", "a\0b", "\N{GRINNING FACE}", " ", ""])
def test_names_that_no_page_was_made_for(tmp_path, text):
    folder = write_run(tmp_path / "run", made_labels(300, (text, f"{text}2", "odour")), source=text)
    html = report_html(read_run(folder))
    assert len(html) < 8e6
    Page(html)


def test_a_name_that_is_no_text_at_all(tmp_path):
    names = ("\ud800", "\x1b[2J", "odour")
    folder = write_run(tmp_path / "run", made_labels(300, names), source="/\udcff.npz")
    page = Page(write_report(folder).read_text("utf-8"))
    assert "\ud800" not in page.words
    assert "\x1b" not in page.words


class TestSizes:
    def test_a_usual_recording_is_under_8_mb(self, tmp_path):
        labels = made_labels(15_000)
        run = read_run(write_run(tmp_path / "run", labels, length=15_000, dimension=8, steps=5000))
        html = report_html(run)
        assert len(html.encode()) < 8e6
        assert "is drawn" not in Page(html).words

    def test_a_million_steps_are_thinned_and_it_says_so(self, tmp_path):
        length = 1_000_000
        run = read_run(write_run(tmp_path / "run", length=length, dimension=4, steps=10))
        html = report_html(run)
        assert len(html.encode()) < 8e6
        page = Page(html)
        assert "every 50th of 1 000 000 time steps" in page.words
        assert page.data("space-data")["count"] == 20_000

    def test_many_dimensions_and_labels(self, tmp_path):
        rng = np.random.default_rng(0)
        labels = [make_label(f"label {i}", rng.normal(size=(2000, 3))) for i in range(30)]
        folder = write_run(tmp_path / "run", labels, length=2000, dimension=64)
        html = report_html(read_run(folder))
        assert len(html.encode()) < 8e6
        words = Page(html).words
        assert "The first 24 of 64 dimensions" in words
        assert "The first 16 of 90 label dimensions" in words


def with_nothing(run):
    return replace(run, metrics={}, decoded={}, labels=(), history={}, config={})


VARIANTS = {
    "no label": lambda run: replace(changed(run, scores={}, leaky={}), labels=(), decoded={}),
    "nothing at all": with_nothing,
    "no decoded values": lambda run: replace(run, decoded={}),
    "no labels archived": lambda run: replace(run, labels=(), decoded={}),
    "no history": lambda run: replace(run, history={}),
    "a history of one step": lambda run: replace(run, history={"loss": np.array([3.0])}),
    "a loss that became NaN": lambda run: replace(run, history={"loss": np.array([3.0, np.nan])}),
    "a sampling rate of none": lambda run: replace(run, sampling_rate=None),
    "one dimension": lambda run: replace(run, embedding=run.embedding[:, :1]),
    "two dimensions": lambda run: replace(run, embedding=run.embedding[:, :2]),
    "a constant embedding": lambda run: replace(run, embedding=np.ones_like(run.embedding)),
    "metrics of another kind": lambda run: replace(
        run, metrics={"scores": [], "holdout": 3, "leaky": None, "consistency": {"r2": []}}
    ),
    "scores of None": lambda run: changed(
        run, scores={"velocity": {"kind": "continuous", "blocked": {"embedding": {}}, "null": {}}}
    ),
    "a kind that nobody knows": lambda run: changed(run, scores={"velocity": {"kind": "other"}}),
    "a manifest of files alone": lambda run: replace(run, manifest={"files": {}}),
    "one held-out step": lambda run: replace(
        run, decoded={name: of_one(each) for name, each in run.decoded.items()}
    ),
    "consistency that does not fit": lambda run: changed(
        run, consistency={"names": ["a"], "r2": [[1, 2], [3, 4]], "mean": None}
    ),
}  # fmt: skip


def of_one(decoded):
    return Decoded(decoded.steps[:1], decoded.true[:1], decoded.decoded[:1])


@pytest.mark.parametrize("name", VARIANTS)
def test_whatever_is_missing(run, name):
    page = Page(report_html(VARIANTS[name](run)))
    assert page.titles[0] == "Verdict"
    assert "nan" not in page.words.lower().split()
    assert not re.search(r"\bNone\b(?! of)", page.words)


def test_steps_outside_segments_are_left_out(tmp_path):
    segments = [[10, 100], [150, 290]]
    run = read_run(write_run(tmp_path / "run", segments=segments))
    data = space_data(run)
    assert data["count"] == 230
    assert data["breaks"] == [90]
    assert any("70 time steps outside every segment" in note for note in data["notes"])


def test_recordings_end_to_end_are_told_apart(tmp_path):
    run = read_run(write_run(tmp_path / "run", lengths=(100, 200)))
    assert space_data(run)["recordings"] == [[0, "recording 1"], [100, "recording 2"]]
    assert "2 recordings" in Page(report_html(run)).words


def bytes_of(text, dtype):
    import base64

    return np.frombuffer(base64.b64decode(text), dtype)


class TestSpace:
    @pytest.mark.parametrize("dimension", [1, 2, 3, 4, 8])
    def test_axes_are_the_embedding(self, tmp_path, dimension):
        run = read_run(write_run(tmp_path / "run", dimension=dimension))
        data = space_data(run)
        groups = [axis["group"] for axis in data["axes"]]
        components = min(dimension, 6) if dimension > 3 else 0
        assert groups == ["Dimensions"] * dimension + ["Principal components"] * components + [
            "Time"
        ]
        for i in range(dimension):
            packed = data["axes"][i]["values"]
            values = packed["low"] + packed["step"] * bytes_of(packed["levels"], "<u2")
            np.testing.assert_allclose(values, run.embedding[:, i], atol=packed["step"])
        first = [data["axes"][i]["name"] for i in data["first"]]
        if dimension == 1:
            assert first == ["time (s)", "dimension 1"]
        elif dimension < 4:
            assert first == [f"dimension {i + 1}" for i in range(dimension)]
        else:
            assert [name.split(" (")[0] for name in first] == ["PC 1", "PC 2", "PC 3"]

    def test_the_first_component_varies_most(self, tmp_path):
        run = read_run(write_run(tmp_path / "run", dimension=5))
        shares = [
            int(re.search(r"\((\d+)", axis["name"])[1])
            for axis in space_data(run)["axes"]
            if axis["group"] == "Principal components"
        ]
        assert shares == sorted(shares, reverse=True)
        assert 98 <= sum(shares) <= 102

    def test_colours(self, run):
        time, *_, direction, odour = space_data(run)["colours"]
        assert time["name"] == "time (s)"
        assert direction["kind"] == "circular"
        assert direction["scale"][0][1] == direction["scale"][-1][1], "a wheel closes"
        assert direction["quarters"] == ["0", "90", "180", "270"]
        assert odour["classes"] == ["apple", "banana", "cedar", "dill"]
        assert len(set(odour["palette"])) == 4

    @pytest.mark.parametrize("n_classes", [2, 12, 13, 200])
    def test_classes_many_or_few(self, tmp_path, n_classes):
        label = discrete(np.arange(600) % n_classes, "cell")
        run = read_run(write_run(tmp_path / "run", [label], length=600))
        colour = space_data(run)["colours"][1]
        assert ("palette" in colour) == (n_classes <= 12)
        assert len(colour["classes"]) == n_classes
        assert colour["low"] == -0.5
        assert colour["high"] == n_classes - 0.5


class TestTable:
    def test_every_score_in_its_row(self, run):
        table = score_table(label_results(run)[0])
        assert table["head"][0] == "R²"
        names = [(row["name"], row["reading"], row["tag"]) for row in table["rows"]]
        assert [tuple(map(typed, each)) for each in names] == [
            ("Embedding", "10 steps", ""),
            ("Principal components", "10 steps summed", ""),
            ("Principal components", "10 steps lagged", "not chosen"),
            ("Principal components, one step", "", ""),
            ("Raw activity", "10 steps lagged", ""),
            ("Raw activity", "10 steps summed", "not chosen"),
            ("Raw activity, one step", "", ""),
            ("Constant answer", "", ""),
            ("Embedding", "", "random split, leaky"),
        ]
        rows = table["rows"]
        assert [typed(row["columns"]) for row in rows] == [*"3333", "50", *"55-3"]
        assert [row["cells"][0] for row in rows] == [
            "0.71", "0.51", "0.47", "0.41", "0.73", "0.69", "0.63", "\N{MINUS SIGN}0.02", "0.71",
        ]  # fmt: skip
        assert [typed(row["gain"]) for row in rows] == [
            "-", "0.20 (0.16 to 0.24)", "-", "0.30 (0.26 to 0.34)", "-0.02 (-0.08 to 0.04)", "-",
            "0.08 (0.04 to 0.12)", "-", "-",
        ]  # fmt: skip
        assert rows[0]["interval"] == "0.67 to 0.75"
        assert rows[2]["decoder"] == "k nearest neighbours"

    @pytest.mark.parametrize("steps", [1, None])
    def test_a_window_of_one_step_has_no_second_rows(self, run, steps):
        scores = {"velocity": made_scores("continuous", window_steps=steps)}
        rows = score_table(label_results(changed(run, scores=scores, window_steps=steps))[0])[
            "rows"
        ]
        known = "one step" if steps else ""
        assert [(row["name"], row["reading"]) for row in rows] == [
            ("Embedding", known), ("Principal components", "one step"),
            ("Raw activity", "one step"), ("Constant answer", ""), ("Embedding", ""),
        ]  # fmt: skip

    def test_without_differences_there_is_no_column_of_them(self, run):
        scores = made_scores("continuous")
        for each in scores["blocked"].values():
            each.pop("gain", None)
        table = score_table(label_results(changed(run, scores={"velocity": scores}))[0])
        assert table["gain"] == ""
        assert score_table(label_results(run)[1])["gain"].startswith(
            "embedding better by (degrees), 95"
        )

    def test_the_unit_stands_in_the_head(self, run):
        head = score_table(label_results(run)[1])["head"]
        assert head == [
            "mean angular error (degrees)",
            "median angular error (degrees)",
            "circular correlation",
        ]


class TestCharts:
    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_plotly_accepts_them(self, run, place):
        from plotly import graph_objects

        result = label_results(run)[place]
        charts = decoded_charts(run, result, place)
        draws = (baseline_chart, gain_chart, null_chart)
        charts += [*(draw(result, place) for draw in draws), loss_chart(run)]
        assert len(charts) == 7
        for chart in charts:
            graph_objects.Figure(chart.specification)  # refuses what plotly.js does not know
            assert all(trace.get("visible", True) in (True, False) for trace in chart.traces)

    def test_traces_name_the_choices_that_show_them(self, run):
        chart = decoded_charts(run, label_results(run)[0], 0)[0]
        assert chart.choices["dimension"] == ["1", "2"]
        assert len(chart.choices["stretch"]) == 3
        assert chart.choices["stretch"][0].startswith("1: 2.00 to 3.00 s")
        shown = [trace["meta"] for trace in chart.traces if trace["visible"]]
        assert shown == [{"stretch": 0, "dimension": 0}] * 2

    def test_a_terrible_baseline_does_not_flatten_the_rest(self, run):
        scores = made_scores("continuous")
        scores["blocked"]["raw"]["test_r2"] = -3456.7
        chart = baseline_chart(label_results(changed(run, scores={"velocity": scores}))[0], 0)
        low, high = chart.layout["xaxis"]["range"]
        assert low > -1
        assert high < 1.2
        assert "◂ \N{MINUS SIGN}3457" in numbers_of(chart)
        scores["blocked"]["raw"]["gain"] |= {"value": 3457.4, "interval": [3000.0, 4000.0]}
        chart = gain_chart(label_results(changed(run, scores={"velocity": scores}))[0], 0)
        assert chart.layout["xaxis"]["range"][1] < 2
        assert "▸ +3457" in numbers_of(chart)

    def test_nulls_that_are_all_the_same(self, run):
        scores = made_scores("discrete")
        scores["null"]["values"] = [0.25] * 50
        chart = null_chart(label_results(changed(run, scores={"odour": scores}))[0], 0)
        assert sum(chart.traces[0]["y"]) == 50

    def test_errors_of_an_angle_are_drawn_as_errors(self, run):
        chart = null_chart(label_results(run)[1], 1)
        low, high = chart.layout["xaxis"]["range"]
        assert 0 < low < 24 < high

    @pytest.mark.parametrize(("place", "far"), [(0, 0.7), (1, 24.0), (2, 0.75)])
    @pytest.mark.parametrize("is_larger", [True, False])
    def test_the_observed_score_is_named_on_the_side_of_the_nulls(self, run, place, far, is_larger):
        result = label_results(run)[place]
        observed = abs(result.null.observed)
        beside = observed + (-1 if is_larger else 1) * np.linspace(0.1, 0.2, 50) * far
        null = replace(result.null, values=result.measure.sign * beside)
        chart = null_chart(replace(result, null=null), place)
        (note,) = chart.layout["annotations"]
        assert note["xanchor"] == ("right" if is_larger else "left")
        assert note["x"] == chart.layout["shapes"][0]["x0"] == pytest.approx(observed)

    def test_the_loss_stands_beside_chance(self, run):
        assert chance_loss(changed(run, chance_nats=6.0)) == 6.0
        assert chance_loss(run) is None
        assert "chance is 6.00 nats" in loss_chart(changed(run, chance_nats=6.0)).caption
        assert "chance" not in loss_chart(run).caption


steps_of_time = hnp.arrays(
    np.int64, st.integers(1, 60), elements=st.integers(0, 500), unique=True
).map(np.sort)


class TestHeldOut:
    @given(steps_of_time)
    def test_stretches_are_all_of_it_in_order(self, steps):
        found = stretches(steps)
        assert 1 <= len(found) <= 12
        assert found[0].start == 0
        assert found[-1].stop == len(steps)
        assert all(one.stop == two.start for one, two in pairwise(found))
        assert all(each.start < each.stop for each in found)

    def test_blocks_stay_whole_where_trials_are_apart(self):
        trials = np.concatenate([np.arange(start, start + 8) for start in range(0, 100, 10)])
        steps = np.concatenate([trials + start for start in (0, 500, 1000)])
        assert [each.stop - each.start for each in stretches(steps)] == [80, 80, 80]

    @given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 40))
    def test_the_middle_of_a_stretch(self, start, length, longest):
        part = middle(slice(start, start + length), longest)
        assert part.stop - part.start == min(length, longest)
        assert abs((part.start - start) - (start + length - part.stop)) <= 1

    @given(hnp.arrays(np.int64, (2, 40), elements=st.integers(0, 2)))
    def test_confusion_counts_each_step_once(self, codes):
        label = discrete([0, 1, 2], "x")
        counts = confusion(label, codes[0], codes[1])
        for true in range(3):
            for guess in range(3):
                assert counts[true, guess] == ((codes[0] == true) & (codes[1] == guess)).sum()

    def test_a_class_that_the_test_lacks_has_no_shares(self):
        shares = row_shares(np.array([[3, 1, 0], [0, 0, 0], [0, 0, 2]]))
        np.testing.assert_array_equal(shares, [[0.75, 0.25, 0], [np.nan] * 3, [0, 0, 1]])

    def test_the_page_says_which_classes_were_not_tested(self, run):
        result, each = label_results(run)[2], run.decoded["odour"]
        full = decoded_charts(run, result, 2)[1]
        assert full.caption == "Each row is a true class and adds up to 100 %."
        assert len(full.traces) == 1
        kept = (each.true != 1) & (each.true != 3)
        lacking = Decoded(each.steps[kept], each.true[kept], each.decoded[kept])
        chart = decoded_charts(replace(run, decoded={"odour": lacking}), result, 2)[1]
        assert chart.caption.endswith("no held-out step is of it: banana and dill.")
        assert chart.caption[-30:] in chart.alternative
        matrix, hatched = chart.traces
        shares = bytes_of(matrix["z"]["bdata"], "<f4").reshape(4, 4)
        np.testing.assert_array_equal(np.isnan(shares).all(axis=1), [False, True, False, True])
        np.testing.assert_allclose(shares[[0, 2]].sum(axis=1), 1)
        assert hatched["y"] == [1, 3]
        notes = chart.layout["annotations"]
        assert [(note["y"], note["text"]) for note in notes] == [
            (1, "not tested"), (3, "not tested"),
        ]  # fmt: skip

    @pytest.mark.parametrize("period", [360.0, 2 * np.pi])
    def test_angular_errors_are_those_of_the_shorter_way(self, period):
        label = circular(np.linspace(0, 1, 50), period, "x")
        true = np.linspace(0, period, 400, endpoint=False)
        centre, quartiles, blind = error_by_value(label, true, np.mod(true - period / 36, period))
        np.testing.assert_allclose(quartiles, period / 36)
        # Any answer is as good as another for angles all round: it errs by half a turn across.
        away = np.abs(np.mod(centre - best_constant(label, true) + period / 2, period) - period / 2)
        np.testing.assert_allclose(blind, away, atol=period / 25)
        assert blind.max() > 0.4 * period
        assert (np.diff(centre) > 0).all()

    @given(
        hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 359.99)),
        st.sampled_from([360.0, 2 * np.pi, 1.0]),
    )
    def test_no_other_answer_errs_less(self, degrees, period):
        true = degrees * period / 360
        label = circular(np.linspace(0, 1, 50), period, "x")

        def error(answer):
            return np.abs(np.mod(true - answer + period / 2, period) - period / 2).mean()

        others = min(error(answer) for answer in np.linspace(0, period, 721))
        assert error(best_constant(label, true)) <= others + period / 360

    def test_the_answer_to_a_heading_that_is_mostly_north(self, run):
        rng = np.random.default_rng(0)
        true = np.mod(rng.normal(0, 40, 500), 360)
        label = circular(np.linspace(0, 1, 50), 360.0, "x")
        assert min(best_constant(label, true), 360 - best_constant(label, true)) < 6
        _, _, blind = error_by_value(label, true, true)
        assert blind.min() < 15
        assert blind.max() > 100
        result = label_results(run)[1]
        decoded = {"direction": Decoded(np.arange(500), true, true)}
        chart = decoded_charts(replace(run, decoded=decoded), result, 1)[-1]
        at = number(best_constant(label, true))
        assert chart.caption == (
            f"Dashed: always answering {at} degrees, the one answer with the least mean error."
        )

    def test_errors_by_value_against_sorting_by_hand(self):
        label = continuous([0.0, 1.0], "x")
        true = np.random.default_rng(0).permutation(np.arange(120.0))
        centre, quartiles, blind = error_by_value(label, true, true + np.where(true < 40, 1, 3))
        assert centre.tolist() == pytest.approx([19.5, 59.5, 99.5], abs=1)
        assert quartiles[1].tolist() == [1, 3, 3]
        assert blind[0] == pytest.approx(40, abs=1)

    @pytest.mark.parametrize("values", [np.zeros(10), np.array([3.0]), np.array([1.0, 1, 1, 9])])
    def test_errors_of_labels_that_hardly_vary(self, values):
        centre, quartiles, _ = error_by_value(continuous([0.0, 1], "x"), values, values + 2)
        assert len(centre) == quartiles.shape[1] >= 1
        np.testing.assert_allclose(quartiles, 2)

    def test_a_line_is_parted_where_time_breaks_and_where_an_angle_wraps(self):
        label = circular([0.0, 1], 360, "x")
        steps = np.array([0, 1, 2, 9, 10])
        time, values = unbroken(steps, steps / 2.0, np.array([350, 358, 5, 20, 30.0]), label)
        assert np.isnan(values).nonzero()[0].tolist() == [2, 4]
        assert np.isnan(time).nonzero()[0].tolist() == [2, 4]


class TestPacking:
    @given(hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(-1e9, 1e9)))
    def test_quantised_values_are_near(self, values):
        packed = quantised(values)
        levels = bytes_of(packed["levels"], "<u2")
        back = packed["low"] + packed["step"] * levels
        assert np.abs(back - values).max() <= 0.51 * packed["step"] + 1e-9 * np.abs(values).max()

    def test_what_is_no_number_is_nothing(self):
        packed = quantised(np.array([1.0, np.nan, np.inf, 2.0]))
        assert bytes_of(packed["levels"], "<u2").tolist() == [0, NOTHING, NOTHING, 65534]
        assert bytes_of(quantised(np.array([np.nan]))["levels"], "<u2").tolist() == [NOTHING]

    @pytest.mark.parametrize(
        ("values", "dtype"),
        [([0, 1.5], "f4"), ([1.7e9, 1.7e9 + 5], "f8"), ([np.nan], "f4"), ([], "f4")],
    )
    def test_large_numbers_of_small_spread_keep_it(self, values, dtype):
        packed = plain(values)
        assert packed["dtype"] == dtype
        back = bytes_of(packed["bdata"], f"<{dtype}")
        np.testing.assert_allclose(back, values, rtol=1e-7)

    @given(st.recursive(st.text() | st.floats() | st.none(), lambda x: st.lists(x, max_size=3)))
    def test_json_cannot_end_its_script(self, data):
        text = script_json(data)
        assert not set("<>&") & set(text)
        assert text.isascii()
        json.loads(text)


class TestWords:
    @pytest.mark.parametrize(
        ("value", "said"),
        [
            (0.12345, "0.123"), (1.2345, "1.23"), (12.345, "12.3"), (123.45, "123"), (0, "0.000"),
            (12345.6, "12 346"), (-1.5, "-1.50"), (1e-5, "1.00e-05"), (2.5e8, "2.50e+08"),
            (None, "-"), (float("nan"), "-"), (float("inf"), "-"),
        ],
    )  # fmt: skip
    def test_numbers(self, value, said):
        assert typed(number(value)) == said

    @pytest.mark.parametrize(
        ("value", "said"),
        [(0.714, "0.71"), (-0.001, "0.00"), (-0.5, "-0.50"), (-3456.7, "-3457"), (None, "-")],
    )
    def test_scores(self, value, said):
        assert typed(score(value)) == said

    @pytest.mark.parametrize(
        ("seconds", "said"),
        [
            (0.04, "0.0 s"),
            (59.94, "59.9 s"),
            (61.5, "1 min 1 s"),
            (7265, "2 h 1 min"),
            (3599, "1 h 0 min"),
        ],
    )
    def test_durations(self, seconds, said):
        assert typed(duration(seconds)) == said

    def test_probabilities(self):
        assert typed(probability(0.0196)) == "p = 0.020"
        assert typed(probability(0.0004)) == "p < 0.001"

    @pytest.mark.parametrize(
        ("parts", "said"),
        [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
    )
    def test_lists(self, parts, said):
        assert listed(parts) == said


SETTINGS = [
    {"dataset": "demo-continuous", "seed": 0},
    {
        "dataset": "demo-mixed",
        "seed": 3,
        "batch_size": None,
        "hybrid": True,
        "time_offsets": (5, 10),
    },
    {
        "data": "a file's name.npz",
        "neural": "-x",
        "label": ("-y:circular", "z"),
        "period": 360.0,
        "seed": 1,
    },
    {"data": '$(touch x);`y` "z"', "seed": 2, "trust": True, "imports": ("a.py", "b")},
    {
        "dataset": "demo-discrete",
        "conditional": "delta_normal",
        "delta": 0.1,
        "holdout": 0,
        "seed": 4,
    },
    {
        "data": "~/x y.npz",
        "sampling_rate": 20.0,
        "prior": "uniform",
        "temperature_mode": "auto",
        "seed": 5,
    },
]


def unpacked(packed):
    """The numbers of a typed array, as plotly reads them."""
    return bytes_of(packed["bdata"], f"<{packed['dtype']}").tolist()


class TestChanceOfClasses:
    """Of a discrete label chance is one over the classes tested, wherever it is spoken of."""

    def result(self, run, balanced_chance=0.5, **scores):
        each = made_scores("discrete", **scores)
        each["blocked"]["embedding"] |= {"balanced_chance": balanced_chance, "chance": 0.05}
        # Always the training's commonest class, which is none of those tested.
        each["blocked"]["chance"] = {
            "balanced_accuracy": 0.0, "accuracy": 0.0, "chance": 0.05, "balanced_chance": 0.5,
        }  # fmt: skip
        return label_results(changed(run, scores={"odour": each}))[0]

    def test_it_is_the_same_everywhere(self, run):
        result = self.result(run)
        assert result.chance == result.archived_chance == 0.5
        chart = baseline_chart(result, 0)
        assert chart.layout["shapes"][0]["x0"] == 0.5
        assert "Constant answer 0.50" in chart.alternative
        verdict = run_verdicts([result], run.metrics)[0]
        assert "chance is 0.50" in verdict.numbers
        constant = score_table(result)["rows"][-2]
        assert constant["name"] == "Constant answer"
        assert constant["cells"][0] == "0.50"

    def test_a_score_above_the_commonest_class_alone_is_no_finding(self, run):
        result = self.result(run, value=0.45, low_high=(0.4, 0.49), pca=0.3)
        assert run_verdicts([result], run.metrics)[0].finding == "chance"

    def test_the_summary_says_it_too(self):
        scores = {
            "balanced_accuracy": 0.75, "accuracy": 0.9, "f1": 0.7, "chance": 0.8,
            "balanced_chance": 0.5, "decoder": "logistic",
        }  # fmt: skip
        metrics = {"scores": {"odour": {"kind": "discrete", "random": scores}}}
        line = describe_metrics(metrics)[1]
        assert line == (
            "  random split: balanced accuracy 0.750 (chance 0.500), accuracy 0.900 (chance "
            "0.800), macro F1 0.700"
        )


class TestManyClasses:
    def run(self, folder, count):
        label = discrete(np.arange(300) % count, "cell")
        return read_run(write_run(folder / "run", (label,)))

    @pytest.mark.parametrize(("count", "drawn"), [(100, True), (101, False), (300, False)])
    def test_a_matrix_that_nobody_can_read_is_not_drawn(self, tmp_path, count, drawn):
        run = self.run(tmp_path, count)
        page = Page(report_html(run))
        assert ("confusion-0" in page.data("chart-data")) == drawn
        assert (f"this label has {count} classes" in page.words) == (not drawn)
        names = write_figures(run)
        assert (run.folder / "figures/confusion.png").exists() == drawn
        assert "figures/confusion.png" in names

    def test_ten_thousand_classes_take_no_memory(self, tmp_path):
        label = discrete(np.arange(10_000), "cell")
        run = read_run(write_run(tmp_path / "run", (label,), length=10_000))
        tracemalloc.start()
        decoded_charts(run, label_results(run)[0], 0)
        assert tracemalloc.get_traced_memory()[1] < 50e6
        tracemalloc.stop()


class TestBaselines:
    """Scores and differences, row by row; what sees one step adds a second line to its kind."""

    @pytest.mark.parametrize("steps", [10, 1, None])
    def test_rows_are_named_by_what_they_see(self, run, steps):
        scores = {"velocity": made_scores("continuous", window_steps=steps)}
        result = label_results(changed(run, scores=scores, window_steps=steps))[0]
        named = {
            10: [
                "Embedding/10 steps, 3 numbers",
                "Principal components/10 steps summed, 3 numbers", "one step, 3 numbers",
                "Raw activity/10 steps lagged, 50 numbers", "one step, 5 numbers",
                "Constant answer",
            ],
            1: [
                "Embedding/one step, 3 numbers", "Principal components/one step, 3 numbers",
                "Raw activity/one step, 5 numbers", "Constant answer",
            ],
            None: [
                "Embedding/3 numbers", "Principal components/one step, 3 numbers",
                "Raw activity/one step, 5 numbers", "Constant answer",
            ],
        }  # fmt: skip
        assert ticks(baseline_chart(result, 0)) == named[steps]
        assert ticks(gain_chart(result, 0)) == named[steps][1:-1]

    def test_the_second_line_is_smaller_and_nearer(self, run):
        chart = baseline_chart(label_results(run)[0], 0)
        (dots,) = chart.traces
        gaps = np.diff(dots["y"])
        sizes = dots["marker"]["size"]
        assert (gaps > 0).all()
        assert gaps[[1, 3]].max() < gaps[[0, 2, 4]].min()
        assert max(sizes[2], sizes[4]) < min(sizes[0], sizes[1], sizes[3])

    def test_without_its_kind_above_a_second_line_has_its_whole_name(self, run):
        scores = made_scores("continuous")
        scores["blocked"]["pca"]["test_r2"] = float("nan")
        named = ticks(baseline_chart(label_results(changed(run, scores={"x": scores}))[0], 0))
        assert named[:2] == [
            "Embedding/10 steps, 3 numbers",
            "Principal components, one step/one step, 3 numbers",
        ]
        assert named[3] == "one step, 5 numbers"

    def test_each_number_stands_in_its_row(self, run):
        chart = baseline_chart(label_results(run)[0], 0)
        notes = chart.layout["annotations"]
        assert [note["y"] for note in notes] == chart.traces[0]["y"]
        assert list(map(typed, numbers_of(chart))) == [
            "0.71", "0.51", "0.41", "0.73", "0.63", "-0.02",
        ]  # fmt: skip

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_right_of_zero_is_better_for_scores_and_errors(self, run, place):
        result = label_results(run)[place]
        chart = gain_chart(result, place)
        components, _, raw, _ = unpacked(chart.traces[0]["x"])
        assert components > 0 > raw
        assert chart.layout["shapes"][0]["x0"] == 0
        low, high = chart.layout["xaxis"]["range"]
        assert low < raw < components < high
        signs = [text[0] for text in numbers_of(chart)]
        assert signs == ["+", "+", "\N{MINUS SIGN}", "+"]
        is_error = result.kind == "circular"
        first = f"The {'baseline' if is_error else 'embedding'}'s {result.title()} minus the"
        assert chart.caption.startswith(first)
        less = "the embedding 20.0 degrees less" in typed(chart.alternative)
        assert less == is_error

    def test_intervals_lie_about_the_difference(self, run):
        (dots,) = gain_chart(label_results(run)[0], 0).traces
        assert unpacked(dots["error_x"]["array"]) == pytest.approx([0.04, 0.04, 0.06, 0.04])
        assert unpacked(dots["error_x"]["arrayminus"]) == pytest.approx([0.04, 0.04, 0.06, 0.04])

    def test_without_differences_there_is_no_such_chart(self, run):
        scores = made_scores("continuous")
        for each in scores["blocked"].values():
            each.pop("gain", None)
        result = label_results(changed(run, scores={"velocity": scores}))[0]
        assert gain_chart(result, 0) is None
        assert len(ticks(baseline_chart(result, 0))) == 6

    @pytest.mark.parametrize(
        ("steps", "words"),
        [
            (10, "These baselines see the 10 steps that the encoder sees"),
            (1, "These baselines see one step at a time, as the encoder does."),
            (None, "These baselines see one step at a time."),
        ],
    )
    def test_the_page_says_what_they_see(self, run, steps, words):
        scores = {"velocity": made_scores("continuous", window_steps=steps)}
        given = changed(run, scores=scores, window_steps=steps)
        assert words in typed(evidence_lead(label_results(given)))
        assert words in Page(report_html(given)).words

    def test_without_any_it_says_nothing_of_them(self, run):
        scores = made_scores("continuous")
        for name in [name for name in scores["blocked"] if name not in ("embedding", "chance")]:
            del scores["blocked"][name]
        lead = evidence_lead(label_results(changed(run, scores={"velocity": scores})))
        assert "baselines" not in lead
        assert "moved against the neural data" in lead


def numbers_of(chart):
    """What is written beside the rows."""
    return [note["text"] for note in chart.layout["annotations"]]


def ticks(chart):
    """The names of the rows; a slash before the second line."""
    own = [
        re.sub("<br>", "/", re.sub("<span[^>]*>|</span>", "", tick))
        for tick in chart.layout["yaxis"]["ticktext"]
    ]
    return list(map(typed, own))


class TestHowPWasMade:
    WORDS = {  # noqa: RUF012
        "folds": (
            "Each of 5 folds of the recording was decoded by an encoder and a decoder",
            "5 encoders, each trained without one fold of the recording",
            "50 nulls (shifted within segments; 5 folds): p = 0.020",
        ),
        "held-out": (
            "Encoder and decoder stay as they are",
            "with encoder and decoder kept, labels",
            "50 nulls (shifted within segments; held-out): p = 0.020",
        ),
        "retrained": (
            "The encoder was trained anew on each moved label.",
            "and the encoder trained anew on each",
            "50 nulls (shifted within segments; retrained): p = 0.020",
        ),
    }

    @pytest.mark.parametrize("method", WORDS)
    def test_it_is_said_everywhere(self, run, method):
        made = changed(run, scores={"velocity": made_scores("continuous", method=method)})
        results = label_results(made)
        caption, text, line = self.WORDS[method]
        assert caption in null_chart(results[0], 0).caption
        assert text in typed(methods(made, results))
        assert any(line in each for each in describe_metrics(made.metrics))
        others = [words for other, words in self.WORDS.items() if other != method]
        for other_caption, other_text, _ in others:
            assert other_caption not in null_chart(results[0], 0).caption
            assert other_text not in typed(methods(made, results))

    def test_whole_segments_that_move_leave_no_steps_out(self, run):
        scores = made_scores("continuous", method="held-out")
        scores["null"]["how"] = "whole segments permuted"
        made = changed(run, scores={"velocity": scores})
        results = label_results(made)
        assert "left out" not in null_chart(results[0], 0).caption
        assert "memory" not in methods(made, results)

    def test_several_labels_are_adjusted_for(self, run):
        scores = {
            name: made_scores(kind, p=1 / 101, n=100, p_adjusted=3 / 101)
            for name, kind in [
                ("velocity", "continuous"), ("direction", "circular"), ("odour", "discrete")
            ]
        }  # fmt: skip
        made = changed(run, scores=scores)
        results = label_results(made)
        said = "p = 0.010, adjusted for 3 labels p = 0.030"
        assert said in typed(null_chart(results[0], 0).caption)
        assert "The p of 3 labels were adjusted by Holm's method" in typed(methods(made, results))
        line = "p = 0.010, adjusted (Holm) p = 0.030"
        assert sum(line in each for each in describe_metrics(made.metrics)) == 3

    def test_methods_of_several_kinds_are_named_by_label(self, run):
        scores = {
            "velocity": made_scores("continuous"),
            "odour": made_scores("discrete", method="retrained"),
        }
        made = changed(run, scores=scores)
        text = typed(methods(made, label_results(made)))
        assert "Nulls (velocity): 5 encoders" in text
        assert "Nulls (odour): labels were moved" in text

    def test_none_can_be_given(self, run):
        scores = made_scores("continuous")
        del scores["null"]
        scores["no_p"] = "it needs 40 steps to forget itself."
        note = f"No p for 'velocity': {scores['no_p']}"
        made = changed(run, scores={**run.metrics["scores"], "velocity": scores}, note=note)
        page = Page(report_html(made))
        assert "null-0" not in page.data("chart-data")
        assert page.words.count("No p can be given for this label; the note below") == 1
        assert note in page.words
        assert "No p could be given for velocity." in page.words

    def test_reduced_neurons_are_said(self, run):
        scores = made_scores("continuous")
        made = changed(run, scores={"velocity": scores})
        assert "leading component" not in methods(made, label_results(made))
        scores["blocked"]["raw"]["by_window"]["lagged"]["columns"] = 40
        text = typed(methods(made, label_results(made)))
        assert "Lagged were the 4 leading components of the neurons." in text


class TestFolds:
    folds = {  # noqa: RUF012
        "velocity": made_folds("continuous", (0.6, -3.0, 0.75)),
        "direction": made_folds("circular", (20.0, 30.0, 25.0)),
        "odour": made_folds("discrete", np.linspace(0.5, 0.8, 20).tolist()),
    }

    def charts(self, run):
        results = label_results(changed(run, folds=self.folds))
        return [folds_chart(result, place) for place, result in enumerate(results)]

    def test_each_is_drawn_with_its_mean(self, run):
        velocity, direction, odour = self.charts(run)
        assert unpacked(velocity.traces[1]["y"]) == pytest.approx([0.6, -0.5, 0.75])
        assert velocity.traces[1]["text"] == ["0.60", "▾ \N{MINUS SIGN}3.00", "0.75"]
        assert unpacked(direction.traces[0]["y"]) == [25.0, 25.0]
        assert "25.0 degrees" in direction.caption
        assert odour.traces[1]["mode"] == "markers", "too many for a number each"
        assert len(unpacked(odour.traces[1]["y"])) == 20
        for chart in (velocity, direction, odour):
            low, high = chart.layout["yaxis"]["range"]
            drawn = [y for trace in chart.traces for y in unpacked(trace["y"])]
            assert all(low < y < high for y in drawn)

    def test_chance_is_that_of_the_folds(self, run):
        folds = {"odour": {**self.folds["odour"], "chance": [0.1, 0.2, 0.3]}}
        result = label_results(changed(run, folds=folds))[2]
        assert folds_chart(result, 2).layout["shapes"][0]["y0"] == pytest.approx(0.2)
        assert baseline_chart(result, 2).layout["shapes"][0]["x0"] == 0.25

    def test_the_page_says_so(self, run):
        page = Page(report_html(changed(run, folds=self.folds)))
        assert "Mean of 3 folds 25.0 degrees; all test steps together" in page.words
        assert "In a 3-fold evaluation of contiguous stretches" in page.words
        assert {"folds-0", "folds-1", "folds-2"} <= set(page.data("chart-data"))

    @pytest.mark.parametrize(
        "damaged",
        [None, {}, {"velocity": []}, {"velocity": {"values": [], "mean": 1, "pooled": {}}},
         {"velocity": {"values": [0.1, "x"], "mean": 0.1, "pooled": {"test_r2": 0.1}}},
         {"velocity": {"values": [0.1], "mean": None, "pooled": {"test_r2": 0.1}}}],
    )  # fmt: skip
    def test_without_folds_there_is_none(self, run, damaged):
        results = label_results(changed(run, folds=damaged))
        assert [folds_chart(result, 0) for result in results] == [None] * 3
        assert "fold evaluation" not in Page(report_html(changed(run, folds=damaged))).words


class TestWhatIsHeldOut:
    @pytest.fixture(params=["blocks", "segments"])
    def page(self, request, run):
        held = {"split": request.param, "train_steps": 240, "test_steps": 60, "test_segments": 3}
        return request.param, Page(report_html(changed(run, holdout=held))).words

    def test_every_word_of_it_fits(self, page):
        kind, text = page
        where = {"blocks": "held-out time", "segments": "held-out segments"}
        assert f"on {where[kind]}" in text
        assert f"over {where[kind]}" in text
        other = where["blocks" if kind == "segments" else "segments"]
        assert f"on {other}" not in text
        assert ("60 steps in 3 whole segments" in text) == (kind == "segments")
        assert ("60 steps in blocks" in text) == (kind == "blocks")
        assert ("3 whole segments, drawn at random" in text) == (kind == "segments")
        assert ("in contiguous stretches" in text) == (kind == "blocks")


class TestMethods:
    @pytest.mark.parametrize("settings", SETTINGS)
    def test_the_command_asks_for_the_same_run(self, settings, monkeypatch):
        import shlex

        from grevy import runs
        from grevy.cli.commands import app

        asked = []

        def note(config, **_):
            asked.append(config)
            raise GrevyError("enough")

        monkeypatch.setattr(runs, "run_experiment", note)
        config = make_config({**settings, "device": "cpu"})
        words = shlex.split(command(config.model_dump(mode="json")))
        assert words[:2] == ["grevy", "run"]
        CliRunner().invoke(app, words[1:])
        assert asked[0].model_copy(update={"output_dir": "results/run"}) == config

    def test_it_does_not_tell_the_users_name(self, monkeypatch):
        monkeypatch.setenv("HOME", "/home/somebody")
        config = make_config({"data": "/home/somebody/my data/x.npz", "seed": 0})
        line = command(config.model_dump(mode="json"))
        assert "somebody" not in line
        assert "--data ~/'my data/x.npz'" in line

    @pytest.mark.parametrize(
        "config", [{"dataset": "arrays", "seed": 1}, {"other": 1}, {"dataset": "x", "unknown": 2}]
    )
    def test_what_no_command_did_no_command_repeats(self, config):
        assert command(config) == ""

    def test_what_no_flag_can_say_is_left_to_the_file(self):
        config = make_config({"dataset": "x", "min_temperature": None}).model_dump(mode="json")
        assert command(config).startswith("grevy run --config config.yaml")

    def test_every_setting_is_a_flag(self):
        from grevy.cli.commands import app

        help_text = CliRunner().invoke(app, ["run", "--help"]).output
        words = set(re.findall(r"--[a-z0-9-]+", help_text))
        for name in RunConfig.model_fields:
            assert "--" + {"imports": "import"}.get(name, name).replace("_", "-") in words

    def test_the_paragraph_names_what_was_done(self, run):
        text = typed(methods(run, label_results(run)))
        for words in (
            "5 neurons over 300 time steps sampled at 20.0 Hz", "3 dimensions with CEBRA",
            "offset10-model", "200 steps with Adam", "batches of 512 references", "seed was 7",
            "60 time steps in contiguous stretches", "velocity (continuous; ridge, alpha 1)",
            "block bootstrap", "50 times", "p = (1 + number of nulls",
            "principal components with as many dimensions as the embedding and raw activity",
            "the 10 time steps of the encoder's receptive field, summed or side by side (lagged)",
            "Differences between embedding and baselines are paired", "5 encoders, each trained",
        ):  # fmt: skip
            assert words in text, words

    def test_the_paragraph_says_how_data_were_prepared(self, run):
        assert "Before that" not in typed(methods(run, []))
        config = {
            **run.config, "gaps": "nan", "lag": "-0.1s", "rates": True, "min_rate": 0.5,
            "square_root": True, "smoothing": "2", "causal": True, "zscore": True,
            "scale_labels": True,
        }  # fmt: skip
        made = replace(run, config=config, metrics={**run.metrics, "neurons_left_out": [[1, 4]]})
        assert (
            "Before that, time steps with missing values were left out, each step was paired with "
            "the labels of 0.1 s earlier, counts were turned into spikes per second, 2 neurons "
            "with fewer than 0.5 spikes per second were left out, square roots of the activity "
            "were taken, the activity was smoothed within segments by a causal Gaussian with a "
            "standard deviation of 2 time steps, each neuron was z-scored and continuous labels "
            "were z-scored for the training; all numbers for this were estimated on training "
            "steps alone."
        ) in typed(methods(made, []))
        assert "the longest time offset, beyond the reach of the smoothing." in typed(
            methods(made, [])
        )
        alone = replace(run, config={**run.config, "lag": "1"})
        assert "Before that, each step was paired with the labels of 1 time step later." in typed(
            methods(alone, [])
        )

    @pytest.mark.parametrize("conditional", ["time", "time_delta", "delta_normal", "delta", None])
    def test_positives_in_words(self, run, conditional):
        config = {**run.config, "conditional": conditional, "delta": 0.25, "hybrid": True}
        text = methods(replace(run, config=config), [])
        assert "Positive samples were" in text
        assert "None" not in text
        assert "second loss" in text

    def test_the_citation_is_the_repositorys(self):
        cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
        text = bibtex()
        assert cited["title"] in text
        assert cited["authors"][0]["name"] in text
        assert f"version = {{{cited['version']}}}" in text
        paper = cited["references"][0]
        for key in ("title", "journal", "volume", "year", "doi"):
            assert str(paper[key]) in text, key
        for author in paper["authors"]:
            assert f"{author['family-names']}, {author['given-names']}" in text
        assert f"{paper['start']}--{paper['end']}" in text


FIGURE_VARIANTS = ("nothing at all", "one held-out step", "metrics of another kind")


class TestFiles:
    @pytest.fixture
    def folder(self, tmp_path):
        return write_run(tmp_path / "run")

    def test_page_and_figures_are_entered_in_the_manifest(self, folder):
        path = write_report(folder)
        assert path == folder / archive.REPORT
        assert archive.verify(folder) == []
        files = set(archive.read_manifest(folder)["files"])
        assert archive.REPORT in files
        figures = {
            f"figures/{name}.{kind}"
            for name in ("decoded", "evidence", "confusion", "loss", "consistency")
            for kind in ("png", "svg")
        }
        assert figures <= files
        for name in figures:
            start = (folder / name).read_bytes()[:100]
            assert start.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")

    @pytest.fixture
    def no_figures(self, monkeypatch):
        monkeypatch.setattr("grevy.report.files.write_figures", lambda _run: [])

    @pytest.mark.usefixtures("no_figures")
    def test_a_change_of_another_file_still_shows(self, folder):
        (folder / archive.METRICS).write_text((folder / archive.METRICS).read_text() + " ")
        write_report(folder)
        assert archive.verify(folder) == [f"{archive.METRICS}: changed"]

    def test_again_gives_the_same_bytes(self, folder):
        first = {path: path.read_bytes() for path in written(folder)}
        second = {path: path.read_bytes() for path in written(folder)}
        assert first == second

    def test_a_figure_without_its_data_goes(self, folder):
        stale = folder / "figures/consistency.png"
        stale.write_bytes(b"of the run before")
        archive.add_to_manifest(folder, ["figures/consistency.png"])
        bare = with_nothing(replace(read_run(folder), folder=folder))
        archive.add_to_manifest(folder, write_figures(bare))
        assert not stale.exists()
        assert archive.verify(folder) == []

    @pytest.mark.usefixtures("no_figures")
    def test_a_run_being_replaced_has_no_report(self, folder):
        write_report(folder)
        archive.unseal(folder)
        assert not (folder / archive.REPORT).exists()

    def test_what_is_no_run(self, tmp_path):
        with pytest.raises(GrevyError, match="holds no finished run"):
            write_report(archive.RunFolder(tmp_path))

    @pytest.mark.parametrize("name", FIGURE_VARIANTS)
    def test_figures_of_whatever_there_is(self, run, name, folder):
        lacking = replace(VARIANTS[name](run), folder=folder)
        names = write_figures(lacking)
        assert len(names) == 14

    def test_hostile_names_in_figures(self, tmp_path):
        folder = write_run(tmp_path / "run", made_labels(300, (HOSTILE, "$\\frac{1}$", "</svg>")))
        write_report(folder)
        for path in (folder / "figures").glob("*.svg"):
            assert "<script" not in path.read_text()


def written(folder):
    write_report(folder)
    return [folder / archive.REPORT, *sorted((folder / "figures").iterdir())]


def test_the_helper_is_of_the_schema():
    """Made scores have the keys that an evaluation writes."""
    made = made_metrics(made_labels(300), held_out(300))
    assert set(made["scores"]) == {"velocity", "direction", "odour"}
    for scores in made["scores"].values():
        assert MAIN[scores["kind"]] in scores["blocked"]["embedding"]
        assert scores["blocked"]["chance"][MAIN[scores["kind"]]] == CHANCE[scores["kind"]]
