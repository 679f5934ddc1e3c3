"""Record what a GPU is asked to do in one step, and ask it again with one call.

A step of these small networks is some two hundred kernels of a few microseconds each; launching
them one by one takes longer than running them. A CUDA graph launches all of them at once. It does
over and over exactly what was recorded: the same memory, the same sizes, no decision by what the
numbers are.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

Body = Callable[[], Tensor]


class Graph(Protocol):
    """Something that records a body once and replays it."""

    def warm_up(self, body: Body) -> Tensor:
        """Run the body, for its own sake, where recording will take place."""

    def record(self, body: Body) -> None:
        """Record the body without running it."""

    def replay(self) -> Tensor:
        """Run what was recorded; the output's memory serves the next replay."""


class CudaGraph:
    """`torch.cuda.CUDAGraph`.

    Parameters
    ----------
    device : torch.device
        Where the body runs; it need not be the current device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._graph = torch.cuda.CUDAGraph()
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._output: Tensor | None = None

    def warm_up(self, body: Body) -> Tensor:
        """Run the body on a stream of its own, as libraries need before they are recorded."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            output = body()
        current.wait_stream(self._stream)
        return output

    def record(self, body: Body) -> None:
        """Record the body without running it."""
        with torch.cuda.graph(self._graph, stream=self._stream):
            self._output = body()

    def replay(self) -> Tensor:
        """Run what was recorded; the output's memory serves the next replay."""
        if self._output is None:
            raise RuntimeError("nothing was recorded")
        self._graph.replay()
        return self._output
