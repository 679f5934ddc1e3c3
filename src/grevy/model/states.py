"""The three beginnings of a training: a new model, a model for other neurons, a model as it is."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cebra.solver
import torch
from torch import nn

from grevy.data import Recording
from grevy.engine import Adam, resolve_device, weights_seed
from grevy.errors import GrevyError
from grevy.model.architectures import new_model


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
    estimator: Any, recordings: Sequence[Recording], several: bool, seed: int
) -> ModelState:
    """Make a new model, criterion, optimiser and solver; weights follow from the seed."""
    device = resolve_device(estimator.device)
    with torch.random.fork_rng():
        torch.manual_seed(weights_seed(seed))
        models = [new_model(estimator, recording.n_neurons) for recording in recordings]
    model = (nn.ModuleList(models) if several else models[0]).to(device)
    criterion = estimator._prepare_criterion().to(device)
    try:
        optimizer = Adam(
            itertools.chain(model.parameters(), criterion.parameters()),
            lr=estimator.learning_rate,
            **dict(estimator.optimizer_kwargs),
        )
    except (TypeError, ValueError, RuntimeError) as error:
        raise GrevyError(
            f"optimizer_kwargs is {estimator.optimizer_kwargs!r}; expected pairs of a name and a "
            f"value that torch.optim.Adam takes: {error}"
        ) from error
    name = "multi-session" if several else "single-session"
    extra: dict[str, Any] = {}
    if estimator.hybrid and not several:
        name, extra = "single-session-hybrid", {"ignore_deprecation_warning": True}
    elif estimator.batch_size is None and not several:
        name = "single-session-full"
    solver = cebra.solver.init(
        name, model=model, criterion=criterion, optimizer=optimizer, tqdm_on=False, **extra
    )
    return ModelState(model, solver, several, device, seed)


def adapted_state(estimator: Any, recordings: Sequence[Recording], several: bool) -> ModelState:
    """Give a fitted model a new first layer, for other neurons, and freeze the rest.

    Raises
    ------
    GrevyError
        If the model or the data has several recordings.
    """
    if several or isinstance(estimator.model_, nn.ModuleList):
        raise GrevyError(
            "fit(adapt=True) goes from one recording to one other; this model or this data has "
            "several. Fit a new model to all recordings instead."
        )
    state = fresh_state(estimator, recordings, several, estimator.seed_)
    trained = list(estimator.model_.state_dict().items())
    kept = dict(trained[2:])  # all but the weight and the bias of the first layer
    state.model.load_state_dict(kept, strict=False)
    for name, parameter in state.model.named_parameters():
        parameter.requires_grad_(name not in kept)
    return state


def continued_state(estimator: Any, recordings: Sequence[Recording], several: bool) -> ModelState:
    """Take up a fitted model and its optimiser, to train on with the learning rate set now.

    Raises
    ------
    GrevyError
        If the number of neurons is another, or a parameter was changed that made the model.
    """
    given = [recording.n_neurons for recording in recordings]
    if estimator.n_features_in_ != (given if several else given[0]):
        raise GrevyError(
            f"partial_fit: the model was trained on {estimator.n_features_in_} neurons, this data "
            f"has {given}. Give the same neurons, or use fit(adapt=True)."
        )
    with torch.random.fork_rng():
        models = [new_model(estimator, n_neurons) for n_neurons in given]
    asked = _made_of(models, estimator._prepare_criterion())
    solver = estimator.solver_
    if asked != _made_of(estimator.model_ if several else [estimator.model_], solver.criterion):
        raise GrevyError(
            "partial_fit: a parameter that made the model or the loss (its architecture, a number "
            "of units or dimensions, the distance, the temperature) was changed after fit. Set it "
            "back, or call fit."
        )
    for group in solver.optimizer.param_groups:
        group["lr"] = estimator.learning_rate
    return ModelState(estimator.model_, solver, several, estimator.device_, estimator.seed_)


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
            if "step" in state:
                state["step"] = torch.as_tensor(
                    state["step"], dtype=torch.float32, device=parameter.device
                )
    ours = Adam([dict(group) for group in optimizer.param_groups])
    ours.state.update(optimizer.state)
    return ours


def without_fused(state: dict[str, Any]) -> dict[str, Any]:
    """Return an optimiser's state as any Adam takes it."""
    groups = [{**group, "fused": None} for group in state["param_groups"]]
    return {**state, "param_groups": groups}
