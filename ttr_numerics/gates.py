"""Gates of published layers: from what a model projects to the log_decay that a layer here takes, in nats.

Rates per head are plain numbers, `constant(rates, q)` spreads them over the tokens of q (..., H, T, d_k). What depends
on the token takes x (..., T) or (..., T, d_k) with heads at the axis before T, and parameters per head (H,) or per
head and channel (H, d_k). Softplus and sigmoid are formed so that nothing overflows and no small gate loses its digits.
Which layer is a call with which gate is in the catalogue (`calls`).
"""

import math
from typing import NamedTuple

from ttr_numerics.arrays import Array, namespace

__all__ = [
    "Tied",
    "constant",
    "gated_delta_net",
    "gla",
    "hgrn2",
    "kimi_delta",
    "lightning",
    "minimax",
    "retnet",
    "rwkv6",
    "rwkv7",
    "softplus",
    "ssd",
]


class Tied(NamedTuple):
    """`log_decay` = log f and the key `k` = 1 - f that goes with it, both (..., T, d_k)."""

    log_decay: Array
    k: Array


def constant(rates: tuple[float, ...], q: Array) -> Array:
    """log_decay (..., H, T) that is rates[h] at every token of q (..., H, T, d_k)."""
    if q.ndim < 3 or q.shape[-3] != len(rates):
        raise ValueError(f"q: expected shape (..., {len(rates)}, T, d_k), got {tuple(q.shape)}")
    xp = namespace(q)
    heads = [rate + xp.zeros_like(q[..., h, :, 0]) for h, rate in enumerate(rates)]
    return xp.stack(heads, axis=-2)


def retnet(heads: int) -> tuple[float, ...]:
    """log γ_h = log(1 - 2^(-5-h)), h = 0..H-1. Reference: Sun et al. (RetNet), arXiv 2307.08621, equation 8.

    >>> [round(math.exp(g), 6) for g in retnet(2)]
    [0.96875, 0.984375]
    """
    return tuple(math.log1p(-(2.0 ** (-5 - h))) for h in range(heads))


def lightning(heads: int, layer: int, layers: int) -> tuple[float, ...]:
    """log λ_h = -(8h/H)(1 - l/L), h = 0..H-1, l = layer 0..L-1 of L: head 0 and a layer L never forget.

    Reference: Qin et al. (TransNormerLLM), arXiv 2307.14995, section 3.2, and FLA's `chunk_lightning_attn`. The models
    released under that name use the slopes of `minimax` instead.
    """
    _check_layer(layer, layers)
    return tuple(-(8 / heads) * (1 - layer / layers) * h for h in range(heads))


def minimax(heads: int, layer: int, layers: int) -> tuple[float, ...]:
    """log λ_h = -2^(-8(h+1)/H) (1 - l/(L - 1 + ε) + ε), ε = 10⁻⁵: ALiBi slopes that fade with the layer.

    Reference: MiniMax-01, arXiv 2501.08313; `get_slope_rate` of transformers' modeling_minimax.
    """
    _check_layer(layer, layers)
    fade = 1 - layer / (layers - 1 + 1e-5) + 1e-5
    return tuple(-(2.0 ** (-8 * (h + 1) / heads)) * fade for h in range(heads))


def ssd(dt: Array, A: Array) -> Array:
    """log_decay_t = dt_t A (..., H, T) for steps dt > 0 (..., H, T) and A < 0 (H,), which models store as log(-A).

    The step also scales the input: values are dt_t x_t, keys B_t, queries C_t. dt is softplus(raw + dt_bias), which
    Mamba-2 then clamps to its `time_step_limit`. Reference: Dao and Gu (Mamba-2), arXiv 2405.21060, section 7.
    """
    return dt * A[..., None]


def gla(x: Array, temperature: float = 16.0) -> Array:
    """log_decay = log σ(x) / τ (..., T, d_k). Reference: Yang et al. (GLA), arXiv 2312.06635, section 4.3."""
    return -softplus(-x) / temperature


def hgrn2(x: Array, lower_bound: Array | float = 0.0) -> Tied:
    """f = b + (1 - b) σ(x), log_decay = log f and k = 1 - f (..., T, d_k).

    b = lower_bound in [0, 1), a number or (d_k,), grows with the layer, from 0 in the first. k is (1 - b) σ(-x),
    without the cancellation of 1 - f.
    Reference: Qin et al. (HGRN2), arXiv 2404.07904, section 3.
    """
    xp = namespace(x)
    bound = lower_bound + xp.zeros_like(x)
    if not bool(xp.all((bound >= 0) & (bound < 1))):  # NaN fails this comparison too
        raise ValueError(f"lower_bound: expected at least 0 and below 1, got up to {float(xp.max(bound))}")
    k = (1 - bound) * xp.exp(-softplus(x))
    half = 0.5 * xp.ones_like(x)
    return Tied(xp.where(k < half, xp.log1p(-xp.minimum(k, half)), _log_sum(bound, x)), k)


def _log_sum(bound: Array, x: Array) -> Array:
    """log(b + (1 - b) σ(x)), as max + log1p(exp(min - max)) of the logarithms of the two terms; b = 0 is legal."""
    xp = namespace(x)
    one, infinity = xp.ones_like(x), xp.inf * xp.ones_like(x)
    floor = xp.where(bound > 0, xp.log(xp.where(bound > 0, bound, one)), -infinity)
    rest = xp.log1p(-bound) - softplus(-x)
    return xp.maximum(floor, rest) + xp.log1p(xp.exp(-xp.abs(floor - rest)))


def rwkv6(w: Array) -> Array:
    """log_decay = -exp(w) (..., T, d_k). Reference: Peng et al. (RWKV-6), arXiv 2404.05892, section 4."""
    return -namespace(w).exp(w)


def rwkv7(w: Array) -> Array:
    """log_decay = -e^(-1/2) σ(w) (..., T, d_k): no gate below exp(-e^(-1/2)) = 0.545.

    Reference: Peng et al. (RWKV-7), arXiv 2503.14456, section 4.
    """
    return -math.exp(-0.5) * namespace(w).exp(-softplus(-w))


def gated_delta_net(a: Array, A_log: Array, dt_bias: Array) -> Array:
    """log_decay = -exp(A_log) softplus(a + dt_bias) (..., H, T): `ssd` with A = -exp(A_log); A_log, dt_bias (H,).

    Reference: Yang et al. (Gated DeltaNet), arXiv 2412.06464, section 3.4.
    """
    return ssd(softplus(a + dt_bias[..., None]), -namespace(a).exp(A_log))


def kimi_delta(a: Array, A_log: Array, dt_bias: Array) -> Array:
    """log_decay = -exp(A_log) softplus(a + dt_bias) (..., H, T, d_k), per channel; A_log (H,), dt_bias (H, d_k).

    Reference: Kimi Linear, arXiv 2510.26692; FLA's `naive_kda_gate`.
    """
    return softplus(a + dt_bias[..., None, :]) * -namespace(a).exp(A_log)[..., None, None]


def softplus(x: Array) -> Array:
    """log(1 + exp x) = max(x, 0) + log1p(exp(-|x|)): no overflow, and every digit of exp x for x far below 0."""
    xp = namespace(x)
    return xp.maximum(x, xp.zeros_like(x)) + xp.log1p(xp.exp(-xp.abs(x)))


def _check_layer(layer: int, layers: int) -> None:
    if not 0 <= layer < layers:
        raise ValueError(f"layer: expected 0 to {layers - 1}, got {layer}")
