"""Modern Hopfield networks: softmax attention, iterated on its own keys."""

from ttr_numerics.arrays import Array
from ttr_numerics.axes import Cache, Output, check_sequence, extended
from ttr_numerics.layers.blocks import causal
from ttr_numerics.layers.softmax import attend

__all__ = ["hopfield"]


def hopfield(
    q: Array, k: Array, v: Array, *, beta: float, steps: int = 1, initial_state: Cache | None = None
) -> Output:
    """o_t = Σ_{i≤t} p_i v_i, p ∝ exp(β ξ·k_i), at ξ = q_t after `steps` - 1 updates ξ ← Σ_{i≤t} p_i k_i.

    beta is the inverse temperature, a number above 0. One step is softmax attention with queries β q; v = k retrieves
    the pattern itself, `steps` updates in all. Every update is a gradient step of size 1 on the energy
    E(ξ) = ½‖ξ‖² - β⁻¹ log Σ exp(β ξ·k_i), and never raises it. The state is `Cache(k, v)`, the patterns stored so far.
    Reference: Ramsauer et al., arXiv 2008.02217, equations 2 and 3, theorem 1.
    """
    check_sequence(q, k, v)
    if not beta > 0:  # NaN fails this comparison too
        raise ValueError(f"beta: expected above 0, got {beta}")
    if steps < 1:
        raise ValueError(f"steps: expected at least 1, got {steps}")
    cache = extended(initial_state, k, v)
    n, patterns = cache.k.shape[-2], Cache(cache.k, cache.k)
    for _ in range(steps - 1):
        q = attend(beta * q, patterns, causal(q, n))
    return Output(attend(beta * q, cache, causal(q, n)), cache)
