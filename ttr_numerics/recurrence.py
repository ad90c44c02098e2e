"""The one recurrence, twice: the time loop that defines a layer, and the chunk-parallel form that computes it.

*Sequential*: (S_t, o_t) = step(S_{t-1}, x_t). A causal layer with a state of fixed size is its step.

*Chunk-parallel*, for states that are linear in themselves,

    S̄_t = diag(exp log_decay_t) S_{t-1};   S_t = S̄_t + k_t' (v_t - e_t S̄_t);   o_t = q_t S_t.

With Γ the decay between two tokens of a chunk and S the state before it, the written rows w_t = v_t - e_t S̄_t solve
one unit lower triangular system T, and everything else is a matrix product:

    T = I + tril(EΓK', -1);   [U | R] = T⁻¹ [V | EΓ_0];   W = U - R S;
    O = (QΓ_0) S + tril(QΓK') W;   S ← Γ_C S + (KΓ_C)' W.

Only W, O and S depend on the state: the first line is solved for many chunks at once, by substitution. Solving for
V - EΓ_0 S chunk by chunk is slower, and no more accurate: errors of the two were within a factor 2.2 of each other in
float32 and float64, for random, repeated, near-parallel and unnormalised keys, β up to 2. Without e (additive layers)
W = V. Linear attention, the delta rules and their gated forms are substitutions.
Reference: Yang et al., arXiv 2406.06484, section 3.2 (the UT transform); arXiv 2412.06464, section 3.3.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

from ttr_numerics.arrays import Array, concat, eye, namespace, unit_forward_substitution, zeros
from ttr_numerics.axes import Output

__all__ = ["Rows", "chunk_parallel", "sequential"]

GROUP = 1 << 17  # entries of one array of rows treated together: temporaries stay in cache


class Rows(NamedTuple):
    """What a layer substitutes: rows q_t, k_t, e_t (..., T, d_k), v_t (..., T, d_v) and log_decay (..., T, 1 or d_k).

    erase e None is 0; log_decay None is 0, -inf a reset.
    """

    q: Array
    k: Array
    v: Array
    erase: Array | None = None
    log_decay: Array | None = None


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
    substitute: Callable[..., Rows], state: Array, chunk: int, q: Array, k: Array, v: Array, *gates: Array
) -> Output:
    """The recurrence above, `chunk` tokens at a time, from S_0 = `state` (..., d_k, d_v).

    `substitute(q, k, v, *gates) -> Rows` is the layer: it sees some chunks (..., n, C, d) at a time.
    """
    if chunk < 1:
        raise ValueError(f"chunk: expected at least 1, got {chunk}")
    outputs = []
    for group in _groups(state, q.shape[-2], chunk):
        length = min(chunk, group.stop - group.start)
        rows = substitute(*(_in_chunks(x[..., group, :], length) for x in (q, k, v, *gates)))
        o, state = _one_group(state, rows)
        outputs += [x[..., :length, :] for x in o]
    return Output(concat(outputs, -2) if outputs else v, state)


def _groups(S: Array, T: int, chunk: int) -> list[slice]:
    """Slices of whole chunks, about GROUP entries in the widest array of each, then the tokens left over."""
    widest = math.prod(S.shape[:-2]) * max(*S.shape[-2:], min(chunk, T))
    size, whole = chunk * max(1, GROUP // max(widest * chunk, 1)), T - T % chunk
    return [slice(*ends) for ends in pairwise([*range(0, whole, size), whole, T]) if ends[0] < ends[1]]


def _in_chunks(x: Array, length: int) -> Array:
    """x (..., n C, d) as (..., n, C', d), C' the next power of two: rows of zeros write nothing and are not read."""
    x = namespace(x).reshape(x, (*x.shape[:-2], x.shape[-2] // length, length, x.shape[-1]))
    short = (1 << (length - 1).bit_length()) - length
    return concat([x, zeros(x, (*x.shape[:-2], short, x.shape[-1]))], -2) if short else x


def _one_group(S: Array, rows: Rows) -> tuple[list[Array], Array]:
    """Outputs of each chunk of rows (..., n, C, d) and the state after the last."""
    xp, (q, k, w, erase, log_decay) = namespace(rows.q), rows
    decay = _decay(log_decay)
    if erase is not None:
        w, seen = unit_forward_substitution(decay.products(erase, k), w, decay.from_start(erase))
    scores, reads, writes = decay.products(q, k), decay.from_start(q), xp.matrix_transpose(decay.to_end(k))
    outputs = []
    for c in range(q.shape[-3]):
        written = w[..., c, :, :] if erase is None else w[..., c, :, :] - seen[..., c, :, :] @ S
        outputs.append(reads[..., c, :, :] @ S + scores[..., c, :, :] @ written)
        S = decay.left_of(S, c) + writes[..., c, :, :] @ written
    return outputs, S


def _decay(log_decay: Array | None) -> Any:
    if log_decay is None:
        return _NoDecay()
    return _TokenDecay(log_decay) if log_decay.shape[-1] == 1 else _ChannelDecay(log_decay)


class _NoDecay:
    """Γ = 1: rows keep their weight within a chunk."""

    def products(self, x: Array, k: Array) -> Array:
        """x_t' k_i for i ≤ t, else 0."""
        xp = namespace(x)
        return xp.tril(x @ xp.matrix_transpose(k))

    def from_start(self, x: Array) -> Array:
        return x

    def to_end(self, k: Array) -> Array:
        return k

    def left_of(self, S: Array, c: int) -> Array:
        return S


class _TokenDecay:
    """Γ from log_decay (..., n, C, 1), one factor a token, row by row: Γ_t = a_t Γ_{t-1} with 1 in its own place.

    Factors at most 1 are multiplied, nothing is divided or subtracted: -50 a token loses no digits, and -inf gives 0
    and not NaN.
    """

    def __init__(self, log_decay: Array) -> None:
        xp, C = namespace(log_decay), log_decay.shape[-2]
        a, one = xp.exp(log_decay), eye(log_decay, C)
        rows = [one[0, ...] + xp.zeros_like(a[..., 0, :])]
        for t in range(1, C):
            rows.append(a[..., t, :] * rows[-1] + one[t, ...])
        self.pairs = xp.stack(rows, axis=-2)
        self.start = a[..., :1, :] * self.pairs[..., :1]
        self.end = xp.matrix_transpose(self.pairs[..., -1:, :])

    def products(self, x: Array, k: Array) -> Array:
        """x_t' Γ k_i for i ≤ t, else 0."""
        return self.pairs * (x @ namespace(x).matrix_transpose(k))

    def from_start(self, x: Array) -> Array:
        return self.start * x

    def to_end(self, k: Array) -> Array:
        return self.end * k

    def left_of(self, S: Array, c: int) -> Array:
        return self.start[..., c, -1, :, None] * S


class _ChannelDecay(_TokenDecay):
    """The same for log_decay (..., n, C, d_k), C a power of two: products without Γ itself, by halves.

    With a_t the decay from a block's start to t, its own included, and b_i from after i to the block's end, two
    neighbouring blocks make one, so that d_k channels cost matrix products of half blocks:

        Γ = [[Γ_1, 0], [a_2 b_1', Γ_2]];   a = [a_1, a_1(end) a_2];   b = [b_1 a_2(end), b_2].
    """

    def __init__(self, log_decay: Array) -> None:
        xp = namespace(log_decay)
        a = xp.exp(log_decay)[..., None, :]
        b = xp.ones_like(a)
        self.halves = []
        while a.shape[-3] > 1:
            (a_1, a_2), (b_1, b_2) = _halves(a), _halves(b)
            self.halves.append((a_2, b_1))
            a = concat([a_1, a_1[..., -1:, :] * a_2], -2)
            b = concat([b_1 * a_2[..., -1:, :], b_2], -2)
        self.start, self.end = a[..., 0, :, :], b[..., 0, :, :]

    def products(self, x: Array, k: Array) -> Array:
        xp = namespace(x)
        blocks = xp.sum(x * k, axis=-1)[..., None, None]
        for a_2, b_1 in self.halves:
            shape = (*x.shape[:-2], x.shape[-2] // a_2.shape[-2], *a_2.shape[-2:])
            x_2, k_1 = _halves(xp.reshape(x, shape))[1], _halves(xp.reshape(k, shape))[0]
            blocks = _joined(blocks, (x_2 * a_2) @ xp.matrix_transpose(k_1 * b_1))
        return blocks[..., 0, :, :]


def _halves(blocks: Array) -> tuple[Array, Array]:
    """The first and the second of every two blocks (..., 2n, m, d)."""
    return blocks[..., ::2, :, :], blocks[..., 1::2, :, :]


def _joined(blocks: Array, cross: Array) -> Array:
    """[[B_1, 0], [cross, B_2]] of every two blocks (..., 2n, m, m)."""
    first, second = _halves(blocks)
    upper = concat([first, namespace(cross).zeros_like(first)], -1)
    return concat([upper, concat([cross, second], -1)], -2)
