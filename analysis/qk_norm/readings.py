"""One list of keys and values read in six ways that differ in what the norms of the keys may do.

softmax:           p_i ∝ exp(β q·k_i)
its exact partner: p_i ∝ γ_i exp(-β‖q - k_i‖²/2),  γ_i = exp(β‖k_i‖²/2), Nadaraya-Watson with sample weights
weights divided:   the same with γ_i = 1
QK-norm:           softmax of q/‖q‖ and k_i/‖k_i‖, and its own partner, without weights
weights alone:     the partner of QK-norm with the weights γ_i of the keys as they came
"""

import numpy as np

from ttr_numerics import exact, layers
from ttr_numerics.exact.kernels import Gaussian
from ttr_numerics.measure import bounds, unit_rows

__all__ = [
    "ALONE",
    "DIVIDED",
    "PARTNER",
    "QK_NORM",
    "QK_PARTNER",
    "SOFTMAX",
    "identities",
    "readings",
    "rounding_bound",
]

SOFTMAX, PARTNER = "softmax", "its exact partner"
DIVIDED, ALONE = "weights divided out", "unit keys, weights alone"
QK_NORM, QK_PARTNER = "QK-norm", "partner of QK-norm"


def readings(q: np.ndarray, K: np.ndarray, V: np.ndarray, gain: float) -> dict[str, np.ndarray]:
    """The outputs (..., n, d_v) of queries (..., n, d) by name."""
    kernel, weights = Gaussian(gain**-0.5), bounds.norm_log_weights(K, gain)
    q1, K1 = unit_rows(q), unit_rows(K)
    return {
        SOFTMAX: layers.bidirectional_softmax_attention(gain * q, K, V).o,
        PARTNER: exact.kernel_smoother(q, K, V, kernel=kernel, log_weights=weights),
        DIVIDED: exact.kernel_smoother(q, K, V, kernel=kernel),
        QK_NORM: layers.bidirectional_softmax_attention(gain * q1, K1, V).o,
        QK_PARTNER: exact.kernel_smoother(q1, K1, V, kernel=kernel),
        ALONE: exact.kernel_smoother(q1, K1, V, kernel=kernel, log_weights=weights),
    }


def identities(q: np.ndarray, K: np.ndarray, V: np.ndarray, gain: float, o: dict[str, np.ndarray]) -> dict[str, float]:
    """Rows compared, those in which a layer and its partner differ by more than rounding, the largest share of it."""
    ratios = []
    for layer, partner, rows, keys in ((SOFTMAX, PARTNER, q, K), (QK_NORM, QK_PARTNER, unit_rows(q), unit_rows(K))):
        apart = np.linalg.norm(o[layer] - o[partner], axis=-1)
        ratios.append(apart / rounding_bound(rows, keys, V, gain))
    ratio = np.concatenate([x.ravel() for x in ratios])
    return {"compared": ratio.size, "violated": int(np.sum(~(ratio <= 1))), "ratio": float(np.max(ratio))}


def rounding_bound(q: np.ndarray, K: np.ndarray, V: np.ndarray, gain: float) -> np.ndarray:
    """What rounding in float64 may put between softmax and its partner, ‖·‖₂ a row (..., n).

    A log weight is off by η ≤ (2d + 10) u β (‖q‖ + max‖k‖)²: d + 1 roundings of β q·k, d + 4 of β‖q - k‖²/2, d + 2 of
    β‖k‖²/2, and their sums, each term a part of that square. Then p_i is off by e^{2η} - 1 of itself at most, the
    weighted sums by (2n + 8)u; all of it times max‖v‖.
    """
    n, d = K.shape[-2:]
    longest, largest = (np.max(np.linalg.norm(x, axis=-1), axis=-1)[..., None] for x in (K, V))
    u = 2.0**-53
    eta = (2 * d + 10) * u * gain * (np.linalg.norm(q, axis=-1) + longest) ** 2
    return (np.expm1(2 * eta) + (2 * n + 8) * u) * largest
