"""Ridge regression at every position from its moments, one factorisation a position: the objective as it stands.

With A_t = H_t + Λ and u_t = A_t⁻¹ q_t the answer o_t = u_t G_t = Σ_i w_i γ_i^(t) (u_t k_i') v_i is linear attention
with queries u: G_t is never formed. Where a faster form gives u_t, the rest is the same (`answered`).
"""

from collections.abc import Callable, Sequence
from typing import Any

from ttr_numerics.arrays import Array, concat, diagonal_matrix, namespace, solve_posdef
from ttr_numerics.axes import Moments, Output, check_sequence, initial_matrix, per_token, row_ridge
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.weights import prefix_weights
from ttr_numerics.recurrence import Rows, chunk_parallel

__all__ = ["answered", "initial_moments", "last_moments", "ridge_prefixes_by_moments", "solve_by_moments"]

CHUNK = 32
BLOCK = 16  # positions factored together: memory BLOCK d_k² a batch entry

# solve(rows, k, weight, log_decay, ridge, H): A_t⁻¹ rows_t for each of `rows`, and H after the last token
Solve = Callable[[Sequence[Array], Array, Array, Array, Array, Array], tuple[list[Array], Array]]


def ridge_prefixes_by_moments(
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge: Any,
    log_decay: Array | None = None,
    weights: Array | None = None,
    initial_state: Moments | None = None,
) -> Output:
    """`ridge_prefixes` from the objective: H_t summed from the weights of each t, one Cholesky factor a position.

    d_k³/3 flops a token and memory for 16 positions at once; any decay, -inf too.
    """
    return answered(solve_by_moments, q, k, v, ridge, log_decay, weights, initial_state)


def answered(
    solve: Solve,
    q: Array,
    k: Array,
    v: Array,
    ridge: Any,
    log_decay: Array | None,
    weights: Array | None,
    initial: Moments | None,
) -> Output:
    """o_t = u_t G_t with u_t = A_t⁻¹ q_t by `solve`."""
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, weights=weights)
    xp, (H, G) = namespace(q), initial_moments(initial, q, v)
    gate = per_token("log_decay", xp.zeros_like(q[..., 0]) if log_decay is None else log_decay, q)
    weight = per_token("weights", xp.ones_like(q[..., 0]) if weights is None else weights, q)
    (u,), H = solve([q], k, weight, gate, row_ridge(ridge, q), H)
    o, G = chunk_parallel(_weighted, G, CHUNK, u, k, v, weight, *(() if log_decay is None else (gate,)))
    return Output(o, Moments(H, G))


def _weighted(q: Array, k: Array, v: Array, weight: Array, log_decay: Array | None = None) -> Rows:
    return Rows(q, weight * k, v, None, log_decay)


def solve_by_moments(
    rows: Sequence[Array], k: Array, weight: Array, log_decay: Array, ridge: Array, H: Array
) -> tuple[list[Array], Array]:
    """A_t⁻¹ rows_t (..., T, d_k) for each of `rows`, and H_T; weight, log_decay (..., T, 1), ridge (..., d_k)."""
    xp, regulariser, solved = namespace(k), diagonal_matrix(ridge)[..., None, :, :], []
    for start in range(0, k.shape[-2], BLOCK):
        piece = slice(start, min(start + BLOCK, k.shape[-2]))
        K, wK = k[..., piece, :], weight[..., piece, :] * k[..., piece, :]
        logs = log_decay[..., piece, 0]
        gamma = prefix_weights(concat([xp.zeros_like(logs[..., :1]), logs], -1))[..., 1:, :]  # the state is token 0
        pairs = concat([_flat(H)[..., None, :], _flat(wK[..., :, None] * K[..., None, :])], -2)
        H_t = xp.reshape(gamma @ pairs, (*K.shape, K.shape[-1]))
        right = xp.stack([x[..., piece, :] for x in rows], axis=-1)
        solved.append(solve_posdef(H_t + regulariser, right, "H + ridge"))
        H = H_t[..., -1, :, :]
    if not solved:
        return list(rows), H
    return [concat([x[..., i] for x in solved], -2) for i in range(len(rows))], H


def initial_moments(initial: Moments | None, q: Array, v: Array) -> Moments:
    """The moments before the first token, zero by default."""
    if initial is None:
        return Moments(initial_matrix(None, q, q), initial_matrix(None, q, v))
    return Moments(
        initial_matrix(initial.H, q, q, "initial_state.H"), initial_matrix(initial.G, q, v, "initial_state.G")
    )


def last_moments(k: Array, v: Array, weights: Array | None, initial: Moments | None) -> Moments:
    """H_T and G_T without forgetting."""
    before, KT = initial_moments(initial, k, v), namespace(k).matrix_transpose(k)
    KT = KT if weights is None else KT * weights[..., None, :]
    return Moments(before.H + KT @ k, before.G + KT @ v)


def _flat(x: Array) -> Array:
    """The last two axes as one, row-major."""
    return namespace(x).reshape(x, (*x.shape[:-2], x.shape[-2] * x.shape[-1]))
