"""Averages with weights of maximal Tsallis entropy: a regularised argmax on the simplex, and its sparse solution."""

from ttr_numerics.arrays import Array, concat, namespace, unit_roundoff
from ttr_numerics.axes import Cache, Output, check_sequence, extended
from ttr_numerics.exact.blocks import query_blocks
from ttr_numerics.exact.inputs import check_solvable

__all__ = ["tsallis_smoother_prefixes"]

STEPS = 100  # Newton steps at most: Σ p shrinks to 1 by a factor of about e a step from T at most, then doubles digits


def tsallis_smoother_prefixes(
    q: Array, k: Array, v: Array, *, alpha: float, initial_state: Cache | None = None
) -> Output:
    """o_t = Σ_{i≤t} p_i v_i, p = argmax_{p ∈ Δ} Σ p_i q_t·k_i + H_α(p), H_α(p) = (1 - Σ p_i^α)/(α(α - 1)), 1 < α ≤ 2.

    Stationarity gives p_i = (x_i - τ)_+ⁿ, x_i = (α - 1) q_t·k_i, n = 1/(α - 1). Σ p_i = 1 is convex and decreasing in
    τ: Newton from max x - 1, where the sum is at least 1, rises to the root and never passes it (for α = 2 in finitely
    many steps). Unique, H_α being strictly concave. The state is `Cache(k, v)`.
    Reference: Blondel, Martins and Niculae, JMLR 21 (2020) 35, sections 4.3 and 6.
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v)
    if not 1 < alpha <= 2:  # NaN fails this comparison too
        raise ValueError(f"alpha: expected above 1 and at most 2, got {alpha}")
    data = extended(initial_state, k, v)
    xp, outputs, n = namespace(q), [], data.k.shape[-2]
    for block in query_blocks(q, n, n - q.shape[-2] + 1, n):
        x = (alpha - 1) * (q[..., block.rows, :] @ xp.matrix_transpose(data.k[..., block.keys, :]))
        p = _maximiser(xp.where(block.visible, x, -xp.inf * xp.ones_like(x)), 1 / (alpha - 1))
        outputs.append(p @ data.v[..., block.keys, :] / xp.sum(p, axis=-1, keepdims=True))
    return Output(concat(outputs, -2) if outputs else v, data)


def _maximiser(x: Array, power: float) -> Array:
    """(x - τ)_+ⁿ with row sums of 1, x (..., rows, keys), -inf where there is no key."""
    xp = namespace(x)
    x = x - xp.max(x, axis=-1, keepdims=True)
    threshold = -xp.ones_like(x[..., :1])
    # A step this small is the rounding of the sum; symbols have none.
    settled = 0 if x.dtype == object else 4 * x.shape[-1] * unit_roundoff(x)
    for _ in range(STEPS):
        above = xp.where(x > threshold, x - threshold, xp.zeros_like(x))
        inside = xp.where(x > threshold, above, xp.ones_like(above)) ** (power - 1)
        slope = xp.sum(xp.where(x > threshold, inside, xp.zeros_like(x)), axis=-1, keepdims=True)
        step = (xp.sum(above**power, axis=-1, keepdims=True) - 1) / (power * slope)
        threshold = threshold + step
        if not bool(xp.any(step > settled)):
            break
    return xp.where(x > threshold, x - threshold, xp.zeros_like(x)) ** power
