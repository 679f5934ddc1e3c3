"""The InfoNCE loss with its own gradient, in chunks, so that its memory does not grow with M.

    L = mean_i [ -phi(r_i, p_i) + log sum_j exp phi(r_i, n_j) ]

with phi(x, y) = b x.y (cosine) or -b |x - y|^2 (euclidean) and b the inverse temperature; equation
in Schneider, Lee & Mathis, Nature 617, 360-368 (2023), Methods, "Contrastive learning". `cebra`
computes the same in `cebra.models.criterions`, to which the tests hold this module.
"""

import ctypes
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from grevy.engine.kernels.library import kernels_for, threads_for
from grevy.engine.kernels.structures import InfoNCE, matrix

Distance = Literal["cosine", "euclidean"]

# References times negatives held at once: 8 MiB of float32, measured fastest on a CPU. On a GPU
# every chunk costs the launch of its kernels: 64 MiB.
CHUNK_ELEMENTS, CHUNK_ON_GPU = 1 << 21, 1 << 24
# Below this no weight of a softmax over a row underflows, even among 1e6 negatives.
MODERATE = 35.0
# How far off rounding may bring a logit of euclidean distances, small differences of large squares.
# Beyond the first the loss is computed anew, exactly, if on a CPU; elsewhere, where to look would
# make the CPU wait, it is not a number beyond the second.
ROUNDED, LOST = 1e-3, 1.0
# Multiplications that take as long as an exponential, in compiled loops.
_EXPONENTIAL = 20


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


class Gradient(NamedTuple):
    """The gradient of the total loss.

    Attributes
    ----------
    reference, positive : Tensor of shape (R, D)
    negative : Tensor of shape (M, D)
    scale : Tensor of shape ()
        With respect to the inverse temperature.
    """

    reference: Tensor
    positive: Tensor
    negative: Tensor
    scale: Tensor


