"""A fitted encoder as an ONNX graph, which runs without Python, torch or Grevy.

The graph is written layer by layer, over activity (1, C, T) in torch's order; a linear layer is a
convolution over one step.
"""

import json
import logging
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from grevy.atomic import whole_file
from grevy.data import to_plain
from grevy.engine import is_convolutional, receptive_field
from grevy.errors import GrevyError, UnsupportedError
from grevy.model.architectures import subsamples
from grevy.model.estimator import CEBRA
from grevy.model.transforming import encoder_of
from grevy.version import __version__ as grevy_version

_LOG = logging.getLogger(__name__)

# Of 2022: old enough for any runtime in use, and it has all that the layers need.
OPSET, IR_VERSION = 17, 8
# As far as a slice can go.
_END = np.iinfo(np.int64).max


def write_onnx(model: CEBRA, path: str | Path, session_id: int | None = None) -> None:
    """Write the encoder of a fitted model as an ONNX file; it appears whole or not at all.

    Its input ``neural`` is (T, N) float32, time first, of any T of at least W steps. Its output
    ``embedding`` is (T - W + 1, D): row i is the embedding at step i + left, where the window is
    the steps [i, i + W). Nothing is padded, as with ``pad_before_transform=False``.
    A model that gives one row for several steps does so here.

    The file's metadata hold ``receptive_field`` ("left right": the window at t spans
    [t - left, t + right)), ``subsampling`` (steps for each row), ``model_architecture`` and
    ``grevy_version``; and ``preparation``, as JSON, where the model was trained on prepared data:
    the input is such data then, which a warning says.

    Parameters
    ----------
    model : CEBRA
        Fitted.
    path : str or Path
    session_id : int, optional
        Which encoder, after a fit to several recordings.

    Raises
    ------
    GrevyError
        If the model is not fitted, onnx is not installed, or the place cannot be written to.
    SessionError
        If the model has several encoders and none of them was chosen.
    UnsupportedError
        If the model has a layer that has no counterpart here, or is made for single windows.
    """
    onnx = _onnx()
    fitted = model.fitted
    encoder = encoder_of(fitted, session_id, "export")
    nodes = _Graph(onnx)
    _write_encoder(nodes, encoder)
    proto = nodes.finished(int(encoder.num_input), int(encoder.num_output))  # type: ignore[arg-type]
    field = " ".join(map(str, fitted.receptive_field))
    factor = int(encoder.resample_factor) if subsamples(encoder) else 1  # type: ignore[arg-type]
    notes = {
        "receptive_field": field,
        "subsampling": str(factor),
        "model_architecture": str(model.model_architecture),
        "grevy_version": grevy_version,
    }
    if fitted.preparations is not None:
        notes["preparation"] = json.dumps(to_plain(fitted.preparations[session_id or 0]))
        _LOG.warning(
            f"{path}: the model was trained on prepared data, and the file holds the encoder "
            f"alone. Its input is prepared data; the file's metadata say how, as `preparation`."
        )
    onnx.helper.set_model_props(proto, notes)
    onnx.checker.check_model(proto, full_check=True)
    with whole_file(Path(path)) as stream:
        stream.write(proto.SerializeToString())


def _onnx() -> Any:
    try:
        return import_module("onnx")
    except ImportError as error:
        raise GrevyError("onnx is not installed. Get it by `pip install 'grevy[onnx]'`.") from error


class _Graph:
    """Nodes, one after the other; `here` is the name of what the last one gives.

    Parameters
    ----------
    onnx : module
    """

    def __init__(self, onnx: Any) -> None:
        self._onnx, self._nodes, self._kept = onnx, [], []  # type: ignore[var-annotated]
        self.here = "neural"
        self.add("Transpose", perm=[1, 0])
        self.add("Unsqueeze", self.constant(np.array([0])))

    def add(self, kind: str, *others: str, of: str | None = None, **attributes: Any) -> str:
        """Add a node of `of`, or of what the last node gives, and of others; return its name."""
        name = f"{kind.lower()}_{len(self._nodes)}"
        inputs = [self.here if of is None else of, *others]
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, [name], **attributes))
        self.here = name
        return name

    def constant(self, values: Tensor | np.ndarray[Any, Any]) -> str:
        """Keep values in the graph; weights as float32."""
        array = values.detach().cpu().float().numpy() if isinstance(values, Tensor) else values
        name = f"kept_{len(self._kept)}"
        self._kept.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def scalar(self, value: float) -> str:
        """Keep one number."""
        return self.constant(np.array(value, np.float32))

    def steps(self, of: str, start: int, stop: int, step: int = 1) -> str:
        """Take steps out of the last axis."""
        bounds = [self.constant(np.array([each], np.int64)) for each in (start, stop, 2, step)]
        return self.add("Slice", *bounds, of=of)

    def finished(self, n_neurons: int, n_outputs: int) -> Any:
        """Return the model."""
        self.add("Squeeze", self.constant(np.array([0])))
        helper, kind = self._onnx.helper, self._onnx.TensorProto.FLOAT
        last = helper.make_node("Transpose", [self.here], ["embedding"], perm=[1, 0])
        neural = helper.make_tensor_value_info("neural", kind, ["time", n_neurons])
        embedding = helper.make_tensor_value_info("embedding", kind, ["rows", n_outputs])
        graph = helper.make_graph(
            [*self._nodes, last], "encoder", [neural], [embedding], self._kept
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="grevy",
            producer_version=grevy_version,
        )


