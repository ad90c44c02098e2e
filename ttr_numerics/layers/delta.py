"""Delta rules: one gradient step per token on ½‖v_t - k_t S‖², after forgetting.

    S̄ = D_t S_{t-1};   S_t = S̄ + k_t' β_t (v_t - k_t S̄);   o_t = q_t S_t

The error is taken on the *decayed* state. A step is stable for 0 ≤ β_t‖k_t‖² ≤ 2.
"""

from ttr_numerics.arrays import Array, as_residual, as_state, namespace
from ttr_numerics.axes import Output, check_sequence, initial_matrix, per_token
from ttr_numerics.recurrence import sequential

__all__ = ["correct", "delta_rule", "gated_delta_rule"]


def delta_rule(q: Array, k: Array, v: Array, *, beta: Array, initial_state: Array | None = None) -> Output:
    """S_t = S_{t-1} + k_t' β_t (v_t - k_t S_{t-1}), o_t = q_t S_t; beta (..., T).

    LMS; NLMS for unit keys; Kaczmarz for β_t = 1/‖k_t‖². Reference: Schlag et al., arXiv 2102.11174, equation 24;
    Yang et al. (DeltaNet), arXiv 2406.06484.
    """
    check_sequence(q, k, v)
    return sequential(correct, initial_matrix(initial_state, q, v), q, k, v, per_token("beta", beta, q))


def gated_delta_rule(
    q: Array, k: Array, v: Array, *, log_decay: Array, beta: Array, initial_state: Array | None = None
) -> Output:
    """S̄ = diag(exp log_decay_t) S_{t-1}, S_t = S̄ + k_t' β_t (v_t - k_t S̄), o_t = q_t S_t.

    log_decay (..., T), or per key channel (..., T, d_k): Kimi delta attention; in nats, at most 0, -inf a hard
    reset. Forgets before the error. Reference: Yang et al. (Gated DeltaNet), arXiv 2412.06464, equation 10.
    """
    check_sequence(q, k, v)
    gates = per_token("beta", beta, q), per_token("log_decay", log_decay, q, channels=True)
    return sequential(_decay_and_correct, initial_matrix(initial_state, q, v), q, k, v, *gates)


def correct(S: Array, q: Array, k: Array, v: Array, beta: Array) -> tuple[Array, Array]:
    """The step S + k' β (v - k S), read with q."""
    S = S + namespace(k).matrix_transpose(k) @ (beta * as_residual(v - k @ S))
    return S, q @ as_state(S)


def _decay_and_correct(S: Array, q: Array, k: Array, v: Array, beta: Array, log_decay: Array) -> tuple[Array, Array]:
    xp = namespace(S)
    return correct(xp.matrix_transpose(xp.exp(log_decay)) * S, q, k, v, beta)
