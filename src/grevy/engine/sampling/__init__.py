"""Which samples meet in a step: recordings and a generator in, batches of indices out.

Contrastive learning compares a reference with a positive (related to it) and with negatives
(unrelated). This module decides which time steps those are, and nothing else. Positions count
along one time axis on which all recordings lie end to end. Only positions whose window fits in
their segment are ever drawn, so that no window and no pair in time crosses a border; of segments
that are padded, all their own.

The distributions are those of Schneider, Lee & Mathis, "Learnable latent embeddings for joint
behavioural and neural analysis", Nature 617, 360-368 (2023), Methods, "Sampling".
"""

from grevy.engine.sampling.drawing import draw
from grevy.engine.sampling.plan import Batches, Conditional, PriorKind, Sampler, SamplingPlan
from grevy.engine.sampling.preparation import fitting_positions, make_sampler

__all__ = [
    "Batches",
    "Conditional",
    "PriorKind",
    "Sampler",
    "SamplingPlan",
    "draw",
    "fitting_positions",
    "make_sampler",
]
