"""Titans and test-time training in chunk-parallel form."""

from collections.abc import Iterator

from ttr_numerics.arrays import Array, as_residual, as_state, concat, namespace
from ttr_numerics.axes import Momentum, Output, check_sequence, per_token
from ttr_numerics.layers.chunked.length import CHUNK
from ttr_numerics.layers.chunked.momentum import momentum_delta_rule
from ttr_numerics.layers.ttt import MiniBatch, advanced, initial_mini_batch

__all__ = ["titans", "ttt_linear"]


def titans(
    q: Array,
    k: Array,
    v: Array,
    *,
    theta: Array,
    log_momentum: Array,
    log_decay: Array,
    initial_state: Momentum | None = None,
    chunk: int = CHUNK,
) -> Output:
    """The momentum delta rule at beta = 2θ."""
    check_sequence(q, k, v)
    per_token("theta", theta, q)
    return momentum_delta_rule(
        q,
        k,
        v,
        beta=2 * theta,
        log_momentum=log_momentum,
        log_decay=log_decay,
        initial_state=initial_state,
        chunk=chunk,
    )


def ttt_linear(
    q: Array,
    k: Array,
    v: Array,
    *,
    eta: Array,
    batch: int = 16,
    initial_state: MiniBatch | None = None,
    chunk: int = CHUNK,
) -> Output:
    """The dual form: W = diag(η) (V - K S_b), O = Q S + tril(QK') W, S ← S + K'W, mini-batch by mini-batch.

    Gradients of a mini-batch do not see each other's steps: no triangular system. A mini-batch longer than `chunk`
    is taken in pieces of it. Reference: Sun et al. (TTT), arXiv 2407.04620, section 2.6.
    """
    check_sequence(q, k, v)
    if chunk < 1:
        raise ValueError(f"chunk: expected at least 1, got {chunk}")
    xp, state, step = namespace(q), initial_mini_batch(initial_state, batch, q, v), per_token("eta", eta, q)
    outputs = []
    for piece in _pieces(q.shape[-2], int(state.count), batch, chunk):
        keys, queries = k[..., piece, :], q[..., piece, :]
        w = step[..., piece, :] * as_residual(v[..., piece, :] - keys @ state.start)
        outputs.append(queries @ state.now + xp.tril(queries @ xp.matrix_transpose(keys)) @ w)
        now = as_state(state.now + xp.matrix_transpose(keys) @ w)
        state = advanced(state, now, batch, q, piece.stop - piece.start)
    return Output(concat(outputs, -2) if outputs else v, state)


def _pieces(T: int, seen: int, batch: int, chunk: int) -> Iterator[slice]:
    """0..T-1 in consecutive slices of at most `chunk` tokens that cross no border of a mini-batch."""
    start = 0
    while start < T:
        stop = min(T, start + chunk, start + batch - (seen + start) % batch)
        yield slice(start, stop)
        start = stop
