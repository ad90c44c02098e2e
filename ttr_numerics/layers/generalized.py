"""Linear attention with a transition of diagonal plus rank one (DPLR), RWKV-7 among its calls."""

from ttr_numerics.arrays import Array, as_state, namespace
from ttr_numerics.axes import Output, check_sequence, initial_matrix, per_channel, per_token
from ttr_numerics.recurrence import sequential

__all__ = ["generalized_delta_rule"]


def generalized_delta_rule(
    q: Array,
    k: Array,
    v: Array,
    *,
    a: Array,
    b: Array,
    log_decay: Array,
    initial_state: Array | None = None,
) -> Output:
    """S_t = (diag(exp log_decay_t) + b_t'a_t) S_{t-1} + k_t'v_t, o_t = q_t S_t.

    a, b (..., T, d_k): a reads the *undecayed* state, b writes; log_decay (..., T) or (..., T, d_k), at most 0; -inf
    leaves of the past b_t'a_t S_{t-1} alone. RWKV-7 with removal key κ̂ and in-context rate η is a = -κ̂, b = κ̂∘η,
    log_decay = -e^{-1/2} σ(w); a = -β exp(log_decay)∘k, b = k, v ← β v the gated delta rule.
    Reference: Peng et al. (RWKV-7), arXiv 2503.14456; flash-linear-attention, `dplr` (its alpha, beta).
    """
    check_sequence(q, k, v)
    rows = per_channel("a", a, q), per_channel("b", b, q), per_token("log_decay", log_decay, q, channels=True)
    return sequential(_feed_back, initial_matrix(initial_state, q, v), q, k, v, *rows)


def _feed_back(S: Array, q: Array, k: Array, v: Array, a: Array, b: Array, log_decay: Array) -> tuple[Array, Array]:
    xp = namespace(S)
    decayed = xp.matrix_transpose(xp.exp(log_decay)) * S
    S = decayed + xp.matrix_transpose(b) @ (a @ S) + xp.matrix_transpose(k) @ v
    return S, q @ as_state(S)
