"""What a model is asked: its receptive field, and its output for windows or a sequence."""

from typing import Any

from torch import Tensor, nn


def is_convolutional(model: nn.Module) -> bool:
    """Tell whether a model maps (1, N, T) to (1, D, T - W + 1), one output for each window."""
    from cebra.models import ConvolutionalModelMixin, ResampleModelMixin

    return isinstance(model, ConvolutionalModelMixin) and not isinstance(model, ResampleModelMixin)


def receptive_field(model: Any, causal: bool = False) -> tuple[int, int]:
    """Return (left, right): a window at t spans [t - left, t + right).

    Parameters
    ----------
    model : Module
        In `cebra`'s sense: it has ``get_offset()``.
    causal : bool
        Whether its W steps are to end with t, as (W - 1, 1), in place of lying around it.
    """
    offset = model.get_offset()
    left, right = int(offset.left), int(offset.right)
    return (left + right - 1, 1) if causal else (left, right)


def apply_windows(model: nn.Module, windows: Tensor) -> Tensor:
    """Embed windows (B, N, W), giving (B, D)."""
    output: Tensor = model(windows)
    return output.reshape(len(windows), -1)


def apply_sequence(model: nn.Module, neural: Tensor) -> Tensor:
    """Embed every window of a sequence (T, N) at once, giving (T - W + 1, D)."""
    output: Tensor = model(neural.T[None])
    return output.reshape(output.shape[1], -1).T
