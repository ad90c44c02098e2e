"""Delta rules that erase along one row and write along another: S_t = S̄ + k_t' (v_t - e_t S), S = S̄ or S_{t-1}.

Erasing on a row that is not the one written is Kaczmarz with a mismatched adjoint: no longer a gradient step of a
loss at that token, unless the two are parallel.
"""

from ttr_numerics.arrays import Array, as_residual, as_state, namespace
from ttr_numerics.axes import Output, check_sequence, initial_matrix, per_channel, per_token
from ttr_numerics.recurrence import sequential

__all__ = ["comba", "erase_write_delta_rule"]


def erase_write_delta_rule(
    q: Array,
    k: Array,
    v: Array,
    *,
    log_decay: Array,
    erase: Array,
    write: Array,
    initial_state: Array | None = None,
) -> Output:
    """S̄ = diag(exp log_decay_t) S_{t-1}, S_t = S̄ + k_t' (w_t∘v_t - (b_t∘k_t) S̄), o_t = q_t S_t.

    erase b (..., T, d_k), write w (..., T, d_v); log_decay (..., T) or (..., T, d_k), at most 0, -inf a hard reset.
    b = w = beta is the gated delta rule. Reference: Gated DeltaNet-2, arXiv 2605.22791.
    """
    check_sequence(q, k, v)
    gates = (
        per_channel("erase", erase, q),
        per_channel("write", write, v),
        per_token("log_decay", log_decay, q, channels=True),
    )
    return sequential(_erase_and_write, initial_matrix(initial_state, q, v), q, k, v, *gates)


def comba(
    q: Array, k: Array, v: Array, *, p: Array, log_decay: Array, beta: Array, initial_state: Array | None = None
) -> Output:
    """S_t = exp(log_decay_t) S_{t-1} + k_t' β_t (v_t - p_t S_{t-1}), o_t = q_t S_t.

    The error is that of the row p (..., T, d_k) on the *undecayed* state; beta (..., T); log_decay (..., T) or
    (..., T, d_k), at most 0, -inf a hard reset of all but the error. The caller forms p = d k and q - D p, and
    normalises. Reference: Hu et al. (Comba), arXiv 2506.02475.
    """
    check_sequence(q, k, v)
    gates = (
        per_channel("p", p, q),
        per_token("log_decay", log_decay, q, channels=True),
        per_token("beta", beta, q),
    )
    return sequential(_feed_back, initial_matrix(initial_state, q, v), q, k, v, *gates)


def _erase_and_write(
    S: Array, q: Array, k: Array, v: Array, erase: Array, write: Array, log_decay: Array
) -> tuple[Array, Array]:
    xp = namespace(S)
    S = xp.matrix_transpose(xp.exp(log_decay)) * S
    S = S + xp.matrix_transpose(k) @ as_residual(write * v - (erase * k) @ S)
    return S, q @ as_state(S)


def _feed_back(S: Array, q: Array, k: Array, v: Array, p: Array, log_decay: Array, beta: Array) -> tuple[Array, Array]:
    xp = namespace(S)
    S = xp.matrix_transpose(xp.exp(log_decay)) * S + xp.matrix_transpose(k) @ (beta * as_residual(v - p @ S))
    return S, q @ as_state(S)
