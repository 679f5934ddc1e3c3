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
    Training,
    choose_layout,
    compile_network,
    make_masks,
    make_sampler,
    on_device,
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
    layouts = tuple(
        choose_layout(
            recording.neural.shape, windows // len(models), left + right, model, network, may_pack
        )
        for recording, model, network in zip(recordings, models, networks, strict=True)
    )
    most = windows // len(models) * (left + right)
    encoder = Encoder(
        models,
        networks,
        tuple(_brought(each.neural, most, state.device, dtype) for each in recordings),
        end_to_end(map(len, recordings)),
        left,
        right,
        layouts,
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
