"""Prefix ridge by innovations, one CUDA thread block a head.

Flops a token: 4d_k² + 6d_k d_v for K[P | -S], QS and the update, 3C(d_k + d_v) + C²/3 within a chunk of C; at
d_k = d_v = d and C = 16 that is 10d² + 96d + 85. Global memory: 2d_k + 2d_v + 1 numbers a token, each once.
The chunk that fits:

    d_k = d_v          64 float32   64 float64   96 float64   128 float32   144 float32
    sm_80, C =         16           16           4            8             does not fit
    sm_90, C =         16           16           16           16            16
"""

from typing import Any

from ttr_numerics.arrays import Array, LinAlgError, diagonal_matrix, eye, name_slices, namespace, solve_posdef, zeros
from ttr_numerics.axes import Moments, Output, check_sequence, initial_matrix, per_token, row_ridge
from ttr_numerics.exact.cuda.launch import Kernel, check_on_device, launch
from ttr_numerics.exact.inputs import check_solvable

__all__ = ["INNOVATION", "ridge_prefixes_by_kernel"]

INNOVATION = Kernel(
    "ridge_prefixes", lambda C, K, V: (K + C) * (K + V) + (2 * C + 4) * K + C * V + 2 * C * (C + 4)
)  # `Innovation::size` of the source


def ridge_prefixes_by_kernel(
    q: Array, k: Array, v: Array, *, ridge: Any, weights: Array | None = None, initial_state: Moments | None = None
) -> Output:
    """`exact.ridge_prefixes` without forgetting, by innovations (`exact.innovation`) in one CUDA kernel.

    CuPy arrays of float32 or float64; axes, state and errors as for `ridge_prefixes_by_innovation`, whose limits in
    conditioning are also this one's. CuPy compiles with subnormal float32 numbers flushed to zero.
    The kernel has been compiled for sm_80 and sm_90 and its arithmetic verified on a CPU, not timed on a device.
    Raises ValueError where the state does not fit in shared memory, LinAlgError naming the slices that lost a pivot.
    """
    check_sequence(q, k, v)
    check_on_device(q)
    check_solvable(q=q, k=k, v=v, weights=weights)
    xp, given = namespace(q), (None, None) if initial_state is None else initial_state
    H = initial_matrix(given[0], q, k, "initial_state.H")
    G = initial_matrix(given[1], q, v, "initial_state.G")
    row_weights = xp.ones_like(q[..., :1])
    if weights is not None:
        row_weights = row_weights * per_token("weights", weights, q)
    P = solve_posdef(H + diagonal_matrix(row_ridge(ridge, q)), eye(q, q.shape[-1]) + xp.zeros_like(H), "H + ridge")
    o, failed = zeros(v, v.shape), xp.astype(zeros(q, q.shape[:-2]), xp.int32)
    launch(INNOVATION, q, v, (q, k, v, xp.sqrt(row_weights), P, P @ G), (o, failed))
    if bool(xp.any(failed != 0)):
        raise LinAlgError(
            f"I + K P K': expected positive definite, got a pivot without digits{name_slices(failed)}; "
            "give a larger ridge, or use exact.ridge_prefixes_by_moments"
        )
    KT = xp.matrix_transpose(row_weights * k)
    return Output(o, Moments(H + KT @ k, G + KT @ v))
