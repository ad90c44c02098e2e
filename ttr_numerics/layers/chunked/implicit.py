"""Implicit online learning in chunk-parallel form; the diagonal form, with a gate per entry of S, has none."""

from ttr_numerics.arrays import Array
from ttr_numerics.axes import Output, check_sequence, per_token
from ttr_numerics.layers.chunked.delta import delta_rule
from ttr_numerics.layers.chunked.length import CHUNK
from ttr_numerics.layers.implicit import implicit_step

__all__ = ["longhorn"]


def longhorn(
    q: Array, k: Array, v: Array, *, beta: Array, initial_state: Array | None = None, chunk: int = CHUNK
) -> Output:
    """S_t = S_{t-1} + k_t' ε_t (v_t - k_t S_{t-1}): the delta rule with β_t ← ε_t = β_t/(1 + β_t‖k_t‖²)."""
    check_sequence(q, k, v)
    step = implicit_step(k, per_token("beta", beta, q))[..., 0]
    return delta_rule(q, k, v, beta=step, initial_state=initial_state, chunk=chunk)
