"""The delta rule with steps normalised by the key: relaxed Kaczmarz (NLMS) with a leak."""

from ttr_numerics.arrays import Array, namespace
from ttr_numerics.axes import Output, check_sequence, per_token
from ttr_numerics.layers.delta import delta_rule, gated_delta_rule

__all__ = ["kaczmarz_delta_rule", "normalized_step"]


def kaczmarz_delta_rule(
    q: Array,
    k: Array,
    v: Array,
    *,
    step: Array,
    eps: float = 0.0,
    log_decay: Array | None = None,
    initial_state: Array | None = None,
) -> Output:
    """S̄ = diag(exp log_decay_t) S_{t-1}, S_t = S̄ + k_t' β_t (v_t - k_t S̄), β_t = step_t/(‖k_t‖² + eps), o_t = q_t S_t.

    step (..., T): at 1, eps 0, the newest pair is recalled exactly; stable from 0 to 2. A zero key writes nothing,
    whatever eps. log_decay (..., T) or (..., T, d_k), at most 0, -inf a hard reset; None is none.
    Reference: Haykin, Adaptive Filter Theory (NLMS); Kaczmarz (1937).
    """
    check_sequence(q, k, v)
    beta = normalized_step(k, per_token("step", step, q)[..., 0], eps)
    if log_decay is None:
        return delta_rule(q, k, v, beta=beta, initial_state=initial_state)
    return gated_delta_rule(q, k, v, log_decay=log_decay, beta=beta, initial_state=initial_state)


def normalized_step(k: Array, step: Array, eps: float) -> Array:
    """step/(‖k‖² + eps) (..., T), and 0 for a zero key."""
    xp = namespace(k)
    size = xp.sum(k * k, axis=-1)
    empty = size == 0
    return xp.where(empty, xp.zeros_like(size), step / xp.where(empty, xp.ones_like(size), size + eps))
