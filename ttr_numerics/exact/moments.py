"""Ridge regression at every position from its moments, one factorisation a position: the objective as it stands."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from ttr_numerics.arrays import Array, concat, diagonal_matrix, namespace, solve_posdef
from ttr_numerics.axes import Moments, Output
from ttr_numerics.exact.adjoint import differentiable, ridge_adjoint
from ttr_numerics.exact.prefix_solutions import answered, solutions_by
from ttr_numerics.exact.weights import prefix_weights

__all__ = ["moment_blocks", "ridge_prefixes_by_moments", "solve_by_moments"]

BLOCK = 16  # positions factored together: memory BLOCK d_k² a batch entry


def solve_by_moments(
    rows: Sequence[Array], k: Array, weight: Array, log_decay: Array, ridge: Array, H: Array
) -> tuple[list[Array], Array]:
    """A_t⁻¹ rows_t (..., T, d_k) for each of `rows`, and H_T; weight, log_decay (..., T, 1), ridge (..., d_k)."""
    xp, regulariser, solved = namespace(k), diagonal_matrix(ridge)[..., None, :, :], []
    for piece, H_t in moment_blocks(k, weight, log_decay, H):
        right = xp.stack([x[..., piece, :] for x in rows], axis=-1)
        solved.append(solve_posdef(H_t + regulariser, right, "H + ridge"))
        H = H_t[..., -1, :, :]
    if not solved:
        return list(rows), H
    return [concat([x[..., i] for x in solved], -2) for i in range(len(rows))], H


def moment_blocks(k: Array, weight: Array, log_decay: Array, H: Array) -> Iterator[tuple[slice, Array]]:
    """Positions, BLOCK at a time, and their H_t (..., BLOCK, d_k, d_k), summed from the weights of each t."""
    xp = namespace(k)
    for start in range(0, k.shape[-2], BLOCK):
        piece = slice(start, min(start + BLOCK, k.shape[-2]))
        K, wK = k[..., piece, :], weight[..., piece, :] * k[..., piece, :]
        logs = log_decay[..., piece, 0]
        gamma = prefix_weights(concat([xp.zeros_like(logs[..., :1]), logs], -1))[..., 1:, :]  # the state is token 0
        pairs = concat([_flat(H)[..., None, :], _flat(wK[..., :, None] * K[..., None, :])], -2)
        H_t = xp.reshape(gamma @ pairs, (*K.shape, K.shape[-1]))
        yield piece, H_t
        H = H_t[..., -1, :, :]


@differentiable(partial(ridge_adjoint, partial(solutions_by, solve_by_moments)), Moments)
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
    given = {"ridge": ridge, "log_decay": log_decay, "weights": weights, "initial_state": initial_state}
    return answered(solve_by_moments, q, k, v, **given)


def _flat(x: Array) -> Array:
    """The last two axes as one, row-major."""
    return namespace(x).reshape(x, (*x.shape[:-2], x.shape[-2] * x.shape[-1]))
