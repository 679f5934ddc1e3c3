"""NWB files: one clock for everything, nothing across a gap, one message for what is wrong."""

import logging
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from grevy.data import bin_spikes, read_recording
from grevy.data.clocks import Series, resampled, without_missing
from grevy.data.files.nwb.choosing import chosen
from grevy.data.files.nwb.contents import found_path
from grevy.errors import GrevyError
from nwb_files import (
    RATE,
    SECONDS,
    add_series,
    add_units,
    critical,
    empty,
    place_cells,
    pynwb,
    reaching,
    session,
    spike_trains,
    write,
)

POSITION = "processing/behavior/Position/position"
SPEED = "speed"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return session(tmp_path_factory.mktemp("nwb") / "session.nwb")


@pytest.fixture
def file(made, tmp_path):
    """A copy of the session, to be spoilt."""
    return Path(shutil.copy(made, tmp_path / "session.nwb"))


def read(path, *labels, neural="units", bin=0.02, **more):
    return read_recording(path, neural=neural, labels=labels, bin=bin, **more)


def test_spikes_are_counted_over_the_time_that_all_share(made):
    recording = read(made, "behavior/position")
    expected = bin_spikes(spike_trains(), 0.0, SECONDS, 0.02)
    np.testing.assert_array_equal(recording.neural, expected)
    middle = 0.02 * (np.arange(1500) + 0.5)
    np.testing.assert_array_equal(recording.times, middle)
    times = np.arange(int(SECONDS * RATE) + 1) / RATE
    by_hand = np.stack([np.interp(middle, times, f(times)) for f in (np.sin, np.cos)], 1)
    np.testing.assert_allclose(recording.labels[0].values, by_hand, rtol=0, atol=1e-12)
    assert recording.labels[0].unit == "m"
    assert recording.sampling_rate == 50
    np.testing.assert_array_equal(recording.segments, [[0, 1500]])
    assert critical(made) == []


def test_without_obs_intervals_units_last_from_the_first_spike_to_the_last(tmp_path):
    nwb = empty()
    add_units(nwb, [np.array([2.0, 3.0, 9.0]), np.array([1.5, 8.0])])
    path = write(nwb, tmp_path / "a.nwb")
    recording = read(path, bin=0.5)
    np.testing.assert_array_equal(recording.neural, bin_spikes([[2, 3, 9], [1.5, 8]], 1.5, 9, 0.5))
    assert recording.times[0] == 1.75


def test_units_are_observed_where_all_are(tmp_path):
    nwb = empty()
    trains = spike_trains(units=2, seconds=10)
    for train, observed in zip(trains, ([[0.0, 4.0], [6.0, 10.0]], [[1.0, 9.0]]), strict=True):
        nwb.add_unit(spike_times=train, obs_intervals=observed)
    recording = read(write(nwb, tmp_path / "a.nwb"), bin=0.5)
    np.testing.assert_array_equal(recording.neural, bin_spikes(trains, 1, 9, 0.5))
    np.testing.assert_array_equal(recording.segments, [[0, 6], [10, 16]])


def test_a_gap_in_behaviour_is_a_border(made, caplog):
    with caplog.at_level(logging.INFO, "grevy"):
        recording = read(made, SPEED, "behavior/position")
    # Samples 500 to 599 are NaN: nothing is known after 9.98 s and before 12 s.
    inside = np.concatenate([np.arange(*run) for run in recording.segments])
    missing = np.setdiff1d(np.arange(1500), inside)
    times = recording.times
    np.testing.assert_array_equal(missing, np.flatnonzero((times > 9.98) & (times < 12)))
    assert len(recording.segments) == 2
    assert f"{len(missing)} of them lie in gaps and are left out" in caplog.text


