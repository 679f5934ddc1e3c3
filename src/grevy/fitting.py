"""From an estimator's parameters and recordings to a `Training`, every mistake named first."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cebra.models
import cebra.solver
import numpy as np
import torch
from torch import Tensor, nn

from grevy.adam import Adam
from grevy.encoding import Encoder, choose_layout, receptive_field
from grevy.errors import GrevyError, Problems, unknown
from grevy.layers import compile_network
from grevy.masking import make_masks
from grevy.recording import Array, Recording
from grevy.sampling import Conditional, SamplingPlan, make_sampler
from grevy.training import HYBRID_DIMENSIONS, Training, weights_seed


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


def usable_models() -> list[str]:
    """List the registered models that contrastive learning can train."""
    return [name for name in cebra.models.get_options() if "supervised" not in name]


def resolve_device(name: str) -> str:
    """Return a torch device that exists here.

    Parameters
    ----------
    name : str
        ``"auto"`` and ``"cuda_if_available"`` take a GPU if there is one.

    Raises
    ------
    GrevyError
        If the device is unknown or absent.
    """
    automatic = name in ("auto", "cuda_if_available")
    if automatic:
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, number = str(name).partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not (kind == "cuda" and number.isdigit())):
        raise unknown("device", str(name), ["auto", "cpu", "cuda", "cuda:0", "mps"])
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(number or 0) >= count:
            raise GrevyError(
                f"device {name!r}: this machine has {count} CUDA device(s) that torch can use. "
                f"Use 'cpu', or 'auto' to take what is there."
            )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise GrevyError("device 'mps' is not available here. Use 'cpu' or 'auto'.")
    return str(name)


def sampling_plan(estimator: Any, recordings: Sequence[Recording]) -> SamplingPlan:
    """Decide what is drawn from the parameters and the kinds of labels at hand.

    Raises
    ------
    GrevyError
        If the parameters ask for a label that is not there, or make no sense with these.
    """
    kinds = {label.kind for label in recordings[0].labels}
    has_classes, has_numbers = "discrete" in kinds, bool(kinds - {"discrete"})
    asked: Conditional | None = estimator.conditional
    if estimator.conditional == "delta":
        asked = "delta_normal"
    if not kinds and asked not in (None, "time"):
        raise GrevyError(
            f"conditional={asked!r} needs a label, and none was given. Give one, or use "
            f"conditional='time'."
        )
    if not kinds and estimator.hybrid:
        raise GrevyError("hybrid training joins a label with time, and no label was given.")
    if asked == "delta_normal" and not has_numbers:
        raise GrevyError(
            "conditional='delta_normal' needs a continuous or circular label; discrete ones have "
            "no nearness. Drop it: positives then share the class."
        )
    conditional: Conditional = asked or ("time_delta" if kinds else "time")
    if conditional == "time_delta" and not has_numbers:
        conditional = "discrete"
    if len(recordings) > 1 and conditional == "time":
        raise GrevyError(
            "several recordings are aligned through their labels; conditional='time' (or no label) "
            "would leave their embeddings unrelated. Give labels, or fit each recording alone."
        )
    if estimator.batch_size is None and estimator.prior == "uniform":
        raise GrevyError(
            "prior='uniform' draws classes equally often, but batch_size=None takes every time "
            "step once. Give a batch size, or drop the prior."
        )
    if estimator.prior == "uniform" and not has_classes:
        raise GrevyError(
            "prior='uniform' draws classes equally often, but there is no discrete label. Give "
            "one, or drop the prior."
        )
    mixed = has_classes and has_numbers and estimator.batch_size is not None
    return SamplingPlan(
        conditional=conditional,
        time_offsets=tuple(int(k) for k in time_offsets(estimator.time_offsets)),
        delta=estimator.delta,
        prior=estimator.prior or ("uniform" if mixed else "empirical"),
        batch_size=estimator.batch_size,
        num_negatives=estimator.num_negatives,
        hybrid=bool(estimator.hybrid),
    )


def fresh_state(
    estimator: Any, recordings: Sequence[Recording], several: bool, seed: int
) -> ModelState:
    """Make a new model, criterion, optimiser and solver; weights follow from the seed."""
    device = resolve_device(estimator.device)
    with torch.random.fork_rng():
        torch.manual_seed(weights_seed(seed))
        models = [_new_model(estimator, recording.n_neurons) for recording in recordings]
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


def use_fused(optimizer: torch.optim.Optimizer) -> None:
    """Make Adam take its step in one kernel; its state may come from a file."""
    for group in optimizer.param_groups:
        group.update(fused=True, foreach=None)
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            if "step" in state:
                state["step"] = torch.as_tensor(
                    state["step"], dtype=torch.float32, device=parameter.device
                )


def without_fused(state: dict[str, Any]) -> dict[str, Any]:
    """Return an optimiser's state as any Adam takes it."""
    groups = [{**group, "fused": None} for group in state["param_groups"]]
    return {**state, "param_groups": groups}


