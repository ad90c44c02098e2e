"""The one recurrence, twice: the time loop that defines a layer, and the chunk-parallel form that computes it.

*Sequential*: (S_t, o_t) = step(S_{t-1}, x_t). A causal layer with a state of fixed size is its step.

*Chunk-parallel*, for states that are linear in themselves,

    S̄_t = diag(exp log_decay_t) S_{t-1};   S_t = S̄_t + k_t' (v_t - e_t S̄_t);   o_t = q_t S_t.

With Γ the decay between two tokens of a chunk and S the state before it, the written rows w_t = v_t - e_t S̄_t solve
one unit lower triangular system, and everything else is a matrix product:

    (I + tril(EΓK', -1)) W = V - (EΓ_0) S;   O = (QΓ_0) S + tril(QΓK') W;   S ← Γ_C S + (KΓ_C)' W.

Without e (additive layers) W = V. Linear attention, the delta rules and their gated forms are substitutions.
Reference: Yang et al., arXiv 2406.06484, section 3.2 (the UT transform); arXiv 2412.06464, section 3.3.
"""

from collections.abc import Callable
from typing import Any

from ttr_numerics.arrays import Array, concat, eye, forward_substitution, namespace, positions, zeros
from ttr_numerics.axes import Output

__all__ = ["chunk_parallel", "sequential"]


def sequential(
    step: Callable[..., tuple[Any, Array]], state: Any, q: Array, k: Array, v: Array, *gates: Array
) -> Output:
    """Run `step(state, q_t, k_t, v_t, *gates_t) -> (state, o_t)` over time; T steps, memory of one state.

    Every array has time at axis -2 and step sees single rows (..., 1, d); o_t is (..., 1, d_v).
    """
    outputs = []
    for t in range(q.shape[-2]):
        state, o = step(state, *(x[..., t : t + 1, :] for x in (q, k, v, *gates)))
        outputs.append(o)
    return Output(concat(outputs, -2) if outputs else v, state)


def chunk_parallel(
    state: Array, q: Array, k: Array, v: Array, erase: Array | None, log_decay: Array | None, chunk: int
) -> Output:
    """The recurrence above, `chunk` tokens at a time, from S_0 = `state` (..., d_k, d_v).

    erase (..., T, d_k) are the rows e_t, None for 0; log_decay (..., T, 1) or (..., T, d_k), None for 0, -inf a reset.
    """
    if chunk < 1:
        raise ValueError(f"chunk: expected at least 1, got {chunk}")
    outputs = []
    for start in range(0, q.shape[-2], chunk):
        stop = min(start + chunk, q.shape[-2])
        pieces = (x if x is None else x[..., start:stop, :] for x in (q, k, v, erase, log_decay))
        o, state = _one_chunk(state, *pieces)
        outputs.append(o)
    return Output(concat(outputs, -2) if outputs else v, state)


def _one_chunk(S: Array, q: Array, k: Array, v: Array, erase: Array | None, log_decay: Array | None) -> Output:
    xp = namespace(q)
    decay = _NoDecay() if log_decay is None else _Decay(log_decay)
    if erase is not None:
        system = eye(q, q.shape[-2]) + xp.tril(decay.products(erase, k), k=-1)
        v = forward_substitution(system, v - decay.from_start(erase) @ S)
    o = decay.from_start(q) @ S + xp.tril(decay.products(q, k)) @ v
    return Output(o, decay.left_of(S) + xp.matrix_transpose(decay.to_end(k)) @ v)


class _NoDecay:
    """Γ = 1: rows keep their weight within a chunk."""

    def products(self, x: Array, k: Array) -> Array:
        return x @ namespace(x).matrix_transpose(k)

    def from_start(self, x: Array) -> Array:
        return x

    def to_end(self, k: Array) -> Array:
        return k

    def left_of(self, S: Array) -> Array:
        return S


class _Decay:
    """Γ from log_decay (..., C, 1 or d_k) of one chunk, every factor at most 1.

    Logs are summed, never subtracted, so -50 a token loses no digits and -inf gives 0, not NaN. Between rows of one
    block of tokens Γ is formed pair by pair; between blocks it is the decay to the later block's start times the decay
    from there, so that d_k channels cost a matrix product and not a sum over all pairs.
    """

    BLOCK = 8

    def __init__(self, log_decay: Array) -> None:
        xp, C = namespace(log_decay), log_decay.shape[-2]
        self.start = xp.exp(xp.cumulative_sum(log_decay, axis=-2))
        self.end = _until_end(log_decay)
        self.scalar = log_decay.shape[-1] == 1
        length = C if self.scalar else self.BLOCK
        self.blocks = [slice(m, min(m + length, C)) for m in range(0, C, length)]
        self.near = [_pairs(log_decay[..., block, :]) for block in self.blocks]
        self.since = [xp.exp(xp.cumulative_sum(log_decay[..., block, :], axis=-2)) for block in self.blocks]
        self.until = [_until_end(log_decay[..., : block.start, :]) if block.start else None for block in self.blocks]

    def products(self, x: Array, k: Array) -> Array:
        """x_t' Γ k_i for i ≤ t; what stands above the diagonal is not to be used."""
        xp = namespace(x)
        if self.scalar:
            return self.near[0][..., 0] * (x @ xp.matrix_transpose(k))
        return xp.concat([self._block_row(x, k, number) for number in range(len(self.blocks))], axis=-2)

    def _block_row(self, x: Array, k: Array, number: int) -> Array:
        """The products of one block of rows: with earlier blocks, with its own, and nothing beyond."""
        xp, block, until = namespace(x), self.blocks[number], self.until[number]
        rows = x[..., block, :]
        parts = [xp.sum(rows[..., :, None, :] * self.near[number] * k[..., None, block, :], axis=-1)]
        if until is not None:
            aged = k[..., : block.start, :] * until
            parts.insert(0, (rows * self.since[number]) @ xp.matrix_transpose(aged))
        if block.stop < x.shape[-2]:
            parts.append(zeros(x, (*parts[0].shape[:-1], x.shape[-2] - block.stop)))
        return xp.concat(parts, axis=-1)

    def from_start(self, x: Array) -> Array:
        return self.start * x

    def to_end(self, k: Array) -> Array:
        return self.end * k

    def left_of(self, S: Array) -> Array:
        return self.start[..., -1, :, None] * S


def _pairs(log_decay: Array) -> Array:
    """exp Σ_{i<s≤t} log_decay_s (..., C, C, c), row t, column i; above the diagonal 1."""
    xp = namespace(log_decay)
    t = positions(log_decay, log_decay.shape[-2])
    row = log_decay[..., :, None, :]
    later = (t[:, None] > t[None, :])[..., None]
    return xp.exp(xp.cumulative_sum(xp.where(later, row, xp.zeros_like(row)), axis=-3))


def _until_end(log_decay: Array) -> Array:
    """exp Σ_{s>i} log_decay_s (..., C, c): what is left at the end of what token i wrote."""
    xp = namespace(log_decay)
    after = xp.concat([log_decay[..., 1:, :], xp.zeros_like(log_decay[..., :1, :])], axis=-2)
    return xp.exp(xp.flip(xp.cumulative_sum(xp.flip(after, axis=-2), axis=-2), axis=-2))
