"""MesaNet's conjugate gradients, a chunk of positions at a time."""

from typing import Any

from ttr_numerics.arrays import Array
from ttr_numerics.axes import Moments, Output, check_sequence, row_ridge
from ttr_numerics.layers.chunked.length import CHUNK
from ttr_numerics.layers.chunked.solved import Chunk, by_chunks
from ttr_numerics.layers.conjugate_gradient import check_positive, check_start, check_steps, conjugate_gradient
from ttr_numerics.layers.mesa import gate_and_weight, initial_moments

__all__ = ["mesa_cg"]


def mesa_cg(
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge: Any,
    log_decay: Array | None = None,
    beta: Array | None = None,
    steps: int = 30,
    start: Array | None = None,
    initial_state: Moments | None = None,
    chunk: int = CHUNK,
) -> Output:
    """o_t = x_t G_t, x_t after `steps` conjugate gradient steps on (H_t + diag(ridge)) x = q_t from x = start_t."""
    check_sequence(q, k, v)
    check_steps(steps, 0)
    diagonal = check_positive(row_ridge(ridge, q))[..., None, :]

    def solve(moments: Chunk, q: Array, x0: Array) -> Array:
        return conjugate_gradient(lambda p: moments.times(p) + p * diagonal, q, x0, steps)

    gates = (*gate_and_weight(q, log_decay, beta), check_start(start, q))
    return by_chunks(solve, initial_moments(initial_state, q, v), chunk, q, k, v, *gates)
