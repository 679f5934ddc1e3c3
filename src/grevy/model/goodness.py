"""Goodness of fit: how far the InfoNCE loss is below that of an embedding that tells nothing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from grevy.data import Array, IntArray, Recording, Split, restricted
from grevy.errors import GrevyError

if TYPE_CHECKING:
    from torch import Tensor

    from grevy.engine import Batches, Distance, Sampler
    from grevy.model.estimator import CEBRA

# The last steps of a training, over which its goodness of fit is averaged.
TAIL_FRACTION, TAIL_STEPS = 0.1, 100
# Similarities of references and negatives that the held-out loss is made from, at most, and steps.
SIMILARITIES, MAX_STEPS = 2**28, 100
# Stretches of time between which the loss varies, for its error.
N_STRETCHES = 10


@dataclass(frozen=True)
class GoodnessOfFit:
    """Goodness of fit on given time steps.

    Attributes
    ----------
    bits : float
        (chance - loss) / log 2. 0 for an embedding that tells nothing; at most the logarithm to
        base 2 of the negatives (twice that in hybrid training). Below 0 where the embedding is
        worse than nothing: the encoder has learnt what does not hold here.
    standard_error : float
        Of `bits`, from the scatter between ten stretches of time; rather too large than too small.
        NaN if not all of them could be drawn from.
    chance, loss : float
        In nats.
    n_negatives : int
        M, over all recordings.
    """

    bits: float
    standard_error: float
    chance: float
    loss: float
    n_negatives: int


def goodness_of_fit(model: "CEBRA") -> float:
    r"""Return how far the loss at the end of training is below chance, in bits.

    .. math:: (\log M - \mathrm{loss}) / \log 2

    with M the negatives that each reference meets, over all recordings: the loss (InfoNCE) of
    Schneider, Lee & Mathis, Nature 617, 360-368 (2023), Methods, is log M where all samples lie on
    one point. Hybrid training adds two losses, so that its chance is 2 log M.

    It is measured on the training data, which an encoder can learn by heart, and in hybrid training
    on S recordings up to log2(S) bits come from telling these apart, for a positive in time is in
    the recording of its reference. `heldout_goodness_of_fit` cannot be fooled so.

    Parameters
    ----------
    model : CEBRA
        Fitted. Averaged over the last tenth of its steps, at least 100.

    Returns
    -------
    float
        0 for an embedding that tells nothing, of any mode; at most log2(M), twice that for hybrid.

    Raises
    ------
    GrevyError
        If the model was not fitted here.
    """
    _check_fitted(model)
    losses = model.solver_.log["total"]
    tail = losses[-max(TAIL_STEPS, int(TAIL_FRACTION * len(losses))) :]
    if not tail:
        raise GrevyError("goodness of fit: the model has no recorded step. Fit it first.")
    return (model.chance_ - float(np.mean(tail))) / math.log(2)


def heldout_goodness_of_fit(
    model: "CEBRA", recordings: Recording | Sequence[Recording], *, seed: int = 0
) -> GoodnessOfFit:
    """Measure the goodness of fit on time steps that the encoder did not train on.

    References, positives and negatives are drawn as in training, with the model's own parameters,
    from the segments given and nowhere else; windows that leave them are not drawn. Nothing is
    masked or dropped. A reference that is its own positive, as training allows, does not count: it
    would be a fit that every embedding has, of classes with few members above all. In hybrid
    training on several recordings, a reference's negatives for the loss in time are those of its
    own recording.

    Parameters
    ----------
    model : CEBRA
        Fitted.
    recordings : Recording or sequence of Recording
        As many as the model was fitted to, with the same labels; their segments hold the steps to
        measure on (`grevy.data.restricted` makes them from a split).
    seed : int
        At least 0.

    Returns
    -------
    GoodnessOfFit

    Raises
    ------
    GrevyError
        If the model was not fitted here or does not fit the recordings, no window fits in a
        segment, or nothing has a positive but itself.
    """
    import torch

    from grevy.engine import draw, make_sampler
    from grevy.model.inputs import prepared_alike
    from grevy.model.plan import sampling_plan

    _check_fitted(model)
    given = (recordings,) if isinstance(recordings, Recording) else tuple(recordings)
    given = prepared_alike(model.fitted, given)
    encoders = _encoders(model, given)
    field = model.fitted.receptive_field
    plan = sampling_plan(model.parameters, given)
    positions = sum(int(np.diff(recording.segments).sum()) for recording in given)
    if plan.batch_size is None and positions**2 > SIMILARITIES:
        plan = replace(plan, batch_size=int(SIMILARITIES**0.5) // len(given))
    sampler = make_sampler(given, *field, plan)
    n_pairs = sampler.n_references * sampler.n_negatives
    n_steps = min(max(SIMILARITIES // n_pairs, 1), MAX_STEPS)
    embedding = _embed(encoders, given, model.device_, field)
    scale = torch.tensor(1.0 / float(model.solver_.criterion.temperature), dtype=embedding.dtype)
    measured = _Measured(sampler, embedding, _stretches(sampler), scale, model.distance)
    totals = np.zeros((3, N_STRETCHES))
    rng = np.random.default_rng(seed)
    for _ in range(n_steps):  # one at a time: those of large batches are large
        totals += _sums(measured, draw(sampler, 1, rng).at(0))
    if not totals[2].any():
        raise GrevyError(
            "goodness of fit: every sample drawn was its own positive. Give classes with more "
            "members, or a longer stretch."
        )
    return _summary(totals, sampler.n_negatives)


def _check_fitted(model: "CEBRA") -> None:
    if not hasattr(model, "chance_"):
        raise GrevyError(
            "goodness of fit: the model is no fitted grevy.CEBRA. Call fit first, or load it with "
            "grevy.CEBRA.load."
        )


def _encoders(model: "CEBRA", recordings: Sequence[Recording]) -> tuple[Any, ...]:
    """Return the encoder of each recording."""
    encoders = model.fitted.encoders
    for number, (encoder, recording) in enumerate(zip(encoders, recordings, strict=True)):
        if encoder.num_input != recording.n_neurons:
            raise GrevyError(
                f"goodness of fit: recording {number} has {recording.n_neurons} neurons, its "
                f"encoder was fitted to {encoder.num_input}. Give the same recordings."
            )
    return encoders


def _embed(
    encoders: Sequence[Any],
    recordings: Sequence[Recording],
    device: str,
    field: tuple[int, int],
) -> "Tensor":
    """Embed the segments of all recordings, end to end, on the CPU; NaN outside them."""
    import torch

    from grevy.engine import embed

    parts = [
        embed(encoder, recording.neural, recording.segments, device, offset=field)
        for encoder, recording in zip(encoders, recordings, strict=True)
    ]
    return torch.from_numpy(np.concatenate(parts))


def _stretches(sampler: "Sampler") -> IntArray:
    """Number the stretch of each position: ten of about equally many that can be drawn."""
    drawn = np.sort(np.concatenate([pool.positions for pool in sampler.pools]))
    edges = drawn[np.linspace(0, len(drawn), N_STRETCHES + 1).astype(int)[1:-1]]
    return np.searchsorted(edges, np.arange(len(sampler.session)), side="right")


@dataclass(frozen=True, eq=False)
class _Measured:
    sampler: "Sampler"
    embedding: "Tensor"
    stretch: IntArray
    scale: "Tensor"
    distance: "Distance"


def _sums(measured: _Measured, batch: "Batches") -> Array:
    """Return (3, n): for each stretch its references' summed losses and chances, and their number.

    References of one recording and stretch are taken together.
    """
    sums = np.zeros((3, N_STRETCHES))
    session = measured.sampler.session
    stretch = measured.stretch[batch.reference]
    groups = session[batch.reference] * N_STRETCHES + stretch
    groups[batch.positive == batch.reference] = -1
    embedded = _embedded(measured, batch)
    for group in np.unique(groups[groups >= 0]).tolist():
        here = np.flatnonzero(groups == group)
        loss, chance = _loss_and_chance(measured, embedded, here, group // N_STRETCHES)
        sums[:, group % N_STRETCHES] += len(here) * loss, len(here) * chance, len(here)
    return sums


@dataclass(frozen=True, eq=False)
class _Embedded:
    """The samples of a batch; references, positives and positives in time go together."""

    reference: "Tensor"
    positive: "Tensor"
    negative: "Tensor"
    later: "Tensor | None"
    session: IntArray
    """Of the negatives."""


def _embedded(measured: _Measured, batch: "Batches") -> _Embedded:
    every, later = measured.embedding, batch.time_positive
    return _Embedded(
        reference=every[batch.reference],
        positive=every[batch.positive],
        negative=every[batch.negative],
        later=None if later is None else every[later],
        session=measured.sampler.session[batch.negative],
    )


def _loss_and_chance(
    measured: _Measured, embedded: _Embedded, here: IntArray, session: int
) -> tuple[float, float]:
    """Return the mean loss of some references and its chance; sums of two in hybrid training.

    Parameters
    ----------
    here : ndarray of shape (R,)
        The references.
    session : int
        Their recording.
    """
    from grevy.engine import HYBRID_DIMENSIONS, infonce_gradient

    def loss(reference: "Tensor", positive: "Tensor", negative: "Tensor") -> "Tensor":
        # `infonce` would build a graph, which takes as long as the loss.
        found, _ = infonce_gradient(
            reference, positive, negative, measured.scale, measured.distance
        )
        return found.total

    reference, positive = embedded.reference[here], embedded.positive[here]
    negative = embedded.negative
    chance = math.log(len(negative))
    if embedded.later is None:
        return float(loss(reference, positive, negative)), chance
    some, own = slice(0, HYBRID_DIMENSIONS), embedded.session == session
    by_label = loss(reference[:, some], positive[:, some], negative[:, some])
    in_time = loss(reference, embedded.later[here], negative[own])
    return float(by_label + in_time), chance + math.log(own.sum())


def _summary(sums: Array, n_negatives: int) -> GoodnessOfFit:
    counts = sums[2]
    loss, chance = (sums[:2].sum(axis=1) / counts.sum()).tolist()
    error = math.nan
    if (counts > 0).all():
        bits = (sums[1] - sums[0]) / counts / math.log(2)
        error = float(bits.std(ddof=1)) / math.sqrt(N_STRETCHES)
    return GoodnessOfFit((chance - loss) / math.log(2), error, chance, loss, n_negatives)


def goodness_metrics(
    model: "CEBRA", recordings: Sequence[Recording], split: Split | None, seed: int = 0
) -> dict[str, float]:
    """Return the goodness of fit in training and, if steps were held out, there.

    Parameters
    ----------
    model : CEBRA
        Fitted to the recordings, or to their training steps.
    recordings : sequence of Recording
    split : Split or None
        Over the common time axis of all recordings, end to end.
    seed : int

    Returns
    -------
    dict
        ``goodness_of_fit_bits``; ``goodness_of_fit_heldout_bits`` and ``..._heldout_error``, its
        standard error, unless no window fits into what was held out.
    """
    metrics = {"goodness_of_fit_bits": goodness_of_fit(model)}
    if split is None:
        return metrics
    try:
        found = heldout_goodness_of_fit(model, restricted(recordings, split.test), seed=seed)
    except GrevyError:
        return metrics  # blocks shorter than a window, or without a pair in time
    metrics["goodness_of_fit_heldout_bits"] = found.bits
    if np.isfinite(found.standard_error):
        metrics["goodness_of_fit_heldout_error"] = found.standard_error
    return metrics
