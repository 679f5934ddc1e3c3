"""The structure of MATLAB files: what scipy would crash on is refused, the rest is read."""

import io
import subprocess
import sys
import warnings

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from grevy.data import list_arrays
from grevy.data.files.limits import Limit
from grevy.data.files.matlab_elements import check_matlab
from grevy.errors import GrevyError


def every_kind():
    ragged = np.empty(2, object)
    ragged[:] = [np.arange(3.0), np.arange(5.0)]
    return {
        "x": np.arange(12.0).reshape(3, 4), "s": "abc", "r": ragged, "z": np.array([1 + 2j]),
        "t": np.array([(1, 2.0), (3, 4.0)], dtype=[("p", "O"), ("q", "O")]),
        "n": {"a": {"b": np.eye(2)}, "c": "xy"}, "i": np.arange(5, dtype=np.int16),
        "l": np.array([True, False]), "sp": scipy.sparse.csc_matrix(np.eye(3)),
    }  # fmt: skip


def saved(content, **options):
    stream = io.BytesIO()
    scipy.io.savemat(stream, content, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    "options", [{}, {"do_compression": True}, {"format": "4"}], ids=["plain", "packed", "4"]
)
def test_sound_files_pass(tmp_path, options):
    content = every_kind()
    if "format" in options:
        content = {key: content[key] for key in ("x", "s", "z", "i", "sp")}
    path = tmp_path / "a.mat"
    path.write_bytes(saved(content, **options))
    check_matlab(path, Limit(path))
    assert set(list_arrays(path)) >= {"x", "s", "z", "i"}


LOAD = "import sys, scipy.io; scipy.io.loadmat(sys.argv[1])"


def without_dimensions(whole):
    place = whole.index(np.array([5, 8, 1, 1], "<i4").tobytes())
    whole[place + 4] = 0


def of_no_type(whole):
    place = whole.index(np.array([4, 2], "<u2").tobytes())  # a small element: one letter
    whole[place] = 11


CRASHING = {without_dimensions: {"s": "x"}, of_no_type: {"s": np.array([7], np.uint16)}}


@pytest.mark.parametrize("damage", CRASHING, ids=lambda damage: damage.__name__)
def test_what_crashes_scipy_is_refused(tmp_path, damage):
    whole = bytearray(saved(CRASHING[damage]))
    damage(whole)
    path = tmp_path / "a.mat"
    path.write_bytes(whole)
    crashed = subprocess.run([sys.executable, "-c", LOAD, path], capture_output=True, check=False)
    assert crashed.returncode < 0  # a signal: should scipy be mended, the check can go
    with pytest.raises(GrevyError, match=r"a\.mat cannot be read as a \.mat file"):
        list_arrays(path)


def damaged(good, rng):
    whole = bytearray(good)
    for place in rng.integers(128, len(whole), int(rng.integers(1, 5))):
        whole[place] = int(rng.choice([0, 1, 128, 255, rng.integers(256)]))
    return bytes(whole)


TRY = """
import sys, warnings, pathlib
from grevy.data import list_arrays
from grevy.errors import GrevyError
warnings.simplefilter("ignore")
read = refused = 0
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        list_arrays(path)
        read += 1
    except GrevyError:
        refused += 1
print(read, refused)
"""


@pytest.mark.parametrize(
    ("packed", "count"),
    [
        (False, 400),
        (True, 200),
        pytest.param(False, 20_000, marks=pytest.mark.slow),
        pytest.param(True, 4_000, marks=pytest.mark.slow),
    ],
)
def test_no_damage_crashes_the_process(tmp_path, packed, count):
    good = saved(every_kind(), do_compression=packed)
    rng = np.random.default_rng(count)
    for number in range(count):
        (tmp_path / f"{number:05}.mat").write_bytes(damaged(good, rng))
    done = subprocess.run(
        [sys.executable, "-c", TRY, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    read, refused = map(int, done.stdout.split())
    assert read + refused == count
    assert min(read, refused) > 0


def test_nothing_is_refused_that_scipy_reads(tmp_path):
    """Damage to the numbers themselves is none to the structure."""
    good = saved({"x": np.arange(500.0)})
    rng = np.random.default_rng(0)
    path = tmp_path / "a.mat"
    for place in rng.integers(len(good) - 4000, len(good), 30):
        whole = bytearray(good)
        whole[place] ^= 0xFF
        path.write_bytes(whole)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scipy.io.loadmat(path)
        check_matlab(path, Limit(path))
