"""Sequence layers, each to its published order of operations. One family a file; a layer is its step.

All take q, k (..., T, d_k) and v (..., T, d_v) of one library, dtype and device and return `Output(o, state)`
in the same. No scale, normalisation or feature map is hidden inside: the caller applies them. `chunked` holds the
linear-state layers again in chunk-parallel form.
"""

from ttr_numerics.layers import chunked as chunked
from ttr_numerics.layers.additive import (
    gated_linear_attention,
    linear_attention,
    normalized_linear_attention,
)
from ttr_numerics.layers.compact import compact_kernel_attention, normalized_relu_attention
from ttr_numerics.layers.conjugate_gradient import mesa_cg
from ttr_numerics.layers.delta import delta_rule, gated_delta_rule
from ttr_numerics.layers.delta_product import gated_delta_product
from ttr_numerics.layers.elementwise import hgrn, rg_lru, rwkv4
from ttr_numerics.layers.entmax import entmax_attention
from ttr_numerics.layers.erase_write import comba, erase_write_delta_rule
from ttr_numerics.layers.exponential import exponential_attention
from ttr_numerics.layers.forgetting import forgetting_attention
from ttr_numerics.layers.generalized import generalized_delta_rule
from ttr_numerics.layers.hopfield import hopfield
from ttr_numerics.layers.implicit import longhorn, longhorn_diagonal
from ttr_numerics.layers.kalmanet import gated_kalmanet
from ttr_numerics.layers.kernel_ridge import intention, kernel_ridge_attention
from ttr_numerics.layers.local import local_linear_attention, local_polynomial_attention
from ttr_numerics.layers.mesa import mesa
from ttr_numerics.layers.mlstm import mlstm
from ttr_numerics.layers.momentum import momentum_delta_rule
from ttr_numerics.layers.normalized import kaczmarz_delta_rule
from ttr_numerics.layers.omega import omega_rule
from ttr_numerics.layers.parallax import parallax
from ttr_numerics.layers.preconditioned import preconditioned_delta_rule
from ttr_numerics.layers.recursive import original_mesa
from ttr_numerics.layers.robust import (
    entrywise_huber_delta_rule,
    exponentiated_gradient_rule,
    huber_delta_rule,
    lp_delta_rule,
)
from ttr_numerics.layers.rwkv import rwkv6
from ttr_numerics.layers.sink import sink_attention
from ttr_numerics.layers.softmax import bidirectional_softmax_attention, softmax_attention
from ttr_numerics.layers.titans import titans
from ttr_numerics.layers.ttt import layer_norm_ttt_linear, ttt_linear
from ttr_numerics.layers.ttt_mlp import ttt_mlp
from ttr_numerics.layers.window import sliding_window_attention

__all__ = [
    "bidirectional_softmax_attention",
    "comba",
    "compact_kernel_attention",
    "delta_rule",
    "entmax_attention",
    "entrywise_huber_delta_rule",
    "erase_write_delta_rule",
    "exponential_attention",
    "exponentiated_gradient_rule",
    "forgetting_attention",
    "gated_delta_product",
    "gated_delta_rule",
    "gated_kalmanet",
    "gated_linear_attention",
    "generalized_delta_rule",
    "hgrn",
    "hopfield",
    "huber_delta_rule",
    "intention",
    "kaczmarz_delta_rule",
    "kernel_ridge_attention",
    "layer_norm_ttt_linear",
    "linear_attention",
    "local_linear_attention",
    "local_polynomial_attention",
    "longhorn",
    "longhorn_diagonal",
    "lp_delta_rule",
    "mesa",
    "mesa_cg",
    "mlstm",
    "momentum_delta_rule",
    "normalized_linear_attention",
    "normalized_relu_attention",
    "omega_rule",
    "original_mesa",
    "parallax",
    "preconditioned_delta_rule",
    "rg_lru",
    "rwkv4",
    "rwkv6",
    "sink_attention",
    "sliding_window_attention",
    "softmax_attention",
    "titans",
    "ttt_linear",
    "ttt_mlp",
]
