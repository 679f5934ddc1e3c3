"""Objects of pynapple, xarray and pandas: times honoured, never across a gap, or refused."""

import logging
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from grevy.data import continuous, make_recording, steps_inside
from grevy.errors import GrevyError
from grevy.model import CEBRA

nap = pytest.importorskip("pynapple")
xr = pytest.importorskip("xarray")

RNG = np.random.default_rng(0)


def frame(times, columns=("a", "b", "c"), **about):
    values = RNG.poisson(2, (len(times), len(columns))).astype(float)
    return nap.TsdFrame(t=times, d=values, columns=list(columns), **about)


def test_a_tsdframe_brings_its_times_names_and_epochs():
    epochs = nap.IntervalSet([0, 5], [3.95, 9.95])
    neural = frame(np.arange(100) / 10, time_support=epochs)
    found = make_recording(neural)
    assert found.segments.tolist() == [[0, 40], [40, 90]]
    assert found.neuron_names == ("a", "b", "c")
    assert found.sampling_rate == 10
    np.testing.assert_array_equal(found.times, neural.times())
    np.testing.assert_array_equal(found.neural, neural.values.astype(np.float32))


def test_spikes_of_a_tsgroup_are_counted_in_bins_inside_epochs():
    trains = {k: nap.Ts(np.sort(RNG.uniform(0, 20, 300))) for k in (4, 9)}
    epochs = nap.IntervalSet([0, 12], [10, 20])
    found = make_recording(nap.TsGroup(trains, time_support=epochs), bin=0.1)
    assert found.neuron_names == ("4", "9")
    assert found.sampling_rate == 10
    assert found.segments.tolist() == [[0, 100], [100, 180]]
    for column, train in enumerate(trains.values()):
        times = train.times()
        for step in (0, 7, 99, 100, 150, 179):
            middle = found.times[step]
            count = ((times >= middle - 0.05) & (times < middle + 0.05)).sum()
            assert abs(found.neural[step, column] - count) <= 1e-6
    with pytest.raises(GrevyError, match="counted in bins"):
        make_recording(nap.TsGroup(trains))
    with pytest.raises(GrevyError, match="not `bin=-1`"):
        make_recording(nap.TsGroup(trains), bin=-1)


