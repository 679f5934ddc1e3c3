"""A Gaussian kernel over time: cut off, never across a border, normalised where it is cut."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from grevy.data.arrays import Float64Array

KernelKind = Literal["centred", "causal"]

CUT = 4
"""How many standard deviations a kernel reaches: beyond lie less than 0.01 % of it."""
# Wider ones are a slip, such as milliseconds given as steps, and take for ever.
MOST_SIGMA = 10_000


@dataclass(frozen=True)
class Kernel:
    """A Gaussian over steps in time.

    Attributes
    ----------
    sigma : float
        Its standard deviation, in steps.
    kind : {"centred", "causal"}
        Centred around a step, or that step and those before it alone.
    """

    sigma: float
    kind: KernelKind

    @property
    def before(self) -> int:
        """How many steps before a step take part in it."""
        return math.ceil(CUT * self.sigma)

    @property
    def after(self) -> int:
        """How many steps after a step take part in it."""
        return 0 if self.kind == "causal" else self.before


def smoothed(values: Float64Array, kernel: Kernel) -> Float64Array:
    """Smooth a stretch of time; at its ends the weights that are there make up the whole.

    A result depends on no value beyond the kernel's reach, not in its last bit.

    Parameters
    ----------
    values : ndarray of shape (n, N)
    kernel : Kernel

    Returns
    -------
    ndarray of shape (n, N)
    """
    length = len(values)
    total = np.zeros(values.shape)
    weights = np.zeros((length, 1))
    for offset in range(-min(kernel.before, length - 1), min(kernel.after, length - 1) + 1):
        # Beyond a thousand it is 0 anyway, and the square may be beyond all numbers.
        weight = math.exp(-0.5 * min(abs(offset) / kernel.sigma, 1e3) ** 2)
        into = slice(max(-offset, 0), length - max(offset, 0))
        out_of = slice(max(offset, 0), length - max(-offset, 0))
        total[into] += weight * values[out_of]
        weights[into] += weight
    return total / weights
