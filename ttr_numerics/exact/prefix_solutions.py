"""Two solves at every position, u_t = A_t⁻¹ q_t and z_t = S_t g_t: all that the adjoint of a prefix solver asks of it.

A_t = H_t + Λ are the regularised moments of tokens 1..t, S_t = A_t⁻¹ G_t their solution (`exact.ridge_prefixes`) and
g_t (..., T, d_v) any rows, in the adjoint the gradient of o_t. A function here, called
`solutions(q, k, v, g, ridge=, log_decay=, weights=, initial_state=)`, returns u and z (..., T, d_k).
"""

from collections.abc import Callable, Sequence
from typing import Any

from ttr_numerics.arrays import (
    Array,
    cholesky,
    concat,
    diagonal_matrix,
    eye,
    forward_substitution,
    namespace,
    solve_posdef,
)
from ttr_numerics.axes import Moments, initial_matrix, per_token, row_ridge
from ttr_numerics.exact.moment_adjoint import ages
from ttr_numerics.recurrence import sequential

__all__ = [
    "initial_moments",
    "solutions_by",
    "solutions_by_innovation",
    "solutions_by_moments",
    "solutions_by_recursion",
    "solve_by_moments",
]

# solve(rows, k, weight, log_decay, ridge, H): A_t⁻¹ rows_t for each of `rows`, and H after the last token
Solve = Callable[[Sequence[Array], Array, Array, Array, Array, Array], tuple[list[Array], Array]]

CHUNK = 32
BLOCK = 8  # positions factored together: memory BLOCK d_k² a batch entry


def solutions_by_innovation(
    q: Array,
    k: Array,
    v: Array,
    g: Array,
    *,
    ridge: Any,
    log_decay: None = None,
    weights: Array | None = None,
    initial_state: Moments | None = None,
) -> tuple[Array, Array]:
    """u = QP - tril(QZ') Z,  z = G S' + tril(G E') Z, chunk by chunk, without forgetting.

    P, S before a chunk and its innovations Z, E are those of `exact.innovation`: P_t = P - Z_{≤t}'Z_{≤t} and
    S_t = S + Z_{≤t}'E_{≤t}.
    """
    xp, d_k, before = namespace(q), q.shape[-1], initial_moments(initial_state, q, v)
    one = eye(q, d_k) + initial_matrix(None, q, q)
    P = solve_posdef(before.H + diagonal_matrix(row_ridge(ridge, q)), one, "H + ridge")
    joint, u, z = concat([P, -(P @ before.G)], -1), [], []
    root = xp.ones_like(q[..., :1]) if weights is None else xp.sqrt(per_token("weights", weights, q))
    for piece in _pieces(q, CHUNK):
        Q, upstream, scale = q[..., piece, :], g[..., piece, :], root[..., piece, :]
        K, V = scale * k[..., piece, :], scale * v[..., piece, :]
        rows = K @ joint + concat([xp.zeros_like(K), V], -1)  # [KP | V - KS]
        factor = cholesky(eye(K, K.shape[-2]) + rows[..., :d_k] @ xp.matrix_transpose(K), "I + K P K'")
        innovations = forward_substitution(factor, rows)
        Z, E = innovations[..., :d_k], innovations[..., d_k:]
        u.append(Q @ joint[..., :d_k] - xp.tril(Q @ xp.matrix_transpose(Z)) @ Z)
        z.append(xp.tril(upstream @ xp.matrix_transpose(E)) @ Z - upstream @ xp.matrix_transpose(joint[..., d_k:]))
        joint = joint - xp.matrix_transpose(Z) @ innovations
    return (concat(u, -2), concat(z, -2)) if u else (q, q)


