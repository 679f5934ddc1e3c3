"""Trainings that differ in their seed alone."""

from collections.abc import Sequence
from typing import Any

import torch
from sklearn.base import clone

from grevy.model.estimator import CEBRA
from grevy.model.fitting import train
from grevy.model.inputs import gather_recordings
from grevy.model.states import fresh_state
from grevy.model.tasks import Task
from grevy.model.validation import Validation


@torch.inference_mode(False)  # nor without gradients, whatever the caller is in
def fit_replicates(
    estimator: CEBRA, X: Any, seeds: Sequence[int], validation: Validation | None = None
) -> list[CEBRA]:
    """Fit copies of an estimator to the same recordings, each with its own seed.

    Parameters
    ----------
    estimator : CEBRA
        Gives the parameters; it is left as it is.
    X : Recording or list of Recording
        With their labels.
    seeds : sequence of int
    validation : Validation, optional
        As in `CEBRA.fit`.

    Returns
    -------
    list of CEBRA
        One for each seed, the same as its own `fit` would give.

    Raises
    ------
    GrevyError
        As `CEBRA.fit`.
    DivergedError
        If the loss of one of them is no longer finite.
    """
    recordings, several = gather_recordings(X, (), None)
    copies = [clone(estimator).set_params(seed=seed, verbose=False) for seed in seeds]
    tasks = []
    for copy, seed in zip(copies, seeds, strict=True):
        own = copy.parameters
        state = fresh_state(own, recordings, several, seed)
        steps = own.max_iterations
        tasks.append(Task(own, state, recordings, (), 0, steps, validation=validation))
    train(tasks, [copy.take_up for copy in copies])
    return copies
