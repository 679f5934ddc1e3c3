"""`torch.optim.Adam` without the compiler that it brings along.

Making or stepping torch's own optimisers imports `torch._dynamo`, with a symbolic algebra system
and much else: 70 MB and more than a second, before the first step of a training. What such imports
protect is compiled code, of which there is none here. The arithmetic is a compiled loop or torch's
fused kernel, and the state has torch's form, so that either class goes on where the other stopped.
"""

import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from grevy.engine import kernels


class Adam(torch.optim.Adam):
    """Adam (Kingma & Ba, 2015, algorithm 1).

    Parameters
    ----------
    params : iterable of Parameter
    **settings
        As of `torch.optim.Adam`.
    """

    def __init__(self, params: Any, **settings: Any) -> None:
        super().__init__(params, **{**settings, "fused": True, "foreach": None})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, as torch does."""
        _plain("add_param_group")(self, param_group)

    def state_dict(self) -> dict[str, Any]:
        """Return the state, as torch does."""
        state: dict[str, Any] = _plain("state_dict")(self)
        return state

    def load_state_dict(self, state_dict: Any) -> None:
        """Take up a state, as torch does."""
        _plain("load_state_dict")(self, state_dict)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient.

        Parameters
        ----------
        closure : None
            Evaluating the loss again is not supported.
        """
        if closure is not None:
            raise TypeError("this Adam takes no closure: give the parameters their gradients.")
        for number, group in enumerate(self.param_groups):
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self._update(params, group, number)

    def _update(self, params: list[Tensor], group: dict[str, Any], number: int) -> None:
        states = [self.state[p] or self._begin(p, group["amsgrad"]) for p in params]
        laid_out = self._laid_out(params, states, group["amsgrad"], number)
        if laid_out.moments is not None:
            kernels.call_adam(kernels.load(), laid_out.moments, _settings(group))
            return
        steps = [state["step"] for state in states]
        torch._foreach_add_(steps, 1)
        kernel = torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_
        kernel(
            params,
            [p.grad for p in params if p.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [state["max_exp_avg_sq"] for state in states] if group["amsgrad"] else [],
            steps,
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=group["amsgrad"],
            maximize=group["maximize"],
        )

    def _laid_out(
        self, params: list[Tensor], states: list[dict[str, Tensor]], amsgrad: bool, number: int
    ) -> "_LaidOut":
        """Return what the compiled loop takes; anew if any tensor is another, or elsewhere."""
        names = ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if amsgrad else ()), "step")
        rows: list[list[Any]] = [
            [parameter, parameter.grad, *map(state.__getitem__, names)]
            for parameter, state in zip(params, states, strict=True)
        ]
        tensors = [tensor for row in rows for tensor in row]
        places = [tensor.data_ptr() for tensor in tensors]
        kept: dict[int, _LaidOut] = self.__dict__.setdefault("_kept", {})
        if number not in kept or not kept[number].holds(tensors, places):
            moments = _moments(rows, amsgrad) if all(map(_is_plain, rows)) else None
            kept[number] = _LaidOut(tensors, places, moments)
        return kept[number]

    def _begin(self, parameter: Tensor, amsgrad: bool) -> dict[str, Tensor]:
        state = self.state[parameter]
        state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
        for name in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")[: 3 if amsgrad else 2]:
            state[name] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        return state


@dataclass(frozen=True, eq=False)
class _LaidOut:
    """Tensors, where they are, and for the compiled loop the same; None if it cannot take them."""

    tensors: list[Tensor]
    places: list[int]
    moments: Any

    def holds(self, tensors: list[Tensor], places: list[int]) -> bool:
        """Tell whether it is of these tensors, in these places."""
        same = len(tensors) == len(self.tensors) and places == self.places
        return same and all(map(operator.is_, tensors, self.tensors))


def _is_plain(row: list[Tensor]) -> bool:
    """Tell whether a parameter, its gradient and its moments lie alike, where C can have them."""
    parameter, step = row[0], row[-1]
    return kernels.kernels_for(*row) is not None and (
        step.numel() == 1
        and all(each.shape == parameter.shape and each.is_contiguous() for each in row[:-1])
    )


def _moments(rows: list[list[Tensor]], amsgrad: bool) -> Any:
    moments = (kernels.Moments * len(rows))()
    for each, row in zip(moments, rows, strict=True):
        each.weight, each.grad, each.mean, each.square = (t.data_ptr() for t in row[:4])
        each.largest = row[4].data_ptr() if amsgrad else None
        each.step, each.size = row[-1].data_ptr(), row[0].numel()
    return moments


def _settings(group: dict[str, Any]) -> kernels.Adam:
    return kernels.Adam(
        group["lr"],
        *group["betas"],
        group["weight_decay"],
        group["eps"],
        group["decoupled_weight_decay"],
        group["maximize"],
    )


def _plain(method: str) -> Any:
    """Return a method of torch's optimisers as it is before it is kept from the compiler."""
    return getattr(torch.optim.Optimizer, method).__wrapped__
