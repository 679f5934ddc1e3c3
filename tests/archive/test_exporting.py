"""A run exported: the embedding comes back exactly, on the clock of its source."""

import json
import shutil
import sys

import numpy as np
import pandas as pd
import pytest

from grevy import read_recording
from grevy.archive import RunFolder, read_run
from grevy.config import make_config
from grevy.runs import run_experiment
from grevy.version import __version__
from nwb_files import critical, pynwb, session

QUICK = {
    "device": "cpu", "max_iterations": 3, "batch_size": 16, "holdout": 0, "seed": 0,
    "model_architecture": "offset5-model", "num_hidden_units": 8,
}  # fmt: skip


def finished(folder, **settings):
    config = make_config({**QUICK, **settings, "output_dir": str(folder)})
    return run_experiment(config, verbose=False).folder.root


@pytest.fixture(scope="module")
def of_nwb(tmp_path_factory):
    root = tmp_path_factory.mktemp("export")
    source = session(root / "session.nwb")
    asked = {"neural": "units", "label": "speed", "bin": 0.05, "segments": "trials"}
    return finished(root / "run", data=str(source), **asked)


@pytest.fixture
def of_arrays(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "a.npz", x=rng.poisson(2, (200, 6)), y=rng.normal(size=200))

    def make(**more):
        return finished(
            tmp_path / "run", data=str(tmp_path / "a.npz"), neural="x", label="y", **more
        )

    return make


def read_back(path):
    with pynwb().NWBHDF5IO(path, "r") as io:
        nwb = io.read()
        series = nwb.processing["grevy"]["embedding"]
        return nwb, series.data[:], series.get_timestamps()[:]


def test_nwb_holds_the_embedding_and_its_times(of_nwb, tmp_path, grevy_run):
    source = (of_nwb.parent / "session.nwb").read_bytes()
    code, out, err = grevy_run("export", of_nwb, "--nwb", tmp_path / "out.nwb")
    assert (code, out, err) == (0, f"{tmp_path / 'out.nwb'}\n", "")
    nwb, embedding, times = read_back(tmp_path / "out.nwb")
    archived = read_run(RunFolder(of_nwb))
    assert embedding.dtype == archived.embedding.dtype
    assert embedding.tobytes() == archived.embedding.tobytes()
    assert np.isnan(embedding).any()
    direct = read_recording(of_nwb.parent / "session.nwb", labels=["speed"], bin=0.05)
    np.testing.assert_array_equal(times, direct.times)
    assert nwb.session_start_time.isoformat() == "2020-01-02T03:04:05+00:00"
    assert (nwb.subject.subject_id, nwb.subject.species) == ("s1", "Mus musculus")
    assert critical(tmp_path / "out.nwb") == []
    assert (of_nwb.parent / "session.nwb").read_bytes() == source


def test_the_exported_series_can_be_read_again(of_nwb, tmp_path, grevy_run):
    assert grevy_run("export", of_nwb, "--nwb", tmp_path / "out.nwb")[0] == 0
    with pytest.raises(ValueError, match="NaN"):  # outside the trials there is none
        read_recording(tmp_path / "out.nwb", neural="grevy/embedding")


def test_csv_reads_back_to_the_same_bits(of_nwb, tmp_path, grevy_run):
    code, _, err = grevy_run("export", of_nwb, "--csv", tmp_path / "out.csv")
    assert code == 0, err
    frame = pd.read_csv(tmp_path / "out.csv")
    archived = read_run(RunFolder(of_nwb))
    assert list(frame) == ["step", "time", "segment", *(f"embedding_{d}" for d in (1, 2, 3))]
    embedding = frame.filter(like="embedding_").to_numpy().astype(np.float32)
    np.testing.assert_array_equal(embedding, archived.embedding)
    np.testing.assert_array_equal(frame["time"], archived.times)
    for number, (start, stop) in enumerate(archived.segments):
        assert (frame["segment"][start:stop] == number).all()
    assert frame["segment"].notna().sum() == np.diff(archived.segments).sum()


def test_what_the_folder_holds_is_said_as_bids_does(of_nwb, tmp_path, grevy_run):
    assert grevy_run("export", of_nwb, "--csv", tmp_path / "a.csv")[0] == 0
    path = tmp_path / "dataset_description.json"
    described = json.loads(path.read_text())
    assert described["DatasetType"] == "derivative"
    assert described["GeneratedBy"] == [{"Name": "Grevy", "Version": __version__}]
    assert {"Name", "BIDSVersion"} <= set(described)
    path.write_text('{"Name": "mine"}')
    code, _, err = grevy_run("export", of_nwb, "--csv", tmp_path / "b.csv")
    assert code == 0
    assert "describes another data set, and was left as it is" in err
    assert path.read_text() == '{"Name": "mine"}'


def test_of_arrays_times_begin_at_0(of_arrays, tmp_path, grevy_run):
    pynwb()
    run = of_arrays(sampling_rate=20)
    code, _, err = grevy_run("export", run, "--nwb", tmp_path / "a.nwb")
    assert code == 0
    assert "when the recording began is not known" in err
    _, embedding, times = read_back(tmp_path / "a.nwb")
    assert embedding.tobytes() == read_run(RunFolder(run)).embedding.tobytes()
    np.testing.assert_array_equal(times, np.arange(200) / 20)
    # Whose recording it was is not known, and not made up.
    assert {each.message for each in critical(tmp_path / "a.nwb")} <= {"Subject is missing."}


def test_a_source_that_is_gone(of_nwb, tmp_path, grevy_run):
    run = shutil.copytree(of_nwb, tmp_path / "run")
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace("session.nwb", "gone.nwb"))
    code, _, err = grevy_run("export", run, "--nwb", tmp_path / "a.nwb")
    assert code == 0
    assert "nothing is known of the session" in err


def refused(grevy_run, *arguments):
    code, out, err = grevy_run("export", *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    return err


def test_mistakes(of_nwb, of_arrays, tmp_path, grevy_run, monkeypatch):
    source = of_nwb.parent / "session.nwb"
    assert "exists already" in refused(grevy_run, of_nwb, "--nwb", source)
    assert "ends in .nwb" in refused(grevy_run, of_nwb, "--nwb", tmp_path / "a.h5")
    assert "ends in .csv" in refused(grevy_run, of_nwb, "--csv", tmp_path / "a.txt")
    assert "Say what: --nwb FILE, --csv FILE or --onnx FILE" in refused(grevy_run, of_nwb)
    run = of_arrays()
    err = refused(grevy_run, run, "--nwb", tmp_path / "a.nwb")
    assert "has neither times nor a sampling rate" in err
    assert grevy_run("export", run, "--csv", tmp_path / "a.csv")[0] == 0
    monkeypatch.setitem(sys.modules, "pynwb", None)
    assert "pip install 'grevy[nwb]'" in refused(grevy_run, of_nwb, "--nwb", tmp_path / "b.nwb")
    assert not list(tmp_path.glob("*.nwb"))


@pytest.mark.parametrize("times", [np.zeros(5), np.full(600, np.nan), np.arange(600)])
def test_times_that_are_none_are_damage(of_nwb, tmp_path, times, grevy_run):
    run = shutil.copytree(of_nwb, tmp_path / "run")
    path = run / "embeddings" / "labels.npz"
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, "times": times})
    assert "is damaged (times that are none)" in refused(
        grevy_run, run, "--csv", tmp_path / "a.csv"
    )
