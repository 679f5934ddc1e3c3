"""One run, from settings to a sealed folder: load, train, evaluate, draw, archive, report."""

from grevy.runs.adding import adding_config, check_base, run_model, settle_base
from grevy.runs.assessment import assess, embed_recordings
from grevy.runs.embedding import embed_file
from grevy.runs.experiment import (
    draw,
    keeping_training,
    output_paths,
    run_experiment,
    settled_settings,
    train,
    write_outcome,
)
from grevy.runs.exporting import export_onnx
from grevy.runs.finished import Run, finished_run
from grevy.runs.holding_out import holdout_split, settle_seed
from grevy.runs.preparing import (
    load_recordings,
    make_model,
    settle_offsets,
    smoothing_reach,
)
from grevy.runs.provenance import (
    environment,
    granted_threads,
    keep_to_granted_threads,
    load_what_trains,
)
from grevy.runs.rescoring import EvaluationRequest, evaluate_target

__all__ = [
    "EvaluationRequest",
    "Run",
    "adding_config",
    "assess",
    "check_base",
    "draw",
    "embed_file",
    "embed_recordings",
    "environment",
    "evaluate_target",
    "export_onnx",
    "finished_run",
    "granted_threads",
    "holdout_split",
    "keep_to_granted_threads",
    "keeping_training",
    "load_recordings",
    "load_what_trains",
    "make_model",
    "output_paths",
    "run_experiment",
    "run_model",
    "settle_base",
    "settle_offsets",
    "settle_seed",
    "settled_settings",
    "smoothing_reach",
    "train",
    "write_outcome",
]
