"""From an estimator's parameters and recordings to a `Training`, every mistake named first."""

from grevy.fitting.assembly import make_training
from grevy.fitting.devices import resolve_device
from grevy.fitting.models import (
    ModelDescription,
    check_one_row_for_each_step,
    describe_models,
    model_receptive_field,
    subsamples,
    usable_models,
)
from grevy.fitting.parameters import DTYPES, check_parameters, time_offsets
from grevy.fitting.plan import sampling_plan
from grevy.fitting.states import (
    ModelState,
    adapted_state,
    continued_state,
    fresh_state,
    taken_over,
    without_fused,
)

__all__ = [
    "DTYPES",
    "ModelDescription",
    "ModelState",
    "adapted_state",
    "check_one_row_for_each_step",
    "check_parameters",
    "continued_state",
    "describe_models",
    "fresh_state",
    "make_training",
    "model_receptive_field",
    "resolve_device",
    "sampling_plan",
    "subsamples",
    "taken_over",
    "time_offsets",
    "usable_models",
    "without_fused",
]
