"""Recall error of linear attention: the sum of outer products, plain, scaled or decaying."""

import numpy as np

__all__ = [
    "coherence_error",
    "gated_linear_attention_error",
    "linear_attention_error",
    "linear_attention_fixed_keys",
    "linear_attention_scaled_error",
]


def linear_attention_error(n: int, d: int) -> float:
    """(n-1)/d for S = Σ k_j v_j', exactly: each other key adds E(k_i·k_j)² = 1/d. Source: derived here."""
    return (n - 1) / d


def linear_attention_scaled_error(n: int, d: int) -> float:
    """(n-1)/(n-1+d) with the best output scale d/(n-1+d), exact for that scale. Source: derived here."""
    return (n - 1) / (n - 1 + d)


def linear_attention_fixed_keys(n: int, participation_ratio: float) -> tuple[float, float]:
    """Raw and best-scaled error n/PR - 1 and 1 - PR/n of linear attention on *given* unit keys, n of them.

    Exact in expectation over independent zero-mean unit values: mean_i Σ_{j≠i}(k_i·k_j)² = n tr M² - 1, and
    tr M² = 1/PR (`covariance.participation_ratio`, not centred). The scaled one is for the scale PR/n.
    Source: derived here.

    >>> linear_attention_fixed_keys(8, 4.0)
    (1.0, 0.5)
    """
    return n / participation_ratio - 1, 1 - participation_ratio / n


def gated_linear_attention_error(n: int, d: int, decay: float) -> float:
    """Mean over ages a of (1-g^a)² + Σ_{j≠i} g^(2 age_j)/d, exactly, for S_t = g S_{t-1} + k_t v_t'; ages 0..n-1.

    Source: derived here; the noise tends to 1/(d(1-g²)).
    """
    kept = decay ** np.arange(n, dtype=float)
    return float(np.mean((1 - kept) ** 2 + (np.sum(kept**2) - kept**2) / d))


def coherence_error(n: int, coherence: float) -> float:
    """(n-1) μ ≥ ‖o_i - v_i‖ for linear attention on unit keys and values, μ = max_{i≠j}|k_i·k_j|: a worst case."""
    return (n - 1) * coherence
