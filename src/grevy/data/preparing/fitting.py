"""From settings and training steps to a `Preparation`."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from grevy.data.arrays import Float64Array, IntArray
from grevy.data.preparing.durations import checked_duration, in_steps, is_in_seconds
from grevy.data.preparing.preparation import Preparation, prepared_with, stretches
from grevy.data.preparing.smoothing import MOST_SIGMA, Kernel, KernelKind
from grevy.data.recording import Recording
from grevy.data.segments import steps_inside
from grevy.data.splits import training_segments
from grevy.errors import GrevyError

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Preparing:
    """What shall be done to recordings; the meaning of each stands at `grevy.prepare`."""

    rates: bool = False
    min_rate: float | None = None
    square_root: bool = False
    smoothing: float | str | None = None
    smoothing_kernel: KernelKind = "centred"
    zscore: bool = False
    scale_labels: bool = False

    @property
    def is_nothing(self) -> bool:
        """Whether nothing is asked for."""
        return self == Preparing(smoothing_kernel=self.smoothing_kernel)

    def kernel(self, sampling_rate: float | None) -> Kernel | None:
        """Return the kernel, in steps, for a recording of this rate."""
        if self.smoothing is None:
            return None
        if self.smoothing_kernel not in ("centred", "causal"):
            raise GrevyError(
                f"`smoothing_kernel={self.smoothing_kernel}`: expected centred or causal."
            )
        duration = checked_duration("smoothing", self.smoothing)
        sigma = in_steps("smoothing", duration, sampling_rate)
        if not sigma < MOST_SIGMA:
            raise GrevyError(
                f"`smoothing={duration}` is {sigma:g} steps; expected fewer than {MOST_SIGMA}."
            )
        return Kernel(sigma, self.smoothing_kernel)

    def reach(self, sampling_rate: float | None) -> int:
        """Return how many steps before and after a step, together, take part in it."""
        kernel = self.kernel(sampling_rate)
        return 0 if kernel is None else kernel.before + kernel.after


def prepare(
    recording: Recording,
    train: IntArray | None = None,
    *,
    rates: bool = False,
    min_rate: float | None = None,
    square_root: bool = False,
    smoothing: float | str | None = None,
    smoothing_kernel: KernelKind = "centred",
    zscore: bool = False,
    scale_labels: bool = False,
) -> Recording:
    """Prepare a recording for training, in the order of the parameters.

    A model that is fitted to it remembers how it was prepared, and prepares what it is given later
    in the same way: by `transform`, by `grevy.Stream`, and after it was saved and loaded.

    Parameters
    ----------
    recording : Recording
    train : ndarray, optional
        Training steps, such as ``split.train``: numbers are estimated from these alone. All steps
        inside segments if not given. Smoothed steps hold what lies within the kernel's reach (four
        standard deviations), so a gap of that size belongs between training and test.
    rates : bool
        Turn counts into spikes per second; needs the sampling rate.
    min_rate : float, optional
        In spikes per second: neurons that fire less on training steps are left out.
    square_root : bool
        Take square roots, which makes the variance of counts alike.
    smoothing : float or str, optional
        Standard deviation of a Gaussian over time, in steps (``2``) or seconds (``"0.05s"``). It
        never crosses the border of a segment, and is normalised there.
    smoothing_kernel : {"centred", "causal"}
        Around each step, or from that step and those before it alone.
    zscore : bool
        Subtract the mean of each neuron, and divide by its standard deviation.
    scale_labels : bool
        Do so with each column of continuous labels, so that all weigh alike where the nearest
        label is looked for.

    Returns
    -------
    Recording
        Its `preparation` holds all that was fitted.

    Raises
    ------
    GrevyError
        If a setting is out of range, needs a sampling rate that is not known, or leaves no neuron;
        or the recording is prepared already.
    """
    settings = Preparing(
        rates, min_rate, square_root, smoothing, smoothing_kernel, zscore, scale_labels
    )
    if train is None:
        runs = recording.segments
    else:
        runs = training_segments(recording.segments, _checked_steps(train, recording))
    return prepare_all([recording], [runs], settings)[0]


def _checked_steps(train: IntArray, recording: Recording) -> IntArray:
    """Return training steps in order, each once; a mask would pass for steps 0 and 1."""
    given = np.asarray(train)
    if given.dtype.kind not in "iu" or given.ndim != 1:
        raise GrevyError(
            f"`train` is an array of {given.dtype} of shape {given.shape}; expected the numbers of "
            f"steps, such as split.train. Of a mask give numpy.flatnonzero(mask)."
        )
    if len(given) and not (given.min() >= 0 and given.max() < len(recording)):
        raise GrevyError(
            f"`train` has steps from {given.min()} to {given.max()}; {recording.source} has those "
            f"from 0 to {len(recording) - 1}."
        )
    return np.unique(given)


def prepare_all(
    recordings: Sequence[Recording], runs: Sequence[IntArray], settings: Preparing
) -> tuple[Recording, ...]:
    """Prepare recordings that are trained on together.

    Parameters
    ----------
    recordings : sequence of Recording
        With the same labels.
    runs : sequence of ndarray of shape (S, 2)
        Of each its training steps. What is fitted depends on nothing outside them.
    settings : Preparing

    Returns
    -------
    tuple of Recording
        As they are, if the settings ask for nothing.

    Raises
    ------
    GrevyError
        As `prepare`.
    """
    if settings.is_nothing:
        return tuple(recordings)
    for recording in recordings:
        if recording.preparation is not None:
            raise GrevyError(
                f"{recording.source}: this recording is prepared already. Give it as it was "
                f"recorded."
            )
    scales = _label_scales(recordings, runs) if settings.scale_labels else None
    return tuple(
        prepared_with(replace(_fitted(each, own, settings), label_scales=scales), each)
        for each, own in zip(recordings, runs, strict=True)
    )


def _fitted(recording: Recording, runs: IntArray, settings: Preparing) -> Preparation:
    rate, minimum = recording.sampling_rate, settings.min_rate
    needed = [name for name in ("rates", "min_rate") if getattr(settings, name)]
    if needed and rate is None:
        raise GrevyError(
            f"`{needed[0]}={getattr(settings, needed[0])}` is in spikes per second, and the "
            f"sampling rate of {recording.source} is not known. Give `sampling_rate=HZ`."
        )
    kept = np.arange(recording.n_neurons)
    if minimum is not None:
        kept = _firing(recording, runs, minimum)
    in_seconds = isinstance(settings.smoothing, str) and is_in_seconds(settings.smoothing)
    preparation = Preparation(
        recording.n_neurons,
        kept,
        factor=float(rate or 1.0) if settings.rates else 1.0,
        square_root=settings.square_root,
        kernel=settings.kernel(rate),
        sampling_rate=float(rate) if rate and (needed or in_seconds) else None,
    )
    if not settings.zscore:
        return preparation
    centre, scale = _moments(recording, runs, preparation)
    constant = preparation.kept[scale == 0]
    if len(constant):
        _LOG.warning(
            f"{recording.source}: {len(constant)} neurons never change on the training steps, and "
            f"their z-scores are 0 there: {listed(recording, constant)}."
        )
    return replace(preparation, centre=centre, scale=np.where(scale == 0, 1.0, scale))


def _firing(recording: Recording, runs: IntArray, minimum: float) -> IntArray:
    """Return the neurons that fire at least so many spikes per second on training steps."""
    if not (np.isfinite(minimum) and minimum > 0):
        raise GrevyError(f"`min_rate={minimum:g}`: expected a number of spikes per second above 0.")
    plain = Preparation(recording.n_neurons, np.arange(recording.n_neurons))
    total = np.zeros(recording.n_neurons)
    for _, values in stretches(recording, runs, plain, plain.activity):
        total += values.sum(axis=0)
    firing = total / len(steps_inside(runs)) * float(recording.sampling_rate or np.nan)
    kept = np.flatnonzero(firing >= minimum)
    if not len(kept):
        raise GrevyError(
            f"`min_rate={minimum:g}`: no neuron of {recording.source} fires so often on the "
            f"training steps; the fastest has {firing.max():.3g} spikes per second. Lower it."
        )
    return kept


def _moments(
    recording: Recording, runs: IntArray, preparation: Preparation
) -> tuple[Float64Array, Float64Array]:
    """Return mean and standard deviation of each neuron over training steps, smoothed in them."""
    count = len(steps_inside(runs))
    total = np.zeros(len(preparation.kept))
    for _, values in stretches(recording, runs, preparation, preparation.unscaled):
        total += values.sum(axis=0)
    mean = total / count
    squares = np.zeros(len(preparation.kept))
    for _, values in stretches(recording, runs, preparation, preparation.unscaled):
        squares += ((values - mean) ** 2).sum(axis=0)
    return mean, np.where(squares > 1e-20 * count * mean**2, np.sqrt(squares / count), 0.0)


def _label_scales(recordings: Sequence[Recording], runs: Sequence[IntArray]) -> tuple[Any, ...]:
    """Return mean and standard deviation of the columns of each continuous label."""
    inside = [steps_inside(own) for own in runs]
    scales: list[tuple[Float64Array, Float64Array] | None] = []
    for number, label in enumerate(recordings[0].labels):
        if label.kind != "continuous":
            scales.append(None)
            continue
        values = np.concatenate(
            [
                each.labels[number].values[steps]
                for each, steps in zip(recordings, inside, strict=True)
            ]
        )
        spread = values.std(axis=0)
        scales.append((values.mean(axis=0), np.where(spread > 0, spread, 1.0)))
    return tuple(scales)


def listed(recording: Recording, neurons: IntArray, most: int = 20) -> str:
    """Name neurons: by their names if they have any, else by their numbers, from 0."""
    names = recording.neuron_names
    shown = [str(each) if names is None else names[each] for each in neurons[:most].tolist()]
    more = f" and {len(neurons) - most} more" if len(neurons) > most else ""
    return ", ".join(shown) + more
