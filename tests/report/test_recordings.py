"""What the report says of several recordings: sentences, the page's section, figures."""

import json
from dataclasses import replace

import pytest

from archived_runs import CHANCE, HOSTILE, MAIN, SCORES, made_labels, made_metrics, typed, write_run
from grevy import archive
from grevy.archive.reading import read_run
from grevy.report.files import write_report
from grevy.report.page.page import report_html
from grevy.report.page.space import space_data
from grevy.report.recordings import across_recordings, across_sentence
from grevy.report.results import label_results

LENGTHS = (120, 180)


def made_scores(kind, others, own, p=0.002, no_p=""):
    """Scores of one label in one recording, in the schema of the metrics."""
    main = MAIN[kind]
    found = {"kind": kind, "chance": {**SCORES[kind], main: CHANCE[kind]}}
    for which, value in (("others", others), ("own", own), ("all", own)):
        ends = {main: [0.9 * value, 1.1 * value]}
        found[which] = {**SCORES[kind], main: value, "decoder": "ridge", "intervals": ends}
        found[which] |= {"balanced_chance": 0.25} if kind == "discrete" else {}
    if no_p:
        return {**found, "no_p": no_p}
    null = {
        "statistic": "a score", "observed": others, "values": [0.0] * 20, "p": p, "n": 20,
        "how": "shifted within segments", "method": "folds", "folds": 5, "p_adjusted": 2 * p,
    }  # fmt: skip
    return {**found, "null": null}


def made_run(root, names=("day 1", "day 2"), **changes):
    """A run of two recordings with a label of each kind."""
    labels = made_labels(sum(LENGTHS))
    metrics = made_metrics(labels, range(60))
    better = {"continuous": (0.6, 0.7), "circular": (20.0, 15.0), "discrete": (0.6, 0.7)}
    each = {label.name: made_scores(label.kind, *better[label.kind]) for label in labels}
    second = {**each, "velocity": made_scores("continuous", 0.5, 0.8, no_p="it is too slow")}
    steps = {"train_steps": 90, "test_steps": 30}
    metrics["recordings"] = [
        {"name": name, "time_steps": length, **steps, "scores": scores}
        for name, length, scores in zip(names, LENGTHS, (each, second), strict=True)
    ]
    metrics["left_out"] = {"velocity": {"test_r2": 0.55}}
    metrics["agreement"] = {
        "velocity": {"names": list(names), "r2": [[1, 0.6], [0.5, 1]], "mean": 0.55, "chance": 0.1},
        "odour": {"reason": "consistency: too few values"},
    }
    folder = write_run(root, labels, lengths=LENGTHS, metrics=metrics | changes)
    manifest = json.loads((folder / archive.MANIFEST).read_text())
    for one, name in zip(manifest["data"], names, strict=True):
        one["name"] = name
    (folder / archive.MANIFEST).write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made_run(tmp_path_factory.mktemp("runs") / "run")


def test_each_label_is_said_in_a_sentence(folder):
    run = read_run(folder)
    said = [typed(across_sentence(each)) for each in across_recordings(run, label_results(run))]
    assert said == [
        "decoded by what the other recordings have taught, R² is 0.50 to 0.60 in 2 recordings, "
        "where decoders of their own reach 0.70 to 0.80; better than chance (adjusted p below "
        "0.05) in 1 of 2; no p can be given for 1 of them.",
        "decoded by what the other recordings have taught, mean angular error is 20.0 degrees in "
        "2 recordings, where decoders of their own reach 15.0 degrees; better than chance "
        "(adjusted p below 0.05) in 2 of 2.",
        "decoded by what the other recordings have taught, balanced accuracy is 0.60 in 2 "
        "recordings, where decoders of their own reach 0.70; better than chance (adjusted p below "
        "0.05) in 2 of 2.",
    ]


def test_worse_than_chance_is_not_better_however_small_p_is(tmp_path):
    run = read_run(made_run(tmp_path / "run"))
    for one in run.metrics["recordings"]:
        one["scores"]["direction"] = made_scores("circular", 95.0, 15.0)
    (_, direction, _) = across_recordings(run, label_results(run))
    assert "in 0 of 2" in across_sentence(direction)


def test_the_page_has_a_section_for_each_recording(folder):
    page = typed(report_html(read_run(folder)))
    assert "2 recordings: day 1 and day 2" in page
    for words in (
        'id="recordings"', 'aria-label="Scores of day 1"', 'aria-label="Scores of day 2"',
        "120 steps of 5 neurons, 90 to train on, 30 held out", "No p for velocity: it is too slow",
        "Mean R² between different recordings: 0.55; with the labels moved in time it would be",
        "No agreement of the recordings by odour: too few values",
        "has seen no label of the recording that it decodes", "Holm",
    ):  # fmt: skip
        assert words in page, words


def test_charts_have_names_of_their_own(folder):
    page = report_html(read_run(folder))
    ids = [part.split('"', 1)[0] for part in page.split('class="plot" id="')[1:]]
    assert len(ids) == len(set(ids))
    assert {"recordings-0", "recordings-2", "alike-0"} <= set(ids)


def test_stretches_and_colours_tell_the_recordings(folder):
    run = read_run(folder)
    assert "day 2: 1.00 to 2.00 s" in report_html(run)
    data = space_data(run)
    assert data["recordings"] == [[0, "day 1"], [120, "day 2"]]
    assert data["colours"][-1]["name"] == "recording"
    assert data["colours"][-1]["classes"] == ["day 1", "day 2"]


def test_a_hostile_name_is_text(tmp_path):
    page = report_html(read_run(made_run(tmp_path / "run", names=(HOSTILE, "x"))))
    assert HOSTILE not in page
    assert "&lt;script&gt;alert" in page


def test_figures_are_drawn_and_go_with_what_they_show(tmp_path):
    folder = made_run(tmp_path / "run")
    write_report(folder)
    for name in ("recordings", "across"):
        for kind in ("png", "svg"):
            assert (folder / f"figures/{name}.{kind}").is_file()
    metrics = json.loads((folder / archive.METRICS).read_text())
    del metrics["recordings"]
    (folder / archive.METRICS).write_text(json.dumps(metrics))
    write_report(folder)
    assert not (folder / "figures/across.png").exists()
    assert (folder / "figures/recordings.png").exists()


def test_of_a_lone_recording_nothing_is_said(tmp_path):
    run = read_run(write_run(tmp_path / "run"))
    assert across_recordings(run, label_results(run)) == []
    assert 'id="recordings"' not in report_html(run)
    missing = replace(run, metrics={**run.metrics, "recordings": [{"name": "a"}, {}]})
    assert across_recordings(missing, label_results(missing)) == []
