"""Kernel ridge attention and intention: regression on all associations, in a kernel's space or linear in the keys.

    L_t L_t' = κ(K_t, K_t) + λI;   Z_t = L_t⁻¹ V_t;   o_t = (L_t⁻¹ κ(K_t, q_t))' Z_t

A token adds one row to L and to Z, and changes none.
"""

from collections.abc import Callable
from typing import Any

from ttr_numerics.arrays import (
    Array,
    LinAlgError,
    as_residual,
    concat,
    eye,
    forward_substitution,
    name_slices,
    namespace,
    solve_posdef,
)
from ttr_numerics.axes import KernelFactor, Output, check_sequence, initial_array, initial_parts, row_ridge
from ttr_numerics.recurrence import sequential

__all__ = ["intention", "kernel_ridge_attention"]


def exponential(X: Array, Y: Array) -> Array:
    """κ(x, y) = exp(x'y), the kernel of softmax attention at bandwidth 1: (..., n, m) for rows X (..., n, d), Y."""
    xp = namespace(X)
    return xp.exp(X @ xp.matrix_transpose(Y))


def kernel_ridge_attention(
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge: Any,
    kernel: Callable[[Array, Array], Array] = exponential,
    initial_state: KernelFactor | None = None,
) -> Output:
    """o_t = κ(q_t, K_t) (κ(K_t, K_t) + λI)⁻¹ V_t over all tokens 1..t, by a Cholesky factor that grows a row a token.

    `kernel` maps rows X (..., n, d), Y (..., m, d) to (..., n, m), by default exp(x'y); `exact.kernels` has others.
    The linear kernel is `mesa` without gates. Token t costs t² flops and memory t². Raises `LinAlgError` naming token
    and slices where a pivot is lost in rounding. Reference: arXiv 2501.12352, section 3.3.
    """
    check_sequence(q, k, v)
    penalty = row_ridge(ridge, q[..., :1])[..., None]

    def step(state: KernelFactor, q: Array, k: Array, v: Array) -> tuple[KernelFactor, Array]:
        xp, keys = namespace(k), concat([state.k, k], -2)
        columns = kernel(keys, concat([k, q], -2))
        substituted = forward_substitution(state.L, columns[..., :-1, :])
        row = xp.matrix_transpose(substituted[..., :1])
        own = columns[..., -1:, :1] + penalty
        rest = concat([own, columns[..., -1:, 1:]], -1) - row @ substituted
        pivot = _root(rest[..., :1], own, keys.shape[-2])
        L = concat([concat([state.L, xp.zeros_like(state.k[..., :1])], -1), concat([row, pivot], -1)], -2)
        Z = concat([state.Z, as_residual(v - row @ state.Z) / pivot], -2)
        read = concat([substituted[..., 1:], rest[..., 1:] / pivot], -2)
        return KernelFactor(keys, L, Z), xp.matrix_transpose(read) @ Z

    return sequential(step, _initial(initial_state, k, v), q, k, v)


def intention(q: Array, k: Array, v: Array, *, ridge: Any) -> Output:
    """o_t = q_t (K'K + Λ)⁻¹ K'V over the whole sequence, by Cholesky; there is no state (None).

    ridge Λ a number or the diagonal (..., d_k). Raises `LinAlgError` where K'K + Λ is not positive definite.
    Reference: Garnelo and Czarnecki, arXiv 2305.10203, section 3.
    """
    check_sequence(q, k, v)
    transposed = namespace(k).matrix_transpose(k)
    regulariser = row_ridge(ridge, q)[..., None] * eye(q, q.shape[-1])
    return Output(q @ solve_posdef(transposed @ k + regulariser, transposed @ v, "K'K + ridge"), None)


def _root(square: Array, own: Array, n: int) -> Array:
    """The pivot of row n from its square (..., 1, 1); refused where rounding of n terms, √n eps `own`, is as large."""
    xp = namespace(square)
    if square.dtype != object:
        bad = ~(square > n**0.5 * float(xp.finfo(square.dtype).eps) * own)[..., 0, 0]  # NaN fails this comparison too
        if bool(xp.any(bad)):
            raise LinAlgError(
                f"kernel matrix + ridge: expected positive definite, got a pivot at rounding level at token {n - 1}"
                f"{name_slices(bad)}; give a larger ridge"
            )
    return xp.sqrt(square)


def _initial(state: KernelFactor | None, k: Array, v: Array) -> KernelFactor:
    given = (None, None, None) if state is None else initial_parts(state, KernelFactor)
    n = 0 if state is None else state.k.shape[-2]
    shapes = (n, k.shape[-1]), (n, n), (n, v.shape[-1])
    names = (f"initial_state.{name}" for name in KernelFactor._fields)
    parts = zip(given, shapes, names, strict=True)
    return KernelFactor(*(initial_array(x, (*k.shape[:-2], *shape), k, name) for x, shape, name in parts))
