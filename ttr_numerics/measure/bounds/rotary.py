"""What rotary embedding does to random keys: plane p of d/2 turns by θ_p = base^(-2p/d) a token.

Keys are written at tokens 0..n-1 and asked for s tokens later than they were written: the query is R_s k_i, the
stored key k_i, both up to the same rotation.
"""

import numpy as np

__all__ = ["rotary_mean_share", "rotary_recall_error", "rotary_similarity"]


def rotary_similarity(shift: float, d: int, base: float = 10000.0) -> tuple[float, float]:
    """E[k·R_s k] = (2/d) Σ_p cos(sθ_p) and E[(k·R_s k)²] for a key uniform on the unit sphere, exactly.

    The second is (t² + d + t₂)/(d(d+2)), t = tr R_s = 2Σ cos(sθ_p), t₂ = tr R_s² = 2Σ cos(2sθ_p).
    Source: derived here (fourth moments of the sphere).

    >>> rotary_similarity(0, 8)
    (1.0, 1.0)
    """
    angles = shift * _frequencies(d, base)
    t, t2 = 2 * float(np.sum(np.cos(angles))), 2 * float(np.sum(np.cos(2 * angles)))
    return t / d, (t * t + d + t2) / (d * (d + 2))


def rotary_recall_error(n: int, d: int, shift: float, scale: float, base: float = 10000.0) -> float:
    """1 - 2cμ + c²(ν + (n-1)/d): linear attention times c, asked s tokens off; μ, ν = `rotary_similarity`; exactly.

    Isotropic unit keys, unit values: rotated, the other keys are as isotropic as before. Source: derived here.
    """
    mean, square = rotary_similarity(shift, d, base)
    return 1 - 2 * scale * mean + scale * scale * (square + (n - 1) / d)


def rotary_mean_share(n: int, d: int, base: float = 10000.0) -> float:
    """(2/d) Σ_p |(1/n) Σ_{t<n} e^{itθ_p}|²: what rotation leaves of a mean key's share, for an isotropic direction.

    Only planes that turn little over the n tokens keep their part. Source: derived here.

    >>> rotary_mean_share(1, 8)
    1.0
    """
    angles = np.arange(n)[:, None] * _frequencies(d, base)
    return 2 / d * float(np.sum(np.abs(np.mean(np.exp(1j * angles), axis=0)) ** 2))


def _frequencies(d: int, base: float) -> np.ndarray:
    return base ** (-2 / d * np.arange(d // 2))
