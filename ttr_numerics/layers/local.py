"""Local polynomial attention: a softmax-weighted polynomial fit around every query, read at the query.

With w_i = exp(q·k_i), the monomials φ_i of order 1 to p of k_i - q, ω = Σ w_i and μ = Σ w_i φ_i,

    Σ = Σ_i w_i φ_i φ_i' + λI;   ρ = Σ⁻¹ μ;   s_i = w_i (1 - φ_i'ρ) / (ω - μ'ρ);   o = Σ_i s_i v_i.

That is the intercept c of argmin ½Σ w_i‖v_i - c - φ_i'C‖² + ½λ‖C‖², C eliminated. Σ s_i = 1; a share can be negative.
Weights are not normalised: λ is in their units, so that a query far from all keys is answered by the local constant.
"""

import math
from typing import Any

from ttr_numerics.arrays import Array, concat, eye, namespace, row_maximum, solve_posdef
from ttr_numerics.axes import Cache, Output, check_sequence, extended, row_ridge
from ttr_numerics.layers.blocks import Block, causal
from ttr_numerics.layers.softmax import exponentials

__all__ = ["local_linear_attention", "local_polynomial_attention"]


def local_linear_attention(q: Array, k: Array, v: Array, *, ridge: Any, initial_state: Cache | None = None) -> Output:
    """o_t = c_t, (c_t, W_t) = argmin ½Σ_{i≤t} exp(q_t·k_i)‖v_i - c - (k_i - q_t) W‖² + ½λ‖W‖², c unpenalised.

    λ → ∞ is softmax attention. About 2 T² d_k² flops in all, where softmax attention takes T² (d_k + d_v); memory of
    a few queries' rows, T d_k numbers each, beside the state `Cache(k, v)`. The error follows the condition of Σ, the
    square of that of the rows: `exact.local_polynomial_prefixes` is the QR. Raises `LinAlgError` where Σ is not
    positive definite, which for λ = 0 is every query with at most d_k keys.
    Reference: Zuo et al. (Local Linear Attention), arXiv 2510.01450.
    """
    return local_polynomial_attention(q, k, v, degree=1, ridge=ridge, initial_state=initial_state)


def local_polynomial_attention(
    q: Array, k: Array, v: Array, *, degree: int, ridge: Any, initial_state: Cache | None = None
) -> Output:
    """o_t = c_t, (c_t, C_t) = argmin ½Σ_{i≤t} exp(q_t·k_i)‖v_i - c - φ(k_i - q_t) C‖² + ½λ‖C‖², c unpenalised.

    φ has the f = C(d_k + p, p) - 1 products of 1 to p = `degree` channels, each once. degree 0 is softmax attention,
    1 `local_linear_attention`. About 2 T² f² flops in all, memory of a few queries' rows, T f numbers each. Monomials
    are raw: their moments grow as the 2p-th power of the distances. The error follows the condition of Σ, with unit
    columns about 100 at degree 5 and 2e6 at 10 for normal keys of one channel and λ = 0: the square of that of QR.
    Raises `LinAlgError` where Σ is not positive definite. Reference: arXiv 2501.12352, section 3.4.
    """
    check_sequence(q, k, v)
    if not (isinstance(degree, int) and degree >= 0):
        raise ValueError(f"degree: expected a whole number, at least 0, got {degree}")
    penalty = row_ridge(ridge, q[..., :1])[..., None, :]
    cache = extended(initial_state, k, v)
    outputs = []
    for block in causal(q, cache.k.shape[-2], width=math.comb(q.shape[-1] + degree, degree)):
        shares = _shares(q[..., block.rows, :], cache.k[..., block.keys, :], degree, penalty, block)
        outputs.append(shares @ cache.v[..., block.keys, :])
    return Output(concat(outputs, -2) if outputs else v, cache)


def _shares(q: Array, k: Array, degree: int, ridge: Array, block: Block) -> Array:
    """s (..., rows, keys) of one block."""
    xp = namespace(q)
    logits = q @ xp.matrix_transpose(k)
    weights, _ = exponentials(logits, block.visible, None)
    largest = row_maximum(xp.where(block.visible, logits, -xp.inf * xp.ones_like(logits)))
    zero = xp.zeros_like(largest)
    # Both sides of Σ ρ = μ in units of max(exp(largest), 1): λ meets weights that all over- or underflow.
    unit = xp.exp(xp.where(largest < 0, largest, zero))[..., None]
    penalty = (ridge * xp.exp(-xp.where(largest > 0, largest, zero)))[..., None]
    phi = _monomials(k[..., None, :, :] - q[..., :, None, :], degree)
    mu = weights[..., None, :] @ phi
    sigma = unit * (xp.matrix_transpose(weights[..., None] * phi) @ phi) + penalty * eye(q, phi.shape[-1])
    rho = solve_posdef(sigma, unit * xp.matrix_transpose(mu), f"moments + ridge, queries from {block.rows.start} on")
    shares = weights * (1 - phi @ rho)[..., 0]
    return shares / (xp.sum(weights, axis=-1, keepdims=True) - (mu @ rho)[..., 0])


def _monomials(z: Array, degree: int) -> Array:
    """All products of 1 to `degree` entries of z (..., d), each once."""
    if degree == 0:
        return z[..., :0]
    leading = [z[..., a : a + 1] for a in range(z.shape[-1])]
    orders, order = [z], leading  # order[a]: products of the current order whose first channel is a
    for _ in range(degree - 1):
        order = [first * concat(order[a:], -1) for a, first in enumerate(leading)]
        orders += order
    return concat(orders, -1) if degree > 1 else z
