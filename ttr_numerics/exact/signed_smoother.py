"""Local constant regression with a kernel of either sign: weighted means whose weights may be negative."""

from typing import Protocol

from ttr_numerics.arrays import Array, LinAlgError, concat, name_slices, namespace
from ttr_numerics.axes import Cache, Output, check_sequence, extended
from ttr_numerics.exact.blocks import query_blocks
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.kernels import Linear

__all__ = ["signed_smoother_prefixes"]


class Kernel(Protocol):
    """A kernel by its values, of either sign."""

    def __call__(self, X: Array, Y: Array, /) -> Array:
        """The matrix κ(x, y) (..., n, m)."""


_LINEAR = Linear()


def signed_smoother_prefixes(
    q: Array, k: Array, v: Array, *, kernel: Kernel = _LINEAR, initial_state: Cache | None = None
) -> Output:
    """o_t = Σ_{i≤t} κ(q_t, k_i) v_i / Σ_{i≤t} κ(q_t, k_i), the stationary c of J_t(c) = ½Σ_{i≤t} κ(q_t, k_i)‖v_i - c‖².

    Nadaraya-Watson; the minimiser where the weights of a row sum to more than 0, and a maximiser where to less. Where
    both sums are 0 every c is stationary and the least one, 0, is taken. Raises `LinAlgError` where only the lower one
    is, naming the slices: J_t then has no stationary point. Unlike `kernel_smoother_prefixes` it needs no logarithm of
    the kernel, and cannot scale it. Reference: Wand and Jones, Kernel Smoothing, sections 2.8 (signed kernels) and 5.2.
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v)
    data = extended(initial_state, k, v)
    xp, outputs, n = namespace(q), [], data.k.shape[-2]
    for block in query_blocks(q, n, n - q.shape[-2] + 1, n):
        weights = kernel(q[..., block.rows, :], data.k[..., block.keys, :])
        weights = xp.where(block.visible, weights, xp.zeros_like(weights))
        outputs.append(_mean(weights, data.v[..., block.keys, :]))
    return Output(concat(outputs, -2) if outputs else v, data)


def _mean(weights: Array, v: Array) -> Array:
    xp = namespace(weights)
    sums, totals = weights @ v, xp.sum(weights, axis=-1, keepdims=True)
    none = totals == 0
    if totals.dtype != object and bool(xp.any(none & (sums != 0))):
        bad = xp.any(none & (sums != 0), axis=(-2, -1))
        raise LinAlgError(f"kernel: expected weights of a nonzero sum, got a row that sums to 0{name_slices(bad)}")
    return sums / xp.where(none, xp.ones_like(totals), totals)
