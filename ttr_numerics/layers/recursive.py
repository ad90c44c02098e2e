"""The original Mesa layer: recursive least squares, the inverse of the moments carried by Sherman-Morrison.

g_t = β_t k_t P_{t-1} / (γ_t + β_t k_t P_{t-1} k_t');   S_t = S_{t-1} + g_t'(v_t - k_t S_{t-1});
P_t = (P_{t-1} - g_t' k_t P_{t-1}) / γ_t;   o_t = q_t S_t
"""

from typing import Any

from ttr_numerics.arrays import Array, as_residual, as_state, diagonal_matrix, namespace
from ttr_numerics.axes import Output, Recursion, check_sequence, initial_matrix, initial_parts, row_ridge
from ttr_numerics.layers.mesa import gate_and_weight
from ttr_numerics.recurrence import sequential

__all__ = ["original_mesa"]


def original_mesa(
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge: Any = None,
    log_decay: Array | None = None,
    beta: Array | None = None,
    initial_state: Recursion | None = None,
) -> Output:
    """o_t = q_t S_t, S_t = argmin ½Σ_{i≤t} β_i γ_i^(t)‖v_i - k_i S‖² + ½ Γ_t tr(S'ΛS): the regulariser decays too.

    ridge a number or (..., d_k), above 0: P_0 = Λ⁻¹. log_decay, beta (..., T), default 0 and 1; a reset (-inf) would
    leave nothing to invert and is refused. The state `Recursion(S, P)` carries the regulariser: from it give no ridge.
    Forgetting by γ costs P a factor γ in accuracy wherever no later key repairs it, and P grows as 1/Γ_t along
    directions that no key excites. Reference: von Oswald et al., arXiv 2309.05858 (Mesa layer).
    """
    check_sequence(q, k, v)
    gate, weight = gate_and_weight(q, log_decay, beta)
    if gate.dtype != object and not bool(namespace(gate).all(gate > -float("inf"))):
        raise ValueError("log_decay: expected above -inf (a reset leaves nothing to invert; see mesa), got -inf or NaN")
    return sequential(_update, _initial(ridge, initial_state, q, v), q, k, v, gate, weight)


def _update(state: Recursion, q: Array, k: Array, v: Array, log_decay: Array, beta: Array) -> tuple[Recursion, Array]:
    xp, (S, P) = namespace(k), state
    decay, kP = xp.exp(log_decay), k @ P
    gain = xp.matrix_transpose(beta * kP / (decay + beta * (kP @ xp.matrix_transpose(k))))
    S, P = S + gain @ as_residual(v - k @ S), (P - gain @ kP) / decay
    # The antisymmetric part of P's rounding error meets no correction and would grow as 1/Γ_t.
    return Recursion(S, (P + xp.matrix_transpose(P)) / 2), q @ as_state(S)


def _initial(ridge: Any, state: Recursion | None, q: Array, v: Array) -> Recursion:
    if (ridge is None) == (state is None):
        got = "neither" if state is None else "both"
        raise ValueError(f"ridge: expected either ridge or initial_state (which carries the ridge), got {got}")
    if state is not None:
        state = initial_parts(state, Recursion)
        S = initial_matrix(state.S, q, v, "initial_state.S")
        return Recursion(S, initial_matrix(state.P, q, q, "initial_state.P"))
    diagonal = row_ridge(ridge, q)
    if diagonal.dtype != object and not bool(namespace(q).all(diagonal > 0)):
        raise ValueError("ridge: expected above 0 (the recursion starts from its inverse), got 0")
    return Recursion(initial_matrix(None, q, v), diagonal_matrix(1 / diagonal) + initial_matrix(None, q, q))
