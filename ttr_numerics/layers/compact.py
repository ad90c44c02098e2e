"""Attention with kernels of compact support: keys beyond a radius, or below a threshold, have no weight at all.

A row in which no key has weight is 0/0. It is refused, with its position, and not filled with zeros or the nearest
value: the caller chooses a larger bandwidth, a lower threshold, or `entmax_attention`, whose threshold adapts.
"""

from collections.abc import Callable

from ttr_numerics.arrays import Array, LinAlgError, concat, name_slices, namespace
from ttr_numerics.axes import Cache, Output, check_sequence, extended
from ttr_numerics.layers.blocks import Block, causal

__all__ = ["compact_kernel_attention", "normalized_relu_attention"]


def compact_kernel_attention(
    q: Array, k: Array, v: Array, *, bandwidth: float, order: int = 1, initial_state: Cache | None = None
) -> Output:
    """o_t = Σ_{i≤t} κ(q_t, k_i) v_i / Σ_{i≤t} κ(q_t, k_i), κ(x, y) = (1 - ‖x - y‖²/h²)_+ⁿ, h the `bandwidth`.

    n = `order`: 1 Epanechnikov, 2 biweight, 3 triweight; h = √(2n), n → ∞ is the Gaussian kernel of bandwidth 1. The
    square is expanded, as a kernel would: 1 - ‖x - y‖²/h² has an absolute error of some u(‖x‖² + ‖y‖²)/h². The state
    is `Cache(k, v)`. Raises LinAlgError naming positions where no key is within h of the query.
    Reference: Wand and Jones, Kernel Smoothing, section 2.7 (the symmetric Beta family).
    """
    _check_above_zero("bandwidth", bandwidth)

    def inside(q: Array, k: Array) -> Array:
        """1 - ‖q_t - k_i‖²/h²."""
        xp = namespace(q)
        products = 2 * q @ xp.matrix_transpose(k) - _squares(q) - xp.matrix_transpose(_squares(k))
        return 1 + products / bandwidth**2

    return _averaged(q, k, v, inside, order, initial_state)


def normalized_relu_attention(
    q: Array, k: Array, v: Array, *, threshold: float = 0.0, order: int = 1, initial_state: Cache | None = None
) -> Output:
    """o_t = Σ_{i≤t} (q_t·k_i - b)_+ⁿ v_i / Σ_{i≤t} (q_t·k_i - b)_+ⁿ, b the `threshold`, n the `order`.

    For keys of one norm ‖k‖ it is `compact_kernel_attention` with a bandwidth of each query's own,
    h_t² = ‖q_t‖² + ‖k‖² - 2b. The state is `Cache(k, v)`. Raises LinAlgError naming positions without weight.
    Reference: Zhang et al. (Rectified Linear Attention), arXiv 2104.07012, normalised by its sum.
    """
    return _averaged(q, k, v, lambda q, k: q @ namespace(q).matrix_transpose(k) - threshold, order, initial_state)


def _averaged(
    q: Array, k: Array, v: Array, inside: Callable[[Array, Array], Array], order: int, initial: Cache | None
) -> Output:
    """Values averaged with weights inside(q_t, k_i)_+ⁿ."""
    check_sequence(q, k, v)
    _check_above_zero("order", order)
    cache = extended(initial, k, v)
    xp, outputs = namespace(q), []
    for block in causal(q, cache.k.shape[-2]):
        k, v = (x[..., block.keys, :] for x in cache)
        x = inside(q[..., block.rows, :], k)
        weights = xp.where(block.visible, xp.maximum(x, xp.zeros_like(x)), xp.zeros_like(x)) ** order
        total = xp.sum(weights, axis=-1, keepdims=True)
        _refuse_weightless(total, block)
        outputs.append((weights @ v) / total)
    return Output(concat(outputs, -2) if outputs else cache.v[..., :0, :], cache)


def _squares(x: Array) -> Array:
    """‖x_t‖² (..., T, 1)."""
    return namespace(x).sum(x * x, axis=-1, keepdims=True)


def _check_above_zero(name: str, x: float) -> None:
    if not x > 0:  # NaN fails this comparison too
        raise ValueError(f"{name}: expected above 0, got {x}")


def _refuse_weightless(total: Array, block: Block) -> None:
    """Raise LinAlgError where the weights of a row sum to 0."""
    xp, empty = namespace(total), (total == 0)[..., 0]
    if bool(xp.any(empty)):
        earlier = [xp.zeros_like(empty[..., :1])] * block.rows.start
        raise LinAlgError(
            f"weights: expected a key of weight for every query, got none{name_slices(concat([*earlier, empty], -1))}; "
            "give a larger bandwidth or a lower threshold"
        )