def infonce(
    reference: Tensor,
    positive: Tensor,
    negative: Tensor,
    inverse_temperature: Tensor,
    distance: Distance,
    chunk: int | None = None,
) -> Loss:
    """Compute the InfoNCE loss, for autograd to differentiate.

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
    total, align, uniform = _InfoNCE.apply(  # type: ignore[no-untyped-call]
        reference, positive, negative, inverse_temperature, distance, chunk
    )
    return Loss(total, align, uniform)


@torch.no_grad()
def infonce_gradient(
    reference: Tensor,
    positive: Tensor,
    negative: Tensor,
    scale: Tensor,
    distance: Distance,
    chunk: int | None = None,
) -> tuple[Loss, Gradient]:
    """Compute the loss and its gradient in one pass over chunks of references.

    Keeping the similarities for a backward pass would need R x M numbers; here a chunk's are used
    while they are at hand. With w_ij the softmax over j of phi(r_i, n_j), and f = b (cosine) or
    2 b (euclidean): dL/dr_i = f (sum_j w_ij n_j - p_i) / R, and dL/dn_j = f sum_i w_ij r_i / R, to
    which euclidean adds -f n_j sum_i w_ij / R.

    Parameters as in `infonce`, whose results these are.
    """
    euclidean = distance == "euclidean"
    library = kernels_for(reference, positive, negative) if chunk is None else None
    alike = reference.shape == positive.shape and reference.shape[1] == negative.shape[1]
    if library is not None and alike and len(reference) and len(negative):
        return _compiled(library, reference, positive, negative, scale, euclidean)
    given = reference, positive, negative
    if euclidean:  # distances do not see a common shift, rounding does
        centre = negative.mean(dim=0)
        reference, positive, negative = (x - centre for x in (reference, positive, negative))
    n, n_negatives = len(reference), len(negative)
    factor = scale * (2 if euclidean else 1)
    # Lying as (D, M): a product with few rows is much faster than with few columns.
    columns = negative.T.contiguous()
    rows = reference * factor
    lengths = negative.square().sum(dim=1) if euclidean else None  # |n_j|^2
    off: Tensor | None = None
    if lengths is not None:  # phi + b |r_i|^2, the same for all j: b |r_i|^2 comes off at the end
        columns = torch.cat([columns, -scale * lengths[None]])
        rows = torch.cat([rows, rows.new_ones(n, 1)], dim=1)
    if chunk is None:
        chunk = max(1, (CHUNK_ON_GPU if rows.is_cuda else CHUNK_ELEMENTS) // n_negatives)
    log_sums, pulls, pushes = _over_chunks(rows, columns, chunk)
    if lengths is None:
        pair = (reference * positive).sum(dim=1)
        expected = (reference * pulls).sum()  # sum_ij w_ij phi_ij / b
        away, spread = reference, pushes.T / n
    else:
        own = reference.square().sum(dim=1)
        largest = torch.maximum(own.amax(), lengths.amax())
        off = largest * scale * torch.finfo(largest.dtype).eps
        if _on_cpu(off) and off > ROUNDED:
            return _exact(*given, scale, chunk)
        log_sums -= scale * own
        pair = -(reference - positive).square().sum(dim=1)
        pulls = pulls[:, :-1]
        received = pushes[-1]  # sum_i w_ij
        expected = 2 * (reference * pulls).sum() - own.sum() - received.dot(lengths)
        away = reference - positive
        spread = (pushes[:-1].T - factor * negative * received[:, None]) / n
    align, uniform = -(pair.mean() * scale), log_sums.mean()
    if off is not None and not _on_cpu(off):
        uniform = torch.where(off > LOST, torch.nan, uniform)
    share = factor / n
    gradient = Gradient(
        (pulls - positive) * share, -share * away, spread, (expected - pair.sum()) / n
    )
    return Loss(align + uniform, align, uniform), gradient


def _compiled(
    library: Any,
    reference: Tensor,
    positive: Tensor,
    negative: Tensor,
    scale: Tensor,
    euclidean: bool,
) -> tuple[Loss, Gradient]:
    """Do the same in compiled loops, which hold a few references at a time."""
    loss = reference.new_empty(5)
    shapes = (reference.shape, reference.shape, negative.shape)
    of_reference, of_positive, of_negative = (reference.new_empty(shape) for shape in shapes)
    pairs = len(reference) * len(negative)
    call = InfoNCE(
        rows=len(reference),
        columns=len(negative),
        depth=reference.shape[1],
        euclidean=euclidean,
        threads=threads_for(pairs * (3 * reference.shape[1] + _EXPONENTIAL)),
        scale=float(scale),
        reference=matrix(reference),
        positive=matrix(positive),
        negative=matrix(negative),
        reference_grad=matrix(of_reference),
        positive_grad=matrix(of_positive),
        negative_grad=matrix(of_negative),
        loss=loss.data_ptr(),
    )
    scratch = reference.new_empty(library.infonce_scratch(ctypes.byref(call)))
    call.scratch = scratch.data_ptr()
    library.infonce_gradient(ctypes.byref(call))
    total, align, uniform, by_scale, largest = loss.unbind()
    if euclidean and float(largest) * call.scale * torch.finfo(loss.dtype).eps > ROUNDED:
        return _exact(reference, positive, negative, scale, None)
    gradient = Gradient(of_reference, of_positive, of_negative, by_scale)
    return Loss(total, align, uniform), gradient


def _on_cpu(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu"


def _exact(
    reference: Tensor, positive: Tensor, negative: Tensor, scale: Tensor, chunk: int | None
) -> tuple[Loss, Gradient]:
    """Do the same for euclidean distances that are differences in double precision, slowly."""
    like, n = reference.dtype, len(reference)
    reference, positive, negative, scale = (
        x.double() for x in (reference, positive, negative, scale)
    )
    log_sums, pulls = reference.new_empty(n), torch.empty_like(reference)
    pushes, received = torch.zeros_like(negative), negative.new_zeros(len(negative))
    expected = reference.new_zeros(())
    size = max(1, CHUNK_ELEMENTS // len(negative)) if chunk is None else chunk
    for start in range(0, n, size):
        part = slice(start, start + size)
        direct = "donot_use_mm_for_euclid_dist"
        distances = torch.cdist(reference[part], negative, compute_mode=direct).square_()
        logits = -scale * distances
        log_sums[part] = logits.logsumexp(dim=1)
        weights = logits.softmax(dim=1)
        pulls[part] = weights @ negative
        pushes += weights.T @ reference[part]
        received += weights.sum(dim=0)
        expected -= (weights * distances).sum()
    away = reference - positive
    pair = -away.square().sum(dim=1)
    share = 2 * scale / n
    align, uniform = -(pair.mean() * scale), log_sums.mean()
    gradient = (
        (pulls - positive) * share,
        -share * away,
        (pushes - negative * received[:, None]) * share,
        (expected - pair.sum()) / n,
    )
    total = align + uniform
    # What is left of a difference of two numbers that are too large even so is wrong.
    lost = torch.finfo(total.dtype).eps * (align.abs() + log_sums.abs().mean())
    total = torch.where(lost > ROUNDED * (1 + total.abs()), torch.nan, total)
    loss = (total, align, uniform)
    return Loss(*(x.to(like) for x in loss)), Gradient(*(x.to(like) for x in gradient))


def _over_chunks(rows: Tensor, columns: Tensor, chunk: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pass over all pairs of rows x_i (R, d) and columns y_j (d, M), some rows at a time.

    Returns
    -------
    log_sums : Tensor of shape (R,)
        log sum_j exp x_i.y_j.
    pulls : Tensor of shape (R, d)
        sum_j w_ij y_j, with w_ij the softmax over j of x_i.y_j.
    pushes : Tensor of shape (d, M)
        sum_i w_ij x_i.
    """
    moderate = _is_moderate(rows, columns)
    log_sums, pulls = rows.new_empty(len(rows)), torch.empty_like(rows)
    pushes = torch.zeros_like(columns)
    # Kept from chunk to chunk: with small results made in between, fresh ones would each find the
    # room of the last one broken, and memory grow with the number of chunks.
    size = min(chunk, len(rows))
    logits, weights = (rows.new_empty(size, columns.shape[1]) for _ in range(2))
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        n = len(rows[part])
        torch.mm(rows[part], columns, out=logits[:n])
        log_sums[part] = _softmax(logits[:n], weights[:n], moderate)
        pulls[part] = weights[:n] @ columns.T
        pushes.addmm_(rows[part].T.contiguous(), weights[:n])
    return log_sums, pulls, pushes


