"""The parameters of an estimator: which of them, alone and together, make sense."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import cebra.models
import numpy as np
import torch

from grevy.engine import HYBRID_DIMENSIONS, Conditional, Distance, PriorKind
from grevy.errors import GrevyError, Problems, UnsupportedError, WrongTypeError, unknown

# Precisions in which a network may compute; weights, loss and optimiser stay in float32.
DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Parameters:
    """What an estimator was asked for, checked; the meaning of each stands at `grevy.CEBRA`.

    Attributes
    ----------
    conditional : str or None
        "delta" is "delta_normal" by another name, and is called that here.
    time_offsets : tuple of int
        However they were spelt.
    given : dict
        All of them as they were given, to be kept in files.
    """

    model_architecture: str
    device: str
    criterion: str
    distance: Distance
    conditional: Conditional | None
    temperature: float
    temperature_mode: Literal["constant", "auto"]
    min_temperature: float | None
    time_offsets: tuple[int, ...]
    delta: float | None
    max_iterations: int
    max_adapt_iterations: int
    batch_size: int | None
    learning_rate: float
    optimizer: str
    output_dimension: int
    verbose: bool
    num_hidden_units: int
    pad_before_transform: bool
    hybrid: bool
    optimizer_kwargs: Any
    masking_kwargs: Any
    seed: int | None
    prior: PriorKind | None
    num_negatives: int | None
    precision: Literal["float32", "bf16"]
    causal: bool
    pad_short: bool
    given: Mapping[str, Any] = field(repr=False)


def usable_models() -> list[str]:
    """List the registered models that contrastive learning can train."""
    return [name for name in cebra.models.get_options() if "supervised" not in name]


def check_parameters(given: Mapping[str, Any]) -> Parameters:
    """Check an estimator's parameters before anything is built.

    Parameters
    ----------
    given : mapping
        By the name of the constructor's argument.

    Raises
    ------
    GrevyError
        Naming every parameter that is out of range, and the range.
    """
    problems = Problems("parameters")
    if given["model_architecture"] not in cebra.models.get_options():
        raise unknown("model", str(given["model_architecture"]), usable_models())
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
        if given[name] not in options:
            kind = UnsupportedError if name == "optimizer" else GrevyError
            raise unknown(name, str(given[name]), [str(o) for o in options if o], kind)
    whole = {"max_iterations", "max_adapt_iterations", "output_dimension", "num_hidden_units"}
    optional = {"batch_size", "num_negatives"}
    for name in sorted(whole | optional):
        value = given[name]
        if not (value is None and name in optional) and not _is_whole(value, 1):
            problems.add(f"{name} is {value!r}; expected a whole number of at least 1.")
    for name in ("temperature", "learning_rate"):
        if not _is_positive(given[name]):
            problems.add(f"{name} is {given[name]!r}; expected a positive number.")
    offsets = time_offsets(given["time_offsets"])
    if not offsets:
        problems.add("time_offsets is empty; expected at least one whole number.")
    for value in offsets:
        if not _is_whole(value, 1):
            problems.add(
                f"time_offsets holds {value!r}; expected whole numbers of at least 1.",
                GrevyError if isinstance(value, (int, np.integer)) else WrongTypeError,
            )
    if given["seed"] is not None and not _is_whole(given["seed"], 0):
        problems.add(f"seed is {given['seed']!r}; expected a whole number of at least 0.")
    _check_combinations(given, problems)
    problems.raise_if_any()
    own = {each.name: given[each.name] for each in fields(Parameters) if each.name != "given"}
    own["time_offsets"] = tuple(int(k) for k in offsets)
    if own["conditional"] == "delta":
        own["conditional"] = "delta_normal"
    return Parameters(**own, given=dict(given))


def _check_combinations(given: Mapping[str, Any], problems: Problems) -> None:
    if given["conditional"] in ("delta_normal", "delta"):
        if not _is_positive(given["delta"]):
            problems.add(
                f"conditional {given['conditional']!r} needs a positive delta (the standard "
                f"deviation of the label's change); got {given['delta']!r}."
            )
    elif given["delta"] is not None:
        problems.add(
            f"delta={given['delta']} has an effect with conditional='delta_normal' only, which is "
            f"{given['conditional']!r}. Set one or drop the other."
        )
    least, temperature = given["min_temperature"], given["temperature"]
    if given["temperature_mode"] == "auto" and least is not None:
        if not _is_positive(least):
            problems.add(f"min_temperature is {least!r}; expected a positive number or None.")
        elif _is_positive(temperature) and temperature < least:
            problems.add(
                f"temperature {temperature} is below min_temperature {least}, where it cannot be "
                f"learnt. Raise the one or lower the other."
            )
    dimension = given["output_dimension"]
    if given["distance"] == "cosine" and dimension == 1:
        problems.add(
            "output_dimension=1 with distance='cosine' leaves only the values -1 and 1. Use at "
            "least 2 dimensions, or distance='euclidean' with an '-mse' model."
        )
    if given["hybrid"] and dimension in (1, 2):
        problems.add(
            f"hybrid training gives the label the first {HYBRID_DIMENSIONS} dimensions, but "
            f"output_dimension is {dimension}. Use at least {HYBRID_DIMENSIONS}."
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
