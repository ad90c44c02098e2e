"""One sweep over the associations with heavy-ball momentum, as a triangular system on the Gram matrix."""

from ttr_numerics.arrays import Array, eye, namespace, solve_triangular
from ttr_numerics.axes import Momentum, Output, check_sequence, initial_matrix, per_token
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.weights import Ageing

__all__ = ["heavy_ball_prefixes"]


def heavy_ball_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    beta: Array,
    log_momentum: Array,
    log_decay: Array | None = None,
    initial_state: Momentum | None = None,
) -> Output:
    """o_t = q_t S_t, S_t = Γ_0 S_0 + (ΓM)_0 U_0 + Σ_{i≤t} h_ti k_i w_i', where a step at i is taken again and again:

        H = Γ M,   h_ti = Σ_{i≤s≤t} γ_s^(t) μ_i^(s);   (I + diag(β) tril(K K'∘H⁻, -1)) W = diag(β) (V - K S⁻),

    Γ, M the ages of state and velocity, H⁻ the H of the row before, K S⁻ what the rows read of S_0 and U_0. Heavy-ball
    Kaczmarz; unique for every β; judged by `backward.solve_ratio` of that system. All gates (..., T).
    Reference: Polyak (1964); Loizou and Richtárik (2020), doi 10.1007/s10589-020-00220-z (Kaczmarz with momentum).
    """
    check_sequence(q, k, v)
    xp, step = namespace(q), per_token("beta", beta, q)
    for name, x in (("log_momentum", log_momentum), ("log_decay", log_decay)):
        if x is not None:
            per_token(name, x, q)
    check_solvable(q=q, k=k, v=v, beta=beta, log_momentum=log_momentum, log_decay=log_decay)
    S0, U0 = (initial_matrix(x, q, v) for x in ((None, None) if initial_state is None else initial_state))
    age, velocity = Ageing(log_decay, q), Ageing(log_momentum, q)
    H = age.gamma[..., 0] @ velocity.gamma[..., 0]
    pushed = age.gamma[..., 0] @ velocity.start
    earlier = xp.tril(xp.roll(H, 1, axis=-2), k=-1) * (k @ xp.matrix_transpose(k))
    read = age.start_before(k) @ S0 + _a_row_later(pushed) * k @ U0
    w = solve_triangular(eye(q, k.shape[-2]) + step * earlier, step * (v - read))
    o = (H * (q @ xp.matrix_transpose(k))) @ w + (age.start * q) @ S0 + (pushed * q) @ U0
    if not q.shape[-2]:
        return Output(o, Momentum(S0, U0))
    S = age.carried(S0) + pushed[..., -1:, :] * U0 + xp.matrix_transpose(H[..., -1, :, None] * k) @ w
    return Output(o, Momentum(S, velocity.carried(U0) + xp.matrix_transpose(velocity.last(k)) @ w))


def _a_row_later(x: Array) -> Array:
    """Row t - 1 of x at row t, and 0 at the first."""
    xp = namespace(x)
    return xp.concat([xp.zeros_like(x[..., :1, :]), x[..., :-1, :]], axis=-2)
