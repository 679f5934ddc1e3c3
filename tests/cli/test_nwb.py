"""NWB files through the command line: run, archived, run again, embedded, refused."""

import numpy as np
import pytest
import yaml

from grevy import read_recording
from grevy.archive import RunFolder, read_run
from nwb_files import session, spike_trains

QUICK = ["--device", "cpu", "--max-iterations", "3", "--batch-size", "16", "--holdout", "0"]
QUICK += ["--model-architecture", "offset5-model", "--num-hidden-units", "8", "--seed", "0"]
UNITS = "quality == 'good'"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return session(tmp_path_factory.mktemp("nwb") / "session.nwb")


def asked(made, folder):
    return [
        "run", *QUICK, "--data", made, "--neural", "units", "--label", "behavior/position",
        "--bin", "0.05", "--units", UNITS, "--segments", "trials", "--output-dir", folder,
    ]  # fmt: skip


def test_a_run_archives_what_was_asked_and_its_times(made, tmp_path, grevy_run):
    code, _, err = grevy_run(*asked(made, tmp_path / "run"))
    assert code == 0, err
    assert "600 steps from 0 s to 30 s at 20 Hz, in 6 segments" in err
    settings = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (settings["bin"], settings["units"]) == (0.05, UNITS)
    run = read_run(RunFolder(tmp_path / "run"))
    np.testing.assert_array_equal(run.times, 0.05 * (np.arange(600) + 0.5))
    again = ["run", "--config", tmp_path / "run" / "config.yaml", "--output-dir", tmp_path / "b"]
    assert grevy_run(*again)[0] == 0
    np.testing.assert_array_equal(run.embedding, read_run(RunFolder(tmp_path / "b")).embedding)
    assert "no baselines" not in grevy_run("evaluate", tmp_path / "run", "--nulls", "0")[2]


def test_an_embedding_of_the_same_units(made, tmp_path, grevy_run):
    assert grevy_run(*asked(made, tmp_path / "run"))[0] == 0
    model, output = tmp_path / "run" / "models" / "cebra_model.pt", tmp_path / "emb.npy"
    flags = ["--neural", "units", "--bin", "0.05", "--units", UNITS, "--segments", "trials"]
    code, _, err = grevy_run("embed", model, made, "-o", output, *flags)
    assert code == 0, err
    embedding = np.load(output)
    own = read_run(RunFolder(tmp_path / "run")).embedding
    np.testing.assert_allclose(embedding, own, atol=1e-5)


def test_what_is_wrong_ends_in_2(made, tmp_path, grevy_run):
    flags = ["--data", made, "--neural", "units", "--output-dir", tmp_path / "run"]
    code, _, err = grevy_run("run", *flags)
    assert code == 2
    assert err.endswith("Give their width in seconds, --bin 0.02 say.\n")
    code, _, err = grevy_run("run", *flags, "--bin", "0")
    assert (code, "--bin is 0.0: expected a number above 0" in err) == (2, True)
    code, _, err = grevy_run("run", *flags, "--bin", "0.02", "--units", "exit()")
    assert code == 2
    assert "--units: 'exit()': 'exit()' is no comparison" in err


def test_the_facade_reads_it_too(made):
    recording = read_recording(made, labels=["position"], bin=0.1)
    assert recording.neural.sum() == sum(map(len, spike_trains()))
