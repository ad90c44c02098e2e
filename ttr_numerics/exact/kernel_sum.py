"""Sums of values weighted by a kernel at the query: a Hebbian memory in the kernel's feature space."""

from ttr_numerics.arrays import Array, concat, namespace
from ttr_numerics.axes import Output, WeightedCache
from ttr_numerics.exact.blocks import query_blocks
from ttr_numerics.exact.kernels import Gaussian
from ttr_numerics.exact.smoother import LogKernel, row_logs, weighted_cache

__all__ = ["kernel_sum_prefixes"]

_GAUSSIAN = Gaussian()


def kernel_sum_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    kernel: LogKernel = _GAUSSIAN,
    log_weights: Array | None = None,
    initial_state: WeightedCache | None = None,
) -> Output:
    """o_t = Σ_{i≤t} w_i κ(q_t, k_i) v_i: kernel ridge regression with the kernel matrix replaced by the identity.

    One gradient step of size 1 from zero on ½Σ w_i‖v_i - m(k_i)‖² in the kernel's space. log_weights (..., T) is
    log w_i, default 0, -inf a weight of 0. Weights are computed by logarithms, and overflow where beyond the dtype.
    Reference: arXiv 2501.12352, section 3.1; Schölkopf and Smola, Learning with Kernels, section 10.6.
    """
    cache = weighted_cache(q, k, v, log_weights, initial_state)
    xp, outputs, n = namespace(q), [], cache.k.shape[-2]
    for block in query_blocks(q, n, n - q.shape[-2] + 1, n):
        outputs.append(xp.exp(row_logs(q, cache, kernel, block)) @ cache.v[..., block.keys, :])
    return Output(concat(outputs, -2) if outputs else v, cache)
