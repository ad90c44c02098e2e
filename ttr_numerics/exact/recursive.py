"""Recursive least squares: the ridge solution whose regulariser is forgotten with the data."""

from typing import Any, NamedTuple

from ttr_numerics.arrays import Array, LinAlgError, diagonal_matrix, name_slices, namespace, quiet
from ttr_numerics.axes import Output, check_sequence, initial_matrix, per_token, row_ridge
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.recurrence import sequential

__all__ = ["Recursion", "recursive_least_squares"]


class Recursion(NamedTuple):
    """The solution `S` (..., d_k, d_v) and the inverse `P` (..., d_k, d_k) of the decayed, regularised moments."""

    S: Array
    P: Array


def recursive_least_squares(
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge: Any = None,
    log_decay: Array | None = None,
    weights: Array | None = None,
    initial_state: Recursion | None = None,
) -> Output:
    """o_t = q_t S_t, S_t = argmin ½Σ_{i≤t} w_i γ_i^(t)‖v_i - k_i S‖² + ½ Γ_t tr(S'ΛS), Γ_t = Π_{s≤t} exp(log_decay_s).

    The regulariser decays with the data (the original Mesa layer); with log_decay = 0 this is `ridge_prefixes`.
    Carries the inverse P_t by the Sherman-Morrison formula and symmetrises it at every token: the antisymmetric part
    of its rounding error would grow as 1/Γ_t. log_decay, weights (..., T); unique for ridge > 0. Starting from
    `initial_state` = `Recursion(S, P)` needs no ridge and refuses one. Raises `LinAlgError`, naming slices, where P
    overflows, as after a reset (log_decay -inf), which leaves no regulariser. Judged by
    `backward.least_squares_ratio` on the weighted rows above √(Γ_T Λ); carrying an inverse, it is not backward stable.
    Reference: Haykin, Adaptive Filter Theory, chapter 10; arXiv 2309.05858 (Mesa layer).
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, weights=weights)
    xp, scalar = namespace(q), q[..., 0]
    gate = per_token("log_decay", xp.zeros_like(scalar) if log_decay is None else log_decay, q)
    weight = per_token("weights", xp.ones_like(scalar) if weights is None else weights, q)
    with quiet():
        o, state = sequential(_update, _start(ridge, initial_state, q, v), q, k, v, gate, weight)
    _refuse_overflow(state.P)
    return Output(o, state)


def _update(state: Recursion, q: Array, k: Array, v: Array, log_decay: Array, weight: Array) -> tuple[Recursion, Array]:
    xp, (S, P) = namespace(k), state
    decay = xp.exp(log_decay)
    kP = k @ P
    gain = weight * kP / (decay + weight * (kP @ xp.matrix_transpose(k)))
    S = S + xp.matrix_transpose(gain) @ (v - k @ S)
    P = (P - xp.matrix_transpose(gain) @ kP) / decay
    return Recursion(S, (P + xp.matrix_transpose(P)) / 2), q @ S


def _start(ridge: Any, initial: Recursion | None, q: Array, v: Array) -> Recursion:
    if (ridge is None) == (initial is None):
        got = "neither" if ridge is None else "both"
        raise ValueError(f"ridge: expected either ridge or initial_state (which carries the ridge), got {got}")
    if initial is not None:
        return Recursion(
            initial_matrix(initial.S, q, v, "initial_state.S"),
            initial_matrix(initial.P, q, q, "initial_state.P"),
        )
    diagonal = row_ridge(ridge, q)
    if bool(namespace(q).any(diagonal <= 0)):
        raise ValueError("ridge: expected above 0 (recursive least squares starts from its inverse), got 0 or less")
    return Recursion(initial_matrix(None, q, v), diagonal_matrix(1 / diagonal) + initial_matrix(None, q, q))


def _refuse_overflow(P: Array) -> None:
    xp = namespace(P)
    bad = ~xp.all(xp.all(xp.isfinite(P), axis=-1), axis=-1)
    if bool(xp.any(bad)):
        raise LinAlgError(
            f"log_decay: expected a regulariser that survives the decay, got an inverse that overflows"
            f"{name_slices(bad)}; after a reset nothing regularises: use ridge_prefixes, whose ridge is fixed"
        )
