"""What was recorded: recordings, their labels and segments, and which steps train and test.

Frozen, validated, time first: everything that trains, evaluates or draws takes these objects and
nothing looser, so that each later step can rely on finite numbers, matching lengths and a known
kind of label. Files and data sets known by name become recordings here. numpy alone: no torch.
"""

from grevy.data.arrays import Array, Float64Array, FloatArray, IntArray
from grevy.data.datasets.cache import cache_directories
from grevy.data.datasets.listing import grouped_names, matching_names
from grevy.data.datasets.loading import load, names
from grevy.data.datasets.modules import import_module
from grevy.data.datasets.synthetic import NOISES, generate, write_all
from grevy.data.files.arrays import list_arrays, open_arrays, read_array, read_selection
from grevy.data.files.nwb.session import read_session
from grevy.data.files.recordings import read_recording
from grevy.data.files.regular import require_file
from grevy.data.flat import opened_flat
from grevy.data.holdout import cut_folds, cut_validation, hold_out
from grevy.data.inspection.inspecting import Inspection, inspect_file
from grevy.data.inspection.looking import Found
from grevy.data.joining import (
    align_labels,
    end_to_end,
    join_recordings,
    laid_out,
    names_of,
    restricted,
)
from grevy.data.labels import LARGEST, TAU, Kind, Label, circular, continuous, discrete, make_label
from grevy.data.objects.clocked import is_clocked
from grevy.data.preparing.durations import duration_of, what_is_expected
from grevy.data.preparing.fitting import Preparing, listed, prepare, prepare_all
from grevy.data.preparing.lags import lagged
from grevy.data.preparing.preparation import Preparation, from_plain, prepared_with, to_plain
from grevy.data.randomness import seeded
from grevy.data.recording import Recording, data_checksum, make_recording
from grevy.data.segments import checked_runs, segments_from_identifiers, steps_inside
from grevy.data.spikes import bin_spikes
from grevy.data.splits import (
    MIN_STEPS,
    Split,
    SplitKind,
    block_folds,
    blocked_split,
    random_split,
    segment_folds,
    segment_split,
    step_folds,
    training_segments,
)
from grevy.data.stored import Stored, is_large, unmapped

__all__ = [
    "LARGEST",
    "MIN_STEPS",
    "NOISES",
    "TAU",
    "Array",
    "Float64Array",
    "FloatArray",
    "Found",
    "Inspection",
    "IntArray",
    "Kind",
    "Label",
    "Preparation",
    "Preparing",
    "Recording",
    "Split",
    "SplitKind",
    "Stored",
    "align_labels",
    "bin_spikes",
    "block_folds",
    "blocked_split",
    "cache_directories",
    "checked_runs",
    "circular",
    "continuous",
    "cut_folds",
    "cut_validation",
    "data_checksum",
    "discrete",
    "duration_of",
    "end_to_end",
    "from_plain",
    "generate",
    "grouped_names",
    "hold_out",
    "import_module",
    "inspect_file",
    "is_clocked",
    "is_large",
    "join_recordings",
    "lagged",
    "laid_out",
    "list_arrays",
    "listed",
    "load",
    "make_label",
    "make_recording",
    "matching_names",
    "names",
    "names_of",
    "open_arrays",
    "opened_flat",
    "prepare",
    "prepare_all",
    "prepared_with",
    "random_split",
    "read_array",
    "read_recording",
    "read_selection",
    "read_session",
    "require_file",
    "restricted",
    "seeded",
    "segment_folds",
    "segment_split",
    "segments_from_identifiers",
    "step_folds",
    "steps_inside",
    "to_plain",
    "training_segments",
    "unmapped",
    "what_is_expected",
    "write_all",
]
