"""How a recording is prepared, with all that was fitted; and doing it to one."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from grevy.data.arrays import Array, Float64Array, IntArray
from grevy.data.labels import Label
from grevy.data.preparing.smoothing import MOST_SIGMA, Kernel, smoothed
from grevy.data.recording import Recording
from grevy.data.segments import between
from grevy.errors import GrevyError

# Numbers held at once as float64.
_HELD = 2**22
# Sampling rates that differ by less are the same, as of a share.
_SAME_RATE = 1e-3


@dataclass(frozen=True, eq=False)
class Preparation:
    """What is done to a recording, in this order; numbers are those of the training steps.

    Attributes
    ----------
    n_neurons : int
        N before.
    kept : ndarray of shape (K,), int64
        The neurons that are kept.
    factor : float
        What counts are multiplied by; the sampling rate for rates, 1 for counts.
    square_root : bool
        Whether their square roots are taken.
    kernel : Kernel or None
        That they are smoothed with.
    centre, scale : ndarray of shape (K,), or None
        Mean and standard deviation, for z-scores.
    label_scales : tuple of (ndarray, ndarray) or None, or None
        For each label mean and standard deviation of its columns; None for one that stays.
    sampling_rate : float or None
        In Hz, where any of this follows from it.
    """

    n_neurons: int
    kept: IntArray
    factor: float = 1.0
    square_root: bool = False
    kernel: Kernel | None = None
    centre: Float64Array | None = None
    scale: Float64Array | None = None
    label_scales: tuple[tuple[Float64Array, Float64Array] | None, ...] | None = None
    sampling_rate: float | None = None

    @property
    def left_out(self) -> IntArray:
        """The neurons that are left out."""
        return np.setdiff1d(np.arange(self.n_neurons), self.kept)

    @property
    def before(self) -> int:
        """How many steps before a step take part in it."""
        return 0 if self.kernel is None else self.kernel.before

    @property
    def after(self) -> int:
        """How many steps after a step take part in it."""
        return 0 if self.kernel is None else self.kernel.after

    def activity(self, rows: Array) -> Float64Array:
        """Prepare an unbroken stretch (n, N) of neural data; (n, K) float64."""
        values = self.unscaled(rows)
        if self.centre is not None and self.scale is not None:
            values = (values - self.centre) / self.scale
        return values

    def unscaled(self, rows: Array) -> Float64Array:
        """Prepare as `activity` does, but for the z-scores."""
        values = np.asarray(rows)[:, self.kept].astype(np.float64) * self.factor
        if self.square_root:
            if (values < 0).any():
                raise GrevyError(
                    f"`square_root=True`: the neural data holds {values.min():.3g}, and only "
                    f"counts and rates, of at least 0, have a square root. Leave it out."
                )
            values = np.sqrt(values)
        return values if self.kernel is None else smoothed(values, self.kernel)

    def same_as(self, other: "Preparation | None") -> bool:
        """Tell whether another one does the same."""
        return other is not None and to_plain(self) == to_plain(other)


def prepared_with(preparation: Preparation, recording: Recording) -> Recording:
    """Prepare a recording as another one was prepared.

    Parameters
    ----------
    preparation : Preparation
    recording : Recording
        As it was recorded. One that is prepared in the same way already is handed back.

    Returns
    -------
    Recording
        Its `preparation` says what was done. Smoothing stays inside segments. The neural data is
        held in memory.

    Raises
    ------
    GrevyError
        If the recording is prepared in another way, or has other neurons, labels or steps in time.
    """
    if recording.preparation is not None:
        if preparation.same_as(recording.preparation):
            return recording
        raise GrevyError(
            f"{recording.source}: this recording is prepared already, in another way. Give it as "
            f"it was recorded."
        )
    _check_fits(preparation, recording)
    neural = _room(recording, len(preparation.kept))
    for runs in (recording.segments, between(recording.segments, len(recording))):
        for steps, values in stretches(recording, runs, preparation, preparation.activity):
            neural[steps] = values
    labels = recording.labels
    if preparation.label_scales is not None and labels:
        labels = tuple(map(_scaled, labels, preparation.label_scales))
    names = recording.neuron_names
    if names is not None:
        names = tuple(names[neuron] for neuron in preparation.kept)
    return replace(
        recording, neural=neural, labels=labels, neuron_names=names, preparation=preparation
    )


def _room(recording: Recording, n_neurons: int) -> npt.NDArray[np.float32]:
    try:
        return np.empty((len(recording), n_neurons), np.float32)
    except MemoryError as error:
        needed = 4 * len(recording) * n_neurons / 2**30
        raise GrevyError(
            f"{recording.source}: to prepare {len(recording)} steps of {n_neurons} neurons takes "
            f"{needed:.0f} GiB of memory, which is not there. Give fewer, or prepare the file once "
            f"and for all."
        ) from error


def _check_fits(preparation: Preparation, recording: Recording) -> None:
    if recording.n_neurons != preparation.n_neurons:
        raise GrevyError(
            f"{recording.source}: data of shape {recording.neural.shape} has {recording.n_neurons} "
            f"neurons; what prepares it was fitted to {preparation.n_neurons}. Give the same "
            f"neurons, before any were left out."
        )
    rate, own = preparation.sampling_rate, recording.sampling_rate
    if rate is not None and own is not None and abs(own - rate) > _SAME_RATE * rate:
        raise GrevyError(
            f"{recording.source} has {own:g} steps a second; what prepares it was fitted at "
            f"{rate:g}. Give data with the same bins."
        )
    scales, labels = preparation.label_scales, recording.labels
    if scales is not None and labels:
        widths = [None if each is None else len(each[0]) for each in scales]
        found = [label.values.shape[1] if label.kind == "continuous" else None for label in labels]
        if widths != found:
            raise GrevyError(
                f"{recording.source}: what prepares it was fitted to other labels. Give as many, "
                f"of the same kinds."
            )


def stretches(
    recording: Recording,
    runs: IntArray,
    preparation: Preparation,
    how: Callable[[Array], Float64Array],
) -> Iterator[tuple[slice, Float64Array]]:
    """Prepare runs of time steps, each by itself, in bounded memory.

    Parameters
    ----------
    recording : Recording
    runs : ndarray of shape (S, 2)
    preparation : Preparation
        Says how far apart steps take part in each other.
    how : callable
        Prepares an unbroken stretch of rows.

    Yields
    ------
    tuple of slice and ndarray
        Time steps, and what is made of them; a run may come in several parts.
    """
    size = max(_HELD // max(recording.n_neurons, 1), 1)
    for start, stop in runs.tolist():
        for first in range(start, stop, size):
            last = min(first + size, stop)
            low = max(first - preparation.before, start)
            high = min(last + preparation.after, stop)
            values = how(recording.neural[low:high])
            yield slice(first, last), values[first - low : last - low]


def _scaled(label: Label, scales: tuple[Float64Array, Float64Array] | None) -> Label:
    if scales is None:
        return label
    return replace(label, values=(label.values - scales[0]) / scales[1], unit="")


def to_plain(preparation: Preparation) -> dict[str, Any]:
    """Write a preparation as numbers, texts, lists and dictionaries, exactly."""

    def listed(array: Array | None) -> list[Any] | None:
        return None if array is None else array.tolist()

    scales, kernel = preparation.label_scales, preparation.kernel
    return {
        "n_neurons": preparation.n_neurons,
        "kept": listed(preparation.kept),
        "factor": preparation.factor,
        "square_root": preparation.square_root,
        "kernel": None if kernel is None else [kernel.sigma, kernel.kind],
        "centre": listed(preparation.centre),
        "scale": listed(preparation.scale),
        "label_scales": None
        if scales is None
        else [None if each is None else [listed(each[0]), listed(each[1])] for each in scales],
        "sampling_rate": preparation.sampling_rate,
    }


def from_plain(plain: Mapping[str, Any]) -> Preparation:
    """Read what `to_plain` wrote; it may come from anybody.

    Raises
    ------
    ValueError, TypeError, LookupError
        If it is no such thing.
    """
    n_neurons = int(plain["n_neurons"])
    kept = np.array(plain["kept"], np.int64)
    inside = kept.ndim == 1 and len(kept) and kept.min() >= 0 and kept.max() < n_neurons
    if not inside or (np.diff(kept) <= 0).any():
        raise ValueError("a preparation that keeps neurons which are not there")
    kernel = None
    if plain["kernel"] is not None:
        sigma, kind = plain["kernel"]
        if not 0 < sigma < MOST_SIGMA or kind not in ("centred", "causal"):
            raise ValueError("a preparation with a kernel that is none")
        kernel = Kernel(float(sigma), kind)
    scales = plain["label_scales"]
    return Preparation(
        n_neurons,
        kept,
        _positive([plain["factor"]], 1).item(),
        bool(plain["square_root"]),
        kernel,
        _optional(plain["centre"], _finite, len(kept)),
        _optional(plain["scale"], _positive, len(kept)),
        None
        if scales is None
        else tuple(
            None
            if each is None
            else (_finite(each[0], len(each[0])), _positive(each[1], len(each[0])))
            for each in scales
        ),
        None if plain["sampling_rate"] is None else _positive([plain["sampling_rate"]], 1).item(),
    )


def _optional(
    values: Any, read: Callable[[Any, int], Float64Array], length: int
) -> Float64Array | None:
    return None if values is None else read(values, length)


def _finite(values: Any, length: int) -> Float64Array:
    array = np.array(values, np.float64)
    if array.shape != (length,) or not np.isfinite(array).all():
        raise ValueError("a preparation with numbers that are none")
    return array


def _positive(values: Any, length: int) -> Float64Array:
    array = _finite(values, length)
    if not (array > 0).all():
        raise ValueError("a preparation that divides by nothing")
    return array