def test_trials_are_segments_and_hold_no_gap(made):
    recording = read(made, SPEED, segments="trials")
    expected = [[start * 50, start * 50 + 200] for start in range(0, 30, 5)]
    expected[2] = [600, 700]  # 10 s to 14 s, of which the first 2 s are missing
    np.testing.assert_array_equal(recording.segments, expected)
    other = read(made, segments="intervals/trials", bin=0.3)
    starts, stops = other.segments[:, 0] * 0.3, other.segments[:, 1] * 0.3
    for start, stop, first in zip(starts, stops, range(0, 30, 5), strict=True):
        assert first - 1e-9 <= start < first + 0.3
        assert first + 4 - 0.3 < stop <= first + 4 + 1e-9


def test_angles_go_the_shorter_way_and_degrees_are_said_by_the_file(made):
    heading = read(made, "heading:circular").labels[0]
    assert heading.period == 360
    times = 0.02 * (np.arange(1500) + 0.5)
    np.testing.assert_allclose(heading.unit_values, times * 40 % 360, atol=1e-6)
    assert read(made, "heading:circular", period=180).labels[0].period == 180


def test_the_nearest_of_what_is_discrete(made):
    side = read(made, "behavior/side", bin=0.1).labels[0]
    times = 0.1 * (np.arange(300) + 0.5)
    np.testing.assert_array_equal(side.unit_values, np.where(np.round(times, 2) % 4 < 2, 1, 0))


def test_a_series_is_taken_as_it_is_and_labels_come_to_its_clock(made):
    recording = read(made, "behavior/position", neural="ophys/calcium", bin=None, segments="trials")
    with h5py.File(made) as stored:
        np.testing.assert_array_equal(recording.neural, stored["processing/ophys/calcium/data"])
    assert recording.sampling_rate == pytest.approx(20)
    np.testing.assert_allclose(recording.labels[0].values[:, 0], np.sin(recording.times), atol=1e-3)
    np.testing.assert_array_equal(recording.segments[1], [100, 180])


def test_a_gap_in_a_neural_series_is_a_border(tmp_path):
    nwb = empty()
    times = np.concatenate([np.arange(50), np.arange(80, 130)]) / 10
    values = np.random.default_rng(0).normal(size=(100, 3))
    add_series(nwb, "dff", values, into="ophys", timestamps=times)
    recording = read(write(nwb, tmp_path / "a.nwb"), neural="dff", bin=None)
    np.testing.assert_array_equal(recording.segments, [[0, 50], [50, 100]])
    np.testing.assert_array_equal(recording.times, times)


def test_conversion_and_offset(tmp_path):
    nwb = empty()
    add_units(nwb, spike_trains(), [[0.0, SECONDS]])
    counts = np.arange(0, 1501)
    series = pynwb().TimeSeries(
        name="x", data=counts, unit="m", rate=RATE, starting_time=0.0, conversion=0.01, offset=2.0
    )
    nwb.add_acquisition(series)
    (label,) = read(write(nwb, tmp_path / "a.nwb"), "acquisition/x").labels
    assert label.kind == "continuous"
    np.testing.assert_allclose(label.values[:, 0], (np.arange(1500) + 0.5) * 0.01 + 2)


def test_linked_timestamps(tmp_path):
    nwb = empty()
    add_units(nwb, spike_trains(), [[0.0, SECONDS]])
    times = np.linspace(0, SECONDS, 700)
    first = add_series(nwb, "one", np.sin(times), timestamps=times)
    add_series(nwb, "two", np.cos(times), timestamps=first)
    recording = read(write(nwb, tmp_path / "a.nwb"), "one", "two")
    for label, function in zip(recording.labels, (np.sin, np.cos), strict=True):
        np.testing.assert_allclose(label.values[:, 0], function(recording.times), atol=1e-3)


