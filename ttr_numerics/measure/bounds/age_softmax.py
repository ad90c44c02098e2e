"""Recall error by age of attention that averages values: softmax, in a window, forgetting, or with a sink. Exact."""

import numpy as np
from scipy import special

__all__ = ["softmax_age_errors"]


def softmax_age_errors(d: int, gain: float, log_weights: np.ndarray, log_sink: float = -np.inf) -> np.ndarray:
    """Error (n,) by age of Σ_b E_bv_b/(e^sink + Σ_b E_b), E_b = exp(log_weights_b + β k_a·k_b), β = `gain`, q = k_a.

    `log_weights` (n,) by age: 0 for softmax, Σ log gates for forgetting attention, -inf outside a window. Given k_a
    the other k_a·k_b are independent with density ∝ (1-x²)^((d-3)/2), so with A = E_a and Z the rest and the sink
    E[1/(A+Z)^r] = ∫ t^(r-1) e^(-tA) Π_b φ_b(t) dt, φ_b(t) = E e^(-tE_b), and the error is 1 - 2A I_1 + A² I_2 +
    Σ_b E[E_b²/(A+Z)²]. Gauss-Gegenbauer in x (±1 for d = 1), the trapezoidal rule in log t. Exact. Source: derived
    here.

    >>> bool(abs(softmax_age_errors(8, 2.0, np.zeros(1))[0]) < 1e-9)   # a single key
    True
    """
    x, density = _products(d)
    s = np.linspace(-40.0, 2 * gain + 12.0, 700)
    t, ds = np.exp(s), s[1] - s[0]
    stored = np.exp(log_weights)
    log_transform, squares = np.zeros((len(stored), len(t))), np.zeros((len(stored), len(t)))
    for weight in np.unique(stored[stored > 0]):
        E = weight * np.exp(gain * (x - 1))  # in units of e^β, so that no exponential overflows
        decayed = density * np.exp(-np.outer(t, E))
        transform = np.sum(decayed, axis=1)
        log_transform[stored == weight] = np.log(np.maximum(transform, 1e-300))
        squares[stored == weight] = decayed @ E**2 / np.maximum(transform, 1e-300)
    others = np.sum(log_transform, axis=0) - log_transform - t * np.exp(log_sink - gain)
    kernel = np.exp(others - stored[:, None] * t) * t * ds
    rest = np.sum(squares, axis=0) - squares
    A = stored[:, None]
    return 1 + np.sum(kernel * (-2 * A + t * (A**2 + rest)), axis=1)


def _products(d: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the law of k·k' for independent unit keys: density ∝ (1-x²)^((d-3)/2), ±1 for d = 1."""
    if d == 1:
        return np.array([-1.0, 1.0]), np.array([0.5, 0.5])
    x, density = special.roots_gegenbauer(96, d / 2 - 1) if d > 2 else special.roots_chebyt(96)
    return x, density / np.sum(density)
