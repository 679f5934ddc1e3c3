"""Trials from a table beside the data: in steps, in seconds, on the clock of an NWB file."""

import logging

import numpy as np
import pandas as pd
import pytest

from grevy.data import read_recording
from grevy.errors import GrevyError
from nwb_files import RATE, session

LENGTH = 200


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez("data.npz", spikes=rng.poisson(1, (LENGTH, 4)), speed=rng.normal(size=LENGTH))
    return tmp_path


def table(text, name="trials.csv"):
    with open(name, "w") as stream:  # noqa: PTH123
        stream.write(text)
    return name


def segments(name, **about):
    return read_recording("data.npz", labels=["speed"], segments=name, **about).segments.tolist()


def test_steps_in_any_order_with_other_columns(folder):
    name = table("stop,outcome,start\n90,hit,50\n40,miss,0\n200,hit,90\n")
    assert segments(name) == [[0, 40], [50, 90], [90, 200]]


def test_seconds_are_steps_from_their_start_to_before_their_stop(folder):
    name = table("start_time,stop_time\n0.1,0.3\n0.30,1.0\n1.05,1.06\n1.5,3.9\n")
    # At 20 Hz steps are at 0, 0.05, 0.1, ...; 1.05 s is step 21.
    assert segments(name, sampling_rate=20) == [[2, 6], [6, 20], [21, 22], [30, 78]]


def test_seconds_against_brute_force(folder):
    rng = np.random.default_rng(1)
    edges = np.sort(rng.uniform(0, LENGTH / 33, 40)).reshape(-1, 2)
    name = "trials.parquet"
    pd.DataFrame(edges, columns=["start_time", "stop_time"]).to_parquet(name)
    expected = []
    for start, stop in edges:
        steps = [t for t in range(LENGTH) if start <= t / 33 < stop]
        if steps:
            expected.append([steps[0], steps[-1] + 1])
    assert segments(name, sampling_rate=33) == expected


def test_trials_outside_the_recording_are_left_out_and_counted(folder, caplog):
    name = table("start,stop\n-20,10\n50,60\n190,230\n300,310\n")
    with caplog.at_level(logging.WARNING):
        assert segments(name) == [[0, 10], [50, 60], [190, 200]]
    (record,) = caplog.records
    assert "1 of 4 trials hold no step" in record.getMessage()
    assert "2 reach beyond it and are cut" in record.getMessage()


def test_a_key_comes_before_a_file(folder):
    np.savez("keyed.npz", spikes=np.ones((4, 2)), **{"trials.csv": [0, 0, 1, 1]})
    found = read_recording("keyed.npz", neural="spikes", segments="trials.csv")
    assert found.segments.tolist() == [[0, 2], [2, 4]]


@pytest.mark.parametrize(
    ("text", "about", "words"),
    [
        ("begin,end\n0,5\n", {}, "no columns start_time and stop_time"),
        ("start,stop\n0,5\n4,9\n", {}, "rows that overlap, at 4;"),
        ("start,stop\n5,5\n", {}, "a row from 5 to 5"),
        ("start,stop\n5,\n", {}, "a row from 5 to nan"),
        ("start,stop\n0,inf\n", {}, "a row from 0 to inf"),
        ("start,stop\n0,x\n", {}, "'stop' holds"),
        ("start,stop\n0,2.5\n", {}, "fractions in start or stop"),
        ("start,stop\n300,310\n", {}, "none of its 1 rows holds one of the 200 steps"),
        ("start,stop\n", {}, "has a header but no rows"),
        ("", {}, "trials.csv"),
        ("start_time,stop_time\n0,1\n", {}, "sampling rate of the recording is not known"),
        ("start_time,stop_time\n1,0.5\n", {"sampling_rate": 20}, "from 1 s to 0.5 s"),
    ],
)
def test_what_is_wrong_is_said(folder, text, about, words):
    with pytest.raises(GrevyError, match=words):
        segments(table(text), **about)


def test_a_table_that_is_not_there_is_said(folder):
    with pytest.raises(GrevyError, match=r"none\.csv"):
        segments("none.csv")


def test_trials_on_the_clock_of_an_nwb_file(folder):
    session(folder / "session.nwb")
    asked = {"neural": "units", "bin": 0.1, "labels": ["behavior/position"]}
    name = table("start_time,stop_time\n2.0,4.0\n10,12.5\n")
    found = read_recording("session.nwb", segments=name, **asked)
    for run, (start, stop) in zip(found.segments, [(2, 4), (10, 12.5)], strict=True):
        inside = found.times[slice(*run)]
        assert inside[0] - 0.05 >= start - 1e-6
        assert inside[-1] + 0.05 <= stop + 1e-6
        assert len(inside) >= (stop - start) / 0.1 - 2
    with pytest.raises(GrevyError, match="an NWB file has times"):
        read_recording("session.nwb", segments=table("start,stop\n2,4\n"), **asked)
    assert RATE
