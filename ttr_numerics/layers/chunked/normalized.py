"""The delta rule with normalised steps in chunk-parallel form."""

from ttr_numerics.arrays import Array
from ttr_numerics.axes import Output, check_sequence, per_token
from ttr_numerics.layers.chunked.delta import delta_rule, gated_delta_rule
from ttr_numerics.layers.chunked.length import CHUNK
from ttr_numerics.layers.normalized import normalized_step

__all__ = ["kaczmarz_delta_rule"]


def kaczmarz_delta_rule(
    q: Array,
    k: Array,
    v: Array,
    *,
    step: Array,
    eps: float = 0.0,
    log_decay: Array | None = None,
    initial_state: Array | None = None,
    chunk: int = CHUNK,
) -> Output:
    """The (gated) delta rule with β_t = step_t/(‖k_t‖² + eps)."""
    check_sequence(q, k, v)
    beta = normalized_step(k, per_token("step", step, q)[..., 0], eps)
    if log_decay is None:
        return delta_rule(q, k, v, beta=beta, initial_state=initial_state, chunk=chunk)
    return gated_delta_rule(q, k, v, log_decay=log_decay, beta=beta, initial_state=initial_state, chunk=chunk)
