"""Recursive least squares: the ridge solution whose regulariser is forgotten with the data."""

from collections.abc import Callable
from typing import Any

from ttr_numerics.arrays import Array, namespace, quiet, untracked
from ttr_numerics.axes import Output, check_sequence, per_token
from ttr_numerics.exact.adjoint import differentiable
from ttr_numerics.exact.innovation import recursive_least_squares_by_innovation
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.prefix_solutions import gates_and_weights
from ttr_numerics.exact.recursion import Recursion, initial_recursion, recursion_of, refuse_overflow, root_of
from ttr_numerics.exact.recursive_adjoint import recursion_adjoint
from ttr_numerics.exact.ridge_prefixes import keeps_half_of_the_digits
from ttr_numerics.exact.square_root import recursive_least_squares_by_square_root
from ttr_numerics.recurrence import sequential

__all__ = ["choose_recursive_least_squares", "recursive_least_squares", "recursive_least_squares_by_tokens"]


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
    log_decay, weights (..., T); unique for ridge > 0. Starting from `initial_state` = `Recursion(S, P)` needs no ridge
    and refuses one. Raises `LinAlgError`, naming slices, where nothing regularises, as after a reset (log_decay -inf).
    Takes the form that `choose_recursive_least_squares` names. Judged by `backward.least_squares_ratio` on the weighted
    rows above √(Γ_T Λ). Reference: Haykin, Adaptive Filter Theory, chapters 10, 14; arXiv 2309.05858 (Mesa layer).
    """
    check_sequence(q, k, v)
    for name, x in (("log_decay", log_decay), ("weights", weights)):
        if x is not None:
            per_token(name, x, q)
    start = initial_recursion(untracked(ridge), initial_state, q, v)
    form = choose_recursive_least_squares(k, start.P, log_decay, weights)
    if form is recursive_least_squares_by_square_root:
        form = _by_square_root
    return form(q, k, v, ridge=ridge, log_decay=log_decay, weights=weights, initial_state=initial_state)


def choose_recursive_least_squares(
    k: Array, P: Array, log_decay: Array | None = None, weights: Array | None = None
) -> Callable[..., Output]:
    """The form that `recursive_least_squares` takes from P_0 = Λ⁻¹: with forgetting by square root.

    Without forgetting by innovation as long as that keeps half of all digits (`choose_ridge_prefixes`). With it P grows
    as 1/Γ_t wherever no key points, so that nothing known beforehand bounds the condition number.

    >>> import numpy as np
    >>> choose_recursive_least_squares(np.eye(4), np.eye(4)).__name__
    'recursive_least_squares_by_innovation'
    >>> choose_recursive_least_squares(np.eye(4), np.eye(4), np.zeros(4)).__name__
    'recursive_least_squares_by_square_root'
    """
    if k.dtype == object or 0 in k.shape:
        return recursive_least_squares_by_tokens
    xp, P = namespace(P), untracked(P)
    with quiet():
        size = float(xp.max(xp.sqrt(xp.sum(xp.sum(P * P, axis=-1), axis=-1))))
    if log_decay is None and keeps_half_of_the_digits(k, weights, size):
        return recursive_least_squares_by_innovation
    return recursive_least_squares_by_square_root


@differentiable(recursion_adjoint, Recursion)
def _by_square_root(
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge: Any,
    log_decay: Array | None,
    weights: Array | None,
    initial_state: Recursion | None,
) -> Output:
    """The square-root form with the state (S, P)."""
    root = None if initial_state is None else root_of(initial_state)
    given = {"ridge": ridge, "log_decay": log_decay, "weights": weights}
    o, last = recursive_least_squares_by_square_root(q, k, v, **given, initial_state=root)
    return Output(o, recursion_of(last, q))


@differentiable(recursion_adjoint, Recursion)
def recursive_least_squares_by_tokens(
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge: Any = None,
    log_decay: Array | None = None,
    weights: Array | None = None,
    initial_state: Recursion | None = None,
) -> Output:
    """`recursive_least_squares` token by token: P_t by the Sherman-Morrison formula, the textbook's definition.

    P is symmetrised at every token: the antisymmetric part of its rounding error would grow as 1/Γ_t. A token that
    forgets by a factor γ costs P a factor γ in accuracy where no later key repairs it: with every gate at -2 eight
    digits are lost, at -5 all of them, without a refusal (`reports/conditioning.md`). The square root loses none.
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, weights=weights, log_decay=log_decay)
    gate, weight = gates_and_weights(q, log_decay, weights)
    with quiet():
        o, state = sequential(_update, initial_recursion(ridge, initial_state, q, v), q, k, v, gate, weight)
    refuse_overflow(state.P)
    return Output(o, state)


def _update(state: Recursion, q: Array, k: Array, v: Array, log_decay: Array, weight: Array) -> tuple[Recursion, Array]:
    xp, (S, P) = namespace(k), state
    decay = xp.exp(log_decay)
    kP = k @ P
    gain = weight * kP / (decay + weight * (kP @ xp.matrix_transpose(k)))
    S = S + xp.matrix_transpose(gain) @ (v - k @ S)
    P = (P - xp.matrix_transpose(gain) @ kP) / decay
    return Recursion(S, (P + xp.matrix_transpose(P)) / 2), q @ S
