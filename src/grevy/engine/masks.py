"""Masks over the windows of a batch, the four kinds of `cebra.data.masking`, drawn all at once.

A mask hides part of what the model sees in training, so that it does not lean on few neurons or
steps. One of the given kinds, and one of its ratios, is chosen for each step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grevy.errors import GrevyError, unknown

KINDS = ("RandomNeuronMask", "RandomTimestepMask", "NeuronBlockMask", "TimeBlockMask")


@dataclass(frozen=True)
class Mask:
    """One kind of mask.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    ratios : tuple of float
        Fraction of neurons, steps or starting points that is hidden; one is drawn for each step.
    span : int
        TimeBlockMask only: steps hidden from each starting point on.
    """

    kind: str
    ratios: tuple[float, ...]
    span: int = 1


def make_masks(masking_kwargs: Sequence[tuple[str, object]] | None) -> tuple[Mask, ...]:
    """Read `cebra`'s ``masking_kwargs``: pairs of a kind and its values.

    Parameters
    ----------
    masking_kwargs : sequence of (str, value) or None
        A value is a ratio in (0, 1), a list of ratios, or (lowest, highest, step); for
        TimeBlockMask it is (ratio, span).

    Raises
    ------
    GrevyError
        If a kind is unknown or a value is out of range.
    """
    try:
        pairs = dict(masking_kwargs or ())
    except (TypeError, ValueError) as error:
        raise GrevyError(
            f"masking_kwargs is {masking_kwargs!r}; expected pairs of a kind and its value, such "
            f"as (('RandomNeuronMask', 0.3),)."
        ) from error
    masks = []
    for kind, value in pairs.items():
        if kind not in KINDS:
            raise unknown("mask", str(kind), KINDS)
        masks.append(_time_block(value) if kind == "TimeBlockMask" else Mask(kind, _ratios(value)))
    return tuple(masks)


def _time_block(value: object) -> Mask:
    if not (isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], int)):
        raise GrevyError(f"TimeBlockMask {value!r}; expected (ratio, span), such as (0.1, 3).")
    if value[1] < 1:
        raise GrevyError(f"TimeBlockMask span {value[1]}; expected at least 1 step.")
    return Mask("TimeBlockMask", _ratios(value[0]), value[1])


def _ratios(value: object) -> tuple[float, ...]:
    if isinstance(value, float):
        ratios = [value]
    elif isinstance(value, list):
        ratios = value
    elif isinstance(value, tuple) and len(value) == 3:
        ratios = _spaced(*value)
    else:
        ratios = []
    if not ratios or not all(isinstance(r, float) and 0 < r < 1 for r in ratios):
        raise GrevyError(
            f"masking ratio {value!r}; expected a fraction between 0 and 1, a list of them, or "
            f"(lowest, highest, step)."
        )
    return tuple(ratios)


def _spaced(lowest: Any, highest: Any, step: Any) -> list[float]:
    """Ratios from lowest to highest, both included; none if that makes no sense."""
    numbers = all(isinstance(x, (int, float)) for x in (lowest, highest, step))
    if not (numbers and 0 <= lowest < highest <= 1 and step > 0):
        return []
    count = int((highest - lowest) / step + 1e-9) + 1  # 0.3 / 0.1 falls just short of 3
    return [r for r in (lowest + step * np.arange(count)).tolist() if 0 < r < 1]


def hide(windows: Tensor, masks: Sequence[Mask], generator: torch.Generator) -> Tensor:
    """Return the windows with what a freshly drawn mask covers set to 0.

    Parameters
    ----------
    windows : Tensor of shape (B, N, W)
    masks : sequence of Mask
        Not empty.
    generator : torch.Generator
        On the device of `windows`.
    """
    device = windows.device

    def one_of(count: int) -> int:
        return int(torch.randint(count, (1,), generator=generator, device=device))

    mask = masks[one_of(len(masks))]
    ratio = mask.ratios[one_of(len(mask.ratios))]
    size, neurons, steps = windows.shape
    drawn: Any = {"generator": generator, "device": device, "dtype": torch.float32}
    if mask.kind == "RandomNeuronMask":
        kept = torch.rand(size, neurons, 1, **drawn) >= ratio
    elif mask.kind == "RandomTimestepMask":
        kept = torch.rand(size, 1, steps, **drawn) >= ratio
    elif mask.kind == "NeuronBlockMask":
        width = int(neurons * ratio)
        first = torch.randint(neurons - width + 1, (size, 1), generator=generator, device=device)
        order = torch.arange(neurons, device=device)
        kept = ((order < first) | (order >= first + width))[:, :, None]
    else:
        rank = torch.rand(size, steps, **drawn).argsort(dim=1)
        started = (rank < int(steps * ratio)).float()[:, None]
        padded = torch.nn.functional.pad(started, (mask.span - 1, 0))
        kept = torch.nn.functional.max_pool1d(padded, mask.span, stride=1) == 0
    return windows * kept
