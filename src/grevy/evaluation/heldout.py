"""The goodness of fit of a model, in training and on steps that were held out of it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from grevy.errors import GrevyError
from grevy.fit_quality import goodness_of_fit, heldout_goodness_of_fit
from grevy.recording import IntArray, Recording
from grevy.splits import Split, training_segments


def goodness_metrics(
    model: Any, recordings: Sequence[Recording], split: Split | None, seed: int = 0
) -> dict[str, float]:
    """Return the goodness of fit in training and, if steps were held out, there.

    Parameters
    ----------
    model : CEBRA
        Fitted to the recordings, or to their training steps.
    recordings : sequence of Recording
    split : Split or None
        Over the common time axis of all recordings, end to end.
    seed : int

    Returns
    -------
    dict
        ``goodness_of_fit_bits``; ``goodness_of_fit_heldout_bits`` and ``..._heldout_error``, its
        standard error, unless no window fits into what was held out.
    """
    metrics = {"goodness_of_fit_bits": goodness_of_fit(model)}
    if split is None:
        return metrics
    try:
        found = heldout_goodness_of_fit(model, restricted(recordings, split.test), seed=seed)
    except GrevyError:
        return metrics  # blocks shorter than a window, or without a pair in time
    metrics["goodness_of_fit_heldout_bits"] = found.bits
    if np.isfinite(found.standard_error):
        metrics["goodness_of_fit_heldout_error"] = found.standard_error
    return metrics


def restricted(recordings: Sequence[Recording], steps: IntArray) -> tuple[Recording, ...]:
    """Restrict recordings to some steps: these alone, in runs, are left as segments.

    Parameters
    ----------
    recordings : sequence of Recording
    steps : ndarray
        Sorted, on the common time axis on which the recordings lie end to end.

    Raises
    ------
    GrevyError
        If a recording has none of the steps.
    """
    kept, start = [], 0
    for recording in recordings:
        own = steps[(steps >= start) & (steps < start + len(recording))]
        runs = training_segments(recording.segments, own - start)
        kept.append(replace(recording, segments=runs))
        start += len(recording)
    return tuple(kept)