class TestUnits:
    @pytest.mark.parametrize(
        ("expression", "rows"),
        [
            ("quality == 'good'", [0, 1, 3, 5]),
            ('quality != "good"', [2, 4]),
            ("quality == 'good' and snr > 2", [3, 5]),
            ("not (quality == 'good' or snr >= 6)", [2]),
            ("1 < snr <= 4.5", [1, 2, 3]),
            ("id == 0 or id == 4", [0, 4]),
            ("snr > -1", [0, 1, 2, 3, 4, 5]),
        ],
    )
    def test_chosen_by_columns(self, made, expression, rows):
        recording = read(made, "behavior/position", units=expression)
        np.testing.assert_array_equal(
            recording.neural, bin_spikes([spike_trains()[row] for row in rows], 0, SECONDS, 0.02)
        )

    def test_chosen_by_their_electrodes(self, tmp_path):
        nwb = empty()
        device = nwb.create_device(name="probe")
        groups = [
            nwb.create_electrode_group(name=place, description="x", location=place, device=device)
            for place in ("CA1", "CA3")
        ]
        for group in groups:
            nwb.add_electrode(group=group, location=group.location)
        for number, train in enumerate(spike_trains()):
            nwb.add_unit(spike_times=train, electrodes=[number % 2])
        path = write(nwb, tmp_path / "a.nwb")
        recording = read(path, units="electrodes.location == 'CA3'")
        trains = spike_trains()[1::2]
        start, stop = min(t[0] for t in trains), max(t[-1] for t in trains)
        np.testing.assert_array_equal(recording.neural, bin_spikes(trains, start, stop, 0.02))
        with pytest.raises(GrevyError, match=r"There are .*location"):
            read(path, units="electrodes.place == 'CA3'")

    @pytest.mark.parametrize(
        ("expression", "words"),
        [
            ("__import__('os').system('true')", "no comparison"),
            ("quality.__class__ == 1", "is none with one value"),
            ("(lambda: 1)() == 1", "is no column"),
            ("snr + 1 > 2", "is no column"),
            ("snr[0] > 2", "is no column"),
            ("quality in ('good',)", "no column|no comparison"),
            ("f'{snr}' == 'x'", "is no column"),
            ("snr", "no comparison"),
            ("snr > ", "cannot be read"),
            ("(" * 500 + "snr" + ")" * 500, "longer|cannot be read"),
            ("snr > 'good'", "compares text with numbers"),
            ("snrr > 1", "There are id, obs_intervals, quality, snr, spike_times"),
            ("spike_times > 1", "several values for each unit"),
            ("snr > 100", "leaves none of 6 units"),
            ("snr > 1" * 400, "longer than"),
            ("snr > 1j", "is no column"),
            ("snr\x00 > 1", "cannot be read"),
        ],
    )
    def test_what_is_no_condition(self, made, expression, words):
        with pytest.raises(GrevyError, match=words):
            read(made, units=expression)

    def test_an_expression_against_python(self):
        rng = np.random.default_rng(0)
        columns = {"a": rng.integers(0, 4, 50), "b": rng.normal(size=50)}
        for text in ("a == 1 and b < 0", "not a > 2 or b >= 0.5", "0 < a < 3 and not b == 0"):
            expected = [eval(text, {}, {k: v[i] for k, v in columns.items()}) for i in range(50)]
            np.testing.assert_array_equal(chosen(text, columns.__getitem__, 50), expected)

    def test_silent_ones_are_kept_as_zeros(self, tmp_path, caplog):
        nwb = empty()
        add_units(nwb, [spike_trains()[0], np.array([]), spike_trains()[1]])
        recording = read(write(nwb, tmp_path / "a.nwb"))
        assert recording.n_neurons == 3
        assert not recording.neural[:, 1].any()
        assert "1 of 3 units have no spike and are kept, as zeros: 1" in caplog.text


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("behavior/position", [POSITION]),
        ("POSITION/Position", [POSITION]),
        ("position", [POSITION]),
        (POSITION, [POSITION]),
        (f"/{POSITION}", [POSITION]),
        ("behavior/eye", ["processing/behavior/Eye/left", "processing/behavior/Eye/right"]),
        ("eye/left", ["processing/behavior/Eye/left"]),
        ("behavior/compass", ["processing/behavior/Compass/heading"]),
        ("osition", []),
        ("", []),
    ],
)
def test_paths_are_found_by_their_end(key, expected):
    paths = [POSITION, "processing/behavior/Eye/left", "processing/behavior/Eye/right"]
    paths += ["processing/behavior/Compass/heading", "acquisition/positions"]
    assert found_path(key, paths) == expected


