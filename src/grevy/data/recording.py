"""A recording: neural data, labels and segments that fit together, every problem named at once."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from grevy.data.arrays import Float64Array, FloatArray, IntArray
from grevy.data.labels import Label
from grevy.data.segments import checked_segments
from grevy.data.stored import Stored, stays_stored, unmapped
from grevy.errors import GrevyError, Problems, WrongTypeError, unknown

if TYPE_CHECKING:
    from grevy.data.preparing.preparation import Preparation


@dataclass(frozen=True, eq=False)
class Recording:
    """One session: what the neurons did, what the animal did, and where time is broken.

    Attributes
    ----------
    neural : ndarray of shape (T, N), float32
        Time first. May be a memory map, or a `Stored`, which is read like an array.
    labels : tuple of Label
        Each of length T; names are unique.
    segments : ndarray of shape (S, 2), int64
        Half-open runs [start, stop) of time steps, sorted and disjoint. A window of the model and
        a pair in time never leave a segment; steps outside every segment are not trained on.
    sampling_rate : float or None
        In Hz.
    source : str
        Where the recording came from, for a person to read.
    latent : ndarray of shape (T, d) or None
        The true latent, known for made data only.
    times : ndarray of shape (T,), float64, or None
        Of each step, in seconds on the clock of its source, if it has one; of a bin its middle.
    neuron_names : tuple of N str, or None
        If the source names them.
    preparation : Preparation or None
        What was done to the neural data, and to the labels, since they were recorded.
    name : str
        What it is called beside others; may be empty.
    """

    neural: npt.NDArray[np.float32]
    labels: tuple[Label, ...]
    segments: IntArray
    sampling_rate: float | None = None
    source: str = "arrays"
    latent: FloatArray | None = None
    times: Float64Array | None = None
    neuron_names: tuple[str, ...] | None = None
    preparation: "Preparation | None" = None
    name: str = ""

    def __len__(self) -> int:
        return len(self.neural)

    @property
    def n_neurons(self) -> int:
        """N, the number of neurons (or channels)."""
        return int(self.neural.shape[1])

    @property
    def silent(self) -> bool:
        """Whether the neural data is zero everywhere."""
        parts = range(0, len(self), 65536)  # not all at once: it may be a large memory map
        neural = unmapped(self.neural)
        return not any(neural[start : start + 65536].any() for start in parts)


def make_recording(
    neural: Any,
    labels: Iterable[Label] | Mapping[str, Any] = (),
    *,
    segments: Any = None,
    sampling_rate: float | None = None,
    source: str = "arrays",
    latent: FloatArray | None = None,
    bin: float | None = None,
    period: float | None = None,
    gaps: str | None = None,
) -> Recording:
    """Validate arrays and make a `Recording` of them, naming every problem at once.

    Objects that bring times along are aligned on the clock of the neural data: what pynapple calls
    a Tsd, TsdFrame or TsGroup, a DataArray of xarray with a dimension called time, and a Series or
    DataFrame of pandas, by its index. Whole numbers in an index are steps, floats are seconds.
    Epochs that pynapple knows of (`time_support`), and samples that are missing, end segments.

    Parameters
    ----------
    neural : array_like of shape (T, N), or object with times
        Time first; float, integer or boolean, finite. A memory map of float32 stays one. One of
        another type, and a data set of h5py or zarr, is read by rows as they are needed, and so is
        an array of another type that would take more than a GiB as float32.
    labels : iterable of Label, or mapping
        Each of length T. Or values by their names, spelled ``NAME``, ``NAME:KIND`` or
        ``NAME:KIND:UNIT`` as on the command line; objects with times are resampled: linear between
        samples, along the shorter way round if circular, the nearest if discrete, never across a
        gap. Steps without a value are in no segment.
    segments : array_like or IntervalSet, optional
        (S, 2) half-open runs [start, stop), or (T,) identifiers (a trial number, say) whose every
        change starts a new segment. By default one segment holds everything. An IntervalSet is
        in seconds, and holds the samples, or the whole bins, from its starts to its ends.
    sampling_rate : float, optional
        In Hz; times bring it along.
    source : str
        Where it came from.
    latent : ndarray of shape (T, d), optional
        The true latent, where it is known.
    bin : float, optional
        In seconds: the width of the bins in which the spikes of a TsGroup are counted.
    period : float, optional
        One turn of circular labels that are given by their names; 2 pi if not given.
    gaps : {"nan"}, optional
        Leave steps with NaN in the neural data, or in values without times, out of every segment,
        instead of refusing them.

    Raises
    ------
    GrevyError
        Naming every problem found.
    """
    if gaps not in (None, "nan"):
        raise unknown("gaps", str(gaps), ["nan"])
    from grevy.data.objects import making  # which builds on this module

    if making.needs_times(neural, labels, segments) or bin is not None or gaps is not None:
        given = making.Given(segments, sampling_rate, source, latent, bin, period, gaps == "nan")
        return making.recording_of_objects(neural, labels, given)
    if period is not None:
        raise GrevyError("`period` is for labels by their names; `grevy.circular` takes it too.")
    problems = Problems(source)
    activity = _neural(neural, problems)
    labels = tuple(cast("Iterable[Label]", labels))
    if wrong := [label for label in labels if not isinstance(label, Label)]:
        raise WrongTypeError(
            f"{source}: a label is {type(wrong[0]).__name__}, which has no name. Give labels by "
            f"their names, as in {{'position': values}}."
        )
    length = len(activity)
    for label in labels:
        if len(label) != length and length:
            problems.add(
                f"Invalid number of samples: label {label.name!r} has {len(label)} time steps, the "
                f"neural data has {length}. They must match."
            )
    names = [label.name for label in labels]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.add(f"the label name {name!r} is used twice; names must differ.")
    if sampling_rate is not None and not (np.isfinite(sampling_rate) and sampling_rate > 0):
        problems.add(f"sampling rate {sampling_rate}; expected a positive number of Hz.")
    runs = checked_segments(segments, length, problems)
    problems.raise_if_any()
    return Recording(activity, labels, runs, sampling_rate, source, latent)


def _neural(values: Any, problems: Problems) -> Any:
    """Check the activity and return it as float32; an empty array stands for a broken one."""
    broken = np.empty((0, 1), np.float32)
    if hasattr(values, "toarray"):
        problems.add("neural data is sparse; give it dense, as its toarray().", WrongTypeError)
        return broken
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    if isinstance(values, Stored):
        values = values.array
    kept = isinstance(values, np.ndarray) or stays_stored(values)
    try:
        array = values if kept else np.asarray(values)
    except ValueError as error:
        problems.add(f"neural data has rows of different lengths ({error}); expected (T, N).")
        return broken
    if array.dtype.kind not in "fiub":
        problems.add(
            f"neural data of dtype {array.dtype}; expected real numbers (float, integer or "
            f"boolean)."
        )
        return broken
    if array.ndim == 1:
        problems.add(
            f"neural data of shape {array.shape}; expected (T, N), time first. For one neuron use "
            f"shape ({len(array)}, 1)."
        )
        return broken
    if array.ndim != 2 or 0 in array.shape:
        problems.add(
            f"neural data of shape {array.shape}; expected (T, N) with T and N at least 1."
        )
        return broken
    activity: Any = array
    with np.errstate(over="ignore"):  # what overflows is said below
        if stays_stored(array):
            activity = Stored(array)
        elif array.dtype != np.float32:
            activity = array.astype(np.float32)
    bad, first = _scan(activity) if array.dtype.kind == "f" else (0, (-1, -1))
    if bad and np.isfinite(array[first]):
        problems.add(
            f"neural data holds {float(array[first]):.1e} at time step {first[0]}, neuron "
            f"{first[1]}: too large for float32, which ends at {np.finfo(np.float32).max:.1e}. "
            f"Rescale it, or remove what is not data."
        )
    elif bad:
        problems.add(
            f"neural data has {bad} NaN or infinite values of {activity.size}, the first at time "
            f"step {first[0]}, neuron {first[1]}. Remove or interpolate them first, "
            f"or leave these steps out with `gaps=nan`."
        )
    return activity


def _scan(activity: Any, rows: int = 4096) -> tuple[int, tuple[int, int]]:
    """Count non-finite values and find the first; in bounded memory."""
    bad, first, activity = 0, (-1, -1), unmapped(activity)
    for start in range(0, len(activity), rows):
        wrong = ~np.isfinite(activity[start : start + rows])
        if wrong.any():
            if not bad:
                row, column = np.argwhere(wrong)[0]
                first = (start + int(row), int(column))
            bad += int(wrong.sum())
    return bad, first


def data_checksum(recordings: Sequence[Recording]) -> str:
    """Return the SHA-256 of what is trained on: neural data, labels and segments."""
    digest = hashlib.sha256()
    for recording in recordings:
        digest.update(repr(recording.neural.shape).encode())
        neural = unmapped(recording.neural)
        for start in range(0, len(recording), 65536):
            digest.update(np.ascontiguousarray(neural[start : start + 65536]).data)
        digest.update(np.ascontiguousarray(recording.segments).data)
        for label in recording.labels:
            digest.update(repr((label.name, label.kind, label.period, label.classes)).encode())
            digest.update(np.ascontiguousarray(label.values).data)
    return digest.hexdigest()
