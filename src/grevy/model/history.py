"""Beside the steps of a training: callback, checkpoints, history, and the attributes it leaves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grevy.data import Label, Recording
from grevy.model.states import ModelState


def loss_of(record: Tensor) -> float:
    """Return the total loss of a step's record."""
    return float(record[0])


def keep_history(solver: Any, pending: list[Tensor]) -> None:
    """Move records into the solver's history, where `cebra`'s plots look; empties `pending`."""
    if not pending:
        return
    rows = torch.stack(pending).cpu().tolist()
    pending.clear()
    solver.history.extend(row[0] for row in rows)
    for column, name in enumerate(("total", "pos", "neg", "temperature")):
        solver.log[name].extend(row[column] for row in rows)


def cut_history(solver: Any, steps: int) -> None:
    """Forget what was recorded after `steps` steps, if the model was put back."""
    del solver.history[steps:]
    for values in solver.log.values():
        del values[steps:]


def fitted_attributes(
    state: ModelState, recordings: Sequence[Recording], y: Sequence[Any], n_steps: int
) -> dict[str, Any]:
    """Return the attributes that `cebra` sets after training; the solver learns its sizes."""
    neurons = [recording.n_neurons for recording in recordings]
    solver = state.solver
    solver.n_features = neurons if state.several else neurons[0]
    if state.several:
        solver.num_sessions = len(recordings)
    return {
        "model_": state.model,
        "solver_": solver,
        "solver_name_": solver._variant_name,
        "device_": state.device,
        "offset_": (state.model[0] if state.several else state.model).get_offset(),
        "n_features_": solver.n_features,
        "n_features_in_": solver.n_features,
        "num_sessions_": len(recordings) if state.several else None,
        "label_types_": label_types(recordings, y, state.several),
        "seed_": state.seed,
        "n_steps_": n_steps,
    }


def label_types(recordings: Sequence[Recording], y: Sequence[Any], several: bool) -> list[Any]:
    """Describe labels as `cebra` keeps them: (dtype, shape), for each label, for each recording."""

    def describe(values: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
        array = values.values if isinstance(values, Label) else np.asarray(values)
        plain = array.dtype if array.dtype.kind in "fi" else np.dtype(np.int64)
        return plain, tuple(array.shape)

    if several:
        given = y or list(zip(*(recording.labels for recording in recordings), strict=True))
        return [[describe(values) for values in label] for label in given]
    return [describe(values) for values in (y or recordings[0].labels)]
