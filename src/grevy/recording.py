"""A recording and its labels: frozen, validated, time first.

Everything that trains, evaluates or draws takes these two objects and nothing looser, so that
each later step can rely on finite numbers, matching lengths and a known kind of label.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from grevy.errors import GrevyError, Problems

Kind = Literal["continuous", "circular", "discrete"]
Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]

TAU = 2 * np.pi


@dataclass(frozen=True, eq=False)
class Label:
    """One named behaviour, one value (or row of values) for each time step.

    Attributes
    ----------
    name : str
        What the behaviour is called, as it shall appear in tables and figures.
    kind : {"continuous", "circular", "discrete"}
    values : ndarray
        continuous: (T, L) float64. circular: (T,) float64 in radians, in [0, 2 pi).
        discrete: (T,) int64, codes 0..K-1 into `classes`.
    period : float
        circular only: one full turn in the user's unit (2 pi for radians, 360 for degrees).
    classes : tuple
        discrete only: the K original values (int, bool or str), sorted.
    """

    name: str
    kind: Kind
    values: Array
    period: float = TAU
    classes: tuple[Any, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def take(self, index: Array | slice) -> "Label":
        """Return the label at the time steps of `index`; classes keep their codes."""
        return replace(self, values=self.values[index])

    @property
    def unit_values(self) -> Array:
        """The values as the user gave them: in the unit of the period, or the original classes."""
        if self.kind == "circular":
            return np.asarray(self.values * (self.period / TAU))
        if self.kind == "discrete":
            return np.asarray(self.classes)[self.values]
        return self.values


@dataclass(frozen=True, eq=False)
class Recording:
    """One session: what the neurons did, what the animal did, and where time is broken.

    Attributes
    ----------
    neural : ndarray of shape (T, N), float32
        Time first. May be a memory map.
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
    """

    neural: npt.NDArray[np.float32]
    labels: tuple[Label, ...]
    segments: IntArray
    sampling_rate: float | None = None
    source: str = "arrays"
    latent: FloatArray | None = None

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
        return not any(self.neural[start : start + 65536].any() for start in parts)


def continuous(values: npt.ArrayLike, name: str = "label") -> Label:
    """Make a continuous label from (T,) or (T, L) numbers.

    Raises
    ------
    GrevyError
        If the values are not finite real numbers, or are constant.
    """
    return make_label(name, values, "continuous")


def circular(values: npt.ArrayLike, period: float = TAU, name: str = "label") -> Label:
    """Make a circular label from (T,) numbers that repeat after `period` (default 2 pi, radians).

    Raises
    ------
    GrevyError
        If the values are not finite real numbers of one dimension, or the period is not positive.
    """
    return make_label(name, values, "circular", period)


def discrete(values: npt.ArrayLike, name: str = "label") -> Label:
    """Make a discrete label from (T,) integers, booleans or strings; any codes will do.

    Raises
    ------
    GrevyError
        If the values have more than one dimension, are fractional, or hold one class only.
    """
    return make_label(name, values, "discrete")


def make_label(
    name: str, values: npt.ArrayLike, kind: Kind | None = None, period: float | None = None
) -> Label:
    """Make a label, its kind taken from the dtype where none is given.

    Parameters
    ----------
    name : str
        What to call it.
    values : array_like
        (T,) or (T, L). Floats are continuous; integers, booleans and strings are discrete.
    kind : {"continuous", "circular", "discrete"}, optional
        Overrides what the dtype says. Integers may be asked for as continuous or circular.
    period : float, optional
        One full turn of a circular label in its own unit; 2 pi (radians) if not given.

    Raises
    ------
    GrevyError
        If the values cannot be a label of this kind: object dtype that mixes types, complex or
        dates, NaN or infinity, more than one column where one is needed, a constant.
    """
    array = _plain_array(name, values)
    kind = kind or ("continuous" if array.dtype.kind == "f" else "discrete")
    if period is not None and kind != "circular":
        raise GrevyError(
            f"label {name!r}: a period was given, but the label is {kind}. Ask for it as circular "
            f"({name}:circular), or drop the period."
        )
    if kind == "discrete":
        return _discrete_label(name, array)
    if array.dtype.kind not in "fiu":
        raise GrevyError(
            f"label {name!r}: {array.dtype} values cannot be {kind}. Ask for it as discrete "
            f"({name}:discrete), or give numbers."
        )
    return _numeric_label(name, array.astype(np.float64), kind, TAU if period is None else period)


def _plain_array(name: str, values: npt.ArrayLike) -> Array:
    """Turn values into a (T,) or (T, L) array of one plain dtype, or say why not."""
    if hasattr(values, "detach"):  # a torch tensor, perhaps on a device
        values = values.detach().cpu().numpy()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise GrevyError(
            f"label {name!r}: rows of different lengths are no label ({error})."
        ) from error
    if array.dtype.kind == "O":
        array = _from_objects(name, array)
    if array.dtype.kind not in "fiubU":
        raise GrevyError(
            f"label {name!r}: dtype {array.dtype} is not supported. Give real numbers, integers, "
            f"booleans or strings."
        )
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2) or array.size == 0:
        raise GrevyError(
            f"label {name!r}: shape {array.shape}; expected (T,) or (T, L), not empty."
        )
    return array


def _from_objects(name: str, array: Array) -> Array:
    """Recover a plain dtype from objects that all have one type; never guess between types."""
    kinds = {type(value) for value in array.ravel().tolist()}
    if len(kinds) == 1 and kinds <= {int, float, bool, str}:
        return np.array(array.tolist())
    found = ", ".join(sorted(kind.__name__ for kind in kinds)) or "nothing"
    raise GrevyError(
        f"label {name!r}: an object array that holds {found} is ambiguous. Convert it first, for "
        f"example values.astype(float) or values.astype(str)."
    )


def _discrete_label(name: str, array: Array) -> Label:
    if array.ndim != 1:
        raise GrevyError(
            f"label {name!r}: a discrete label has one column, this one has shape {array.shape}. "
            f"Give each column as a label of its own."
        )
    if array.dtype.kind == "f":
        raise GrevyError(
            f"label {name!r}: fractional numbers ({array.dtype}) cannot be discrete. Round or bin "
            f"them to integers first, or ask for {name}:continuous."
        )
    classes, codes = np.unique(array, return_inverse=True)
    if len(classes) < 2:
        raise GrevyError(
            f"label {name!r}: constant, every value is {classes[0].item()!r}. A label must vary to "
            f"be learnt from; leave it out."
        )
    return Label(name, "discrete", codes.astype(np.int64), classes=tuple(classes.tolist()))


def _numeric_label(name: str, array: FloatArray, kind: Kind, period: float) -> Label:
    # Extremes take no memory of their own, and are NaN or infinite where a value is.
    low, high = array.min(axis=0), array.max(axis=0)
    if not (np.isfinite(low) & np.isfinite(high)).all():
        bad = ~np.isfinite(array)
        first = int(np.argwhere(bad)[0][0])
        raise GrevyError(
            f"label {name!r}: {int(bad.sum())} of {bad.size} values are NaN or infinite, the first "
            f"at time step {first}. Remove or interpolate them first."
        )
    if np.all(low == high):
        raise GrevyError(
            f"label {name!r}: constant, every value is {array.flat[0]:g}. A label must vary to be "
            f"learnt from; leave it out."
        )
    if kind == "continuous":
        return Label(name, kind, array.reshape(len(array), -1))
    if array.ndim != 1:
        raise GrevyError(
            f"label {name!r}: a circular label has one column, this one has shape {array.shape}. "
            f"Give each angle as a label of its own."
        )
    if not (np.isfinite(period) and period > 0):
        raise GrevyError(
            f"label {name!r}: period {period:g}; expected a positive number, such as 360 for "
            f"degrees."
        )
    # Wrapped in the user's own unit, where whole turns are exact (360 degrees are 0).
    radians = np.mod(array, period) * (TAU / period)
    radians[radians >= TAU] = 0.0  # a tiny negative angle rounds up to exactly one turn
    if (radians == radians[0]).all():
        raise GrevyError(
            f"label {name!r}: constant, the values differ by whole turns of {period:g} only. Check "
            f"the period."
        )
    return Label(name, kind, radians, period=float(period))


def make_recording(
    neural: npt.ArrayLike,
    labels: Iterable[Label] = (),
    *,
    segments: npt.ArrayLike | None = None,
    sampling_rate: float | None = None,
    source: str = "arrays",
    latent: FloatArray | None = None,
) -> Recording:
    """Validate arrays and make a `Recording` of them, naming every problem at once.

    Parameters
    ----------
    neural : array_like of shape (T, N)
        Time first; float, integer or boolean, finite. A memory map of float32 stays one.
    labels : iterable of Label
        Each of length T.
    segments : array_like, optional
        (S, 2) half-open runs [start, stop), or (T,) identifiers (a trial number, say) whose every
        change starts a new segment. By default one segment holds everything.
    sampling_rate : float, optional
        In Hz.
    source : str
        Where it came from.
    latent : ndarray of shape (T, d), optional
        The true latent, where it is known.

    Raises
    ------
    GrevyError
        Naming every problem found.
    """
    problems = Problems(source)
    activity = _neural(neural, problems)
    labels = tuple(labels)
    length = len(activity)
    for label in labels:
        if len(label) != length and length:
            problems.add(
                f"label {label.name!r} has {len(label)} time steps, the neural data has {length}; "
                f"they must match."
            )
    names = [label.name for label in labels]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.add(f"the label name {name!r} is used twice; names must differ.")
    if sampling_rate is not None and not (np.isfinite(sampling_rate) and sampling_rate > 0):
        problems.add(f"sampling rate {sampling_rate}; expected a positive number of Hz.")
    runs = _segments(segments, length, problems)
    problems.raise_if_any()
    return Recording(activity, labels, runs, sampling_rate, source, latent)


def _neural(values: npt.ArrayLike, problems: Problems) -> npt.NDArray[np.float32]:
    """Check the activity and return it as float32; an empty array stands for a broken one."""
    broken = np.empty((0, 1), np.float32)
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    try:
        array = values if isinstance(values, np.ndarray) else np.asarray(values)
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
    activity = array if array.dtype == np.float32 else array.astype(np.float32)
    bad, first = _scan(activity)
    if bad:
        problems.add(
            f"neural data has {bad} NaN or infinite values of {activity.size}, the first at time "
            f"step {first[0]}, neuron {first[1]}. Remove or interpolate them first."
        )
    return activity


def _scan(activity: npt.NDArray[np.float32], rows: int = 4096) -> tuple[int, tuple[int, int]]:
    """Count non-finite values and find the first; in bounded memory."""
    bad, first = 0, (-1, -1)
    for start in range(0, len(activity), rows):
        wrong = ~np.isfinite(activity[start : start + rows])
        if wrong.any():
            if not bad:
                row, column = np.argwhere(wrong)[0]
                first = (start + int(row), int(column))
            bad += int(wrong.sum())
    return bad, first


def _segments(values: npt.ArrayLike | None, length: int, problems: Problems) -> IntArray:
    whole = np.array([[0, length]], dtype=np.int64)
    if values is None or not length:
        return whole
    try:
        array = np.asarray(values)
    except ValueError as error:
        problems.add(f"segments of different lengths ({error}); expected runs of shape (S, 2).")
        return whole
    if array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1):
        if array.dtype.kind == "f" and np.isnan(array).any():
            problems.add(
                f"{int(np.isnan(array).sum())} segment identifiers are NaN; give the steps between "
                f"segments a number of their own, or give (S, 2) runs [start, stop)."
            )
            return whole
        if len(array) != length:
            problems.add(
                f"{len(array)} segment identifiers for {length} time steps; expected one for each "
                f"time step, or (S, 2) runs [start, stop)."
            )
            return whole
        return segments_from_identifiers(array.reshape(-1))
    if array.ndim != 2 or array.shape[1] != 2 or not len(array) or array.dtype.kind not in "iu":
        problems.add(
            f"segments of shape {array.shape} and dtype {array.dtype}; expected integer runs "
            f"[start, stop) of shape (S, 2), or one identifier for each time step."
        )
        return whole
    runs = array.astype(np.int64)
    starts, stops = runs[:, 0], runs[:, 1]
    if (starts < 0).any() or (stops > length).any() or (starts >= stops).any():
        problems.add(f"segments must satisfy 0 <= start < stop <= {length}.")
    elif (starts[1:] < stops[:-1]).any():
        problems.add("segments must be sorted and must not overlap.")
    return runs


def segments_from_identifiers(identifiers: Array) -> IntArray:
    """Turn one identifier per time step into runs: every change starts a new segment.

    Parameters
    ----------
    identifiers : ndarray of shape (T,)
        Trial numbers, block names, and so on.

    Returns
    -------
    ndarray of shape (S, 2), int64
    """
    edges = np.flatnonzero(identifiers[1:] != identifiers[:-1]) + 1
    starts = np.concatenate([[0], edges])
    stops = np.concatenate([edges, [len(identifiers)]])
    return np.stack([starts, stops], axis=1).astype(np.int64)


def bin_spikes(
    spike_times: Sequence[npt.ArrayLike], start: float, stop: float, width: float
) -> npt.NDArray[np.float32]:
    """Count spikes in bins of equal width.

    Parameters
    ----------
    spike_times : sequence of array_like
        For each of N neurons its spike times, in seconds.
    start, stop : float
        The stretch of time to bin, in seconds; a last, incomplete bin is dropped.
    width : float
        Of a bin, in seconds.

    Returns
    -------
    ndarray of shape (T, N), float32
        Spikes in [start + t * width, start + (t + 1) * width).

    Raises
    ------
    GrevyError
        If the stretch does not hold one bin.
    """
    if not (width > 0 and stop - start >= width and np.isfinite(stop - start)):
        raise GrevyError(
            f"bins of {width} s between {start} s and {stop} s: expected a positive width and room "
            f"for at least one bin."
        )
    n_bins = int(np.floor((stop - start) / width + 1e-9))
    counts = np.zeros((n_bins, len(spike_times)), np.float32)
    for neuron, times in enumerate(spike_times):
        bins = np.floor((np.asarray(times, np.float64).reshape(-1) - start) / width)
        inside = bins[(bins >= 0) & (bins < n_bins)].astype(np.int64)
        counts[:, neuron] = np.bincount(inside, minlength=n_bins)
    return counts


def data_checksum(recordings: Sequence[Recording]) -> str:
    """Return the SHA-256 of what is trained on: neural data, labels and segments."""
    digest = hashlib.sha256()
    for recording in recordings:
        digest.update(repr(recording.neural.shape).encode())
        for start in range(0, len(recording), 65536):
            digest.update(np.ascontiguousarray(recording.neural[start : start + 65536]).data)
        digest.update(np.ascontiguousarray(recording.segments).data)
        for label in recording.labels:
            digest.update(repr((label.name, label.kind, label.period, label.classes)).encode())
            digest.update(np.ascontiguousarray(label.values).data)
    return digest.hexdigest()
