"""The chunk-parallel form: what does not depend on the state for many chunks at once, the rest chunk by chunk."""

import math
from collections.abc import Callable
from itertools import pairwise

from ttr_numerics.arrays import Array, as_residual, as_state, concat, namespace, unit_forward_substitution, zeros
from ttr_numerics.axes import Output
from ttr_numerics.recurrence.decay import decay_of
from ttr_numerics.recurrence.rows import Rows

__all__ = ["chunk_parallel", "micro_steps"]

GROUP = 1 << 17  # entries of one array of rows treated together: temporaries stay in cache


def chunk_parallel(
    substitute: Callable[..., Rows], state: Array, chunk: int, q: Array, k: Array, v: Array, *gates: Array
) -> Output:
    """The recurrence above, `chunk` tokens at a time, from S_0 = `state` (..., d_k, d_v).

    `substitute(q, k, v, *gates) -> Rows` is the layer: it sees some chunks (..., n, C, d) at a time, and gives as many
    rows, or m times as many (`micro_steps`): then every m-th output is a token's.
    """
    if chunk < 1:
        raise ValueError(f"chunk: expected at least 1, got {chunk}")
    outputs = []
    for group in _groups(state, q.shape[-2], chunk):
        length = min(chunk, group.stop - group.start)
        x = [_in_chunks(x[..., group, :], length) for x in (q, k, v, *gates)]
        rows = substitute(*x)
        o, state = _one_group(state, rows, rows.q.shape[-2] // x[0].shape[-2])
        outputs += [x[..., :length, :] for x in o]
    return Output(concat(outputs, -2) if outputs else v[..., : state.shape[-1]], state)


def micro_steps(q: Array, k: Array, v: Array, erase: Array, log_decay: Array | None = None) -> Rows:
    """Rows of tokens that write m times: k, erase (..., C, m, d_k), v (..., C, m, d_v), one write after the other.

    The first write of a token decays the state, the rest find it as the one before left it; q (..., C, d_k) reads
    after the last. m is filled up to a power of two by rows of zeros, which write nothing.
    """
    m = k.shape[-2]
    short = (1 << (m - 1).bit_length()) - m

    def in_order(x: Array, before: int, after: int) -> Array:
        *batch, C, n, d = x.shape
        if before + after:
            x = concat([zeros(x, (*batch, C, before, d)), x, zeros(x, (*batch, C, after, d))], -2)
        return namespace(x).reshape(x, (*batch, C * (before + n + after), d))

    last = m + short - 1
    decay = None if log_decay is None else in_order(log_decay[..., None, :], 0, last)
    k, v, erase = (in_order(x, 0, short) for x in (k, v, erase))
    return Rows(in_order(q[..., None, :], last, 0), k, v, erase, decay)


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


def _one_group(S: Array, rows: Rows, m: int) -> tuple[list[Array], Array]:
    """Outputs of every m-th row of each chunk of rows (..., n, C, d) and the state after the last."""
    xp, (q, k, w, erase, *_) = namespace(rows.q), rows
    decay = decay_of(rows)
    if erase is not None:
        w, seen = unit_forward_substitution(decay.products_before(erase, k), w, decay.from_start_before(erase))
    scores, reads = (x[..., m - 1 :: m, :] for x in (decay.products(q, k), decay.from_start(q)))
    writes = xp.matrix_transpose(decay.to_end(k))
    outputs = []
    for c in range(q.shape[-3]):
        written = w[..., c, :, :] if erase is None else as_residual(w[..., c, :, :] - seen[..., c, :, :] @ S)
        outputs.append(reads[..., c, :, :] @ S + scores[..., c, :, :] @ written)
        S = as_state(decay.left_of(S, c) + writes[..., c, :, :] @ written)
    return outputs, S
