"""The registered models: those that can be trained here, new ones, and what is known of them."""

from typing import NamedTuple

import cebra.models
from torch import nn

from grevy.data import seeded
from grevy.engine import receptive_field
from grevy.errors import GrevyError
from grevy.model.parameters import Parameters, usable_models


def new_model(parameters: Parameters, n_neurons: int) -> nn.Module:
    """Make a model of an architecture; its weights follow from torch's generator.

    Raises
    ------
    GrevyError
        If the architecture is trained with labels as targets, or cannot be made in these sizes.
    """
    name = parameters.model_architecture
    if name not in usable_models():
        raise GrevyError(
            f"model {name!r} is a classifier trained with labels as targets, not by contrast. "
            f"Choose another; `grevy models` lists them."
        )
    try:
        model: nn.Module = cebra.models.init(
            name,
            num_neurons=n_neurons,
            num_units=parameters.num_hidden_units,
            num_output=parameters.output_dimension,
        )
    except (ValueError, RuntimeError, TypeError, AssertionError) as error:
        raise GrevyError(
            f"model {name!r} cannot be made with {n_neurons} neurons, "
            f"{parameters.num_hidden_units} hidden units and {parameters.output_dimension} "
            f"outputs: {error}"
        ) from error
    return model


def model_receptive_field(parameters: Parameters) -> tuple[int, int]:
    """Return (left, right) of the windows that parameters ask for, before there are data."""
    with seeded(0):
        return receptive_field(new_model(parameters, n_neurons=1), parameters.causal)


def subsamples(model: nn.Module) -> bool:
    """Tell whether a model gives one row for several time steps when it runs over a sequence."""
    resamples = isinstance(model, cebra.models.ResampleModelMixin)
    return resamples and isinstance(model, cebra.models.ConvolutionalModelMixin)


def check_one_row_for_each_step(parameters: Parameters, n_neurons: int) -> None:
    """Check that an embedding will have as many rows as the data has time steps.

    Raises
    ------
    GrevyError
        If its architecture subsamples.
    """
    with seeded(0):
        model = new_model(parameters, n_neurons)
    if subsamples(model):
        raise GrevyError(
            f"model {parameters.model_architecture!r} gives one row for several time steps; a run "
            f"needs one for each, to compare with the labels. Choose another, or train this one "
            f"with grevy.CEBRA."
        )


class ModelDescription(NamedTuple):
    """A registered model.

    Attributes
    ----------
    name : str
    receptive_field : int
        W, in steps.
    parameters : int
        How many numbers are trained.
    """

    name: str
    receptive_field: int
    parameters: int


def describe_models(
    n_neurons: int, num_hidden_units: int, output_dimension: int
) -> list[ModelDescription]:
    """Describe every registered model that can be made with these parameters."""
    described = []
    with seeded(0):
        for name in usable_models():
            try:
                model = cebra.models.init(
                    name,
                    num_neurons=n_neurons,
                    num_units=num_hidden_units,
                    num_output=output_dimension,
                )
            except (ValueError, RuntimeError, TypeError, AssertionError):
                continue
            trained = sum(parameter.numel() for parameter in model.parameters())
            described.append(ModelDescription(name, sum(receptive_field(model)), trained))
    return described
