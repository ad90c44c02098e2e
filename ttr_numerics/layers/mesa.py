"""The Mesa layer with a fixed regulariser: the ridge regression of everything seen, solved at every token.

H_t = γ_t H_{t-1} + β_t k_t'k_t;   G_t = γ_t G_{t-1} + β_t k_t'v_t;   o_t = q_t (H_t + Λ)⁻¹ G_t
"""

from typing import Any

from ttr_numerics.arrays import Array, as_state, diagonal_matrix, namespace, solve_posdef
from ttr_numerics.axes import Moments, Output, check_sequence, initial_matrix, initial_parts, per_token, row_ridge
from ttr_numerics.recurrence import sequential

__all__ = ["gate_and_weight", "initial_moments", "mesa", "remember"]


def mesa(
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge: Any,
    log_decay: Array | None = None,
    beta: Array | None = None,
    initial_state: Moments | None = None,
) -> Output:
    """o_t = q_t (H_t + diag(ridge))⁻¹ G_t with moments forgotten by exp(log_decay_t), weighted by beta_t.

    ridge a number or (..., d_k); log_decay, beta (..., T), default 0 and 1. The state is `Moments(H, G)` without
    the ridge. The solve is exact (Cholesky); `mesa_cg` takes MesaNet's conjugate gradient steps. Raises `LinAlgError`
    where H_t + diag(ridge) is not positive definite. Reference: von Oswald et al. (MesaNet), arXiv 2506.05233.
    """
    check_sequence(q, k, v)
    xp, regulariser = namespace(q), diagonal_matrix(row_ridge(ridge, q))

    def step(state: Moments, q: Array, k: Array, v: Array, log_decay: Array, beta: Array) -> tuple[Moments, Array]:
        H, G = as_state(remember(state, k, v, log_decay, beta))
        solution = solve_posdef(H + regulariser, xp.matrix_transpose(q), "H + ridge")
        return Moments(H, G), xp.matrix_transpose(solution) @ G

    return sequential(step, initial_moments(initial_state, q, v), q, k, v, *gate_and_weight(q, log_decay, beta))


def remember(state: Moments, k: Array, v: Array, log_decay: Array, beta: Array) -> Moments:
    """H ← γH + βk'k, G ← γG + βk'v for one token."""
    xp = namespace(k)
    decay, write = xp.exp(log_decay), xp.matrix_transpose(beta * k)
    return Moments(decay * state.H + write @ k, decay * state.G + write @ v)


def gate_and_weight(q: Array, log_decay: Array | None, beta: Array | None) -> tuple[Array, Array]:
    """log_decay and beta (..., T, 1), 0 and 1 where there are none."""
    xp, scalar = namespace(q), q[..., 0]
    gate = per_token("log_decay", xp.zeros_like(scalar) if log_decay is None else log_decay, q)
    return gate, per_token("beta", xp.ones_like(scalar) if beta is None else beta, q)


def initial_moments(state: Moments | None, q: Array, v: Array) -> Moments:
    """The moments before the first token: `state` after a shape check, zero if None."""
    if state is None:
        return Moments(initial_matrix(None, q, q), initial_matrix(None, q, v))
    state = initial_parts(state, Moments)
    return Moments(initial_matrix(state.H, q, q, "initial_state.H"), initial_matrix(state.G, q, v, "initial_state.G"))
