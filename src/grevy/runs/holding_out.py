"""What a run holds out: its gap, split, folds, validation blocks, and the seed for them."""

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from grevy.config import RunConfig
from grevy.data import (
    Recording,
    Split,
    SplitKind,
    cut_folds,
    cut_validation,
    end_to_end,
    hold_out,
    laid_out,
    restricted,
)
from grevy.errors import GrevyError
from grevy.runs.preparing import prepare_recordings, smoothing_reach

if TYPE_CHECKING:
    from grevy.model import CEBRA, Checkpoints, Validation


USUAL_FOLDS = 5
"""The folds of a run that does not say how many."""


def training_gap(model: "CEBRA", reach: int = 0) -> int:
    """Return the steps that keep every training window and pair away from a test step.

    Parameters
    ----------
    model : CEBRA
    reach : int
        Over how many steps smoothing spreads a step; a fitted model knows that itself.
    """
    from grevy.model import model_receptive_field

    parameters = model.parameters
    known = getattr(model, "preparations_", None) or ()
    reach = max([reach, *(each.before + each.after for each in known)])
    return sum(model_receptive_field(parameters)) + max(parameters.time_offsets) + reach


def settle_seed(config: RunConfig, checkpoints: "Checkpoints | None", resume: bool) -> RunConfig:
    """Settle the seed where it decides what is held out: that of a training to go on with, or new.

    Parameters
    ----------
    config : RunConfig
        Returned as it is if it has a seed, or holds out what no seed decides.
    checkpoints : Checkpoints or None
    resume : bool
        Whether the training goes on from the newest usable checkpoint.
    """
    if config.seed is not None or config.split == "blocks":
        return config
    from grevy.model import CEBRA

    for path in checkpoints.newest() if checkpoints is not None and resume else ():
        try:
            return config.model_copy(update={"seed": CEBRA.load(path, map_location="cpu").seed_})
        except GrevyError:
            continue  # damaged; training too goes on from the one before
    return config.model_copy(update={"seed": secrets.randbits(32)})


def holdout_split(
    model: "CEBRA",
    recordings: Sequence[Recording],
    holdout: float,
    split: SplitKind = "blocks",
    reach: int = 0,
) -> Split | None:
    """Set time aside: blocks kept from training by receptive field and time offset, or segments.

    Parameters
    ----------
    model : CEBRA
        Its seed decides which segments are held out.
    recordings : sequence of Recording
    holdout : float
        Fraction of the time steps inside segments; 0 for none.
    split : {"blocks", "segments"}
    reach : int
        Over how many steps smoothing spreads a step; see `smoothing_reach`.

    Returns
    -------
    Split or None
        Over the common time axis of all recordings; None if nothing is held out.

    Raises
    ------
    GrevyError
        If a recording is too short, or has but one segment to hold out by segments.
    """
    if not holdout:
        return None
    gap = training_gap(model, reach)
    return hold_out(laid_out(recordings), split, holdout, gap, _seed(model))


def fold_splits(
    model: "CEBRA", recordings: Sequence[Recording], config: RunConfig
) -> tuple[Split, ...]:
    """Cut the folds that a run asks for: blocks of time, or whole segments, as its `split` says.

    Returns
    -------
    tuple of Split
        Over the common time axis of all recordings; empty if no folds are asked for.

    Raises
    ------
    GrevyError
        If a recording is too short or has too few segments, or there is no label to decode.
    """
    if not config.folds:
        return ()
    if not recordings[0].labels:
        raise GrevyError(
            f"`folds={config.folds}`: no label was given, so there is nothing to decode in each "
            f"fold. Name one with `label`, or leave `folds` out."
        )
    gap = training_gap(model, smoothing_reach(config, recordings))
    return cut_folds(laid_out(recordings), config.split, config.folds, gap, _seed(model))


def settle_folds(model: "CEBRA", recordings: Sequence[Recording], config: RunConfig) -> RunConfig:
    """Settle how many folds a run has where that is left open: five, or fewer if it is short.

    Returns
    -------
    RunConfig
        Without folds if nothing is held out, there is no label, or there is no room for two.

    Raises
    ------
    GrevyError
        If folds were asked for and cannot be cut; see `fold_splits`.
    """
    if config.folds is not None:
        fold_splits(model, recordings, config)
        return config
    usual = USUAL_FOLDS if config.holdout and recordings[0].labels else 0
    for n_folds in range(usual, 1, -1):
        settled = config.model_copy(update={"folds": n_folds})
        try:
            fold_splits(model, recordings, settled)
        except GrevyError:
            continue  # too few steps, or segments, for so many
        return settled
    return config.model_copy(update={"folds": 0})


def _seed(model: "CEBRA") -> int:
    """Return the seed of a model, trained or not; settled beforehand where it matters."""
    seed = getattr(model, "seed_", model.seed)
    return 0 if seed is None else int(seed)


def training_parts(
    model: "CEBRA", recordings: Sequence[Recording], split: Split | None, config: RunConfig
) -> "tuple[list[Recording], Validation | None]":
    """Prepare recordings, restrict them to what is trained on, and set validation blocks aside."""
    prepared = prepare_recordings(recordings, split, config)
    seen = list(prepared if split is None else restricted(prepared, split.train))
    inner = validation_split(model, recordings, split, config)
    if inner is None:
        return seen, None
    from grevy.model import Validation

    apart = [each.segments for each in restricted(prepared, inner.test)]
    watched = Validation(apart if len(apart) > 1 else apart[0], patience=config.patience)
    return list(restricted(prepared, inner.train)), watched


def validation_split(
    model: "CEBRA", recordings: Sequence[Recording], split: Split | None, config: RunConfig
) -> Split | None:
    """Cut validation blocks out of what a run trains on; held-out time is in neither half.

    Returns
    -------
    Split or None
        Over the common time axis of all recordings, validation steps as `test`; None if there are
        none.

    Raises
    ------
    GrevyError
        If no block fits.
    """
    if not config.validation:
        return None
    seen = recordings if split is None else restricted(recordings, split.train)
    gap = training_gap(model, smoothing_reach(config, recordings))
    cuts = [cut_validation(each.segments, config.validation, gap) for each in seen]
    starts = end_to_end(map(len, recordings))[:-1]
    train = [cut.train + start for cut, start in zip(cuts, starts, strict=True)]
    test = [cut.test + start for cut, start in zip(cuts, starts, strict=True)]
    return Split(np.concatenate(train), np.concatenate(test))
