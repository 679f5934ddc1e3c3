"""How a step is computed: tensors in, tensors out; no estimator, no file, no score.

Draw indices, encode windows, compute the loss and its gradient, update the weights: the parts of
a step, the loop that takes steps in a row, and what runs them fast on a CPU or a GPU.
"""

from grevy.engine.adam import Adam
from grevy.engine.devices import on_device, resolve_device
from grevy.engine.encoding.encoder import Encoder
from grevy.engine.encoding.layout import choose_layout
from grevy.engine.encoding.models import is_convolutional, receptive_field
from grevy.engine.encoding.on_demand import OnDemand
from grevy.engine.encoding.padding import Padding, pad_segments
from grevy.engine.encoding.sequence import embed, window_embedder
from grevy.engine.interruption import interruptible, terminable
from grevy.engine.kernels.library import instructions
from grevy.engine.layers.compilation import compile_network
from grevy.engine.loop import DivergedError, run, weights_seed
from grevy.engine.loss import Distance, infonce, infonce_gradient
from grevy.engine.masks import make_masks
from grevy.engine.sampling.drawing import draw
from grevy.engine.sampling.plan import Batches, Conditional, PriorKind, Sampler, SamplingPlan
from grevy.engine.sampling.preparation import fitting_positions, make_sampler
from grevy.engine.step import (
    HYBRID_DIMENSIONS,
    Training,
    batch_gradient,
    chance_loss,
    encode_batch,
    inverse_temperature,
)
from grevy.engine.threads import thread_count

__all__ = [
    "HYBRID_DIMENSIONS",
    "Adam",
    "Batches",
    "Conditional",
    "Distance",
    "DivergedError",
    "Encoder",
    "OnDemand",
    "Padding",
    "PriorKind",
    "Sampler",
    "SamplingPlan",
    "Training",
    "batch_gradient",
    "chance_loss",
    "choose_layout",
    "compile_network",
    "draw",
    "embed",
    "encode_batch",
    "fitting_positions",
    "infonce",
    "infonce_gradient",
    "instructions",
    "interruptible",
    "inverse_temperature",
    "is_convolutional",
    "make_masks",
    "make_sampler",
    "on_device",
    "pad_segments",
    "receptive_field",
    "resolve_device",
    "run",
    "terminable",
    "thread_count",
    "weights_seed",
    "window_embedder",
]
