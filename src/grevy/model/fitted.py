"""What a training leaves on an estimator, in one object."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from cebra.data import Offset
from torch import Tensor

from grevy.data import Label, Preparation, Recording
from grevy.model.states import ModelState


@dataclass(frozen=True, eq=False)
class Fitted:
    """All fitted attributes; on the estimator each bears its name with an underscore behind.

    Attributes
    ----------
    model : Module
        A `ModuleList` with one encoder for each recording if there were several.
    solver : cebra.solver.Solver
        Criterion, optimiser and history.
    solver_name, device : str
    offset : cebra.data.Offset
        The receptive field that it was trained with.
    n_features, n_features_in : int or list of int
        N, of each recording if there were several.
    num_sessions : int or None
        None for one recording alone.
    label_types : list
        As `cebra` keeps them.
    seed, n_steps : int
    chance : float
        In nats.
    data_checksum : str or None
    validation : list of (int, float)
        Steps and losses.
    preparations : tuple of Preparation, or None
        How each recording was prepared; None if they were trained on as they were recorded.
    """

    model: Any
    solver: Any
    solver_name: str
    device: str
    offset: Any
    n_features: int | list[int]
    n_features_in: int | list[int]
    num_sessions: int | None
    label_types: list[Any]
    seed: int
    n_steps: int
    chance: float
    data_checksum: str | None
    validation: list[tuple[int, float]]
    preparations: tuple[Preparation, ...] | None

    @staticmethod
    def of(attributes: dict[str, Any]) -> "Fitted":
        """Collect what an estimator's `__dict__` holds; KeyError if it is not fitted."""
        return Fitted(**{each.name: attributes[f"{each.name}_"] for each in fields(Fitted)})

    @property
    def attributes(self) -> dict[str, Any]:
        """By the names that they have on an estimator."""
        return {f"{each.name}_": getattr(self, each.name) for each in fields(self)}

    @property
    def encoders(self) -> tuple[Any, ...]:
        """The model of each recording."""
        return (self.model,) if self.num_sessions is None else tuple(self.model)

    @property
    def receptive_field(self) -> tuple[int, int]:
        """(left, right): a window at t spans [t - left, t + right)."""
        return int(self.offset.left), int(self.offset.right)

    @property
    def state(self) -> ModelState:
        """What training can go on with."""
        several = self.num_sessions is not None
        return ModelState(self.model, self.solver, several, self.device, self.seed)


def fitted_so_far(
    state: ModelState,
    recordings: Sequence[Recording],
    y: Sequence[Any],
    *,
    receptive_field: tuple[int, int],
    n_steps: int,
    chance: float,
    data_checksum: str | None,
    validation: list[tuple[int, float]],
) -> Fitted:
    """Describe a training after `n_steps` steps; the solver learns its sizes."""
    neurons = [recording.n_neurons for recording in recordings]
    solver = state.solver
    solver.n_features = neurons if state.several else neurons[0]
    if state.several:
        solver.num_sessions = len(recordings)
    return Fitted(
        model=state.model,
        solver=solver,
        solver_name=solver._variant_name,
        device=state.device,
        offset=Offset(*receptive_field),
        n_features=solver.n_features,
        n_features_in=solver.n_features,
        num_sessions=len(recordings) if state.several else None,
        label_types=label_types(recordings, y, state.several),
        seed=state.seed,
        n_steps=n_steps,
        chance=chance,
        data_checksum=data_checksum,
        validation=validation,
        preparations=_preparations(recordings),
    )


def _preparations(recordings: Sequence[Recording]) -> tuple[Preparation, ...] | None:
    """Return how recordings were prepared, all of them or none."""
    found = tuple(each.preparation for each in recordings if each.preparation is not None)
    return found or None


def label_types(recordings: Sequence[Recording], y: Sequence[Any], several: bool) -> list[Any]:
    """Describe labels as `cebra` keeps them: (dtype, shape), for each label, for each recording."""

    def describe(values: Any) -> tuple[Any, tuple[int, ...]]:
        if isinstance(values, Tensor):  # `cebra` compares it with the tensor it is given later
            return values.dtype, tuple(values.shape)
        array = values.values if isinstance(values, Label) else np.asarray(values)
        plain = array.dtype if array.dtype.kind in "fi" else np.dtype(np.int64)
        return plain, tuple(array.shape)

    if several:
        given = y or list(zip(*(recording.labels for recording in recordings), strict=True))
        return [[describe(values) for values in label] for label in given]
    return [describe(values) for values in (y or recordings[0].labels)]
