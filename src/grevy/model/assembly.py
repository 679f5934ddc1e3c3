"""A model, data and parameters, put together into a `Training`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grevy.data import Recording, Stored, end_to_end, is_large
from grevy.engine import (
    Encoder,
    OnDemand,
    Padding,
    SamplingPlan,
    Training,
    choose_layout,
    compile_network,
    make_masks,
    make_sampler,
    on_device,
    pad_segments,
    receptive_field,
)
from grevy.errors import GrevyError
from grevy.model.parameters import DTYPES, Parameters
from grevy.model.plan import sampling_plan
from grevy.model.states import ModelState


def make_training(
    parameters: Parameters, state: ModelState, recordings: Sequence[Recording]
) -> Training:
    """Bring data, model and sampler together."""
    models = tuple(state.model) if state.several else (state.model,)
    left, right = receptive_field(models[0], parameters.causal)
    plan = sampling_plan(parameters, recordings)
    sampler = make_sampler(recordings, left, right, plan)
    windows = (2 + plan.hybrid) * sampler.n_references + sampler.n_negatives
    dtype = DTYPES[parameters.precision]
    networks = tuple(compile_network(model, dtype) for model in models)
    if dtype != torch.float32 and (None in networks or parameters.masking_kwargs):
        raise GrevyError(
            f"precision {parameters.precision!r} needs a model of convolutions and linear layers "
            f"without dropout, and no masking. Use precision='float32', or another model."
        )
    may_pack = torch.device(state.device).type == "cpu"
    padded = [_padded(each, left, right, plan) for each in recordings]
    layouts = tuple(
        choose_layout(neural.shape, windows // len(models), left + right, model, network, may_pack)
        for (neural, _), model, network in zip(padded, models, networks, strict=True)
    )
    most = windows // len(models) * (left + right)
    encoder = Encoder(
        models,
        networks,
        tuple(_brought(neural, most, state.device, dtype) for neural, _ in padded),
        end_to_end(map(len, recordings)),
        left,
        right,
        layouts,
        tuple(padding for _, padding in padded),
    )
    return Training(
        encoder,
        sampler,
        state.solver.criterion,
        state.solver.optimizer,
        parameters.distance,
        state.seed,
        make_masks(parameters.masking_kwargs),
    )


def _padded(
    recording: Recording, left: int, right: int, plan: SamplingPlan
) -> tuple[Any, Padding | None]:
    """Return the neural data of a recording, behind it what is padded.

    Raises
    ------
    GrevyError
        If there is something to pad, and the recording is not held in memory.
    """
    short = plan.short(recording.segments, left + right)
    if not len(short):
        return recording.neural, None
    if is_large(recording.neural) and isinstance(recording.neural, np.memmap | Stored):
        raise GrevyError(
            f"pad_short=True: {recording.source} is larger than memory and read step by "
            f"step, so that its {len(short)} short segments cannot be padded. Drop it, or use a "
            f"model with a shorter receptive field."
        )
    return pad_segments(recording.neural, short, left, right)


def _brought(neural: Any, most: int, device: str, dtype: torch.dtype) -> Tensor | OnDemand:
    """Bring neural data to a device, or what is stored and large step by step.

    Parameters
    ----------
    neural : array or Stored
    most : int
        Steps that the windows of a batch hold, at most.
    device : str
    dtype : torch.dtype
    """
    if is_large(neural) and isinstance(neural, np.memmap | Stored):
        stored = neural if isinstance(neural, Stored) else Stored(neural)
        return OnDemand.made(stored.laid_flat(), min(most, len(stored)), device, dtype)
    return on_device(neural, device, dtype)
