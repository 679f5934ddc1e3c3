"""What is compared: data, settings, and what must be reached."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes
    ----------
    name : str
    T, N : int
        Time steps and neurons of the made data.
    labels : tuple of str
        "2d", "3d" (continuous) or "classes", in the order in which `fit` gets them.
    least, aim : float
        Times faster than `cebra`, in milliseconds a step.
    settings : dict
        For the estimator, beside `COMMON`.
    seconds : float
        How long each measurement lasts, at least.
    stride : int
        Steps between two looks at the clock.
    """

    name: str
    T: int
    N: int
    labels: tuple[str, ...]
    least: float
    aim: float
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: float = 4.0
    stride: int = 10


COMMON: dict[str, Any] = {
    "model_architecture": "offset10-model",
    "batch_size": 512,
    "output_dimension": 3,
    "time_offsets": 10,
    "learning_rate": 3e-4,
    "device": "cpu",
    "max_iterations": 1_000_000,
}

CASES = (
    Case("demo: T=1e3 N=4, 3-D time_delta", 1_000, 4, ("3d",), 6, 10),
    Case("T=1e4 N=120, 3-D time_delta", 10_000, 120, ("3d",), 5.5, 10),
    Case("same, time", 10_000, 120, (), 2.2, 4, {"conditional": "time"}),
    Case("same, discrete", 10_000, 120, ("classes",), 2, 4),
    Case("same, mixed", 10_000, 120, ("3d", "classes"), 5.5, 10),
    Case("same, hybrid", 10_000, 120, ("3d",), 5, 8, {"hybrid": True}),
    Case(
        "same, offset36-model", 10_000, 120, ("3d",), 4, 8,
        {"model_architecture": "offset36-model"}, stride=5,
    ),
    Case("same, batch 4096", 10_000, 120, ("3d",), 8, 15, {"batch_size": 4096}, stride=2),
    Case(
        "T=1.5e4 N=100, offset1-model", 15_000, 100, ("2d",), 15, 30,
        {"model_architecture": "offset1-model"},
    ),
    Case("T=1.5e4 N=100, 2-D time_delta", 15_000, 100, ("2d",), 5, 8),
    Case("T=1e5 N=120, 3-D time_delta", 100_000, 120, ("3d",), 60, 100, stride=2),
    Case("T=1e6 N=100, 2-D time_delta", 1_000_000, 100, ("2d",), 800, 1500, seconds=20, stride=1),
    Case("whole data, T=8e3", 8_000, 120, ("3d",), 4, 8, {"batch_size": None}, stride=1),
)  # fmt: skip


def made_data(case: Case) -> tuple[npt.NDArray[np.float32], list[npt.NDArray[Any]]]:
    """Make spike counts and labels; what they hold does not matter to the time of a step."""
    rng = np.random.default_rng(0)
    neural = np.empty((case.T, case.N), np.float32)
    for block in np.array_split(neural, max(1, case.T // 10_000)):  # int64 counts would double it
        block[:] = rng.poisson(0.5, block.shape)
    kinds: dict[str, Callable[[], npt.NDArray[Any]]] = {
        "2d": lambda: rng.normal(size=(case.T, 2)).astype(np.float32),
        "3d": lambda: rng.normal(size=(case.T, 3)).astype(np.float32),
        "classes": lambda: rng.integers(0, 8, case.T),
    }
    return neural, [kinds[kind]() for kind in case.labels]
