"""What an embedding is worth: arrays in, results out; knows no model.

Decoders chosen inside the training, scores with intervals, baselines and labels moved in time
beside them, and agreement between embeddings. Whoever made the embedding, it is scored the same.
"""

from grevy.evaluation.across import Together, evaluate_across, read_left_out
from grevy.evaluation.agreement import Consistency, consistency
from grevy.evaluation.baselines import linear_map_r2, principal_components, require_umap
from grevy.evaluation.checks import checked_embedding
from grevy.evaluation.decoding.angles import angular_error
from grevy.evaluation.decoding.decoder import DecoderName, Prepared, decode, prepare
from grevy.evaluation.decoding.folds import Folded, decode_folds
from grevy.evaluation.decoding.knn import Metric
from grevy.evaluation.decoding.pairing import Gain, gain
from grevy.evaluation.decoding.result import Decoding
from grevy.evaluation.decoding.scores import (
    MAX_CONFUSED,
    MEASURES,
    DiscreteScores,
    Measure,
    statistic,
)
from grevy.evaluation.folds import CrossFitted, evaluate_folds
from grevy.evaluation.metrics import consistency_metrics, fold_metrics, null_metrics
from grevy.evaluation.moves import FEWEST_NULLS, USUAL_NULLS
from grevy.evaluation.nulls import NullTest, null_test
from grevy.evaluation.scoring import Decoded, Evaluation, evaluate, validation_scores

__all__ = [
    "FEWEST_NULLS",
    "MAX_CONFUSED",
    "MEASURES",
    "USUAL_NULLS",
    "Consistency",
    "CrossFitted",
    "Decoded",
    "DecoderName",
    "Decoding",
    "DiscreteScores",
    "Evaluation",
    "Folded",
    "Gain",
    "Measure",
    "Metric",
    "NullTest",
    "Prepared",
    "Together",
    "angular_error",
    "checked_embedding",
    "consistency",
    "consistency_metrics",
    "decode",
    "decode_folds",
    "evaluate",
    "evaluate_across",
    "evaluate_folds",
    "fold_metrics",
    "gain",
    "linear_map_r2",
    "null_metrics",
    "null_test",
    "prepare",
    "principal_components",
    "read_left_out",
    "require_umap",
    "statistic",
    "validation_scores",
]
