"""The Gauss-Markov problem: the best linear guess of a map that drifts as a random walk.

    w_t = a_t w_{t-1} + ξ_t,  ξ_t ~ N(0, diag(drift));   v_t = k_t w_t + ε_t,  ε_t ~ N(0, noise);   w_0 ~ N(S_0, P_0).

Every value channel drifts on its own, with the same covariances. The mean of w_t given v_1..v_t minimises
½Σ_{i≤t} ‖v_i - k_i w_i‖²/noise + ½Σ_{i≤t} ‖w_i - a_i w_{i-1}‖²/drift + ½‖w_0 - S_0‖²/P_0 over all paths, at its end.
"""

from typing import Any

from ttr_numerics.arrays import Array, LinAlgError, diagonal_matrix, name_slices, namespace, quiet
from ttr_numerics.axes import Output, check_sequence, per_token, row_ridge
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.recursion import Recursion, initial_recursion
from ttr_numerics.recurrence import sequential

__all__ = ["random_walk_kalman"]


def random_walk_kalman(
    q: Array,
    k: Array,
    v: Array,
    *,
    drift: Any,
    noise: float,
    ridge: Any = None,
    log_decay: Array | None = None,
    initial_state: Recursion | None = None,
) -> Output:
    """o_t = q_t E[w_t | v_1..v_t] for w_t = exp(log_decay_t) w_{t-1} + ξ_t: the least mean squared error of all maps.

    S̄ = a_t S, P̄ = a_t² P + diag(drift);   S = S̄ + P̄k'(v_t - k S̄)/φ, P = P̄ - P̄k'kP̄/φ, φ = kP̄k' + noise.

    drift a number or (..., d_k), the variance that a token adds; noise a number, that of a value. S_0 = 0 and
    P_0 = diag(1/ridge), or `initial_state` = `Recursion(S, P)`; the state is that of the last token. log_decay
    (..., T), default 0, -inf a new map. Without drift it is `ridge_prefixes` with noise · ridge. P̄k'/√φ is formed
    once: P stays symmetric to the bit. Linear and minimum-variance for any ξ, ε of these covariances, the posterior
    mean for Gaussian ones. Raises `LinAlgError`, naming slices, where a φ is 0, as without noise for a key that holds
    nothing new.
    About 6 d_k² + 4 d_k d_v flops a token. Reference: Kalman (1960); Anderson and Moore, Optimal Filtering, chapter 3.
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, log_decay=log_decay)
    if not 0 <= noise < float("inf"):
        raise ValueError(f"noise: expected a finite number, at least 0, got {noise}")
    xp, added = namespace(q), _drift_matrix(drift, q)
    gate = per_token("log_decay", xp.zeros_like(q[..., 0]) if log_decay is None else log_decay, q)

    def step(state: Recursion, q: Array, k: Array, v: Array, log_decay: Array) -> tuple[Recursion, Array]:
        a = xp.exp(log_decay)
        S, P = a * state.S, a * a * state.P + added
        kP = k @ P
        root = xp.sqrt(kP @ xp.matrix_transpose(k) + noise)
        z = xp.matrix_transpose(kP / root)
        S = S + z @ ((v - k @ S) / root)
        return Recursion(S, P - z @ xp.matrix_transpose(z)), q @ S

    with quiet():
        o, state = sequential(step, initial_recursion(ridge, initial_state, q, v), q, k, v, gate)
    _refuse_certainty(state.P)
    return Output(o, state)


def _drift_matrix(drift: Any, q: Array) -> Array:
    """diag(drift) (..., d_k, d_k)."""
    try:
        return diagonal_matrix(row_ridge(drift, q))
    except ValueError as refusal:
        raise ValueError(str(refusal).replace("ridge", "drift", 1)) from None


def _refuse_certainty(P: Array) -> None:
    """Raise LinAlgError where a variance of an innovation was 0, or below it by rounding: all later P are NaN."""
    xp = namespace(P)
    bad = ~xp.all(xp.all(xp.isfinite(P), axis=-1), axis=-1)
    if bool(xp.any(bad)):
        raise LinAlgError(
            f"noise: expected innovations of positive variance, got one of 0{name_slices(bad)}; give a noise or a drift"
        )