class TestResampling:
    TIMES = np.array([0.0, 1, 2, 3, 4, 5, 6, 20, 21])

    def series(self, values):
        return without_missing(Series("x", self.TIMES, np.asarray(values), ""))

    def test_linear_and_never_across_a_gap(self):
        values = np.array([0.0, 10, 20, np.nan, 40, 50, 60, 200, 210])
        at = np.array([-0.1, 0, 0.25, 2, 2.5, 3, 3.9, 4, 6, 6.1, 19.9, 20, 20.5, 21, 21.1])
        found, there = resampled(*self.series(values), at, "continuous", None)
        expected = {0: 0, 0.25: 2.5, 2: 20, 4: 40, 6: 60, 20: 200, 20.5: 205, 21: 210}
        np.testing.assert_array_equal(there, [t in expected for t in at])
        np.testing.assert_allclose(found[there], list(expected.values()))
        assert np.isfinite(found).all()

    def test_exactly_what_was_sampled_at_the_samples(self):
        values = np.random.default_rng(0).normal(size=(9, 2)) * 1e3
        for kind in ("continuous", "discrete"):
            found, there = resampled(*self.series(values), self.TIMES, kind, None)
            assert there.all()
            np.testing.assert_array_equal(found, values)

    def test_circular_is_that_of_points_on_a_circle(self):
        rng = np.random.default_rng(1)
        angles = np.cumsum(rng.uniform(-3, 3, 9)) % (2 * np.pi)
        at = np.array([0.5, 1.5, 2.5, 3.5, 4.5, 5.5])
        found, there = resampled(*self.series(angles), at, "circular", None)
        halfway = np.angle(np.exp(1j * angles[:6]) + np.exp(1j * angles[1:7]))
        assert there.all()
        np.testing.assert_allclose(np.exp(1j * found), np.exp(1j * halfway), atol=1e-9)

    def test_nearest(self):
        found, there = resampled(
            *self.series(list("abcdefghi")), np.array([0.4, 0.6, 5.9, 10]), "discrete", None
        )
        assert found[:3].tolist() == ["a", "b", "g"]
        assert there.tolist() == [True, True, True, False]


def spoilt(change):
    def spoil(path):
        with h5py.File(path, "r+") as file:
            change(file)

    return spoil


def replaced(name, values):
    def change(file):
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = values
        for key, value in attributes.items():
            file[name].attrs[key] = value

    return spoilt(change)


def cut(share):
    def spoil(path):
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return spoil


def backwards(file):
    file["units/spike_times"][5] = 29.0


def twice(file):
    times, index = file["units/spike_times"], file["units/spike_times_index"]
    first, second = times[: index[0]], times[: index[0]]
    rest = times[index[1] :]
    ends = np.concatenate([[len(first), 2 * len(first)], index[2:] - index[1] + 2 * len(first)])
    del file["units/spike_times"], file["units/spike_times_index"]
    file["units/spike_times"] = np.concatenate([first, second, rest])
    file["units/spike_times_index"] = ends


def no_clock(file):
    del file[POSITION + "/starting_time"]
    file[POSITION + "/timestamps"] = np.arange(1501)[::-1] / RATE


def stuck(file):
    del file[POSITION + "/starting_time"]
    file[POSITION + "/timestamps"] = np.repeat(np.arange(301.0), 5)[:1501]


def far_away(file):
    file[POSITION + "/starting_time"][()] = 1e4


def outside(file):
    del file[POSITION]
    file[POSITION] = h5py.ExternalLink("../elsewhere.nwb", "/" + POSITION)


