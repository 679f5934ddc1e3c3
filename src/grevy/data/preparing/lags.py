"""Neural data set beside the behaviour of another time."""

from dataclasses import replace

import numpy as np

from grevy.data.preparing.durations import checked_duration, in_whole_steps
from grevy.data.recording import Recording
from grevy.errors import GrevyError


def lagged(recording: Recording, lag: float | str) -> Recording:
    """Set the neural data of each step beside the labels of another.

    Parameters
    ----------
    recording : Recording
    lag : float or str
        In steps (``2``, ``-2``) or seconds (``"0.1s"``): neural data at t goes with labels at
        t + lag. Above 0 the neurons come before the behaviour, as in motor areas; below 0 after.

    Returns
    -------
    Recording
        Of as many steps, at the times of the neural data. Steps whose partner would lie beyond
        the border of their segment are in no segment.

    Raises
    ------
    GrevyError
        If it is no whole number of steps, is in seconds where the sampling rate is not known, or
        is as long as every segment.
    """
    duration = checked_duration("lag", lag, signed=True)
    steps = in_whole_steps("lag", duration, recording.sampling_rate)
    if not steps:
        return recording
    low, high = max(-steps, 0), max(steps, 0)
    runs = recording.segments + np.array([low, -high])
    runs = runs[runs[:, 0] < runs[:, 1]]
    if not len(runs):
        longest = int(np.diff(recording.segments).max())
        raise GrevyError(
            f"`lag={duration}`: the longest segment has {longest} steps, and none of them has a "
            f"partner {abs(steps)} steps away. Give a shorter lag."
        )
    partner = np.clip(np.arange(len(recording)) + steps, 0, len(recording) - 1)
    labels = tuple(label.take(partner) for label in recording.labels)
    return replace(recording, labels=labels, segments=runs)
