"""From solves at every position to the answer, and to the two solves that its adjoint asks for.

A_t = H_t + Λ are the regularised moments of tokens 1..t, S_t = A_t⁻¹ G_t their solution (`exact.ridge_prefixes`) and
g_t (..., T, d_v) any rows, in the adjoint the gradient of o_t. With u_t = A_t⁻¹ q_t and z_t = A_t⁻¹ (G_t g_t),

    o_t = u_t G_t = Σ_i w_i γ_i^(t) (u_t k_i') v_i,      G_t g_t = Σ_i w_i γ_i^(t) (g_t v_i') k_i,

two linear attentions: G_t is never formed. So a form that solves with A_t needs no more than that solve.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ttr_numerics.arrays import Array, namespace
from ttr_numerics.axes import Moments, Output, check_sequence, initial_matrix, initial_parts, per_token, row_ridge
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.recurrence import Rows, chunk_parallel

__all__ = ["answered", "gates_and_weights", "initial_moments", "last_moments", "solutions_by"]

CHUNK = 32

# solve(rows, k, weight, log_decay, ridge, H): A_t⁻¹ rows_t for each of `rows`, and H after the last token
Solve = Callable[[Sequence[Array], Array, Array, Array, Array, Array], tuple[list[Array], Array]]


def answered(
    solve: Solve,
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge: Any,
    log_decay: Array | None,
    weights: Array | None,
    initial_state: Moments | None,
) -> Output:
    """o_t = u_t G_t with u_t = A_t⁻¹ q_t by `solve`."""
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, weights=weights, log_decay=log_decay)
    H, G = initial_moments(initial_state, q, v)
    gate, weight = gates_and_weights(q, log_decay, weights)
    (u,), H = solve([q], k, weight, gate, row_ridge(ridge, q), H)
    o, G = chunk_parallel(_weighted, G, CHUNK, u, k, v, weight, *(() if log_decay is None else (gate,)))
    return Output(o, Moments(H, G))


def solutions_by(
    solve: Solve,
    q: Array,
    k: Array,
    v: Array,
    g: Array,
    *,
    ridge: Any,
    log_decay: Array | None,
    weights: Array | None,
    initial_state: Moments | None,
) -> tuple[Array, Array]:
    """u_t = A_t⁻¹ q_t,  z_t = A_t⁻¹ (G_t g_t), both (..., T, d_k) by one call of `solve`."""
    H, G = initial_moments(initial_state, q, v)
    gate, weight = gates_and_weights(q, log_decay, weights)
    moved = chunk_parallel(_weighted, namespace(G).matrix_transpose(G), CHUNK, g, v, k, weight, gate).o
    (u, z), _ = solve([q, moved], k, weight, gate, row_ridge(ridge, q), H)
    return u, z


def gates_and_weights(q: Array, log_decay: Array | None, weights: Array | None) -> tuple[Array, Array]:
    """log_decay and weights (..., T, 1), 0 and 1 where there are none."""
    xp, scalar = namespace(q), q[..., 0]
    gate = per_token("log_decay", xp.zeros_like(scalar) if log_decay is None else log_decay, q)
    return gate, per_token("weights", xp.ones_like(scalar) if weights is None else weights, q)


def _weighted(q: Array, k: Array, v: Array, weight: Array, log_decay: Array | None = None) -> Rows:
    return Rows(q, weight * k, v, None, log_decay)


def initial_moments(initial: Moments | None, q: Array, v: Array) -> Moments:
    """The moments before the first token, zero by default."""
    if initial is None:
        return Moments(initial_matrix(None, q, q), initial_matrix(None, q, v))
    initial = initial_parts(initial, Moments)
    check_solvable(**{"initial_state.H": initial.H, "initial_state.G": initial.G})
    return Moments(
        initial_matrix(initial.H, q, q, "initial_state.H"), initial_matrix(initial.G, q, v, "initial_state.G")
    )


def last_moments(k: Array, v: Array, weights: Array | None, initial: Moments | None) -> Moments:
    """H_T and G_T without forgetting."""
    before, KT = initial_moments(initial, k, v), namespace(k).matrix_transpose(k)
    KT = KT if weights is None else KT * weights[..., None, :]
    return Moments(before.H + KT @ k, before.G + KT @ v)
