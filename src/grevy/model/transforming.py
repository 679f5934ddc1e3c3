"""What a fitted estimator makes of a recording."""

from typing import TYPE_CHECKING, Any

import cebra
import numpy as np
import numpy.typing as npt

from grevy.data import Recording, make_recording
from grevy.engine import EMBED_CHUNK, embed, fitting_positions, receptive_field
from grevy.errors import GrevyError
from grevy.model.architectures import subsamples

if TYPE_CHECKING:
    from grevy.model.estimator import CEBRA


def transform(
    estimator: "CEBRA", X: Any, batch_size: int | None, session_id: int | None, segments: Any
) -> npt.NDArray[np.float32]:
    """Embed a recording; parameters, shapes and errors as in `CEBRA.transform`."""
    if batch_size is not None and batch_size < 1:
        raise GrevyError(f"transform: batch_size is {batch_size}; expected at least 1.")
    try:
        estimator.solver_._check_is_session_id_valid(session_id=session_id)
    except RuntimeError as error:
        raise GrevyError(f"transform: {error}") from error
    if isinstance(X, Recording):
        X, segments = X.neural, X.segments if segments is None else segments
    recording = make_recording(X, segments=segments)
    model = estimator.solver_._get_model(session_id)
    if recording.n_neurons != model.num_input:
        raise GrevyError(
            f"transform: {recording.n_neurons} neurons were given, the model was trained on "
            f"{model.num_input}. Give the same neurons, or fit(adapt=True) to the new ones."
        )
    if subsamples(model):
        if len(recording.segments) > 1:
            raise GrevyError(
                f"transform: {estimator.model_architecture!r} gives one row for several time steps "
                f"and would run across the borders of segments. Embed each segment by itself."
            )
        plain: npt.NDArray[np.float32] = cebra.CEBRA.transform(
            estimator, recording.neural, batch_size, session_id
        )
        return plain
    chunk = EMBED_CHUNK if batch_size is None else int(batch_size)
    embedding = embed(model, recording.neural, recording.segments, estimator.device_, chunk)
    if estimator.pad_before_transform:
        return embedding
    left, right = receptive_field(model)
    return embedding[fitting_positions(recording.segments, left, right)]
