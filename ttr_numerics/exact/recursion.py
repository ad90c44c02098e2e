"""The state of recursive least squares, (S, P) or its square root (R, F): how it starts, and what may become of it."""

from typing import Any, NamedTuple

from ttr_numerics.arrays import (
    Array,
    LinAlgError,
    cholesky,
    diagonal_matrix,
    eye,
    forward_substitution,
    name_slices,
    namespace,
    quiet,
    solve_triangular,
)
from ttr_numerics.axes import Moments, Recursion, initial_matrix, row_ridge

__all__ = [
    "NATS",
    "Recursion",
    "SquareRoot",
    "first_root",
    "initial_recursion",
    "initial_root",
    "largest_first",
    "positive",
    "recursion_of",
    "refuse_overflow",
    "root_of",
    "wide",
]


NATS = 4.0  # of decay in a chunk by square roots: e² is the largest ratio by which its rows grow


class SquareRoot(NamedTuple):
    """R (..., d_k, d_k) upper triangular, R'R = H + Λ, and F = R S (..., d_k, d_v), S the solution.

    A solver returns the R whose diagonal is positive, the Cholesky factor.
    """

    R: Array
    F: Array


def largest_first(rows: Array, d_k: int) -> Array:
    """Rows [K | ...] by the size of their keys: reflectors lose small rows, or rows of zero, on top of larger ones."""
    xp = namespace(rows)
    order = xp.argsort(-xp.max(xp.abs(rows[..., :d_k]), axis=-1), axis=-1)
    return xp.take_along_axis(rows, xp.broadcast_to(order[..., None], rows.shape), axis=-2)


def initial_recursion(ridge: Any, initial: Recursion | None, q: Array, v: Array) -> Recursion:
    """S_0 and P_0: 0 and Λ⁻¹, or `initial`, which carries the ridge."""
    if initial is not None:
        _refuse_both(ridge)
        return Recursion(
            initial_matrix(initial.S, q, v, "initial_state.S"),
            initial_matrix(initial.P, q, q, "initial_state.P"),
        )
    return Recursion(
        initial_matrix(None, q, v), diagonal_matrix(1 / _start_ridge(ridge, q)) + initial_matrix(None, q, q)
    )


def initial_root(ridge: Any, initial: SquareRoot | None, q: Array, v: Array) -> SquareRoot:
    """R_0 and F_0 in float64: √Λ and 0, or `initial`, which carries the ridge."""
    if initial is None:
        return first_root(wide(_start_ridge(ridge, q)), None, q, v)
    _refuse_both(ridge)
    q, v = wide(q), wide(v)
    return SquareRoot(
        initial_matrix(initial.R, q, q, "initial_state.R"), initial_matrix(initial.F, q, v, "initial_state.F")
    )


def first_root(ridge: Array, initial: Moments | None, q: Array, v: Array) -> SquareRoot:
    """R_0 and F_0 in float64 from Λ = diag(ridge) and the moments before the first token."""
    q, v = wide(q), wide(v)
    xp, R = namespace(q), diagonal_matrix(namespace(ridge).sqrt(ridge)) + initial_matrix(None, q, q)
    if initial is None:
        return SquareRoot(R, initial_matrix(None, q, v))
    factor = cholesky(diagonal_matrix(ridge) + wide(initial.H), "H + ridge")
    return SquareRoot(xp.matrix_transpose(factor), forward_substitution(factor, wide(initial.G)))


def positive(rows: Array) -> Array:
    """Rows [R | ...] (..., d_k, n) with the sign that makes the diagonal of R positive: then R is unique."""
    diagonal = namespace(rows).linalg.diagonal(rows)[..., None]
    return namespace(rows).where(diagonal < 0, -rows, rows)


def root_of(state: Recursion) -> SquareRoot:
    """R upper triangular with R'R = P⁻¹, from the Cholesky factor of P read backwards, and F = RS."""
    S, P = (wide(x) for x in state)
    xp = namespace(P)
    factor = cholesky(xp.flip(P, axis=(-2, -1)), "initial_state.P")
    R = xp.flip(forward_substitution(factor, eye(P, P.shape[-1]) + 0 * P), axis=(-2, -1))
    return SquareRoot(R, R @ S)


def recursion_of(root: SquareRoot, q: Array) -> Recursion:
    """S = R⁻¹F and P = R⁻¹R⁻ᵀ in the dtype of q, refused where R has decayed to nothing."""
    xp, RT = namespace(q), namespace(q).matrix_transpose(root.R)
    with quiet():
        half = forward_substitution(RT, eye(RT, RT.shape[-1]) + 0 * RT)
        P = xp.matrix_transpose(half) @ half
    refuse_overflow(P)
    S = solve_triangular(RT, root.F, transpose=True)
    return Recursion(xp.astype(S, q.dtype, copy=False), xp.astype(P, q.dtype, copy=False))


def wide(x: Array) -> Array:
    """`x` in float64."""
    return namespace(x).astype(x, namespace(x).float64, copy=False)


def _start_ridge(ridge: Any, q: Array) -> Array:
    """The diagonal (..., d_k) of the regulariser before the first token, above 0."""
    if ridge is None:
        raise ValueError("ridge: expected either ridge or initial_state (which carries the ridge), got neither")
    diagonal = row_ridge(ridge, q)
    if bool(namespace(q).any(diagonal <= 0)):
        raise ValueError("ridge: expected above 0 (recursive least squares starts from its inverse), got 0 or less")
    return diagonal


def _refuse_both(ridge: Any) -> None:
    """Raise where a ridge is given beside a state that carries it."""
    if ridge is not None:
        raise ValueError("ridge: expected either ridge or initial_state (which carries the ridge), got both")


def refuse_overflow(P: Array) -> None:
    """Raise LinAlgError naming slices where the inverse overflows: nothing regularises any more."""
    xp = namespace(P)
    if P.dtype == object:
        return
    bad = ~xp.all(xp.all(xp.isfinite(P), axis=-1), axis=-1)
    if bool(xp.any(bad)):
        raise LinAlgError(
            f"log_decay: expected a regulariser that survives the decay, got an inverse that overflows"
            f"{name_slices(bad)}; after a reset nothing regularises: use ridge_prefixes, whose ridge is fixed"
        )
