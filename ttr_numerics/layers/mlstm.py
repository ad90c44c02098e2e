"""mLSTM: a matrix memory with exponential gates, divided by its normaliser where that is above one.

With weights w_i^(t) = exp(log_input_i + Σ_{i<s≤t} log_forget_s):  h_t = Σ w_i (q_t·k_i) v_i / max(|Σ w_i q_t·k_i|, 1)
"""

from ttr_numerics.arrays import Array, as_state, namespace, smallest_positive, stabiliser
from ttr_numerics.axes import (
    NormalisedMemory,
    Output,
    check_sequence,
    initial_array,
    initial_matrix,
    initial_parts,
    per_token,
)
from ttr_numerics.recurrence import sequential

__all__ = ["finite", "initial_memory", "mlstm", "normalised"]


def mlstm(
    q: Array,
    k: Array,
    v: Array,
    *,
    log_input: Array,
    log_forget: Array,
    initial_state: NormalisedMemory | None = None,
) -> Output:
    """C = f C + i k'v, n = f n + i k, h = q C / max(|q n'|, e^-m), with i, f in units of e^m.

    m_t = max(log_forget_t + m_{t-1}, log_input_t), f = exp(log_forget_t + m_{t-1} - m_t), i = exp(log_input_t - m_t).
    log_input (..., T) any real number or -inf (the token is not written), log_forget (..., T) at most 0, -inf a
    reset. The state is `NormalisedMemory(C, n, m)`. m cancels, so h depends on the gates alone; libraries divide by
    max(|q n'|, e^-m) + ε, in which it does not, and by √d_k: here neither is hidden.
    Reference: Beck et al. (xLSTM), arXiv 2405.04517, equations 19-27 and appendix A.
    """
    check_sequence(q, k, v)
    gates = per_token("log_input", log_input, q), per_token("log_forget", log_forget, q)
    h, memory = sequential(_write_and_divide, initial_memory(initial_state, q, v), q, k, v, *gates)
    return Output(h, NormalisedMemory(memory.C, memory.n[..., 0, :], memory.m[..., 0, 0]))


def initial_memory(state: NormalisedMemory | None, q: Array, v: Array) -> NormalisedMemory:
    """C_0 (..., d_k, d_v), n_0 (..., 1, d_k) and m_0 (..., 1, 1) as rows; nothing, in the unit e^-inf, if None."""
    batch, d_k = q.shape[:-2], q.shape[-1]
    if state is None:
        nothing = -namespace(q).inf * namespace(q).ones_like(initial_array(None, (*batch, 1, 1), q))
        return NormalisedMemory(initial_matrix(None, q, v), initial_array(None, (*batch, 1, d_k), q), nothing)
    state = initial_parts(state, NormalisedMemory)
    C = initial_matrix(state.C, q, v, "initial_state.C")
    n = initial_array(state.n, (*batch, d_k), q, "initial_state.n")
    return NormalisedMemory(C, n[..., None, :], initial_array(state.m, batch, q, "initial_state.m")[..., None, None])


def finite(m: Array) -> Array:
    """m, and 0 in place of -inf: the unit of an empty memory is free."""
    xp = namespace(m)
    return xp.where(m == -xp.inf, xp.zeros_like(m), m)


def normalised(numerator: Array, denominator: Array, m: Array) -> Array:
    """numerator / max(|denominator|, e^-m), rows (..., d_v) and (..., 1), without an overflow of e^-m.

    Below m = 0 both sides are taken times e^m. A zero over a floor that underflows to zero is zero.
    """
    xp = namespace(numerator)
    zero = xp.zeros_like(m)
    unit, floor = xp.exp(-stabiliser(-m, zero)), xp.exp(-stabiliser(m, zero))
    size = xp.maximum(unit * xp.abs(denominator), floor)
    return unit * numerator / xp.where(size == 0, floor + smallest_positive(size), size)


def _write_and_divide(
    state: NormalisedMemory, q: Array, k: Array, v: Array, log_input: Array, log_forget: Array
) -> tuple[NormalisedMemory, Array]:
    xp = namespace(q)
    kept = log_forget + state.m
    m = stabiliser(kept, log_input)
    unit = finite(m)
    forget, write = xp.exp(kept - unit), xp.exp(log_input - unit) * k
    C, n = forget * state.C + xp.matrix_transpose(write) @ v, forget * state.n + write
    C, n = as_state((C, n))
    return NormalisedMemory(C, n, m), normalised(q @ C, q @ xp.matrix_transpose(n), m)
