"""Several recordings on one time axis: their labels aligned, laid end to end, restricted."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from grevy.data.arrays import Float64Array, IntArray
from grevy.data.labels import Label
from grevy.data.recording import Recording
from grevy.data.splits import training_segments
from grevy.errors import GrevyError


def align_labels(recordings: Sequence[Recording]) -> tuple[Recording, ...]:
    """Give discrete labels of all recordings one set of classes, and check that labels agree.

    Raises
    ------
    GrevyError
        If the recordings differ in the number, kinds, dimensions or units of their labels.
    """
    first, names = _signature(recordings[0]), names_of(recordings)
    for name, recording in zip(names, recordings, strict=True):
        if _signature(recording) != first:
            raise GrevyError(
                f"{names[0]} and {name} have different labels: {_described(first)} and "
                f"{_described(_signature(recording))}. Give all recordings the same labels."
            )
        for label, other in zip(recordings[0].labels, recording.labels, strict=True):
            if label.unit and other.unit and label.unit != other.unit:
                raise GrevyError(
                    f"the label {label.name!r} is in {label.unit} in {names[0]}, and in "
                    f"{other.unit} in {name}. Bring it to one unit first."
                )
    columns = list(zip(*(recording.labels for recording in recordings), strict=True))
    shared = [_share_classes(column) for column in columns]
    return tuple(
        replace(recording, labels=tuple(column[number] for column in shared))
        for number, recording in enumerate(recordings)
    )


def _signature(recording: Recording) -> list[tuple[str, int, str]]:
    return [
        (label.kind, label.values[:1].size, _type_of(label.classes)) for label in recording.labels
    ]


def _type_of(classes: tuple[Any, ...]) -> str:
    """Tell strings from numbers: 1 and "1" must not become one class."""
    return "text" if classes and isinstance(classes[0], str) else ""


def _described(signature: list[tuple[str, int, str]]) -> str:
    parts = [f"{kind} of {n} dimension(s){' as text' * bool(t)}" for kind, n, t in signature]
    return " + ".join(parts) or "none"


def _share_classes(labels: Sequence[Label]) -> list[Label]:
    if labels[0].kind != "discrete":
        return list(labels)
    classes = sorted({value for label in labels for value in label.classes})
    codes = {value: code for code, value in enumerate(classes)}
    moved = [np.array([codes[value] for value in label.classes], np.int64) for label in labels]
    return [
        replace(label, values=new[label.values], classes=tuple(classes))
        for label, new in zip(labels, moved, strict=True)
    ]


def end_to_end(lengths: Iterable[int]) -> IntArray:
    """Return where recordings start on the common time axis, on which they lie end to end.

    Parameters
    ----------
    lengths : iterable of int
        T of each of R recordings.

    Returns
    -------
    ndarray of shape (R + 1,), int64
        The last one is where all of them end.
    """
    return np.cumsum([0, *lengths], dtype=np.int64)


def laid_out(recordings: Sequence[Recording]) -> list[IntArray]:
    """Return each recording's segments on the time axis on which recordings lie end to end."""
    starts = end_to_end(map(len, recordings))[:-1]
    return [each.segments + start for each, start in zip(recordings, starts, strict=True)]


def names_of(recordings: Sequence[Recording]) -> tuple[str, ...]:
    """Return what recordings are called: "recording 1" and so on where they have no name."""
    return tuple(each.name or f"recording {i}" for i, each in enumerate(recordings, start=1))


def join_recordings(recordings: Sequence[Recording]) -> Recording:
    """Lay recordings end to end for evaluation; the neural data of several is left out.

    The sampling rate is that of all of them, or None where they differ. Times are there if every
    recording has a clock or a sampling rate of its own, and one rate does not say it all.
    """
    if len(recordings) == 1:
        return recordings[0]
    aligned = align_labels(recordings)
    labels = [
        replace(column[0], values=np.concatenate([label.values for label in column]))
        for column in zip(*(recording.labels for recording in aligned), strict=True)
    ]
    rates = {recording.sampling_rate for recording in recordings}
    return Recording(
        neural=np.zeros((int(end_to_end(map(len, recordings))[-1]), 0), np.float32),
        labels=tuple(labels),
        segments=np.concatenate(laid_out(recordings)),
        sampling_rate=rates.pop() if len(rates) == 1 else None,
        source=f"{recordings[0].source} and {len(recordings) - 1} more",
        times=_joined_times(recordings),
    )


def _joined_times(recordings: Sequence[Recording]) -> Float64Array | None:
    """Return the times of every step, each on the clock of its recording; None if one has none."""
    has_clock = any(each.times is not None for each in recordings)
    if not has_clock and len({each.sampling_rate for each in recordings}) == 1:
        return None
    found = []
    for each in recordings:
        if each.times is None and each.sampling_rate is None:
            return None
        own = np.arange(len(each)) / (each.sampling_rate or 1.0)
        found.append(own if each.times is None else each.times)
    return np.concatenate(found)


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
    kept = []
    for recording, start in zip(recordings, end_to_end(map(len, recordings))[:-1], strict=True):
        own = steps[(steps >= start) & (steps < start + len(recording))]
        runs = training_segments(recording.segments, own - start)
        kept.append(replace(recording, segments=runs))
    return tuple(kept)
