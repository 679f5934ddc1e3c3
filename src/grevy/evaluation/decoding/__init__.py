"""How well a label can be read from an embedding: arrays in, scores out, by kind of label.

A decoder and its settings are chosen and fitted on the training steps alone. Errors are in the
label's own unit. The same functions score an embedding, principal components or the raw data,
whoever made them.
"""

from grevy.evaluation.baselines import (
    linear_map_r2,
    manual_scores,
    principal_components,
    require_umap,
    umap_components,
)
from grevy.evaluation.checks import checked_embedding
from grevy.evaluation.decoding.angles import angular_error, circular_correlation
from grevy.evaluation.decoding.decoder import DecoderName, Prepared, Reading, decode, prepare
from grevy.evaluation.decoding.folds import Folded, decode_folds, pool
from grevy.evaluation.decoding.knn import Metric
from grevy.evaluation.decoding.result import Decoding
from grevy.evaluation.decoding.scores import (
    CircularScores,
    ContinuousScores,
    DiscreteScores,
    Scores,
)

__all__ = [
    "CircularScores",
    "ContinuousScores",
    "DecoderName",
    "Decoding",
    "DiscreteScores",
    "Folded",
    "Metric",
    "Prepared",
    "Reading",
    "Scores",
    "angular_error",
    "checked_embedding",
    "circular_correlation",
    "decode",
    "decode_folds",
    "linear_map_r2",
    "manual_scores",
    "pool",
    "prepare",
    "principal_components",
    "require_umap",
    "umap_components",
]
