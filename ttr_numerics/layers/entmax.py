"""Entmax attention: softmax with exact zeros.

    p = argmax_{p ∈ Δ} p·z + H_α(p),  H_α(p) = (1 - Σ p_i^α) / (α(α - 1));   p_i = ((α - 1) z_i - τ)_+^n,  n = 1/(α - 1)

The threshold τ makes Σ p_i = 1: found by sorting where n is 1 (sparsemax) or 2, by Newton's method on a norm elsewhere.
One Newton step on Σ p_i = 1 follows: it removes the rounding of the search, and carries τ's derivative, which a search
has not.
"""

from collections.abc import Callable

from ttr_numerics.arrays import Array, concat, namespace, unit_roundoff, untracked
from ttr_numerics.axes import Cache, Output, check_sequence, extended
from ttr_numerics.layers.blocks import causal

__all__ = ["entmax_attention"]

STEPS = 32  # of the search at most: nine were the most seen, whatever the logits, their number and n


def entmax_attention(q: Array, k: Array, v: Array, *, alpha: float, initial_state: Cache | None = None) -> Output:
    """o_t = Σ_{i≤t} p_ti v_i, p_t = α-entmax of the logits q_t·k_i, i ≤ t; 1 < alpha ≤ 2, 2 is sparsemax.

    α → 1 is `softmax_attention`. For keys of one norm it is `compact_kernel_attention` of order n = 1/(α - 1) with a
    bandwidth of each query's own, h_t² = ‖k‖² + ‖q_t‖² - 2nτ_t. The state is `Cache(k, v)`.
    Reference: Peters, Niculae and Martins, arXiv 1905.05702, equation 10; Martins and Astudillo, arXiv 1602.02068.
    """
    check_sequence(q, k, v)
    if not 1 < alpha <= 2:  # NaN fails this comparison too
        raise ValueError(f"alpha: expected above 1 and at most 2, got {alpha}")
    cache = extended(initial_state, k, v)
    xp, outputs, power = namespace(q), [], 1 / (alpha - 1)
    for block in causal(q, cache.k.shape[-2]):
        k, v = (x[..., block.keys, :] for x in cache)
        logits = (alpha - 1) * (q[..., block.rows, :] @ xp.matrix_transpose(k))
        outputs.append(_entmax(logits, block.visible, power) @ v)
    return Output(concat(outputs, -2) if outputs else cache.v[..., :0, :], cache)


def _entmax(x: Array, visible: Array, power: float) -> Array:
    """p = (x - τ)_+ⁿ with row sums of 1, over the visible entries of x (..., rows, keys)."""
    xp = namespace(x)
    largest = untracked(xp.max(xp.where(visible, x, -xp.inf * xp.ones_like(x)), axis=-1, keepdims=True))
    far = -2 * xp.ones_like(x)  # 1 below the largest entry weights end: what lies deeper is set to 2 below
    x = xp.maximum(xp.where(visible, x - largest, far), far)
    threshold = _SORTED.get(power, _by_norm(power))(untracked(x))
    above = xp.maximum(x - threshold, xp.zeros_like(x))
    slope = xp.where(above > 0, above, xp.ones_like(above)) ** (power - 1)
    slope = power * xp.sum(xp.where(above > 0, slope, xp.zeros_like(slope)), axis=-1, keepdims=True)
    threshold = threshold + (xp.sum(above**power, axis=-1, keepdims=True) - 1) / untracked(slope)
    return xp.maximum(x - threshold, xp.zeros_like(x)) ** power


def _sparsemax(x: Array) -> Array:
    """τ with Σ (x_i - τ)_+ = 1: the largest of (x_(1) + ... + x_(j) - 1)/j, x sorted from above."""
    xp = namespace(x)
    ordered, count = _ordered(x)
    return xp.max((xp.cumulative_sum(ordered, axis=-1) - 1) / count, axis=-1, keepdims=True)


def _entmax15(x: Array) -> Array:
    """τ with Σ (x_i - τ)_+² = 1: the largest root τ_j = x̄ - √((1 - s)/j) over the j first that lies below x_(j).

    x̄ is their mean, s the sum of their squared deviations; below x_(j) all j count, so no root exceeds τ.
    """
    xp = namespace(x)
    ordered, count = _ordered(x)
    mean = xp.cumulative_sum(ordered, axis=-1) / count
    left = 1 - (xp.cumulative_sum(ordered * ordered, axis=-1) - count * mean * mean)
    roots = mean - xp.sqrt(xp.maximum(left, xp.zeros_like(left)) / count)
    return xp.max(xp.where(roots <= ordered, roots, -2 * xp.ones_like(roots)), axis=-1, keepdims=True)


def _ordered(x: Array) -> tuple[Array, Array]:
    """Rows sorted from above, and 1, 2, ... in their dtype."""
    xp = namespace(x)
    ones = xp.ones_like(x)
    return xp.flip(xp.sort(x, axis=-1), axis=-1), xp.cumulative_sum(ones, axis=-1)


def _by_norm(power: float) -> Callable[[Array], Array]:
    """The search for τ by Newton's method on ‖(x - τ)_+‖_n = 1: convex, from -1 upwards, in fewer than ten steps.

    For equal entries the norm is linear in τ, and one step is exact.
    """

    def search(x: Array) -> Array:
        xp = namespace(x)
        threshold, settled = -xp.ones_like(x[..., :1]), 4 * x.shape[-1] * unit_roundoff(x)
        for _ in range(STEPS):
            above = xp.maximum(x - threshold, xp.zeros_like(x))
            slope = xp.where(above > 0, above, xp.ones_like(above)) ** (power - 1)
            slope = xp.where(above > 0, slope, xp.zeros_like(slope))
            norm = xp.sum(slope * above, axis=-1, keepdims=True) ** (1 / power)
            step = (norm - 1) * norm ** (power - 1) / xp.sum(slope, axis=-1, keepdims=True)
            threshold = threshold + step
            if not bool(xp.any(step > settled)):
                break
        return threshold

    return search


_SORTED: dict[float, Callable[[Array], Array]] = {1: _sparsemax, 2: _entmax15}
