"""From a model of `cebra` to a network of layers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from grevy.engine.kernels.library import kernels_for
from grevy.engine.layers.base import Arena, Layer
from grevy.engine.layers.kinds import Convolution, Gelu, Normalise, Skip, Tanh, convolutions
from grevy.engine.layers.network import Network


def compile_network(model: Any, dtype: torch.dtype | None = None) -> Network | None:
    """Read a model's layers.

    Parameters
    ----------
    model : Module
    dtype : torch.dtype, optional
        In which passes compute; that of the parameters if not given.

    Returns
    -------
    Network or None
        None if the model has a layer, or a `forward`, that is unknown here, or hooks.
    """
    from cebra.models.model import _OffsetModel

    if type(model).forward is not _OffsetModel.forward:
        return None
    if any(each._forward_hooks or each._forward_pre_hooks for each in model.modules()):
        return None
    modules: Any = model.net
    flattens = any(isinstance(module, nn.Flatten) for module in modules)
    if flattens and len(model.get_offset()) != 1:  # its linear layers see whole windows, not rows
        return None
    layers = _compiled(modules)
    if layers and not isinstance(layers[0], Convolution):  # others write into their input's memory
        return None
    if layers and _shared(layers):
        return None
    parameters = tuple(model.parameters())
    like = parameters[0].detach()
    like = like.to(dtype or like.dtype)
    library = kernels_for(like, *parameters)
    if not all(parameter.is_contiguous() for parameter in parameters):
        library = None
    return None if layers is None else Network(layers, parameters, Arena(like), library)


def _shared(layers: Sequence[Layer]) -> bool:
    """Tell whether two layers have the same weights, whose gradients would have to be added."""
    weights = [id(each.weight) for each in convolutions(layers)]
    return len(set(weights)) < len(weights)


def _compiled(modules: Any) -> tuple[Layer, ...] | None:
    layers: list[Layer] = []
    for module in modules:
        compiled = _compile_module(module)
        if compiled is None:
            return None
        layers.extend(compiled)
    return tuple(layers)


def _compile_module(module: Any) -> list[Layer] | None:
    """Return the layers of one module: none for one that only reshapes; None if unknown."""
    from cebra.models.layers import Squeeze, _Norm, _Skip

    kind = type(module)
    if kind is nn.Conv1d and _is_plain(module):
        return [Convolution(module.weight, module.bias, module.kernel_size[0])]
    if kind is nn.Linear:
        return [Convolution(module.weight, module.bias, 1)]
    if kind is nn.GELU and module.approximate == "none":
        return [Gelu()]
    if kind is nn.Tanh:
        return [Tanh()]
    if kind is _Norm:
        return [Normalise()]
    if kind in (Squeeze, nn.Flatten):
        return []
    if kind is _Skip:
        inside = _compiled(module.module)
        before, after = module.crop.start, -(module.crop.stop or 0)
        if any(isinstance(layer, Skip) for layer in inside or ()):
            return None
        over_time = any(isinstance(layer, Convolution) for layer in inside or ())
        # Around linear layers a crop would cut features, not steps.
        if inside and (over_time or (before, after) == (0, 0)):
            return [Skip(inside, before, after)]
    return None


def _is_plain(module: nn.Conv1d) -> bool:
    plain = (module.stride, module.dilation, module.padding, module.groups)
    return plain == ((1,), (1,), (0,), 1)