def _is_moderate(rows: Tensor, columns: Tensor) -> bool:
    """Tell whether |x_i.y_j| is small for all pairs, from the largest numbers in either."""
    if rows.is_cuda:  # looking would make the GPU wait
        return False
    bound = rows.abs().amax() * columns.abs().amax() * len(columns)
    return float(bound) < MODERATE


def _softmax(logits: Tensor, weights: Tensor, moderate: bool) -> Tensor:
    """Fill `weights` with the softmax of each row; return the log of its sum of exponentials.

    The latter is x_j - log w_j of any element j whose weight has not underflowed: all of them, if
    the logits are moderate, else the largest, which no row is without.
    """
    torch.softmax(logits, dim=1, out=weights)
    if moderate:
        return logits[:, 0] - weights[:, 0].log()
    return logits.amax(dim=1) - weights.amax(dim=1).log()


class _InfoNCE(torch.autograd.Function):
    """`infonce_gradient` as a node of autograd's graph."""

    @staticmethod
    def forward(
        ctx: Any,
        reference: Tensor,
        positive: Tensor,
        negative: Tensor,
        scale: Tensor,
        distance: Distance,
        chunk: int | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        loss, gradient = infonce_gradient(reference, positive, negative, scale, distance, chunk)
        ctx.save_for_backward(*gradient)
        total, align, uniform = (part.clone() for part in loss)  # views would be read-only
        ctx.mark_non_differentiable(align, uniform)
        return total, align, uniform

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _align: Tensor, _uniform: Tensor) -> tuple[Any, ...]:
        gradients = zip(ctx.saved_tensors, ctx.needs_input_grad, strict=False)
        return (*(value * grad if asked else None for value, asked in gradients), None, None)
