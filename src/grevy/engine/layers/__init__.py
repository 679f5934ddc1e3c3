"""`cebra`'s encoders as matrix products over rows, with their own gradient.

`torch.nn.Conv1d` spends most of a training step of these small networks on copies. Here a batch of
windows lies with time first, as rows (W * B, N) in which row l * B + b is step l of window b. The
steps l + j of all windows are then one contiguous slice, so that a convolution is a sum of k matrix
products of slices, with no copy in either direction. A sequence is the case B = 1.

A pass is laid out once, as a list of operations over fixed buffers, and run in every step: at these
sizes the interpreter would otherwise take as long as the arithmetic.

The mathematics is that of the modules of `cebra.models.model`, to which the tests hold this one.
Networks with other layers (dropout, strides, a user's own) are left to torch: `compile_network`
returns None for them.
"""

from grevy.engine.layers.compilation import compile_network
from grevy.engine.layers.kinds import Convolution, Skip
from grevy.engine.layers.network import Network, apply_network

__all__ = ["Convolution", "Network", "Skip", "apply_network", "compile_network"]
