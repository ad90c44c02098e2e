"""Sequence layers, each to its published order of operations. One family a file; a layer is its step.

All take q, k (..., T, d_k) and v (..., T, d_v) of one library, dtype and device and return `Output(o, state)`
in the same. No scale, normalisation or feature map is hidden inside: the caller applies them. `chunked` holds the
linear-state layers again in chunk-parallel form.
"""

from ttr_numerics.layers import chunked as chunked
from ttr_numerics.layers.additive import gated_linear_attention, linear_attention
from ttr_numerics.layers.delta import delta_rule, gated_delta_rule
from ttr_numerics.layers.mesa import mesa
from ttr_numerics.layers.softmax import bidirectional_softmax_attention, softmax_attention

__all__ = [
    "bidirectional_softmax_attention",
    "delta_rule",
    "gated_delta_rule",
    "gated_linear_attention",
    "linear_attention",
    "mesa",
    "softmax_attention",
]