def test_labels_on_other_clocks_are_resampled_by_their_kind():
    neural = frame(np.arange(200) / 20)
    slow = np.arange(0.0, 9.6, 0.35)
    labels = {
        "place::m": nap.Tsd(t=slow, d=np.sin(slow)),
        "heading:circular": nap.Tsd(t=slow, d=(200 * slow) % 360),
        "odour": pd.Series((slow // 2).astype(int), index=slow),
    }
    labels = {name.replace("::", ":continuous:"): values for name, values in labels.items()}
    found = make_recording(neural, labels, period=360)
    (run,) = found.segments.tolist()
    assert run == [0, int(slow[-1] * 20) + 1]
    inside, times = slice(*run), found.times[: run[1]]
    place, heading, odour = found.labels
    assert (place.name, place.unit) == ("place", "m")
    np.testing.assert_allclose(place.values[inside, 0], np.interp(times, slow, np.sin(slow)))
    turned = np.abs((heading.unit_values[inside] - 200 * times + 180) % 360 - 180)
    assert turned.max() < 1e-6
    nearest = slow[np.abs(slow[None] - times[:, None] - 1e-12).argmin(axis=1)] // 2
    np.testing.assert_array_equal(odour.unit_values[inside], nearest)


def test_no_value_is_made_up_in_a_gap_of_a_label():
    neural = frame(np.arange(100) / 10)
    times = np.concatenate([np.arange(0, 3, 0.1), np.arange(6, 9.95, 0.1)])
    values = np.sin(times)
    values[10] = np.nan
    found = make_recording(neural, {"place": nap.Tsd(t=times, d=values)})
    assert found.segments.tolist() == [[0, 10], [11, 30], [60, 100]]
    epochs = nap.IntervalSet([0, 5.0], [4.95, 9.95])
    split = nap.Tsd(t=np.arange(100) / 10 + 0.03, d=np.sin(np.arange(100)), time_support=epochs)
    found = make_recording(neural, {"place": split})
    assert found.segments.tolist() == [[1, 50], [51, 100]]
    # Step 50 lies between 4.93 s and 5.03 s, in two epochs.


def test_intervals_are_segments():
    neural = frame(np.arange(100) / 10)
    trials = nap.IntervalSet([1.0, 4.05], [2.0, 5.0])
    found = make_recording(neural, segments=trials)
    assert found.segments.tolist() == [[10, 21], [41, 51]]
    spikes = nap.TsGroup({0: nap.Ts(np.arange(0, 10, 0.03))}, time_support=nap.IntervalSet(0, 10))
    found = make_recording(spikes, bin=0.5, segments=trials)
    assert found.segments.tolist() == [[2, 4], [9, 10]]  # whole bins alone
    with pytest.raises(GrevyError, match="has no times"):
        make_recording(neural.values, segments=trials)


def test_runs_of_steps_are_cut_at_gaps_too():
    times = np.concatenate([np.arange(50), np.arange(60, 100)]) / 10
    found = make_recording(frame(times), segments=[[10, 70], [80, 90]])
    assert found.segments.tolist() == [[10, 50], [50, 70], [80, 90]]


def test_a_dataarray_keeps_names_and_time_in_any_order():
    values = RNG.normal(size=(3, 80))
    array = xr.DataArray(
        values,
        dims=("unit", "time"),
        coords={"unit": ["x", "y", "z"], "time": np.arange(80) * 20.0},
    )
    array.coords["time"].attrs["units"] = "ms"
    found = make_recording(array, {"v": xr.DataArray(values[0], dims="time")[:80].values})
    assert found.neuron_names == ("x", "y", "z")
    assert found.sampling_rate == 50
    np.testing.assert_allclose(found.neural, values.T.astype(np.float32))
    np.testing.assert_allclose(found.times[-1], 79 * 0.02)
    bare = make_recording(xr.DataArray(values.T, dims=("time", "unit")), sampling_rate=50)
    assert bare.times is None
    assert bare.sampling_rate == 50
    with pytest.raises(GrevyError, match="expected time and"):
        make_recording(xr.DataArray(values))
    array.coords["time"].attrs["units"] = "fortnights"
    with pytest.raises(GrevyError, match="in 'fortnights'"):
        make_recording(array)


@pytest.mark.parametrize(
    ("index", "rate", "segments"),
    [
        (pd.RangeIndex(60), None, [[0, 60]]),
        ([*range(20), *range(25, 65)], None, [[0, 20], [20, 60]]),
        (np.arange(60) * 0.02, 50, [[0, 60]]),
        (pd.date_range("2020-01-01", periods=60, freq="100ms"), 10, [[0, 60]]),
        (pd.to_timedelta(np.arange(60) * 4, unit="ms"), 250, [[0, 60]]),
        ([f"row {k}" for k in range(60)], None, [[0, 60]]),
    ],
)
def test_a_table_by_its_index(index, rate, segments):
    table = pd.DataFrame(RNG.normal(size=(60, 2)), columns=["n1", "n2"], index=index)
    found = make_recording(table, {"speed": pd.Series(RNG.normal(size=60), index=index)})
    assert found.neuron_names == ("n1", "n2")
    assert found.sampling_rate == rate
    assert found.segments.tolist() == segments
    assert (found.times is None) == (rate is None)


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_dates_are_one_clock_for_all(zone):
    days = pd.date_range("2024-03-01 12:00", periods=200, freq="20ms", tz=zone)
    rates = pd.DataFrame(RNG.normal(size=(200, 2)), index=days)
    later = pd.date_range("2024-03-01 12:00:01", periods=250, freq="10ms", tz=zone)
    seconds = pd.Series(1 + np.arange(250) / 100, index=later)
    found = make_recording(rates, {"seconds": seconds})
    assert found.sampling_rate == 50
    assert found.segments.tolist() == [[50, 175]]
    np.testing.assert_allclose(found.labels[0].values[50:175, 0], found.times[50:175])
    if zone is None:
        array = xr.DataArray(rates, dims=("time", "unit"))
        assert make_recording(array, {"s": seconds}).segments.tolist() == [[50, 175]]
        periods = rates.set_axis(days.to_period("ms"))
        assert make_recording(periods, {"s": seconds}).segments.tolist() == [[50, 175]]
    for other in (later.tz_localize(None if zone else "UTC"), np.arange(250) / 100):
        with pytest.raises(GrevyError, match="the neural data in dates with"):
            make_recording(rates, {"seconds": seconds.set_axis(other)})


def test_steps_without_a_value_are_left_out_where_asked_for():
    neural = RNG.normal(size=(50, 2))
    neural[7] = np.nan
    speed = RNG.normal(size=50)
    speed[20:22] = np.nan
    trials = np.repeat([1.0, np.nan, 2.0], [30, 5, 15])
    asked = {"segments": trials, "gaps": "nan"}
    found = make_recording(neural, {"speed": speed}, **asked)
    assert found.segments.tolist() == [[0, 7], [8, 20], [22, 30], [35, 50]]
    found = make_recording(neural, [continuous(np.arange(50.0))], **asked)
    assert found.segments.tolist() == [[0, 7], [8, 30], [35, 50]]
    with pytest.raises(GrevyError, match="NaN"):
        make_recording(neural, {"speed": np.arange(50.0)})
    with pytest.raises(GrevyError, match="unknown gaps"):
        make_recording(neural, gaps="zero")
    side = np.array(["left", None, "right", "left"] * 5, object)
    found = make_recording(neural[:20], {"side": side}, gaps="nan")
    assert found.labels[0].classes == ("left", "right")
    assert 1 not in steps_inside(found.segments)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: make_recording(frame([0, 0.1, 0.13, 0.2, 0.3])), "irregular times: steps from"),
        (lambda: make_recording(frame(np.cumsum(RNG.exponential(1, 80)))), "irregular times"),
        (lambda: make_recording(frame(np.arange(9.0)), bin=1), "has samples, not spikes"),
        (lambda: make_recording(frame(np.arange(9.0)), sampling_rate=2), "1 samples a second"),
        (lambda: make_recording(nap.Ts(np.arange(9.0))), "Ts"),
        (lambda: make_recording(np.ones((5, 2)), bin=0.1), "is an array"),
        (lambda: make_recording(np.ones((5, 2)), period=360), "for labels by their names"),
        (lambda: make_recording(5.0, {"x": np.arange(5.0)}), "shape"),
        (lambda: make_recording([[1, 2], [3]], {"x": np.arange(2.0)}), "different lengths"),
        (lambda: make_recording(scipy.sparse.eye(5), {"x": np.arange(5.0)}), "sparse"),
        (lambda: make_recording(scipy.sparse.eye(5), gaps="nan"), "sparse"),
        (
            lambda: make_recording(frame(np.arange(9.0)), {"x": nap.Tsd(t=[20, 21], d=[1.0, 2])}),
            "no value at any step of the neural data, from 0 to 8",
        ),
        (
            lambda: make_recording(np.ones((9, 2)), {"x": nap.Tsd(t=np.arange(9), d=np.arange(9))}),
            "and the neural data has none",
        ),
        (
            lambda: make_recording(
                frame(np.arange(9.0)), {"x": pd.Series(np.arange(9.0), index=np.arange(9))}
            ),
            "has times in steps, the neural data in seconds",
        ),
        (lambda: make_recording(frame(np.arange(9.0)), {"x": np.arange(7.0)}), "7 values for 9"),
        (lambda: make_recording(frame(np.arange(9.0)), {"x": 3}), "a single value"),
        (lambda: make_recording(frame(np.arange(9.0)), {"x:round": np.arange(9)}), "unknown kind"),
        (
            lambda: make_recording(frame(np.arange(9.0)), {"x": np.arange(9.0)}, period=2),
            "no label is circular",
        ),
        (
            lambda: make_recording(
                frame(np.arange(9.0)), {"x": nap.Tsd(t=np.arange(9), d=np.full(9, np.nan))}
            ),
            "NaN",
        ),
        (
            lambda: make_recording(pd.DataFrame(np.ones((4, 2)), index=[3, 2, 1, 0])),
            "go backwards",
        ),
        (
            lambda: make_recording(frame(np.arange(9.0)), segments=nap.IntervalSet([20], [30])),
            "no step of the neural data lies in a segment",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, words):
    with pytest.raises(GrevyError, match=words):
        make()


def test_fit_and_transform_honour_times(caplog):
    epochs = nap.IntervalSet([0, 12], [9.99, 29.99])
    times = np.arange(1500) / 50
    neural = frame(times, time_support=epochs)
    slow = np.arange(0, 31, 0.5)
    label = nap.Tsd(t=slow, d=np.cos(slow))
    recording = make_recording(neural, {"label 0": label})
    usual = {"max_iterations": 4, "batch_size": 32, "device": "cpu", "seed": 0,
             "model_architecture": "offset10-model"}  # fmt: skip
    with caplog.at_level(logging.WARNING):
        first = CEBRA(**usual).fit(neural, label)
        second = CEBRA(**usual).fit(recording)
    expected = second.transform(recording)
    np.testing.assert_array_equal(first.transform(recording), expected)
    np.testing.assert_array_equal(first.transform(neural), expected)
    table = pd.DataFrame(neural.values, index=RNG.permutation(len(neural)))
    CEBRA(**usual).fit(table)  # as in cebra


def test_nothing_is_imported_that_nobody_has_imported():
    code = (
        "import sys, numpy as np, grevy\n"
        "grevy.make_recording(np.ones((5, 2)), {'x': np.arange(5.0)})\n"
        "assert not {'pynapple', 'xarray', 'pandas'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
