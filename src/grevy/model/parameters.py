"""The parameters of an estimator: which of them, alone and together, make sense."""

from typing import Any

import cebra.models
import numpy as np
import torch

from grevy.engine import HYBRID_DIMENSIONS
from grevy.errors import Problems, unknown
from grevy.model.architectures import usable_models

# Precisions in which a network may compute; weights, loss and optimiser stay in float32.
DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}


def check_parameters(estimator: Any) -> None:
    """Check an estimator's parameters before anything is built.

    Raises
    ------
    GrevyError
        Naming every parameter that is out of range, and the range.
    """
    problems = Problems("parameters")
    if estimator.model_architecture not in cebra.models.get_options():
        raise unknown("model", str(estimator.model_architecture), usable_models())
    choices = {
        "criterion": ("infonce",),
        "distance": ("cosine", "euclidean"),
        "temperature_mode": ("constant", "auto"),
        "optimizer": ("adam",),
        "conditional": (None, "time", "time_delta", "delta_normal", "delta"),
        "prior": (None, "empirical", "uniform"),
        "precision": tuple(DTYPES),
    }
    for name, options in choices.items():
        if getattr(estimator, name) not in options:
            raise unknown(name, str(getattr(estimator, name)), [str(o) for o in options if o])
    whole = {"max_iterations", "max_adapt_iterations", "output_dimension", "num_hidden_units"}
    optional = {"batch_size", "num_negatives"}
    for name in sorted(whole | optional):
        value = getattr(estimator, name)
        if not (value is None and name in optional) and not _is_whole(value, 1):
            problems.add(f"{name} is {value!r}; expected a whole number of at least 1.")
    for name in ("temperature", "learning_rate"):
        if not _is_positive(getattr(estimator, name)):
            problems.add(f"{name} is {getattr(estimator, name)!r}; expected a positive number.")
    if not len(time_offsets(estimator.time_offsets)):
        problems.add("time_offsets is empty; expected at least one whole number.")
    for value in time_offsets(estimator.time_offsets):
        if not _is_whole(value, 1):
            problems.add(f"time_offsets holds {value!r}; expected whole numbers of at least 1.")
    if estimator.seed is not None and not _is_whole(estimator.seed, 0):
        problems.add(f"seed is {estimator.seed!r}; expected a whole number of at least 0.")
    _check_combinations(estimator, problems)
    problems.raise_if_any()


def _check_combinations(estimator: Any, problems: Problems) -> None:
    if estimator.conditional in ("delta_normal", "delta"):
        if not _is_positive(estimator.delta):
            problems.add(
                f"conditional {estimator.conditional!r} needs a positive delta (the standard "
                f"deviation of the label's change); got {estimator.delta!r}."
            )
    elif estimator.delta is not None:
        problems.add(
            f"delta={estimator.delta} has an effect with conditional='delta_normal' only, which is "
            f"{estimator.conditional!r}. Set one or drop the other."
        )
    least = estimator.min_temperature
    if estimator.temperature_mode == "auto" and least is not None:
        if not _is_positive(least):
            problems.add(f"min_temperature is {least!r}; expected a positive number or None.")
        elif _is_positive(estimator.temperature) and estimator.temperature < least:
            problems.add(
                f"temperature {estimator.temperature} is below min_temperature {least}, where it "
                f"cannot be learnt. Raise the one or lower the other."
            )
    if estimator.distance == "cosine" and estimator.output_dimension == 1:
        problems.add(
            "output_dimension=1 with distance='cosine' leaves only the values -1 and 1. Use at "
            "least 2 dimensions, or distance='euclidean' with an '-mse' model."
        )
    if estimator.hybrid and estimator.output_dimension in (1, 2):
        problems.add(
            f"hybrid training gives the label the first {HYBRID_DIMENSIONS} dimensions, but "
            f"output_dimension is {estimator.output_dimension}. Use at least {HYBRID_DIMENSIONS}."
        )


def _is_whole(value: Any, least: int) -> bool:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return whole and value >= least


def _is_positive(value: Any) -> bool:
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return number and bool(np.isfinite(value)) and value > 0


def time_offsets(value: Any) -> tuple[Any, ...]:
    """Return the offsets as a tuple, whether one or several were given."""
    return tuple(value) if isinstance(value, (tuple, list, np.ndarray)) else (value,)
