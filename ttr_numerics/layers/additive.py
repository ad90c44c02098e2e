"""Additive memories: S_t = D_t S_{t-1} + k_t v_t', o_t = q_t S_t.

One full-batch gradient step of size 1 from zero on the weighted squared loss: K'K is replaced by I. Divided by the
same memory of the constant 1 it is a weighted mean of values instead, an exact local fit.
"""

from ttr_numerics.arrays import Array, as_state, concat, namespace
from ttr_numerics.axes import Output, Sums, check_sequence, initial_array, initial_matrix, initial_parts, per_token
from ttr_numerics.recurrence import sequential

__all__ = [
    "divided",
    "gated_linear_attention",
    "initial_sums",
    "linear_attention",
    "normalized_linear_attention",
    "with_ones",
]


def linear_attention(q: Array, k: Array, v: Array, *, initial_state: Array | None = None) -> Output:
    """S_t = S_{t-1} + k_t v_t', o_t = q_t S_t (read after the write).

    The output is not divided by q_t'Σk_i. Reference: Katharopoulos et al., arXiv 2006.16236, section 3.4.
    """
    check_sequence(q, k, v)
    return sequential(_add, initial_matrix(initial_state, q, v), q, k, v)


def normalized_linear_attention(q: Array, k: Array, v: Array, *, initial_state: Sums | None = None) -> Output:
    """o_t = q_t'S_t / q_t'z_t, S_t = S_{t-1} + k_t v_t', z_t = z_{t-1} + k_t: the mean of v_i with weights q_t'k_i.

    Nadaraya-Watson with the kernel q'k. On feature maps that are at least 0 it is a mean; otherwise weights and
    denominator may be negative or nearly cancel, and no bound on ‖o‖ holds. There is no epsilon: outputs do not change
    when all keys, or a query, are scaled. (FLA adds 10⁻¹⁰ to the denominator, which halves the output of a query with
    q'z = 10⁻¹⁰ and leaves one of size 1 alone.) Where the denominator is 0, 0/0 is 0: every constant fits a memory of
    weight 0, and the least is taken. x/0 is infinite, as in the library's own division.
    Reference: Katharopoulos et al., arXiv 2006.16236, equations 18-20.
    """
    check_sequence(q, k, v)
    return divided(sequential(_add, initial_sums(initial_state, q, v), q, k, with_ones(v)))


def gated_linear_attention(
    q: Array, k: Array, v: Array, *, log_decay: Array, initial_state: Array | None = None
) -> Output:
    """S_t = diag(exp log_decay_t) S_{t-1} + k_t v_t', o_t = q_t S_t.

    log_decay (..., T) or per key channel (..., T, d_k), in nats, at most 0; -inf is a hard reset.
    RetNet, lightning attention, Mamba-2 (scalar), GLA and HGRN2 (per channel) are calls of it: `gates` has theirs.
    Reference: Yang et al. (GLA), arXiv 2312.06635, equation 3; Dao and Gu (Mamba-2), arXiv 2405.21060.
    """
    check_sequence(q, k, v)
    gate = per_token("log_decay", log_decay, q, channels=True)
    return sequential(_decay_and_add, initial_matrix(initial_state, q, v), q, k, v, gate)


def with_ones(v: Array) -> Array:
    """Values [v, 1] (..., T, d_v + 1), whose memory holds S and z side by side."""
    return concat([v, namespace(v).ones_like(v[..., :1])], -1)


def initial_sums(initial: Sums | None, q: Array, v: Array) -> Array:
    """[S_0, z_0] (..., d_k, d_v + 1): `initial` after a shape check, zero if None."""
    if initial is None:
        return initial_matrix(None, q, with_ones(v))
    initial = initial_parts(initial, Sums)
    S = initial_matrix(initial.S, q, v, "initial_state.S")
    z = initial_array(initial.z, (*q.shape[:-2], q.shape[-1]), q, "initial_state.z")
    return concat([S, z[..., None]], -1)


def divided(sums: Output) -> Output:
    """Outputs over their last column, 0/0 = 0, and the state taken apart."""
    xp, above, below = namespace(sums.o), sums.o[..., :-1], sums.o[..., -1:]
    nothing = (below == 0) & (above == 0)
    o = above / xp.where(nothing, xp.ones_like(above), below)
    return Output(o, Sums(sums.state[..., :-1], sums.state[..., -1]))


def _add(S: Array, q: Array, k: Array, v: Array) -> tuple[Array, Array]:
    S = S + namespace(k).matrix_transpose(k) @ v
    return S, q @ as_state(S)


def _decay_and_add(S: Array, q: Array, k: Array, v: Array, log_decay: Array) -> tuple[Array, Array]:
    xp = namespace(S)
    return _add(xp.matrix_transpose(xp.exp(log_decay)) * S, q, k, v)
