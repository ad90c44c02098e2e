"""The Mesa layer with a fixed regulariser: the ridge regression of everything seen, solved at every token.

H_t = γ_t H_{t-1} + β_t k_t'k_t;   G_t = γ_t G_{t-1} + β_t k_t'v_t;   o_t = q_t (H_t + Λ)⁻¹ G_t
"""

from typing import Any

from ttr_numerics.arrays import Array, diagonal_matrix, namespace, solve_posdef, zeros
from ttr_numerics.axes import Moments, Output, check_sequence, initial_matrix, per_token, row_ridge
from ttr_numerics.recurrence import sequential

__all__ = ["mesa"]


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
    the ridge. The solve is exact (Cholesky), where MesaNet takes conjugate gradient steps. Raises `LinAlgError`
    where H_t + diag(ridge) is not positive definite. Reference: von Oswald et al. (MesaNet), arXiv 2506.05233.
    """
    check_sequence(q, k, v)
    scalar = q[..., 0]
    xp = namespace(q)
    gate = per_token("log_decay", xp.zeros_like(scalar) if log_decay is None else log_decay, q)
    weight = per_token("beta", xp.ones_like(scalar) if beta is None else beta, q)
    regulariser = diagonal_matrix(row_ridge(ridge, q))

    def step(state: Moments, q: Array, k: Array, v: Array, log_decay: Array, beta: Array) -> tuple[Moments, Array]:
        decay, write = xp.exp(log_decay), xp.matrix_transpose(beta * k)
        H, G = decay * state.H + write @ k, decay * state.G + write @ v
        solution = solve_posdef(H + regulariser, xp.matrix_transpose(q), "H + ridge")
        return Moments(H, G), xp.matrix_transpose(solution) @ G

    return sequential(step, _initial(initial_state, q, v), q, k, v, gate, weight)


def _initial(state: Moments | None, q: Array, v: Array) -> Moments:
    if state is None:
        d_k = q.shape[-1]
        return Moments(zeros(q, (*q.shape[:-2], d_k, d_k)), initial_matrix(None, q, v))
    return Moments(initial_matrix(state.H, q, q, "initial_state.H"), initial_matrix(state.G, q, v, "initial_state.G"))
