"""NWB files as pynwb writes them, for tests: one small session, and parts of real recordings."""

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import scipy.io

SHARED = Path(__file__).parents[1] / "../shared/data"
DATA = Path(os.environ.get("GREVY_TEST_DATA", SHARED))
SECONDS, RATE, UNITS = 30.0, 50.0, 6


def pynwb():
    return pytest.importorskip("pynwb", reason="pynwb is not installed: pip install 'grevy[nwb]'")


def empty(identifier="session"):
    """A file of one session, as the inspector wants it, without data."""
    nwb = pynwb().NWBFile(
        session_description="A session made for a test of reading.",
        identifier=identifier,
        session_start_time=datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC),
        experimenter=["Test, Ann"],
        institution="Nowhere",
        lab="None",
        keywords=["test"],
        experiment_description="None was made.",
        related_publications=["doi:10.0/none"],
    )
    nwb.subject = pynwb().file.Subject(subject_id="s1", species="Mus musculus", sex="U", age="P30D")
    return nwb


def module(nwb, name="behavior"):
    if name in nwb.processing:
        return nwb.processing[name]
    return nwb.create_processing_module(name=name, description=f"Of {name}.")


def add_series(nwb, name, values, *, into="behavior", inside=None, unit="m", **clock):
    """A series in a processing module, inside a `Position` or `CompassDirection` if asked."""
    from pynwb import behavior

    clock = clock or {"starting_time": 0.0, "rate": RATE}
    about = {"description": "Made for a test.", "unit": unit, **clock}
    if inside is None:
        series = pynwb().TimeSeries(name=name, data=values, **about)
        module(nwb, into).add(series)
        return series
    series = behavior.SpatialSeries(name=name, data=values, reference_frame="the box", **about)
    module(nwb, into).add(getattr(behavior, inside)(spatial_series=series))
    return series


def write(nwb, path):
    with pynwb().NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


def spike_trains(seed=0, units=UNITS, seconds=SECONDS):
    rng = np.random.default_rng(seed)
    return [np.sort(rng.uniform(0, seconds, 200 + 20 * unit)) for unit in range(units)]


def add_units(nwb, trains, observed=None, **columns):
    for name in columns:
        nwb.add_unit_column(name=name, description=f"The {name} of a unit.")
    for number, train in enumerate(trains):
        more = {name: values[number] for name, values in columns.items()}
        if observed is not None:
            more["obs_intervals"] = observed
        nwb.add_unit(spike_times=train, **more)


def session(path):
    """Six units, position, heading in degrees, speed with a gap, trials, fluorescence."""
    nwb = empty()
    quality = ["good", "good", "mua", "good", "mua", "good"]
    add_units(nwb, spike_trains(), [[0.0, SECONDS]], quality=quality, snr=np.arange(6) * 1.5)
    times = np.arange(int(SECONDS * RATE) + 1) / RATE
    angle = times * 40 % 360
    add_series(nwb, "position", np.stack([np.sin(times), np.cos(times)], 1), inside="Position")
    add_series(nwb, "heading", angle, inside="CompassDirection", unit="degrees")
    speed = np.sin(times / 3) + 1
    speed[500:600] = np.nan
    add_series(nwb, "speed", speed, unit="m/s")
    add_series(nwb, "side", np.where(times % 4 < 2, 1, 0), unit="n/a")
    calcium = np.random.default_rng(1).normal(size=(600, 5)).astype(np.float32)
    add_series(nwb, "calcium", calcium, into="ophys", unit="a.u.", starting_time=0.0, rate=20.0)
    for start in range(0, 30, 5):
        nwb.add_trial(start_time=float(start), stop_time=start + 4.0)
    return write(nwb, path)


def critical(path):
    """What the inspector holds to be critical of a file."""
    inspector = pytest.importorskip("nwbinspector", reason="nwbinspector is not installed")
    found = [each for each in inspector.inspect_nwbfile(nwbfile_path=path) if each is not None]
    return [m for m in found if m.importance.name in ("CRITICAL", "ERROR", "PYNWB_VALIDATION")]


def real(*parts):
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path.name} is not here: set GREVY_TEST_DATA to the folder of recordings")
    return path


def place_cells(path, animal=1):
    """The place cells of docs/recordings.md as an NWB file, and the arrays it was made from."""
    source = real("place-cells-2d", f"PlaceCellDataAnimal{animal}.mat")
    data = scipy.io.loadmat(source, squeeze_me=True, struct_as_record=False)
    nwb = empty("place-cells")
    trains = [neuron.spikeTimes for neuron in data["neuron"]]
    add_units(nwb, trains, [[data["time"][0], data["time"][-1]]])
    position = np.stack([data["x"], data["y"]], axis=1)
    add_series(nwb, "position", position, inside="Position", timestamps=data["time"])
    return write(nwb, path), data


def reaching(path):
    """Reaching of docs/recordings.md: counts in bins of 50 ms, and the hand's velocity."""
    data = scipy.io.loadmat(real("s1-reach", "s1_data.mat"))
    nwb = empty("s1-reach")
    clock = {"starting_time": 0.0, "rate": 20.0}
    add_series(nwb, "counts", data["spikes"], into="ecephys", unit="n/a", **clock)
    add_series(nwb, "velocity", data["vel"], unit="cm/s", **clock)
    return write(nwb, path), data
