"""Least squares in ball arithmetic: normal equations, whose conditioning costs bits and nothing else."""

from typing import Any

from ttr_numerics.arrays import Array, diagonal_matrix, namespace
from ttr_numerics.arrays.balls import solved
from ttr_numerics.arrays.enclosure import RELATIVE, Enclosure, refined
from ttr_numerics.axes import Moments, check_sequence, initial_matrix, per_token, row_ridge
from ttr_numerics.exact.certified.inputs import exactly
from ttr_numerics.exact.inputs import check_rows, check_solvable
from ttr_numerics.recurrence import sequential

__all__ = [
    "certified_recursive_least_squares",
    "certified_ridge",
    "certified_ridge_prefixes",
    "certified_weighted_least_squares",
]


def certified_ridge(
    K: Array, V: Array, ridge: Any = 0.0, weights: Array | None = None, *, relative: float = RELATIVE
) -> Enclosure:
    """Balls around S = (K'ΓK + Λ)⁻¹ K'ΓV (..., d_k, d_v), Γ = diag(weights), for one fit of all T rows.

    ridge a number or (..., d_k). Raises `EnclosureError` where the matrix is singular.
    """
    check_solvable(K=K, V=V, weights=weights)
    check_rows(K, V)

    def answer() -> Array:
        A, B, Λ = exactly(K), exactly(V), exactly(ridge)
        AT = namespace(A).matrix_transpose(A if weights is None else exactly(weights)[..., None] * A)
        return solved(AT @ A + diagonal_matrix(row_ridge(Λ, A)), AT @ B)

    return refined(answer, relative)


def certified_weighted_least_squares(
    K: Array, V: Array, weights: Array | None = None, *, relative: float = RELATIVE
) -> Enclosure:
    """Balls around S = argmin ½Σ γ_i‖v_i - k_i S‖² (..., d_k, d_v), without a ridge.

    Raises `EnclosureError` where √Γ K has not full column rank.
    """
    return certified_ridge(K, V, 0.0, weights, relative=relative)


def certified_ridge_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge: Any,
    log_decay: Array | None = None,
    weights: Array | None = None,
    relative: float = RELATIVE,
) -> Enclosure:
    """Balls around o_t = q_t (H_t + Λ)⁻¹ G_t (..., T, d_v), the answers of `ridge_prefixes`: Λ is the same at every t.

    H_t = γ_t H_{t-1} + w_t k_t'k_t, G_t = γ_t G_{t-1} + w_t k_t'v_t, both from 0; γ = exp(log_decay), all (..., T).
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, log_decay=log_decay, weights=weights)

    def answer() -> Array:
        Q, V = exactly(q), exactly(v)
        first = Moments(initial_matrix(None, Q, Q), initial_matrix(None, Q, V))
        return _solutions(first, diagonal_matrix(row_ridge(exactly(ridge), Q)), Q, exactly(k), V, log_decay, weights)

    return refined(answer, relative)


def certified_recursive_least_squares(
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge: Any,
    log_decay: Array | None = None,
    weights: Array | None = None,
    relative: float = RELATIVE,
) -> Enclosure:
    """The same with H from Λ and nothing added later: the answers of `recursive_least_squares`, whose Λ decays too."""
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, log_decay=log_decay, weights=weights)

    def answer() -> Array:
        Q, V = exactly(q), exactly(v)
        none = initial_matrix(None, Q, Q)
        first = Moments(none + diagonal_matrix(row_ridge(exactly(ridge), Q)), initial_matrix(None, Q, V))
        return _solutions(first, none, Q, exactly(k), V, log_decay, weights)

    return refined(answer, relative)


def _solutions(
    first: Moments, added: Array, Q: Array, K: Array, V: Array, log_decay: Array | None, weights: Array | None
) -> Array:
    """q_t (H_t + `added`)⁻¹ G_t: the matrix is symmetric, so that one right-hand side q_t' is enough."""
    xp = namespace(Q)

    def step(state: Moments, q: Array, k: Array, v: Array, gate: Array, weight: Array) -> tuple[Moments, Array]:
        column, decay = xp.matrix_transpose(weight * k), xp.exp(gate)
        H, G = decay * state.H + column @ k, decay * state.G + column @ v
        return Moments(H, G), xp.matrix_transpose(solved(H + added, xp.matrix_transpose(q))) @ G

    gate = xp.zeros_like(Q[..., 0]) if log_decay is None else exactly(log_decay)
    weight = xp.ones_like(Q[..., 0]) if weights is None else exactly(weights)
    gates = per_token("log_decay", gate, Q), per_token("weights", weight, Q)
    return sequential(step, first, Q, K, V, *gates).o
