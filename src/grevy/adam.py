"""`torch.optim.Adam` without the compiler that it brings along.

Making or stepping torch's own optimisers imports `torch._dynamo`, with a symbolic algebra system
and much else: 70 MB and more than a second, before the first step of a training. What such imports
protect is compiled code, of which there is none here. The arithmetic is torch's fused kernel, and
the state has torch's form, so that either class goes on where the other stopped.
"""

from typing import Any

import torch
from torch import Tensor

from grevy import kernels


class Adam(torch.optim.Adam):
    """Adam (Kingma & Ba, 2015, algorithm 1) by torch's fused kernel.

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
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self._update(params, group)

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        states = [self.state[p] or self._begin(p, group["amsgrad"]) for p in params]
        library = kernels.kernels_for(params[0])
        if library is not None and all(_is_plain(p) for p in params):
            _compiled(library, params, states, group)
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

    def _begin(self, parameter: Tensor, amsgrad: bool) -> dict[str, Tensor]:
        state = self.state[parameter]
        state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
        for name in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")[: 3 if amsgrad else 2]:
            state[name] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        return state


def _is_plain(parameter: Tensor) -> bool:
    """Tell whether a parameter and its gradient are float32, and lie alike and without gaps."""
    grad = parameter.grad
    return (
        grad is not None
        and grad.dtype == parameter.dtype == torch.float32
        and parameter.is_contiguous()
        and grad.is_contiguous()
    )


def _compiled(
    library: Any, params: list[Tensor], states: list[dict[str, Tensor]], group: dict[str, Any]
) -> None:
    """Do the same in one compiled loop."""
    settings = kernels.Adam(
        group["lr"],
        *group["betas"],
        group["weight_decay"],
        group["eps"],
        group["decoupled_weight_decay"],
        group["maximize"],
    )
    moments = (kernels.Moments * len(params))()
    for each, parameter, state in zip(moments, params, states, strict=True):
        each.weight = parameter.data_ptr()
        each.mean = state["exp_avg"].data_ptr()
        each.square = state["exp_avg_sq"].data_ptr()
        each.largest = state["max_exp_avg_sq"].data_ptr() if group["amsgrad"] else None
        each.grad = kernels.address(parameter.grad)
        each.step = state["step"].data_ptr()
        each.size = parameter.numel()
    kernels.call_adam(library, moments, settings)


def _plain(method: str) -> Any:
    """Return a method of torch's optimisers as it is before it is kept from the compiler."""
    return getattr(torch.optim.Optimizer, method).__wrapped__
