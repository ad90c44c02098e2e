"""Layers that solve with their moments at every position, a chunk of positions at a time: H_t is never formed.

With H the moments before a chunk, Γ the decay between two of its tokens, its own included, and γ that since the chunk
began, rows p_t of all its positions meet their H_t in matrix products, and so do the rows that read G_t:

    p_t H_t = γ_t p_t H + Σ_{i≤t} Γ_ti (p_t k_i') β_i k_i;        x_t G_t = γ_t x_t G + Σ_{i≤t} Γ_ti (x_t k_i') β_i v_i.

An iteration that only multiplies by H_t costs 2d² + 4Cd flops a token and step, and the memory of C rows.
Reference: von Oswald et al. (MesaNet), arXiv 2506.05233.
"""

from collections.abc import Callable

from ttr_numerics.arrays import Array, as_state, concat, eye, namespace, zeros
from ttr_numerics.axes import Moments, Output
from ttr_numerics.recurrence import Rows, chunk_parallel

__all__ = ["Chunk", "by_chunks"]


class Chunk:
    """The H_t of one chunk: H before it, keys (..., C, d_k), log_decay and beta (..., C, 1)."""

    def __init__(self, H: Array, k: Array, log_decay: Array, beta: Array) -> None:
        xp = namespace(k)
        self.H, self.k, self.beta = H, k, beta
        self.transposed, self.weighted = xp.matrix_transpose(k), beta * k
        self.since = xp.exp(xp.cumulative_sum(log_decay, axis=-2))
        self.between = _between(log_decay)

    def times(self, p: Array) -> Array:
        """p_t H_t."""
        return self._times(p, self.H, self.weighted)

    def read(self, x: Array, G: Array, v: Array) -> Array:
        """x_t G_t, from G before the chunk and its values."""
        return self._times(x, G, self.beta * v)

    def _times(self, p: Array, S: Array, written: Array) -> Array:
        return self.since * (p @ S) + (self.between * (p @ self.transposed)) @ written

    def after(self, S: Array, values: Array) -> Array:
        """H or G after the chunk, from that before it."""
        left = namespace(S).matrix_transpose(self.between[..., -1:, :])
        return self.since[..., -1:, :] * S + namespace(S).matrix_transpose(left * self.weighted) @ values


def by_chunks(
    solve: Callable[..., Array], state: Moments, chunk: int, q: Array, k: Array, v: Array, *gates: Array
) -> Output:
    """o_t = x_t G_t with x = solve(Chunk, q, *rows) for every chunk; gates are log_decay, beta and those `rows`."""
    if chunk < 1:
        raise ValueError(f"chunk: expected at least 1, got {chunk}")
    outputs, (H, G) = [], state
    for start in range(0, q.shape[-2], chunk):
        query, keys, values, log_decay, beta, *rows = (x[..., start : start + chunk, :] for x in (q, k, v, *gates))
        moments = Chunk(H, keys, log_decay, beta)
        outputs.append(moments.read(solve(moments, query, *rows), G, values))
        H, G = as_state((moments.after(H, keys), moments.after(G, values)))
    return Output(concat(outputs, -2) if outputs else v, Moments(H, G))


def _between(log_decay: Array) -> Array:
    """Γ (..., C, C): the answers of linear attention whose t-th value is the t-th unit vector."""
    C, one = log_decay.shape[-2], namespace(log_decay).ones_like(log_decay)
    values = eye(log_decay, C) + zeros(log_decay, (*log_decay.shape[:-1], C))
    return chunk_parallel(_decayed, zeros(values, (*values.shape[:-2], 1, C)), C, one, one, values, log_decay).o


def _decayed(q: Array, k: Array, v: Array, log_decay: Array) -> Rows:
    return Rows(q, k, v, None, log_decay)
