"""Several recordings in one run, from a sessions file: to the same bits, and all around it."""

import json
import shutil

import numpy as np
import pytest
import yaml

from archived_runs import typed
from grevy import archive
from grevy.archive.exporting import export_csv, export_nwb
from grevy.archive.reading import read_run
from grevy.config import deciding, make_config, read_config, read_sessions, run_id
from grevy.errors import GrevyError
from grevy.model.checkpoints import Checkpoints
from grevy.model.estimator import CEBRA
from grevy.report.page.page import report_html
from grevy.runs import EvaluationRequest, adding_config, evaluate_target, run_experiment
from grevy.runs.experiment import train
from grevy.runs.holding_out import holdout_split
from grevy.runs.preparing import load_recordings, make_model
from logged import logged
from made_sessions import write_session

NEURONS = (5, 9, 4, 12, 7, 8)
SMALL = {
    "model_architecture": "offset5-model", "max_iterations": 40, "batch_size": 64,
    "num_hidden_units": 8, "time_offsets": 2, "learning_rate": 3e-3, "device": "cpu", "seed": 0,
    "folds": 2, "nulls": 20, "sampling_rate": 20.0,
}  # fmt: skip
SHARED = {"neural": "spikes", "segments": "trial", "label": ["position", "choice:discrete"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six recordings of other neurons, the third with keys of its own, and their sessions file."""
    root = tmp_path_factory.mktemp("sessions")
    for number, neurons in enumerate(NEURONS):
        arrays = write_session(root / f"day{number}.npz", number, neurons, 300 + 20 * number)
        if number == 2:
            arrays["counts"] = np.ascontiguousarray(arrays.pop("spikes").T)
            np.savez(root / "day2.npz", **arrays)
    each = [{"data": f"day{number}.npz"} for number in range(6)]
    each[2] |= {"neural": "counts", "transpose": True, "name": "turned"}
    # The choice first: it is known by its name.
    each[4] |= {"label": ["choice:discrete", "position"]}
    (root / "sessions.yaml").write_text(yaml.safe_dump({**SHARED, "sessions": each}))
    return root


@pytest.fixture(scope="module")
def finished(folder):
    config = make_config(
        {**SMALL, **read_sessions(folder / "sessions.yaml"), "output_dir": str(folder / "run")}
    )
    return run_experiment(config, verbose=False)


NAMES = ["day0", "day1", "turned", "day3", "day4", "day5"]


def same(one, other, *names):
    for name in names or (archive.EMBEDDING, archive.METRICS, archive.HISTORY, archive.LABELS):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_a_run_of_six_is_scored_recording_by_recording(finished):
    assert [each["name"] for each in finished.metrics["recordings"]] == NAMES
    for each in finished.metrics["recordings"]:
        assert set(each["scores"]) == {"position", "choice"}
        assert 0.1 < each["test_steps"] / each["time_steps"] < 0.3
    run = read_run(finished.folder)
    assert archive.recording_names(run.manifest) == tuple(NAMES)
    assert tuple(each["neurons"] for each in run.manifest["data"]) == NEURONS
    assert archive.verify(finished.folder) == []
    for name in ("recordings", "across"):
        assert (finished.folder / f"figures/{name}.png").stat().st_size > 10_000
    summary = (finished.folder / archive.SUMMARY).read_text()
    assert "recording turned:" in summary
    assert "session: name turned" in summary


def test_it_repeats_to_the_same_bits_from_its_own_config(finished, folder):
    settings = read_config(finished.folder / archive.CONFIG)
    again = run_experiment(
        make_config({**settings, "output_dir": str(folder / "again")}), verbose=False
    )
    same(finished.folder, again.folder)
    ids = [archive.read_manifest(each.folder)["run_id"] for each in (finished, again)]
    assert ids[0] == ids[1]


def test_files_may_move_and_be_called_otherwise(finished, folder, tmp_path):
    """The finished run is found again; and not, if one is read in another way."""
    for path in folder.glob("*.npz"):
        shutil.copy(path, tmp_path / f"moved-{path.name}")
    settings = read_config(finished.folder / archive.CONFIG)
    for each in settings["sessions"]:
        each["data"] = str(tmp_path / f"moved-{each['data'].rsplit('/', 1)[-1]}")
        each["name"] += " moved"
    done = run_experiment(make_config(settings), resume=True, verbose=False)
    assert done.metrics == finished.metrics
    settings["sessions"][1]["label"] = ["position:circular", "choice:discrete"]
    with pytest.raises(GrevyError, match=r"`label` is .*recording 2"):
        run_experiment(make_config(settings), resume=True, verbose=False)
    del settings["sessions"][1]
    with pytest.raises(GrevyError, match="6 `sessions`, and 5 are here"):
        run_experiment(make_config(settings), resume=True, verbose=False)


def test_cut_off_it_goes_on_to_the_same_bits(finished, folder):
    settings = read_config(finished.folder / archive.CONFIG)
    config = make_config({**settings, "output_dir": str(folder / "cut")})
    half = config.model_copy(update={"max_iterations": 20})
    root = archive.open_folder(folder / "cut")
    recordings, model = load_recordings(half), make_model(half, False)
    split = holdout_split(model, recordings, half.holdout, half.split)
    train(model, recordings, split, half, Checkpoints(root / archive.CHECKPOINTS), False)
    with pytest.raises(GrevyError, match="holds a training at step 20"):
        run_experiment(config, verbose=False)
    done = run_experiment(config, resume=True, verbose=False)
    same(finished.folder, done.folder)


def test_it_is_scored_again_as_it_was(finished):
    again = evaluate_target(EvaluationRequest(finished.folder.root, seed=0))
    assert again["recordings"] == finished.metrics["recordings"]
    assert again["agreement"] == finished.metrics["agreement"]


def test_a_table_has_a_column_and_each_recording_a_file(finished, tmp_path):
    import pandas as pd
    import pynwb

    run = read_run(finished.folder)
    (path,) = export_csv(run, tmp_path / "all.csv")
    table = pd.read_csv(path)
    assert list(table["recording"].unique()) == NAMES
    own = table[table["recording"] == "turned"]
    np.testing.assert_array_equal(own["step"], np.arange(340))
    np.testing.assert_allclose(own["time"], np.arange(340) / 20)
    assert own["segment"].min() == 0
    assert own["segment"].max() == 3
    paths = export_nwb(run, tmp_path / "out.nwb")
    assert [each.name for each in paths] == [f"out-{name}.nwb" for name in NAMES]
    with pynwb.NWBHDF5IO(paths[2], "r") as stream:
        series = stream.read().processing["grevy"]["embedding"]
        np.testing.assert_array_equal(series.data[:], own.iloc[:, 4:].to_numpy(np.float32))
        np.testing.assert_allclose(series.timestamps[:], np.arange(340) / 20)
    with pytest.raises(GrevyError, match="exists already"):
        export_nwb(run, tmp_path / "out.nwb")


def test_the_page_has_a_section_for_each(finished):
    page = report_html(read_run(finished.folder))
    for name in NAMES:
        assert f'aria-label="Scores of {name}"' in page
    assert "has seen no label of the recording that it decodes" in page
    assert "6 recordings: day0, day1, turned" in typed(page)


def test_a_recording_is_added_and_the_others_stay_as_they_are(finished, folder):
    write_session(folder / "new.npz", 9, 6, 400)
    given = {"data": str(folder / "new.npz"), "max_iterations": 60}
    config = adding_config(finished.folder.root, {**given, "output_dir": str(folder / "added")})
    assert [each["name"] for each in config.sessions] == [*NAMES, "new"]
    done = run_experiment(config, verbose=False)
    old, new = read_run(finished.folder), read_run(done.folder)
    np.testing.assert_array_equal(new.embedding[: len(old.embedding)], old.embedding)
    models = [CEBRA.load(each.folder / archive.MODEL) for each in (finished, done)]
    assert models[1].n_features_ == [*NEURONS, 6]
    for before, after in zip(models[0].model_, models[1].model_, strict=False):
        for name, value in before.state_dict().items():
            assert (after.state_dict()[name] == value).all()
    assert done.config.base_sha256 == archive.file_checksum(finished.folder / archive.MODEL)
    steps = [
        {e["name"]: e["test_steps"] for e in r.metrics["recordings"]} for r in (finished, done)
    ]
    assert steps[0].items() < steps[1].items()
    again = read_config(done.folder / archive.CONFIG)
    twice = run_experiment(
        make_config({**again, "output_dir": str(folder / "added-again")}), verbose=False
    )
    same(done.folder, twice.folder)
    assert "trained to meet" in report_html(new)
    assert "Nothing ties" not in report_html(new)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": None}, ["`data=FILE`"]),
        ({"data": ["a.npz", "b.npz"]}, ["one recording is added at a time"]),
        ({"holdout": 0.3}, ["`holdout=0.3`", "0.2", "Leave it out"]),
        ({"split": "segments"}, ["`split=segments`", "blocks"]),
        ({"label": ("position",)}, ["day0 and new have different labels"]),
        ({"neural": "nope"}, ["no array 'nope'"]),
    ],
)
def test_what_cannot_be_added_is_said(finished, folder, changes, words):
    write_session(folder / "new.npz", 9, 6, 400)
    given = {"data": str(folder / "new.npz"), "output_dir": str(folder / "none"), **changes}
    with pytest.raises(GrevyError) as caught:
        run_experiment(adding_config(finished.folder.root, given), verbose=False)
    for word in words:
        assert word in str(caught.value)
    assert not (folder / "none" / archive.MANIFEST).exists()


def test_a_model_of_several_alone_does_not_say_what_it_has_seen(finished, folder):
    given = {"data": str(folder / "day1.npz"), "output_dir": str(folder / "none")}
    with pytest.raises(GrevyError, match="Give the folder of the run"):
        adding_config(finished.folder / archive.MODEL, given)


def test_a_model_that_is_another_one_is_not_taken(finished, folder):
    settings = {
        **read_config(finished.folder / archive.CONFIG),
        "folds": 0,
        "base_sha256": "0" * 64,
    }
    settings |= {"base_model": str(finished.folder.root), "output_dir": str(folder / "none")}
    with pytest.raises(GrevyError, match="another one"):
        run_experiment(make_config(settings), verbose=False)


def test_recordings_that_changed_cannot_be_met(finished, folder, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(finished.folder.root, copy)
    settings = yaml.safe_load((copy / archive.CONFIG).read_text())
    arrays = dict(np.load(folder / "day5.npz"))
    arrays["spikes"] = arrays["spikes"] + 1
    np.savez(tmp_path / "day5.npz", **arrays)
    settings["sessions"][5]["data"] = str(tmp_path / "day5.npz")
    (copy / archive.CONFIG).write_text(yaml.safe_dump(settings))
    write_session(tmp_path / "new.npz", 9, 6, 400)
    given = {"data": str(tmp_path / "new.npz"), "output_dir": str(tmp_path / "none")}
    with pytest.raises(GrevyError, match="not the data that"):
        run_experiment(adding_config(copy, given), verbose=False)


def test_a_model_of_one_recording_gets_a_new_first_layer(folder):
    lone = {**SHARED, **SMALL, "folds": 0, "data": str(folder / "day0.npz")}
    base = run_experiment(make_config({**lone, "output_dir": str(folder / "lone")}), verbose=False)
    new = {**SHARED, "data": str(folder / "day3.npz"), "sampling_rate": 20.0}
    made = []
    for name, target in (("a", base.folder.root), ("b", base.folder / archive.MODEL)):
        given = {**new, "max_iterations": 20, "nulls": 20, "output_dir": str(folder / name)}
        made.append(run_experiment(adding_config(target, given), verbose=False))
    same(made[0].folder, made[1].folder, archive.EMBEDDING)
    said = "Nothing ties this embedding"
    for each, expected in ((base, False), (made[0], True), (made[1], True)):
        assert (said in (each.folder / archive.SUMMARY).read_text()) == expected
        assert (said in typed(report_html(read_run(each.folder)))) == expected
    before, after = (CEBRA.load(each.folder / archive.MODEL) for each in (base, made[0]))
    assert (before.n_features_, after.n_features_) == (5, 12)
    kept = list(before.model_.state_dict().items())[2:]
    for name, value in kept:
        assert (after.model_.state_dict()[name] == value).all()


class TestLoading:
    def settings(self, folder, **changes):
        each = [{"data": str(folder / f"day{n}.npz")} for n in (0, 1)]
        each[1] |= changes
        return make_config({**SHARED, "sessions": each})

    def test_labels_of_the_same_names_are_brought_into_one_order(self, folder):
        config = self.settings(folder, label=["choice:discrete", "position"])
        with logged() as said:
            recordings = load_recordings(config)
        assert [[x.name for x in each.labels] for each in recordings] == [
            ["position", "choice"]
        ] * 2
        assert said == []

    def test_labels_of_other_names_are_paired_and_it_is_said(self, folder, tmp_path):
        arrays = dict(np.load(folder / "day1.npz"))
        arrays["place"] = arrays.pop("position")
        np.savez(tmp_path / "other.npz", **arrays)
        config = self.settings(
            folder, data=str(tmp_path / "other.npz"), label=["place", "choice:discrete"]
        )
        with logged() as said:
            load_recordings(config)
        assert said == ["other: the label 'place' stands for what is 'position' in day0."]

    def test_which_recording_has_something_wrong_is_said(self, folder, tmp_path):
        arrays = dict(np.load(folder / "day1.npz"))
        np.savez(tmp_path / "still.npz", **{**arrays, "position": 0 * arrays["position"]})
        config = self.settings(folder, data=str(tmp_path / "still.npz"))
        with pytest.raises(GrevyError, match=r"^still: label 'position': constant"):
            load_recordings(config)

    def test_equal_names_go_together_before_others_do(self, folder, tmp_path):
        for name, labels in (("a", ("x", "y")), ("b", ("y", "z"))):
            arrays = dict(np.load(folder / "day0.npz"))
            arrays |= {label: arrays["position"] + number for number, label in enumerate(labels)}
            np.savez(tmp_path / f"{name}.npz", **arrays)
        each = [
            {"data": str(tmp_path / "a.npz"), "label": ["x", "y"]},
            {"data": str(tmp_path / "b.npz"), "label": ["y", "z"]},
        ]
        with logged() as said:
            found = load_recordings(make_config({**SHARED, "sessions": each}))
        assert [label.name for label in found[1].labels] == ["z", "y"]
        assert said == ["b: the label 'z' stands for what is 'x' in a."]

    def test_other_rates_are_said(self, folder):
        with logged() as said:
            load_recordings(self.settings(folder, sampling_rate=10))
        assert "differ in their sampling rate" in said[0]

    def test_other_units_are_refused(self, folder):
        config = make_config(
            {
                **SHARED,
                "sessions": [
                    {"data": str(folder / "day0.npz"), "label": ["position:continuous:m"]},
                    {"data": str(folder / "day1.npz"), "label": ["position:continuous:cm"]},
                ],
            }
        )
        with pytest.raises(GrevyError, match="in m in day0, and in cm in day1"):
            load_recordings(config)


class TestFile:
    def written(self, path, found):
        path.write_text(found if isinstance(found, str) else yaml.safe_dump(found))
        return path

    def test_paths_are_relative_to_it(self, tmp_path):
        found = {"label_data": "x.csv", "sessions": [{"data": "a.npz"}, {"data": "/b.npz"}]}
        read = read_sessions(self.written(tmp_path / "s.yaml", found))
        assert read["label_data"] == str(tmp_path / "x.csv")
        assert [each["data"] for each in read["sessions"]] == [str(tmp_path / "a.npz"), "/b.npz"]

    @pytest.mark.parametrize(
        ("found", "words"),
        [
            ("", "expected lines"),
            ("- data: a", "holds list"),
            ("sessions: 3", "lists no recordings"),
            ("max_iterations: 3\nsessions: []", "unknown setting"),
            ("trust: true\nsessions: []", "unknown setting"),
            ("sessions: [", "not valid YAML"),
            (b"\xff\xfe\x00", "not valid YAML"),
        ],
    )
    def test_what_is_none_is_said(self, tmp_path, found, words):
        path = tmp_path / "s.yaml"
        path.write_bytes(found if isinstance(found, bytes) else found.encode())
        with pytest.raises(GrevyError, match=words):
            read_sessions(path)


@pytest.mark.parametrize(
    ("sessions", "words"),
    [
        ([3], "recording 1 names no file"),
        ([{"name": "a"}], "recording 1 names no file"),
        ("a.npz", "expected a list"),
        ([{"data": "a", "bni": 1}], "unknown setting of recording 1"),
        ([{"data": "a", "seed": 1}], "unknown setting of recording 1"),
        ([{"data": "a", "bin": -1}], "`bin` is -1"),
        ([{"data": "a", "bin": float("nan")}], "`bin` is nan"),
        ([{"data": "a"}, {"data": "a"}], "given twice"),
        ([{"data": "a", "name": "x"}, {"data": "b", "name": "x"}], "two recordings are called"),
        ([{"data": "a", "name": " "}, {"data": "b"}], "no name"),
    ],
)
def test_recordings_that_are_none_are_refused(sessions, words):
    with pytest.raises(GrevyError, match=words):
        make_config({"sessions": sessions})


def test_names_are_those_of_files_and_differ():
    config = make_config({"data": ["x/a.npz", "y/a.npz", "b.npz", "y/a.nwb"]})
    assert [each["name"] for each in config.sessions] == ["x/a", "y/a", "b", "y/a (2)"]
    assert make_config(config.model_dump(mode="json")) == config


def test_a_file_is_not_called_what_another_recording_is_named():
    each = [{"data": "a.npz"}, {"data": "b.npz", "name": "a"}, {"data": "c.npz"}]
    named = make_config({"sessions": each}).sessions
    assert [one["name"] for one in named] == ["a (2)", "a", "c"]
    assert make_config({"sessions": named}).sessions == named


def test_said_for_all_or_for_each_is_one_run():
    files = ["a.npz", "b.npz"]
    for_all = make_config({"data": files, "label": ["x"], "bin": 1})
    for_each = make_config(
        {"sessions": [{"data": f"z/{f}", "label": "x", "bin": 1.0} for f in files]}
    )
    plain = [each.model_dump(mode="json") for each in (for_all, for_each)]
    assert deciding(plain[0]) == deciding(plain[1])
    assert run_id(plain[0], "d") == run_id(plain[1], "d")
    other = make_config({"sessions": [{"data": f, "label": "x", "bin": 2} for f in files]})
    assert run_id(other.model_dump(mode="json"), "d") != run_id(plain[0], "d")
    assert json.dumps(plain)


@pytest.mark.parametrize(
    "given",
    [{"folds": 2}, {"seeds": 2}, {"null_retrain": True}, {"validation": 0.1}],
    ids=str,
)
def test_nothing_trains_kept_encoders_anew(given):
    with pytest.raises(GrevyError, match="not with `base_model`"):
        make_config({"data": "a.npz", "base_model": "run", **given})
