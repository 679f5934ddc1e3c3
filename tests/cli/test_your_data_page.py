"""Every command and every snippet of docs/your-data.md is run, on data that has what they name."""

import re
import shlex
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io

PAGE = Path(__file__).parents[2] / "docs" / "your-data.md"
FEW_STEPS = ["--device", "cpu", "--max-iterations", "3", "--batch-size", "64", "--folds", "0",
             "--nulls", "0"]  # fmt: skip
LENGTH = 600


def blocks(language):
    return re.findall(
        rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def commands():
    lines = "".join(blocks("bash")).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    position = np.cumsum(rng.normal(size=(LENGTH, 2)), axis=0) / 10
    spikes = rng.poisson(np.exp(np.clip(position @ rng.normal(size=(2, 5)), -1, 1.5)))
    trial = np.arange(LENGTH) // 40
    np.savez("session.npz", spikes=spikes, position=position, trial=trial)
    np.save("spikes.npy", spikes.astype(np.float32))
    table = pd.DataFrame(spikes, columns=[f"unit_{k}" for k in range(5)])
    table["speed"], table["side"] = position[:, 0], np.where(trial % 2, "left", "right")
    table.to_csv("session.csv", index=False)
    table.to_parquet("session.parquet")
    scipy.io.savemat("session.mat", {"data": {"spikes": spikes.T, "position": position.T}})
    with h5py.File("session.h5", "w") as file:
        file["ephys/spikes"], file["behavior/position"] = spikes, position
    Path("trials.csv").write_text("start_time,stop_time\n0,3.5\n4,7\n7,11.99\n")
    spikes, position = spikes.astype(float), position.copy()
    spikes[100:120], position[300] = np.nan, np.nan
    np.savez("gaps.npz", spikes=spikes, position=position)
    return tmp_path


def test_every_command_works(folder, grevy_run):
    asked = commands()
    names = [words[1] for words in asked]
    assert names == ["inspect", *["run"] * 11, "embed"]
    for _, *words in asked:
        code, _, err = grevy_run(*words, *(FEW_STEPS if words[0] == "run" else ()))
        assert code == 0, err
    embedding = np.load("embedding.npy")
    own = np.load("results/prepared/embeddings/embedding.npy")
    np.testing.assert_array_equal(embedding[20:-20], own[20:-20])


def test_every_snippet_works(folder):
    nap, xr = pytest.importorskip("pynapple"), pytest.importorskip("xarray")
    rng = np.random.default_rng(1)
    times = np.arange(0, 20, 0.03)
    given = {
        "spikes": nap.TsGroup({k: nap.Ts(np.sort(rng.uniform(0, 20, 400))) for k in range(4)}),
        "position": nap.TsdFrame(t=times, d=np.stack([np.sin(times), np.cos(times)], axis=1)),
        "heading": nap.Tsd(t=times, d=times % 6.2),
        "trials": nap.IntervalSet([0.5, 6, 13], [5, 12, 19]),
        "rates": xr.DataArray(
            rng.normal(size=(3, 500)),
            dims=("unit", "time"),
            coords={"unit": ["a", "b", "c"], "time": np.arange(500) / 50},
        ),
        "speed": pd.Series(np.sin(times[:320]), index=times[:320]),
    }
    snippets = blocks("python")
    assert len(snippets) == 3
    recordings = []
    for snippet in snippets:
        space = dict(given)
        exec(compile(snippet, str(PAGE), "exec"), space)
        recordings.append(space["recording"])
    assert np.isfinite(space["model"].transform(recordings[2])).any()
    assert len(recordings[1].segments) == 3
    assert recordings[2].neuron_names == ("a", "b", "c")


def test_the_page_has_every_flag_for_preparing():
    from grevy.config import list_settings

    text = PAGE.read_text(encoding="utf-8")
    preparing = [each.name for each in list_settings() if each.panel == "Preparing"]
    assert len(preparing) == 8
    for name in [*preparing, "gaps", "segments", "sampling_rate", "period", "transpose"]:
        assert "--" + name.replace("_", "-") in text