def _new_model(estimator: Any, n_neurons: int) -> nn.Module:
    name = estimator.model_architecture
    if name not in usable_models():
        raise GrevyError(
            f"model {name!r} is a classifier trained with labels as targets, not by contrast. "
            f"Choose another; `grevy models` lists them."
        )
    try:
        model: nn.Module = cebra.models.init(
            name,
            num_neurons=n_neurons,
            num_units=estimator.num_hidden_units,
            num_output=estimator.output_dimension,
        )
    except (ValueError, RuntimeError, TypeError, AssertionError) as error:
        raise GrevyError(
            f"model {name!r} cannot be made with {n_neurons} neurons, "
            f"{estimator.num_hidden_units} hidden units and {estimator.output_dimension} outputs: "
            f"{error}"
        ) from error
    return model


def model_receptive_field(estimator: Any) -> tuple[int, int]:
    """Return (left, right) of an estimator's architecture, before there are data."""
    with torch.random.fork_rng():
        return receptive_field(_new_model(estimator, n_neurons=1))


def subsamples(model: nn.Module) -> bool:
    """Tell whether a model gives one row for several time steps when it runs over a sequence."""
    resamples = isinstance(model, cebra.models.ResampleModelMixin)
    return resamples and isinstance(model, cebra.models.ConvolutionalModelMixin)


def check_one_row_for_each_step(estimator: Any, n_neurons: int) -> None:
    """Check that an estimator's embedding will have as many rows as the data has time steps.

    Raises
    ------
    GrevyError
        If its architecture subsamples.
    """
    with torch.random.fork_rng():
        model = _new_model(estimator, n_neurons)
    if subsamples(model):
        raise GrevyError(
            f"model {estimator.model_architecture!r} gives one row for several time steps; a run "
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
    """Describe every registered model that can be made with these sizes."""
    described = []
    with torch.random.fork_rng():
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
            parameters = sum(parameter.numel() for parameter in model.parameters())
            described.append(ModelDescription(name, sum(receptive_field(model)), parameters))
    return described


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
        models = [_new_model(estimator, n_neurons) for n_neurons in given]
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


def make_training(estimator: Any, state: ModelState, recordings: Sequence[Recording]) -> Training:
    """Bring data, model and sampler together."""
    models = tuple(state.model) if state.several else (state.model,)
    left, right = receptive_field(models[0])
    plan = sampling_plan(estimator, recordings)
    sampler = make_sampler(recordings, left, right, plan)
    windows = (2 + plan.hybrid) * sampler.n_references + sampler.n_negatives
    dtype = DTYPES[estimator.precision]
    networks = tuple(compile_network(model, dtype) for model in models)
    if dtype != torch.float32 and (None in networks or estimator.masking_kwargs):
        raise GrevyError(
            f"precision {estimator.precision!r} needs a model of convolutions and linear layers "
            f"without dropout, and no masking. Use precision='float32', or another model."
        )
    may_pack = torch.device(state.device).type == "cpu"
    layouts = tuple(
        choose_layout(
            recording.neural.shape, windows // len(models), left + right, model, network, may_pack
        )
        for recording, model, network in zip(recordings, models, networks, strict=True)
    )
    encoder = Encoder(
        models,
        networks,
        tuple(_on_device(recording.neural, state.device, dtype) for recording in recordings),
        np.cumsum([0, *(len(recording) for recording in recordings)]),
        left,
        right,
        layouts,
    )
    return Training(
        encoder,
        sampler,
        state.solver.criterion,
        state.solver.optimizer,
        estimator.distance,
        state.seed,
        make_masks(estimator.masking_kwargs),
    )


def _on_device(neural: Array, device: str, dtype: torch.dtype) -> Tensor:
    array = np.ascontiguousarray(neural, np.float32)
    if (
        not array.flags.writeable
    ):  # torch would warn, and a memory map would be read again and again
        array = array.copy()
    return torch.from_numpy(array).to(device, dtype)
