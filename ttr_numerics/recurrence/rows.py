"""What a layer substitutes into the chunk-parallel form."""

from typing import NamedTuple

from ttr_numerics.arrays import Array

__all__ = ["Rows"]


class Rows(NamedTuple):
    """What a layer substitutes: rows q_t, k_t, e_t (..., T, d_k), v_t (..., T, d_v) and log_decay (..., T, 1 or d_k).

    The erase row e_t reads the undecayed state, None is 0; log_decay None is 0, -inf a reset. With log_momentum
    (..., T, 1), and log_decay of that shape, the state is [S; U] (..., 2 d_k, d_v), S followed by a velocity:

        U_t = exp(log_momentum_t) U_{t-1} + k_t' (v_t - e_t S_{t-1});   S_t = exp(log_decay_t) S_{t-1} + c_t U_t.

    c (..., T, 1) is how much of its velocity the state takes: 1, and 0 at a row that only fills up.
    """

    q: Array
    k: Array
    v: Array
    erase: Array | None = None
    log_decay: Array | None = None
    log_momentum: Array | None = None
    taken: Array | None = None