def solutions_by_moments(
    q: Array,
    k: Array,
    v: Array,
    g: Array,
    *,
    ridge: Any,
    log_decay: Array | None = None,
    weights: Array | None = None,
    initial_state: Moments | None = None,
) -> tuple[Array, Array]:
    """u_t = A_t⁻¹ q_t,  z_t = A_t⁻¹ (G_t g_t), with one Cholesky factor of A_t for both."""
    return solutions_by(
        solve_by_moments, q, k, v, g, ridge=ridge, log_decay=log_decay, weights=weights, initial_state=initial_state
    )


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
    """u_t = A_t⁻¹ q_t,  z_t = A_t⁻¹ (G_t g_t), both by one call of `solve`.

    G_t is never formed: G_t g_t = Σ_i w_i γ_i^(t) k_i (v_i'g_t) is linear attention with queries g, keys v, values k.
    """
    xp, (H, G) = namespace(q), initial_moments(initial_state, q, v)
    gate = per_token("log_decay", xp.zeros_like(q[..., 0]) if log_decay is None else log_decay, q)
    weight = per_token("weights", xp.ones_like(q[..., 0]) if weights is None else weights, q)
    state, moved = xp.matrix_transpose(G), []
    for piece in _pieces(q, CHUNK):
        upstream, VT = g[..., piece, :], xp.matrix_transpose(v[..., piece, :])
        wK = weight[..., piece, :] * k[..., piece, :]
        near, from_start, to_end, whole = ages(gate[..., piece, 0])
        moved.append((near * (upstream @ VT)) @ wK + from_start * (upstream @ state))
        state = whole * state + VT @ (to_end * wK)
    right = concat(moved, -2) if moved else q
    (u, z), _ = solve([q, right], k, weight, gate, row_ridge(ridge, q), H)
    return u, z


def solve_by_moments(
    rows: Sequence[Array], k: Array, weight: Array, log_decay: Array, ridge: Array, H: Array
) -> tuple[list[Array], Array]:
    """A_t⁻¹ rows_t (..., T, d_k) for each of `rows`, and H_T; weight, log_decay (..., T, 1), ridge (..., d_k)."""
    xp, regulariser, solved = namespace(k), diagonal_matrix(ridge)[..., None, :, :], []
    for piece in _pieces(k, BLOCK):
        K, wK = k[..., piece, :], weight[..., piece, :] * k[..., piece, :]
        near, from_start, *_ = ages(log_decay[..., piece, 0])
        pairs = xp.reshape(wK[..., :, None] * K[..., None, :], (*K.shape[:-1], K.shape[-1] ** 2))
        H_t = from_start[..., None] * H[..., None, :, :] + xp.reshape(near @ pairs, (*K.shape, K.shape[-1]))
        right = xp.stack([x[..., piece, :] for x in rows], axis=-1)
        solved.append(solve_posdef(H_t + regulariser, right, "H + ridge"))
        H = H_t[..., -1, :, :]
    if not solved:
        return list(rows), H
    return [concat([x[..., i] for x in solved], -2) for i in range(len(rows))], H


def solutions_by_recursion(
    update: Callable[..., tuple[Any, Array]], start: Any, q: Array, k: Array, v: Array, g: Array, *gates: Array
) -> tuple[Array, Array, Any]:
    """u_t = P_t q_t,  z_t = S_t g_t and the last state, from `update(state, q_t, k_t, v_t, *gates_t)`, state (S, P)."""

    def step(state: Any, q: Array, k: Array, vg: Array, *gates: Array) -> tuple[Any, Array]:
        state, _ = update(state, q, k, vg[..., : v.shape[-1]], *gates)
        S, P = state
        return state, concat([q @ P, vg[..., v.shape[-1] :] @ namespace(S).matrix_transpose(S)], -1)

    state, rows, outputs = start, (q, k, concat([v, g], -1), *gates), []
    for piece in _pieces(q, CHUNK):  # single rows that outlive a step leave holes in memory: join them soon
        o, state = sequential(step, state, *(x[..., piece, :] for x in rows))
        outputs.append(o)
    both = concat(outputs, -2) if outputs else concat([q, q], -1)
    return both[..., : k.shape[-1]], both[..., k.shape[-1] :], state


def initial_moments(initial: Moments | None, q: Array, v: Array) -> Moments:
    """The moments before the first token, zero by default."""
    if initial is None:
        return Moments(initial_matrix(None, q, q), initial_matrix(None, q, v))
    return Moments(
        initial_matrix(initial.H, q, q, "initial_state.H"), initial_matrix(initial.G, q, v, "initial_state.G")
    )


def _pieces(x: Array, length: int) -> list[slice]:
    return [slice(start, min(start + length, x.shape[-2])) for start in range(0, x.shape[-2], length)]
