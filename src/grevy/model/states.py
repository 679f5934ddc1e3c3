"""The three beginnings of a training: a new model, a model for other neurons, a model as it is."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cebra.models
import cebra.solver
import torch
from torch import nn

from grevy.data import Recording, seeded
from grevy.engine import Adam, resolve_device, weights_seed
from grevy.errors import GrevyError, UnsupportedError
from grevy.model.architectures import new_model
from grevy.model.parameters import Parameters


@dataclass(frozen=True, eq=False)
class ModelState:
    """A model and all that training has made of it.

    Attributes
    ----------
    model : Module
        A `ModuleList` with one encoder for each recording if `several`.
    solver : cebra.solver.Solver
        Holds criterion, optimiser and history in the form that `cebra` saves and plots.
    several : bool
    device : str
    seed : int
    """

    model: Any
    solver: Any
    several: bool
    device: str
    seed: int


def fresh_state(
    parameters: Parameters, recordings: Sequence[Recording], several: bool, seed: int
) -> ModelState:
    """Make a new model, criterion, optimiser and solver; weights follow from the seed."""
    device = resolve_device(parameters.device)
    with seeded(weights_seed(seed)):
        models = [new_model(parameters, recording.n_neurons) for recording in recordings]
        criterion = _new_criterion(parameters).to(device)
    model = (nn.ModuleList(models) if several else models[0]).to(device)
    try:
        optimizer = Adam(
            itertools.chain(model.parameters(), criterion.parameters()),
            lr=parameters.learning_rate,
            **dict(parameters.optimizer_kwargs),
        )
    except (TypeError, ValueError, RuntimeError) as error:
        raise GrevyError(
            f"optimizer_kwargs is {parameters.optimizer_kwargs!r}; expected pairs of a name and a "
            f"value that torch.optim.Adam takes: {error}"
        ) from error
    name = "multi-session" if several else "single-session"
    extra: dict[str, Any] = {}
    if parameters.hybrid and not several:
        name, extra = "single-session-hybrid", {"ignore_deprecation_warning": True}
    elif parameters.batch_size is None and not several:
        name = "single-session-full"
    solver = cebra.solver.init(
        name, model=model, criterion=criterion, optimizer=optimizer, tqdm_on=False, **extra
    )
    solver.to(device)  # of "cuda:1" it had taken "cuda", and moved the model to the first GPU
    return ModelState(model, solver, several, device, seed)


def adapted_state(
    parameters: Parameters, fitted: ModelState, recordings: Sequence[Recording], several: bool
) -> ModelState:
    """Give a fitted model a new first layer, for other neurons, and freeze the rest.

    Of a list of recordings, of which the model knows all but the last, the last one gets an encoder
    of its own, and the others keep theirs: see `_extended_state`.

    Raises
    ------
    UnsupportedError
        If the model has several recordings, and the data is not these and one more.
    """
    if several:
        return _extended_state(parameters, fitted, recordings)
    if fitted.several:
        raise UnsupportedError(
            f"fit(adapt=True): the model is multisession, of {len(fitted.model)} recordings, and "
            f"one alone does not say where its place beside them is. Give a list of all of them, "
            f"and the new one last."
        )
    state = fresh_state(parameters, recordings, several, fitted.seed)
    trained = list(fitted.model.state_dict().items())
    kept = dict(trained[2:])  # all but the weight and the bias of the first layer
    state.model.load_state_dict(kept, strict=False)
    for name, parameter in state.model.named_parameters():
        parameter.requires_grad_(name not in kept)
    return state


def _extended_state(
    parameters: Parameters, fitted: ModelState, recordings: Sequence[Recording]
) -> ModelState:
    """Add an encoder for the last recording; those of the others are kept, and frozen.

    The new encoder is trained to meet the others, which do not move: what one step draws from them
    shows it where its place is.
    """
    encoders = list(fitted.model) if fitted.several else [fitted.model]
    neurons = fitted.solver.n_features
    known, given = neurons if fitted.several else [neurons], [each.n_neurons for each in recordings]
    if given[:-1] != list(known):
        raise UnsupportedError(
            f"fit(adapt=True): this model is of {len(known)} recordings (multisession or not) of "
            f"{', '.join(map(str, known))} neurons, and this data of {len(given)} of "
            f"{', '.join(map(str, given))}. Give the model's recordings, and a new one last."
        )
    state = fresh_state(parameters, recordings, True, fitted.seed)
    for encoder, trained in zip(state.model, encoders, strict=False):
        encoder.load_state_dict(trained.state_dict())
        encoder.requires_grad_(False)
    state.solver.criterion.load_state_dict(fitted.solver.criterion.state_dict())
    return state


def continued_state(
    parameters: Parameters, fitted: ModelState, recordings: Sequence[Recording], several: bool
) -> ModelState:
    """Take up a fitted model and its optimiser, to train on with the learning rate set now.

    Raises
    ------
    GrevyError
        If the number of neurons is another, or a parameter was changed that made the model.
    """
    given = [recording.n_neurons for recording in recordings]
    trained = fitted.solver.n_features
    if trained != (given if several else given[0]):
        raise GrevyError(
            f"partial_fit: the model was trained on {trained} neurons, this data has {given}. Give "
            f"the same neurons, or use fit(adapt=True)."
        )
    with seeded(0):  # their weights are not looked at
        models = [new_model(parameters, n_neurons) for n_neurons in given]
    solver = fitted.solver
    asked = _made_of(models, _new_criterion(parameters))
    if asked != _made_of(fitted.model if several else [fitted.model], solver.criterion):
        raise GrevyError(
            "partial_fit: a parameter that made the model or the loss (its architecture, a number "
            "of units or dimensions, the distance, the temperature) was changed after fit. Set it "
            "back, or call fit."
        )
    for group in solver.optimizer.param_groups:
        group["lr"] = parameters.learning_rate
    return fitted


def _new_criterion(parameters: Parameters) -> nn.Module:
    """Make one of `cebra`'s InfoNCE criteria."""
    euclidean = parameters.distance == "euclidean"
    criterion: nn.Module
    if parameters.temperature_mode == "constant":
        fixed = cebra.models.FixedEuclideanInfoNCE if euclidean else cebra.models.FixedCosineInfoNCE
        criterion = fixed(temperature=parameters.temperature)
    else:
        learnt = (
            cebra.models.LearnableEuclideanInfoNCE
            if euclidean
            else cebra.models.LearnableCosineInfoNCE
        )
        criterion = learnt(parameters.temperature, parameters.min_temperature)
    return criterion


def _made_of(models: Sequence[nn.Module] | nn.ModuleList, criterion: Any) -> list[Any]:
    """Describe models and a criterion by what cannot change in training."""
    shapes = [[tuple(p.shape) for p in model.parameters()] for model in models]
    learnt = any(True for _ in criterion.parameters())
    temperature = None if learnt else float(criterion.temperature)
    return [[type(model) for model in models], shapes, type(criterion), temperature]


def taken_over(optimizer: torch.optim.Optimizer) -> Adam:
    """Return our Adam with the parameters and the state of torch's, which may come from a file."""
    for group in optimizer.param_groups:
        group.update(fused=True, foreach=None)
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            for name, value in state.items():
                dtype = torch.float32 if name == "step" else parameter.dtype
                state[name] = torch.as_tensor(value, dtype=dtype, device=parameter.device)
    ours = Adam([dict(group) for group in optimizer.param_groups])
    ours.state.update(optimizer.state)
    return ours


def without_fused(state: dict[str, Any]) -> dict[str, Any]:
    """Return an optimiser's state as any Adam takes it."""
    groups = [{**group, "fused": None} for group in state["param_groups"]]
    return {**state, "param_groups": groups}
