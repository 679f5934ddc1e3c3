"""All that is said about an embedding: scores beside baselines and nulls, ready for JSON."""

from grevy.evaluation.folds import evaluate_folds
from grevy.evaluation.heldout import goodness_metrics, restricted
from grevy.evaluation.plain import consistency_metrics, fold_metrics, null_metrics
from grevy.evaluation.scoring import Decoded, Evaluation, evaluate
from grevy.fit_quality import TAIL_FRACTION, TAIL_STEPS, goodness_of_fit

__all__ = [
    "TAIL_FRACTION",
    "TAIL_STEPS",
    "Decoded",
    "Evaluation",
    "consistency_metrics",
    "evaluate",
    "evaluate_folds",
    "fold_metrics",
    "goodness_metrics",
    "goodness_of_fit",
    "null_metrics",
    "restricted",
]