def _write_encoder(graph: _Graph, model: Any) -> None:
    """Write a model of `cebra`'s families.

    Raises
    ------
    UnsupportedError
        If it is of another kind.
    """
    from cebra.models.model import Offset0ModelMSEClip, _OffsetModel

    forward = type(model).forward
    clips = forward is Offset0ModelMSEClip.forward
    if not clips and forward is not _OffsetModel.forward:
        raise _unsupported(model, "its own way forward")
    if any(each._forward_hooks or each._forward_pre_hooks for each in model.modules()):
        raise _unsupported(model, "hooks")
    flattens = any(isinstance(module, nn.Flatten) for module in model.modules())
    by_windows = not (is_convolutional(model) or subsamples(model)) or flattens
    if by_windows and sum(receptive_field(model)) != 1:
        raise _unsupported(model, "layers that take one window at a time")
    _write_layers(graph, model.net, model)
    if clips:
        _write_layers(graph, [model.clamp], model)


def _write_layers(graph: _Graph, modules: Sequence[Any], model: Any) -> None:
    for module in modules:
        _write_layer(graph, module, model)


def _write_layer(graph: _Graph, module: Any, model: Any) -> None:
    from cebra.models import layers

    kind = type(module)
    if kind in (nn.Flatten, layers.Squeeze, nn.Dropout, nn.Dropout1d):
        return  # steps stay apart, and nothing is dropped
    if kind is nn.Conv1d and module.padding == (0,):
        _write_convolution(graph, module, module.weight)
    elif kind is nn.Linear:
        _write_convolution(graph, module, module.weight[:, :, None])
    elif kind is nn.GELU and module.approximate == "none":
        _write_gelu(graph)
    elif kind is nn.Tanh:
        graph.add("Tanh")
    elif kind is nn.Hardtanh:
        graph.add("Clip", graph.scalar(module.min_val), graph.scalar(module.max_val))
    elif kind is layers._Norm:
        values = graph.here
        graph.add("Div", graph.add("ReduceL2", axes=[1], keepdims=1), of=values)
    elif kind is layers._Skip:
        before = graph.here
        _write_layers(graph, module.module, model)
        inside, stop = graph.here, module.crop.stop
        graph.add(
            "Add", graph.steps(before, module.crop.start, _END if stop is None else stop), of=inside
        )
    elif kind is layers._SkipLinear:
        before = graph.here
        _write_layers(graph, [module.module], model)
        inside, more = graph.here, module.padding_size
        pads = graph.constant(np.array([0, 0, 0, 0, more, 0], np.int64))
        graph.add("Add", graph.add("Pad", pads, of=before), of=inside)
    elif kind is layers._MeanAndConv and module.layer.padding == (0,):
        before = graph.here
        _write_convolution(graph, module.layer, module.layer.weight)
        inside = graph.here
        # The step at which each window of the convolution starts.
        stop = 1 - module.layer.kernel_size[0]
        graph.steps(before, 0, _END if stop == 0 else stop, module.downsample)
        graph.add("Concat", graph.here, of=inside, axis=1)
    else:
        raise _unsupported(model, f"a layer {kind.__name__}")


def _write_convolution(graph: _Graph, module: Any, weight: Tensor) -> None:
    inputs = [graph.constant(weight)]
    if module.bias is not None:
        inputs.append(graph.constant(module.bias))
    over_time: dict[str, Any] = {
        "strides": list(getattr(module, "stride", (1,))),
        "dilations": list(getattr(module, "dilation", (1,))),
        "group": getattr(module, "groups", 1),
    }
    graph.add("Conv", *inputs, **over_time)


def _write_gelu(graph: _Graph) -> None:
    """Write x (1 + erf(x / sqrt 2)) / 2."""
    values = graph.here
    graph.add("Mul", graph.scalar(np.sqrt(0.5)))
    graph.add("Erf")
    graph.add("Add", graph.scalar(1.0))
    graph.add("Mul", graph.scalar(0.5))
    graph.add("Mul", values)


def _unsupported(model: Any, what: str) -> UnsupportedError:
    return UnsupportedError(
        f"export: {type(model).__name__!r} has {what}, which cannot be written as ONNX here. What "
        f"can: the architectures of cebra but offset4-model-2x-subsample, and models of your own "
        f"made of the same layers."
    )
