"""A recording and its labels: frozen, validated, time first.

Everything that trains, evaluates or draws takes these two objects and nothing looser, so that
each later step can rely on finite numbers, matching lengths and a known kind of label.
"""

from grevy.recording.arrays import Array, FloatArray, IntArray
from grevy.recording.labels import (
    LARGEST,
    TAU,
    Kind,
    Label,
    circular,
    continuous,
    discrete,
    make_label,
)
from grevy.recording.recordings import Recording, data_checksum, make_recording
from grevy.recording.segments import segments_from_identifiers, steps_inside
from grevy.recording.spikes import bin_spikes

__all__ = [
    "LARGEST",
    "TAU",
    "Array",
    "FloatArray",
    "IntArray",
    "Kind",
    "Label",
    "Recording",
    "bin_spikes",
    "circular",
    "continuous",
    "data_checksum",
    "discrete",
    "make_label",
    "make_recording",
    "segments_from_identifiers",
    "steps_inside",
]
