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
    them for `backward` would need R x M numbers. With w_ij the softmax over j of phi(r_i, n_j), and
    f = b (cosine) or 2 b (euclidean): dL/dr_i = f (sum_j w_ij n_j - p_i) / R, and
    dL/dn_j = f sum_i w_ij r_i / R, to which euclidean adds -f n_j sum_i w_ij / R.

    Small matrices lie as (D, M): a product with few rows is much faster than with few columns.
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
        if euclidean:  # distances do not see a common shift, rounding does
            centre = negative.mean(dim=0)
            reference, positive, negative = (x - centre for x in (reference, positive, negative))
        n, factor = len(reference), scale * (2 if euclidean else 1)
        columns = negative.T.contiguous()
        # Euclidean: -b |n_j|^2 here; -b |r_i|^2 is the same for all j and added at the end.
        bias = -scale * negative.square().sum(dim=1) if euclidean else None
        wanted = any(ctx.needs_input_grad)
        pulls = torch.empty_like(reference)  # sum_j w_ij n_j
        pushes = torch.zeros_like(columns)  # sum_i w_ij r_i, as (D, M)
        received = negative.new_zeros(len(negative))  # sum_i w_ij
        log_sums = reference.new_empty(n)
        expected = reference.new_zeros(())  # sum_ij w_ij phi_ij
        for start in range(0, n, chunk):
            rows = reference[start : start + chunk]
            logits = _product(rows * factor, columns, bias)
            weights = torch.softmax(logits, dim=1)
            # The largest weight is 1 / sum_j exp(phi_ij - max): never 0, so its log is safe.
            log_sums[start : start + chunk] = logits.amax(dim=1) - weights.amax(dim=1).log()
            if not wanted:
                continue
            if ctx.needs_input_grad[3]:
                expected += torch.dot(weights.view(-1), logits.view(-1))
            pulls[start : start + chunk] = (columns @ weights.T).T
            pushes.addmm_(rows.T.contiguous(), weights)
            if euclidean:
                received += weights.sum(dim=0)
        if euclidean:
            own = -scale * reference.square().sum(dim=1)
            log_sums += own
            expected += own.sum()
            pair = -(reference - positive).square().sum(dim=1)
        else:
            pair = (reference * positive).sum(dim=1)
        align, uniform = -(pair.mean() * scale), log_sums.mean()
        if wanted:
            share = factor / n
            if euclidean:
                pushes -= columns * received
            away = reference - positive if euclidean else reference
            ctx.save_for_backward(
                (pulls - positive) * share,
                -share * away,
                pushes.T * share,
                (expected / scale - pair.sum()) / n,
            )
        ctx.mark_non_differentiable(align, uniform)
        return align + uniform, align, uniform

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _align: Tensor, _uniform: Tensor) -> tuple[Any, ...]:
        gradients = zip(ctx.saved_tensors, ctx.needs_input_grad, strict=False)
        return (*(value * grad if asked else None for value, asked in gradients), None, None)


def _product(rows: Tensor, columns: Tensor, bias: Tensor | None) -> Tensor:
    return rows @ columns if bias is None else torch.addmm(bias, rows, columns)
