"""How a model is applied: to gathered windows, over the whole sequence, or the one after the other.

A convolutional model gives the same embedding each way; what differs is the work. Q windows of W
steps cost Q x W steps at the first layer, though many of them overlap, and fewer at every layer,
for windows shrink. The sequence costs T steps at every layer, though some lie in no window. So the
first layers may be applied to the sequence, or to those of its steps that lie in windows, packed
side by side; windows are gathered from what they give, and the others applied to those.
"""

from grevy.engine.encoding.encoder import Encoded, Encoder, encode, pack
from grevy.engine.encoding.layout import Layout, choose_layout, expected_cover
from grevy.engine.encoding.models import is_convolutional, receptive_field
from grevy.engine.encoding.padding import Padding, pad_segments
from grevy.engine.encoding.sequence import embed

__all__ = [
    "Encoded",
    "Encoder",
    "Layout",
    "Padding",
    "choose_layout",
    "embed",
    "encode",
    "expected_cover",
    "is_convolutional",
    "pack",
    "pad_segments",
    "receptive_field",
]
