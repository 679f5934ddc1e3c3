"""`grevy.CEBRA`: the estimator made, fitted, applied and kept."""

from grevy.model.architectures import (
    check_one_row_for_each_step,
    describe_models,
    model_receptive_field,
)
from grevy.model.checkpoints import Checkpoints
from grevy.model.estimator import CEBRA
from grevy.model.goodness import goodness_metrics, goodness_of_fit, heldout_goodness_of_fit
from grevy.model.inputs import gather_recordings, prepared_alike
from grevy.model.live import Stream
from grevy.model.onnx import write_onnx
from grevy.model.parameters import Parameters, check_parameters, usable_models
from grevy.model.plan import sampling_plan
from grevy.model.replicates import fit_replicates
from grevy.model.validation import Validation

__all__ = [
    "CEBRA",
    "Checkpoints",
    "Parameters",
    "Stream",
    "Validation",
    "check_one_row_for_each_step",
    "check_parameters",
    "describe_models",
    "fit_replicates",
    "gather_recordings",
    "goodness_metrics",
    "goodness_of_fit",
    "heldout_goodness_of_fit",
    "model_receptive_field",
    "prepared_alike",
    "sampling_plan",
    "usable_models",
    "write_onnx",
]
