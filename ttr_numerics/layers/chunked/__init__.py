"""The linear-state layers in chunk-parallel form: the same functions as in `ttr_numerics.layers`, by matrix products.

Each is a substitution into `recurrence.chunk_parallel`; `chunk` is how many tokens are treated at once. Outputs and
states equal the sequential definitions to rounding, whatever the chunk.
"""

from ttr_numerics.layers.chunked.additive import (
    gated_linear_attention,
    linear_attention,
    normalized_linear_attention,
)
from ttr_numerics.layers.chunked.conjugate_gradient import mesa_cg
from ttr_numerics.layers.chunked.delta import delta_rule, gated_delta_rule
from ttr_numerics.layers.chunked.delta_product import gated_delta_product
from ttr_numerics.layers.chunked.erase_write import comba, erase_write_delta_rule
from ttr_numerics.layers.chunked.generalized import generalized_delta_rule
from ttr_numerics.layers.chunked.implicit import longhorn
from ttr_numerics.layers.chunked.kalmanet import gated_kalmanet
from ttr_numerics.layers.chunked.momentum import momentum_delta_rule
from ttr_numerics.layers.chunked.nonlinear import titans, ttt_linear
from ttr_numerics.layers.chunked.normalized import kaczmarz_delta_rule
from ttr_numerics.layers.chunked.preconditioned import preconditioned_delta_rule
from ttr_numerics.layers.chunked.recurrent import hgrn, mlstm, rg_lru, rwkv4, rwkv6

__all__ = [
    "comba",
    "delta_rule",
    "erase_write_delta_rule",
    "gated_delta_product",
    "gated_delta_rule",
    "gated_kalmanet",
    "gated_linear_attention",
    "generalized_delta_rule",
    "hgrn",
    "kaczmarz_delta_rule",
    "linear_attention",
    "longhorn",
    "mesa_cg",
    "mlstm",
    "momentum_delta_rule",
    "normalized_linear_attention",
    "preconditioned_delta_rule",
    "rg_lru",
    "rwkv4",
    "rwkv6",
    "titans",
    "ttt_linear",
]
