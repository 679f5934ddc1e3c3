"""What the layers of a network share: buffers, and the shape of a layer."""

from collections.abc import Callable
from enum import Enum
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

Gradients = dict[nn.Parameter, Tensor]
Operation = Callable[[], Any]
Backward = Callable[[Tensor], tuple[Tensor, list[Operation]]]

# Outputs with fewer columns lie transposed in memory: products with few rows run several times
# faster than with few columns.
NARROW = 16


class Arena:
    """Buffers handed out in the same order to every plan; plans share them, for one runs at a time.

    Fresh memory has to be mapped page by page by the operating system, which at these sizes takes
    longer than the arithmetic.

    Parameters
    ----------
    like : Tensor
        Of the device and dtype of the buffers.
    """

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._buffers: list[Tensor] = []
        self._next = 0

    def reset(self) -> None:
        """Start a new plan."""
        self._next = 0

    @property
    def dtype(self) -> torch.dtype:
        """Return the precision in which plans compute."""
        return self._like.dtype

    def take(self, rows: int, columns: int) -> Tensor:
        """Return an uninitialised (rows, columns); a narrow one lies transposed."""
        size = rows * columns
        if self._next == len(self._buffers):
            self._buffers.append(self._like.new_empty(size))
        elif self._buffers[self._next].numel() < size:
            # Older plans keep the smaller buffer alive, and stay right.
            self._buffers[self._next] = self._like.new_empty(size)
        buffer = self._buffers[self._next]
        self._next += 1
        if 1 < columns < NARROW:
            return buffer[:size].view(columns, rows).T
        return buffer[:size].view(rows, columns)


class Need(Enum):
    """What is wanted of the gradient of a layer's input."""

    NONE = "nothing"
    FRESH = "in memory of its own"
    REUSE = "in the memory of the input, which nobody needs any more"


class Layer(Protocol):
    """A step of a network over rows.

    Attributes
    ----------
    keeps_output : bool
        Whether its way back needs its output.
    """

    keeps_output: ClassVar[bool]

    def plan(
        self, rows: Tensor, batch: int, need: Need, arena: Arena, gradients: Gradients
    ) -> tuple[Tensor, list[Operation], Backward]:
        """Lay out one layer over fixed buffers.

        Parameters
        ----------
        rows : Tensor
            The input.
        batch : int
            B, the rows of one time step.
        need : Need
            What is wanted of the input's gradient.
        arena : Arena
        gradients : dict of Parameter to Tensor
            Gets the buffers into which the backward operations write.

        Returns
        -------
        output : Tensor
        forward : list of callable
            Fill `output`.
        backward : callable
            Turns the buffer of the output's gradient into that of the input's, and the
            operations that fill it. They may overwrite the former.
        """