BAD = {
    "no units": (spoilt(lambda f: f.pop("units")), {}, "has no units with spike times. It holds"),
    "another clock": (spoilt(far_away), {}, "they do not overlap"),
    "time goes back": (spoilt(no_clock), {}, "times that go backwards, from 30 s to 29.98 s"),
    "spikes go back": (spoilt(backwards), {}, "the unit 0 has times that go backwards"),
    "no clock at all": (
        spoilt(lambda f: f[POSITION].__delitem__("starting_time")), {}, "has no series",
    ),
    "a unit twice": (spoilt(twice), {}, "the units 0 and 1 have the same spike times"),
    "an id twice": (replaced("units/id", [0, 1, 2, 2, 4, 5]), {}, "has the id 2 2 times"),
    "no spikes": (
        spoilt(lambda f: (f["units/spike_times"].resize((0,)),
                          f["units/spike_times_index"].__setitem__(..., 0))),
        {}, "none of the 6 units has a spike",
    ),
    "an index of another file": (
        replaced("units/spike_times_index", [1, 2, 3, 4, 5, 10**9]), {}, "does not fit",
    ),
    "truncated": (cut(0.5), {}, "cannot be read as a .nwb file"),
    "a few bytes": (cut(0.001), {}, "cannot be read as a .nwb file"),
    "no bin": (None, {"bin": None}, "Give their width in seconds, `bin=0.02` say"),
    "a bin of a series": (None, {"neural": "calcium"}, "is a series, taken as it is: `bin`"),
    "units of a series": (
        None, {"neural": "calcium", "bin": None, "units": "snr > 1"}, "taken as it is: `units`",
    ),
    "a wide bin": (None, {"bin": 100.0}, "room for at least one bin"),
    "a tiny bin": (None, {"bin": 1e-12}, "would take"),
    "a bin of next to nothing": (None, {"bin": 1e-320}, "would take"),
    "times that repeat": (spoilt(stuck), {}, "most of its times more than once"),
    "unknown": (None, {"labels": ["behavior/velocity"]}, "has no series 'behavior/velocity'. It"),
    "ambiguous": (None, {"labels": ["behavior"]}, "could be any of processing/behavior/"),
    "no table": (None, {"segments": "epochs"}, "has no table of intervals 'epochs'. It holds "
                                               "intervals/trials"),
    "rows that overlap": (
        replaced("intervals/trials/stop_time", [10.0, 9, 14, 19, 24, 29]),
        {"segments": "trials"}, "rows that overlap",
    ),
    "a row without an end": (
        replaced("intervals/trials/stop_time", [np.nan, 9, 14, 19, 24, 29]),
        {"segments": "trials"}, "has a row from 0 s to nan s",
    ),
    "a link out of the folder": (spoilt(outside), {"labels": [POSITION]}, "is not in its folder"),
    "a period of nothing": (None, {"period": 360}, "no label is circular"),
    "transpose": (None, {"transpose": True}, "`transpose`"),
    "a rate": (None, {"sampling_rate": 5}, "`sampling_rate`"),
    "a limit": (None, {"max_bytes": 100}, "`max_bytes` allows 100 bytes"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "options", "words"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_one_message(file, spoil, options, words):
    if spoil is not None:
        spoil(file)
    with pytest.raises(GrevyError) as caught:
        read_recording(
            file, **{"neural": "units", "bin": 0.02, "labels": ["behavior/position"], **options}
        )
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_link_within_the_folder_is_followed(file, made, tmp_path):
    shutil.copy(made, tmp_path / "other.nwb")
    with h5py.File(file, "r+") as stored:
        del stored[POSITION + "/data"]
        stored[POSITION + "/data"] = h5py.ExternalLink("other.nwb", f"/{POSITION}/data")
    one, two = (read(each, "behavior/position").labels[0] for each in (file, made))
    np.testing.assert_array_equal(one.values, two.values)


@pytest.mark.parametrize("target", ["/processing/behavior/loop", "loop", "/"])
def test_links_that_lead_round_end(file, target):
    with h5py.File(file, "r+") as stored:
        stored["processing/behavior/loop"] = h5py.SoftLink(target)
        stored["processing/behavior/hard"] = stored["processing"]
    with pytest.raises(GrevyError):
        read(file, "processing/behavior/loop/x")


def test_a_soft_link_over_an_external_one_does_not_leave_the_folder(file, made, tmp_path):
    away = tmp_path.parent / f"{tmp_path.name}-away.nwb"
    shutil.copy(made, away)
    with h5py.File(file, "r+") as stored:
        stored["away"] = h5py.ExternalLink(f"../{away.name}", "/")
        del stored[POSITION + "/data"]
        stored[POSITION + "/data"] = h5py.SoftLink(f"/away/{POSITION}/data")
    with pytest.raises(GrevyError, match="is not in its folder"):
        read(file, "behavior/position")


@pytest.mark.filterwarnings("ignore")
def test_no_bytes_make_a_traceback(made, file):
    good, rng = made.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        content = bytearray(good)
        for _ in range(int(rng.integers(1, 12))):
            content[int(rng.integers(len(good)))] = int(rng.integers(256))
        file.write_bytes(content)
        try:
            read(file, "behavior/position", "heading:circular", segments="trials")
        except GrevyError:
            refused += 1
    assert refused < 60


@pytest.mark.parametrize("flag", [{"bin": 0.1}, {"units": "a > 1"}])
def test_what_is_for_nwb_alone(tmp_path, flag):
    np.savez(tmp_path / "a.npz", x=np.ones((9, 3)))
    with pytest.raises(GrevyError, match="would be for the spike times of an NWB file"):
        read_recording(tmp_path / "a.npz", **flag)


def test_labels_alone_from_an_nwb_file_are_refused(made, tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones((9, 3)))
    with pytest.raises(GrevyError, match="on a clock of their own"):
        read_recording(tmp_path / "a.npz", labels=["position"], label_data=made)


class TestRealRecordings:
    def test_place_cells_are_those_of_the_direct_way(self, tmp_path):
        path, data = place_cells(tmp_path / "place.nwb")
        recording = read(path, "behavior/position", bin=0.1)
        start, stop = data["time"][0], data["time"][-1]
        direct = bin_spikes([neuron.spikeTimes for neuron in data["neuron"]], start, stop, 0.1)
        assert recording.neural.tobytes() == direct.tobytes()
        middle = start + 0.1 * (np.arange(len(direct)) + 0.5)
        for axis, values in zip("xy", recording.labels[0].values.T, strict=True):
            np.testing.assert_allclose(values, np.interp(middle, data["time"], data[axis]))
        np.testing.assert_array_equal(recording.segments, [[0, len(direct)]])
        assert critical(path) == []

    def test_reaching_is_that_of_the_direct_way(self, tmp_path):
        path, data = reaching(tmp_path / "s1.nwb")
        recording = read(path, "velocity", neural="counts", bin=None)
        assert recording.neural.tobytes() == data["spikes"].astype(np.float32).tobytes()
        np.testing.assert_array_equal(recording.labels[0].values, data["vel"])
        assert critical(path) == []


def test_steps_of_a_series_with_nan_are_left_out_where_asked_for(tmp_path):
    nwb = empty()
    traces = np.random.default_rng(0).normal(size=(200, 3))
    traces[50:60, 1] = np.nan
    add_series(nwb, "calcium", traces, into="ophys", unit="n/a")
    write(nwb, tmp_path / "gaps.nwb")
    with pytest.raises(GrevyError, match="NaN"):
        read_recording(tmp_path / "gaps.nwb", neural="ophys/calcium")
    found = read_recording(tmp_path / "gaps.nwb", neural="ophys/calcium", gaps="nan")
    assert found.segments.tolist() == [[0, 50], [60, 200]]
    assert np.isfinite(found.neural).all()
