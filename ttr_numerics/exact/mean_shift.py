"""Mean shift: a query climbs a kernel density of the keys, and values are smoothed where it arrives."""

from ttr_numerics.arrays import Array
from ttr_numerics.axes import Output, WeightedCache
from ttr_numerics.exact.kernels import Gaussian
from ttr_numerics.exact.smoother import kernel_smoother_prefixes

__all__ = ["mean_shift_prefixes"]

_GAUSSIAN = Gaussian()


def mean_shift_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    steps: int,
    kernel: Gaussian = _GAUSSIAN,
    log_weights: Array | None = None,
    initial_state: WeightedCache | None = None,
) -> Output:
    """o_t = Σ_{i≤t} ω_i(ξ) v_i / Σ ω_i(ξ) at ξ = q_t after `steps` - 1 mean shifts ξ ← Σ ω_i(ξ) k_i / Σ ω_i(ξ).

    ω_i(ξ) = w_i κ(ξ, k_i), κ Gaussian, log_weights (..., T) = log w_i, default 0. A shift ascends the density
    f(ξ) = Σ ω_i(ξ), ξ ← ξ + h² ∇ log f(ξ), and never lowers it; its fixed points are the stationary points of f.
    Reference: Cheng, Mean shift, mode seeking, and clustering, IEEE PAMI 17 (1995) 790, theorem 1.
    """
    if steps < 1:
        raise ValueError(f"steps: expected at least 1, got {steps}")
    patterns = None if initial_state is None else initial_state._replace(v=initial_state.k)
    for _ in range(steps - 1):
        q = kernel_smoother_prefixes(q, k, k, kernel=kernel, log_weights=log_weights, initial_state=patterns).o
    return kernel_smoother_prefixes(q, k, v, kernel=kernel, log_weights=log_weights, initial_state=initial_state)
