"""The InfoNCE loss with its own gradient, in chunks, so that its memory does not grow with M.

    L = mean_i [ -phi(r_i, p_i) + log sum_j exp phi(r_i, n_j) ]

with phi(x, y) = b x.y (cosine) or -b |x - y|^2 (euclidean) and b the inverse temperature; equation
in Schneider, Lee & Mathis, Nature 617, 360-368 (2023), Methods, "Contrastive learning". `cebra`
computes the same in `cebra.models.criterions`, to which the tests hold this module.
"""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Distance = Literal["cosine", "euclidean"]

# References times negatives held at once: 16 MiB of float32, which stays within a large cache.
CHUNK_ELEMENTS = 1 << 22


class Loss(NamedTuple):
    """The loss and its two parts; all three are 0-d tensors.

    Attributes
    ----------
    total : Tensor
        Positive plus negative part, the only one with a gradient.
    positive : Tensor
        Mean of -phi(r_i, p_i): how close positives are.
    negative : Tensor
        Mean of log sum_j exp phi(r_i, n_j): how spread out everything is.
    """

    total: Tensor
    positive: Tensor
    negative: Tensor


def infonce(
    reference: Tensor,
    positive: Tensor,
    negative: Tensor,
    inverse_temperature: Tensor,
    distance: Distance,
    chunk: int | None = None,
) -> Loss:
    """Compute the InfoNCE loss.

    Parameters
    ----------
    reference, positive : Tensor of shape (R, D)
    negative : Tensor of shape (M, D)
    inverse_temperature : Tensor of shape ()
        1 / tau; gets a gradient if it asks for one.
    distance : {"cosine", "euclidean"}
        cosine takes dot products: normalise the embedding first.
    chunk : int, optional
        References handled at once; as many as keep R x M below `CHUNK_ELEMENTS` if not given.
        The result does not depend on it beyond rounding.
    """
    if chunk is None:
        chunk = max(1, CHUNK_ELEMENTS // max(1, len(negative)))
    total, align, uniform = _InfoNCE.apply(  # type: ignore[no-untyped-call]
        reference, positive, negative, inverse_temperature, distance == "euclidean", chunk
    )
    return Loss(total, align, uniform)


class _InfoNCE(torch.autograd.Function):
    """Forward and gradient in one pass over chunks of references.

    The gradients are made in `forward`, while the similarities of a chunk are at hand; keeping
    them for `backward` would need R x M numbers. With w_ij the softmax over j of phi(r_i, n_j):
    for dot products dL/dr_i = b (sum_j w_ij n_j - p_i) / R and dL/dn_j = b sum_i w_ij r_i / R.
    """

    @staticmethod
    def forward(
        ctx: Any,
        reference: Tensor,
        positive: Tensor,
        negative: Tensor,
        scale: Tensor,
        euclidean: bool,
        chunk: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        similarity = _euclidean if euclidean else _dot
        wanted = any(ctx.needs_input_grad)
        n = len(reference)
        grad_reference = torch.empty_like(reference)
        grad_negative = torch.zeros_like(negative)
        log_sums = reference.new_empty(n)
        expected = reference.new_zeros(())  # sum_ij w_ij phi_ij / b, for the temperature
        for start in range(0, n, chunk):
            rows = slice(start, start + chunk)
            weights = similarity(reference[rows], negative)
            plain = weights.clone() if ctx.needs_input_grad[3] else None
            weights.mul_(scale)
            highest = weights.amax(dim=1, keepdim=True)
            weights.sub_(highest).exp_()
            sums = weights.sum(dim=1, keepdim=True)
            log_sums[rows] = (sums.log() + highest).squeeze(1)
            if not wanted:
                continue
            weights.div_(sums)
            if plain is not None:
                expected += (weights * plain).sum()
            torch.mm(weights, negative, out=grad_reference[rows])
            grad_negative.addmm_(weights.T, reference[rows])
            if euclidean:
                grad_negative.sub_(weights.sum(dim=0)[:, None] * negative)
        if euclidean:
            pair = -(reference - positive).square().sum(dim=1)
        else:
            pair = (reference * positive).sum(dim=1)
        if wanted:
            factor = scale / n * (2 if euclidean else 1)
            # Euclidean: the terms -|r_i|^2 of positive and negatives cancel in dL/dr_i.
            grad_reference.sub_(positive).mul_(factor)
            grad_negative.mul_(factor)
            away = reference - positive if euclidean else reference
            grad_scale = (expected - pair.sum()) / n
            ctx.save_for_backward(grad_reference, -factor * away, grad_negative, grad_scale)
        align, uniform = -(pair.mean() * scale), log_sums.mean()
        ctx.mark_non_differentiable(align, uniform)
        return align + uniform, align, uniform

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _align: Tensor, _uniform: Tensor) -> tuple[Any, ...]:
        reference, positive, negative, scale = ctx.saved_tensors
        asked = ctx.needs_input_grad
        return (
            reference * grad if asked[0] else None,
            positive * grad if asked[1] else None,
            negative * grad if asked[2] else None,
            scale * grad if asked[3] else None,
            None,
            None,
        )


def _dot(x: Tensor, y: Tensor) -> Tensor:
    return x @ y.T


def _euclidean(x: Tensor, y: Tensor) -> Tensor:
    """Negative squared distances, never above 0 whatever the rounding."""
    squares = x.square().sum(dim=1, keepdim=True) + y.square().sum(dim=1)
    return torch.addmm(squares, x, y.T, beta=-1, alpha=2).clamp_(max=0)
