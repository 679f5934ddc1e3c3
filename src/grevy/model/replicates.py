"""Trainings that differ in their seed alone: on a GPU side by side, else one after the other.

A step of one small encoder leaves most of a GPU idle. Steps of several, each asked for on a stream
of its own, overlap there. A processor's cores are busy with one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from sklearn.base import clone
from torch import Tensor

from grevy.engine import Training, compile_network, interruptible, run
from grevy.model.assembly import make_training
from grevy.model.history import fitted_attributes, keep_history
from grevy.model.inputs import gather_recordings
from grevy.model.parameters import DTYPES, check_parameters
from grevy.model.states import ModelState, fresh_state


def fit_replicates(estimator: Any, X: Any, seeds: Sequence[int]) -> list[Any]:
    """Fit copies of an estimator to the same recordings, each with its own seed.

    Parameters
    ----------
    estimator : CEBRA
        Gives the parameters; it is left as it is.
    X : Recording or list of Recording
        With their labels.
    seeds : sequence of int

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
    states: list[ModelState] = []
    trainings: list[Training] = []
    for copy in copies:
        check_parameters(copy)
        states.append(fresh_state(copy, recordings, several, copy.seed))
        if not trainings:
            trainings.append(make_training(copy, states[0], recordings))
        else:
            trainings.append(_with_another_model(trainings[0], states[-1], copy.precision))
        states[-1].model.train()
    on_gpu = bool(trainings) and trainings[0].encoder.neural[0].is_cuda
    groups = [trainings] if on_gpu else [[training] for training in trainings]
    records: list[list[Tensor]] = []
    with interruptible() as interruption, torch.random.fork_rng():
        for group in groups:
            steps = []
            for step in run_together(group, 0, estimator.max_iterations):
                steps.append(step)
                interruption.raise_if_requested()
            records += map(list, zip(*steps, strict=True))
    for copy, state, training, own in zip(copies, states, trainings, records, strict=True):
        keep_history(state.solver, own)
        copy.__dict__.update(fitted_attributes(state, recordings, (), copy.max_iterations))
        copy.chance_, copy.data_checksum_, copy.validation_ = training.chance, None, []
    return copies


def run_together(
    trainings: Sequence[Training], first: int, last: int
) -> Iterator[tuple[Tensor, ...]]:
    """Take a step of each training in turn, from step `first` up to step `last`.

    Each goes as it would alone (`grevy.engine.run`), for what a step draws follows from its
    training's seed and its own number.

    Yields
    ------
    tuple of Tensor of shape (4,)
        The record of each training's step.
    """
    runs = [run(training, first, last) for training in trainings]
    streams = [_own_stream(training) for training in trainings]
    for _ in range(first, last):
        records = []
        for steps, stream in zip(runs, streams, strict=True):
            with torch.cuda.stream(stream):  # does nothing with None
                records.append(next(steps)[1])
        yield tuple(records)
    for stream in streams:
        if stream is not None:
            torch.cuda.current_stream().wait_stream(stream)


def _own_stream(training: Training) -> "torch.cuda.Stream | None":
    """Return a stream that starts after all that was asked for so far; None without a GPU."""
    neural = training.encoder.neural[0]
    if not neural.is_cuda:
        return None
    stream = torch.cuda.Stream(neural.device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    return stream


def _with_another_model(training: Training, state: ModelState, precision: str) -> Training:
    """Return the same training with another model: data and sampler are shared."""
    models = tuple(state.model) if state.several else (state.model,)
    networks = tuple(compile_network(model, DTYPES[precision]) for model in models)
    return replace(
        training,
        encoder=replace(training.encoder, models=models, networks=networks),
        criterion=state.solver.criterion,
        optimizer=state.solver.optimizer,
        seed=state.seed,
    )
