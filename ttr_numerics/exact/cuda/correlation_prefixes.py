"""Causal linear attention, one CUDA thread block a head: what the ridge kernel is to be compared with on a device.

Flops a token: 4d_k d_v for QS and K'V, C(d_k + 2d_v) within a chunk of C. Global memory: 2d_k + 2d_v numbers a token.
"""

from ttr_numerics.arrays import Array, zeros
from ttr_numerics.axes import Output, check_sequence, initial_matrix
from ttr_numerics.exact.cuda.launch import Kernel, check_on_device, launch
from ttr_numerics.exact.inputs import check_solvable

__all__ = ["CORRELATION", "correlation_prefixes_by_kernel"]

CORRELATION = Kernel(
    "correlation_prefixes", lambda C, K, V: (K + C) * V + C * K + (K + C) * (C + 4)
)  # `Correlation::size` of the source


def correlation_prefixes_by_kernel(q: Array, k: Array, v: Array, *, initial_state: Array | None = None) -> Output:
    """o_t = q_t S_t with S_t = K'V over the tokens 1..t: `exact.correlation_prefixes` without forgetting.

    CuPy arrays of float32 or float64. CuPy compiles with subnormal float32 numbers flushed to zero.
    The kernel has been compiled for sm_80 and sm_90 and its arithmetic verified on a CPU, not timed on a device.
    Raises ValueError where the state does not fit in shared memory.
    """
    check_sequence(q, k, v)
    check_on_device(q)
    check_solvable(q=q, k=k, v=v, initial_state=initial_state)
    before = initial_matrix(initial_state, q, v)
    o, after = zeros(v, v.shape), zeros(v, before.shape) + before
    launch(CORRELATION, q, v, (q, k, v, before), (o, after))
    return Output(o, after)
