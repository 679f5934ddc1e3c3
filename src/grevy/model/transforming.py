"""What a fitted estimator makes of a recording."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from grevy.data import Recording, make_recording
from grevy.engine import embed, fitting_positions, on_device
from grevy.errors import GrevyError, SessionError
from grevy.model.architectures import subsamples
from grevy.model.fitted import Fitted
from grevy.model.inputs import prepared_for


def transform(
    fitted: Fitted,
    X: Any,
    batch_size: int | None,
    session_id: int | None,
    segments: Any,
    pad: bool,
) -> npt.NDArray[np.float32]:
    """Embed a recording; parameters, shapes and errors as in `CEBRA.transform`.

    `pad` is its `pad_before_transform`.
    """
    whole = isinstance(batch_size, (int, np.integer)) and not isinstance(batch_size, bool)
    if batch_size is not None and not (whole and batch_size >= 1):
        raise GrevyError(
            f"transform: batch_size is {batch_size!r}; expected a whole number of at least 1."
        )
    model = encoder_of(fitted, session_id, "transform")
    recording = _prepared(fitted, X, session_id or 0, segments)
    if recording.n_neurons != model.num_input:
        raise GrevyError(
            f"transform: data of shape {recording.neural.shape} has {recording.n_neurons} "
            f"neurons, the model was trained on {model.num_input}. Give the same neurons, or "
            f"fit(adapt=True) to the new ones."
        )
    if subsamples(model):
        return _subsampled(fitted, model, recording, pad)
    chunk = None if batch_size is None else int(batch_size)
    embedding = embed(
        model,
        recording.neural,
        recording.segments,
        fitted.device,
        chunk,
        fitted.receptive_field,
    )
    if pad:
        return embedding
    return embedding[fitting_positions(recording.segments, *fitted.receptive_field)]


def _prepared(fitted: Fitted, X: Any, number: int, segments: Any) -> Recording:
    """Make what was given a recording, prepared as the one that the encoder was trained on."""
    given = X if isinstance(X, Recording) else None
    if given is not None:
        X, segments = given.neural, given.segments if segments is None else segments
    recording = make_recording(X, segments=segments)
    if given is not None:
        recording = replace(
            recording, sampling_rate=given.sampling_rate, preparation=given.preparation
        )
    return prepared_for(fitted, recording, number)


def encoder_of(fitted: Fitted, session_id: int | None, caller: str) -> nn.Module:
    """Return the encoder of a recording.

    Raises
    ------
    SessionError
        If there are several and none of them was chosen, or there is no such one.
    """
    try:
        fitted.solver._check_is_session_id_valid(session_id=session_id)
    except RuntimeError as error:
        raise SessionError(f"{caller}: {error}") from error
    model: nn.Module = fitted.solver._get_model(session_id)
    return model


def _subsampled(
    fitted: Fitted, model: nn.Module, recording: Recording, pad: bool
) -> npt.NDArray[np.float32]:
    """Embed with a model that gives one row for several steps: all at once, as `cebra` does."""
    name, (left, right) = type(model).__name__, fitted.receptive_field
    if len(recording.segments) > 1:
        raise GrevyError(
            f"transform: {name!r} gives one row for several time steps and would run across the "
            f"borders of segments. Embed each segment by itself."
        )
    padding = (left, right - 1) if pad else (0, 0)
    if len(recording) + sum(padding) < left + right:
        raise GrevyError(
            f"transform: {len(recording)} time steps; {name!r} needs at least {left + right} for "
            f"one window. Give more, or set pad_before_transform=True."
        )
    inputs = on_device(recording.neural, fitted.device, torch.float32).T[None]
    with torch.no_grad():
        output = model.eval()(functional.pad(inputs, padding, "replicate")).cpu()
    embedding: npt.NDArray[np.float32] = output.reshape(output.shape[1], -1).T.numpy()
    return embedding
