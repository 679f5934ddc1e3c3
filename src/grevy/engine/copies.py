"""Copies between the compiled loops, made on the CPU by the thread that asks for them.

torch shares what has more than 32 768 numbers out among threads of its own. These then look for
more work for milliseconds, on the cores on which the team of the loops is to compute.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Return matrices of equal width and dtype one below the other."""
    if not all(map(_is_plain, parts)):
        return torch.cat(list(parts))
    return torch.from_numpy(np.concatenate([part.numpy() for part in parts]))


def copy(out: Tensor, values: Tensor) -> None:
    """Fill a tensor with the numbers of another of its shape."""
    if _is_plain(out) and _is_plain(values):
        np.copyto(out.numpy(), values.numpy())
    else:
        out.copy_(values)


def write_rows_of_windows(out: Tensor, first: Tensor) -> None:
    """Fill (L, B) with the rows in which windows of L rows lie that start at `first` (B,)."""
    if _is_plain(out):
        np.add(first.numpy(), np.arange(len(out))[:, None], out=out.numpy())
    else:
        torch.add(first, torch.arange(len(out), device=out.device)[:, None], out=out)


def _is_plain(tensor: Tensor) -> bool:
    """Tell whether numpy can have it as it is: on the CPU, and of a type that numpy knows."""
    return tensor.device.type == "cpu" and tensor.dtype in (
        torch.float32, torch.float64, torch.int64
    )  # fmt: skip
