"""The state of recursive least squares, its start, and what may become of it."""

from typing import Any, NamedTuple

from ttr_numerics.arrays import Array, LinAlgError, diagonal_matrix, name_slices, namespace
from ttr_numerics.axes import initial_matrix, row_ridge

__all__ = ["Recursion", "initial_recursion", "refuse_both", "refuse_overflow", "start_ridge"]


class Recursion(NamedTuple):
    """The solution `S` (..., d_k, d_v) and the inverse `P` (..., d_k, d_k) of the decayed, regularised moments."""

    S: Array
    P: Array


def initial_recursion(ridge: Any, initial: Recursion | None, q: Array, v: Array) -> Recursion:
    """S_0 and P_0: 0 and Λ⁻¹, or `initial`, which carries the ridge."""
    if initial is not None:
        refuse_both(ridge)
        return Recursion(
            initial_matrix(initial.S, q, v, "initial_state.S"),
            initial_matrix(initial.P, q, q, "initial_state.P"),
        )
    return Recursion(
        initial_matrix(None, q, v), diagonal_matrix(1 / start_ridge(ridge, q)) + initial_matrix(None, q, q)
    )


def start_ridge(ridge: Any, q: Array) -> Array:
    """The diagonal (..., d_k) of the regulariser before the first token, above 0."""
    if ridge is None:
        raise ValueError("ridge: expected either ridge or initial_state (which carries the ridge), got neither")
    diagonal = row_ridge(ridge, q)
    if bool(namespace(q).any(diagonal <= 0)):
        raise ValueError("ridge: expected above 0 (recursive least squares starts from its inverse), got 0 or less")
    return diagonal


def refuse_both(ridge: Any) -> None:
    """Raise where a ridge is given beside a state that carries it."""
    if ridge is not None:
        raise ValueError("ridge: expected either ridge or initial_state (which carries the ridge), got both")


def refuse_overflow(P: Array) -> None:
    """Raise LinAlgError naming slices where the inverse overflows: nothing regularises any more."""
    xp = namespace(P)
    bad = ~xp.all(xp.all(xp.isfinite(P), axis=-1), axis=-1)
    if bool(xp.any(bad)):
        raise LinAlgError(
            f"log_decay: expected a regulariser that survives the decay, got an inverse that overflows"
            f"{name_slices(bad)}; after a reset nothing regularises: use ridge_prefixes, whose ridge is fixed"
        )
