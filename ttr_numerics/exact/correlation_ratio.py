"""Correlation memories with exponential weights, divided by their normaliser where that exceeds one."""

from ttr_numerics.arrays import Array, concat, namespace, row_maximum, smallest_positive
from ttr_numerics.axes import (
    NormalisedMemory,
    Output,
    check_sequence,
    initial_array,
    initial_matrix,
    initial_parts,
    per_token,
)
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.weights import log_ages

__all__ = ["correlation_ratio_prefixes"]


def correlation_ratio_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    log_weights: Array,
    log_decay: Array,
    initial_state: NormalisedMemory | None = None,
) -> Output:
    """o_t = Σ_{i≤t} w_i^(t) (q_t·k_i) v_i / max(|Σ_{i≤t} w_i^(t) q_t·k_i|, 1), w_i^(t) = exp(log_weights_i) γ_i^(t).

    The numerator is q_t S_t for one gradient step S_t of size 1 from zero on ½Σ w_i^(t)‖v_i - k_i S‖², the denominator
    the same for the value 1. Where it is above 1 the effective weights w_i q_t·k_i / Σ_j w_j q_t·k_j sum to 1, as in
    Nadaraya-Watson, but any of them may be negative; where it is below -1 they sum to -1, and between the two to less.
    log_weights, log_decay (..., T), -inf allowed. Evaluated pair by pair in logs, the largest weight of a row scaled to
    1; always unique. Reference: Beck et al. (xLSTM), arXiv 2405.04517, appendix A.3 (the parallel form).
    """
    check_sequence(q, k, v)
    xp, (C, n, m) = namespace(q), _rows_of(initial_state, q, v)
    given = xp.where(log_weights == -xp.inf, xp.zeros_like(log_weights), log_weights)
    check_solvable(q=q, k=k, v=v, log_weights=given, log_decay=log_decay)
    weights, decay = per_token("log_weights", log_weights, q), per_token("log_decay", log_decay, q)
    if not q.shape[-2]:
        return Output(v, NormalisedMemory(C, n[..., 0, :], m[..., 0, 0]))
    start, tokens = m + xp.cumulative_sum(decay, axis=-2), log_ages(decay)[..., 0] + xp.matrix_transpose(weights)
    products = q @ xp.matrix_transpose(k)
    w, most = _in_units(start, tokens, products == 0)
    aged, pairs = w[..., :1] * q, w[..., 1:] * products
    numerator = pairs @ v + aged @ C
    denominator = xp.sum(pairs, axis=-1, keepdims=True) + aged @ xp.matrix_transpose(n)
    empty = xp.matrix_transpose(xp.all(k == 0, axis=-1)[..., None])
    w, last = _in_units(start[..., -1:, :], tokens[..., -1:, :], empty)
    keys = xp.matrix_transpose(w[..., 1:]) * k
    C = w[..., :1] * C + xp.matrix_transpose(keys) @ v
    n = w[..., :1] * n + xp.sum(keys, axis=-2, keepdims=True)
    return Output(_ratio(numerator, denominator, most), NormalisedMemory(C, n[..., 0, :], last[..., 0, 0]))


def _in_units(start: Array, tokens: Array, silent: Array) -> tuple[Array, Array]:
    """Weights (..., n, 1 + T) of the memory before and of all tokens, their largest in each row 1, and its logarithm.

    What is `silent` (a product or key of zero) has no weight, so that it hides nothing else, however large its gate.
    """
    xp = namespace(tokens)
    logs = concat([start, xp.where(silent, -xp.inf * xp.ones_like(tokens), tokens)], -1)
    most = row_maximum(logs)
    return xp.exp(logs - xp.where(most == -xp.inf, xp.zeros_like(most), most)), most


def _ratio(numerator: Array, denominator: Array, log_unit: Array) -> Array:
    """N e^m / max(|n| e^m, 1): of e^m and e^-m the one that is at most 1 is formed, and 0/0 after underflow is 0."""
    xp, grown = namespace(numerator), log_unit > 0
    small = xp.exp(xp.where(grown, -log_unit, log_unit))
    unit, floor = xp.where(grown, small * 0 + 1, small), xp.where(grown, small, small * 0 + 1)
    size = xp.maximum(unit * xp.abs(denominator), floor)
    return unit * numerator / xp.where(size == 0, size + smallest_positive(size), size)


def _rows_of(initial: NormalisedMemory | None, q: Array, v: Array) -> NormalisedMemory:
    """C (..., d_k, d_v), n (..., 1, d_k) and m (..., 1, 1); nothing, in the unit e^-inf, if None."""
    batch, d_k = q.shape[:-2], q.shape[-1]
    if initial is None:
        m = -namespace(q).inf * namespace(q).ones_like(initial_array(None, (*batch, 1, 1), q))
        return NormalisedMemory(initial_matrix(None, q, v), initial_array(None, (*batch, 1, d_k), q), m)
    initial = initial_parts(initial, NormalisedMemory)
    C = initial_matrix(initial.C, q, v, "initial_state.C")
    n = initial_array(initial.n, (*batch, d_k), q, "initial_state.n")
    return NormalisedMemory(C, n[..., None, :], initial_array(initial.m, batch, q, "initial_state.m")[..., None, None])
