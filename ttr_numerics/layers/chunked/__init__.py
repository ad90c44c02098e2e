"""The linear-state layers in chunk-parallel form: the same functions as in `ttr_numerics.layers`, by matrix products.

Each is a substitution into `recurrence.chunk_parallel`; `chunk` is how many tokens are treated at once. Outputs and
states equal the sequential definitions to rounding, whatever the chunk.
"""

from ttr_numerics.layers.chunked.additive import gated_linear_attention, linear_attention
from ttr_numerics.layers.chunked.delta import delta_rule, gated_delta_rule

__all__ = ["delta_rule", "gated_delta_rule", "gated_linear_attention", "linear_attention"]
