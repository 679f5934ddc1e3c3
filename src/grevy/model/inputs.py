"""What `fit` was given, in `cebra`'s conventions, as recordings that share their labels."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from grevy.data import (
    Label,
    Recording,
    align_labels,
    is_clocked,
    make_label,
    make_recording,
    prepared_with,
)
from grevy.errors import GrevyError
from grevy.model.fitted import Fitted


def gather_recordings(
    X: Any, y: Sequence[Any] = (), segments: Any = None
) -> tuple[tuple[Recording, ...], bool]:
    """Turn the arguments of `fit` into recordings.

    Parameters
    ----------
    X : array_like of shape (T, N), Recording, or list of either
        A list of 2-D arrays (or of recordings) is several recordings with neurons of their own.
    y : sequence
        Labels; for several recordings each is a list with one entry for each. An entry is a
        `Label` or an array whose kind its dtype tells. A recording brings its labels along.
    segments : array_like, optional
        As in `make_recording`; for several recordings a list of them.

    Returns
    -------
    recordings : tuple of Recording
        Discrete labels have the same classes in all of them.
    several : bool
        Whether a list was given.

    Raises
    ------
    GrevyError
        If lengths, kinds or numbers of labels do not fit together, or neural data is zero
        everywhere.
    """
    sessions = list(map(_is_session, X)) if isinstance(X, (list, tuple)) else []
    if not any(sessions):
        _check_single(y)
        return (_recording(X, y, segments, "fit"),), False
    if not all(sessions):
        raise GrevyError(
            f"fit: entry {sessions.index(False)} of the list of recordings is none. Give each "
            f"recording as a (T, N) array, time first."
        )
    counts = [_count(labels) for labels in y]
    if any(count != len(X) for count in counts):
        raise GrevyError(
            f"fit: Invalid number of sessions: {len(X)} recordings but labels for {counts}. Give "
            f"each label as a list with one array for each recording."
        )
    if segments is not None and len(segments) != len(X):
        raise GrevyError(f"fit: {len(X)} recordings but {len(segments)} entries of segments.")
    recordings = tuple(
        _recording(
            x,
            [labels[number] for labels in y],
            None if segments is None else segments[number],
            f"fit, recording {number}",
        )
        for number, x in enumerate(X)
    )
    unprepared = [each.preparation is None for each in recordings]
    if any(unprepared) and not all(unprepared):
        raise GrevyError(
            f"fit: recording {unprepared.index(True)} is as it was recorded, others are prepared. "
            f"Prepare all of them, or none."
        )
    return align_labels(recordings), True


def prepared_alike(fitted: Fitted, recordings: Sequence[Recording]) -> tuple[Recording, ...]:
    """Prepare recordings as those that the encoders were trained on; some may be so already.

    Parameters
    ----------
    fitted : Fitted
    recordings : sequence of Recording
        One for each encoder.

    Raises
    ------
    GrevyError
        If there are not as many, one was prepared in another way, or does not fit.
    """
    if len(recordings) != len(fitted.encoders):
        raise GrevyError(
            f"{len(recordings)} recording(s) for a model that was fitted to "
            f"{len(fitted.encoders)}. Give the same recordings."
        )
    return tuple(prepared_for(fitted, each, number) for number, each in enumerate(recordings))


def prepared_for(fitted: Fitted, recording: Recording, number: int) -> Recording:
    """Prepare a recording as the one that encoder `number` was trained on.

    Raises
    ------
    GrevyError
        If it was prepared in another way, or does not fit.
    """
    if fitted.preparations is not None:
        return prepared_with(fitted.preparations[number], recording)
    if recording.preparation is not None:
        raise GrevyError(
            f"{recording.source}: this recording is prepared, and the model was trained on data as "
            f"they were recorded. Give the recording before it was prepared."
        )
    return recording


def _is_session(x: Any) -> bool:
    return isinstance(x, Recording) or getattr(x, "ndim", 0) == 2


def _check_single(y: Sequence[Any]) -> None:
    """Refuse a list of labels, each (T, L), beside one recording: as an array it has no meaning."""
    for number, labels in enumerate(y):
        if isinstance(labels, (list, tuple)) and any(
            getattr(each, "ndim", 0) > 1 for each in labels
        ):
            raise GrevyError(
                f"fit: Invalid number of labels or sessions: one recording, but label {number} "
                f"is a list of {len(labels)} arrays. Give each label as an argument of its own, or "
                f"a list of recordings."
            )


def _count(labels: Any) -> int:
    """For how many recordings labels were given; a lone `Label` is no list of them."""
    return len(labels) if hasattr(labels, "__len__") and not isinstance(labels, Label) else 0


def _recording(x: Any, y: Sequence[Any], segments: Any, source: str) -> Recording:
    if hasattr(x, "iloc"):  # a table's index is no clock here, as in `cebra`
        x = x.to_numpy()
    if not isinstance(x, Recording) and is_clocked(x):
        named = {f"label {number}": values for number, values in enumerate(y)}
        x, y = make_recording(x, named, segments=segments, source=source), ()
    labels = [
        values if isinstance(values, Label) else make_label(f"label {number}", values)
        for number, values in enumerate(y)
    ]
    names = [label.name for label in labels]
    if len(set(names)) < len(names):  # two unnamed Labels both come as "label"
        labels = [replace(label, name=f"{label.name} {n}") for n, label in enumerate(labels)]
    if isinstance(x, Recording):
        checked = make_recording(
            x.neural,
            labels or x.labels,
            segments=x.segments if segments is None else segments,
            sampling_rate=x.sampling_rate,
            source=x.source,
        )
        made = replace(x, neural=checked.neural, labels=checked.labels, segments=checked.segments)
    else:
        made = make_recording(x, labels, segments=segments, source=source)
    if made.silent:
        raise GrevyError(
            f"{made.source}: neural data is zero everywhere; there is nothing to learn from. Check "
            f"that the right array was given."
        )
    return made
