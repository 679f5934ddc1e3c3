"""From spike times to neural data of equal time steps."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from grevy.errors import GrevyError


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
