"""What n random keys of dimension d must be like: coherence, spectrum, and what they leave unexplained."""

__all__ = ["least_squares_floor", "marchenko_pastur_condition", "marchenko_pastur_edges", "welch_coherence"]


def least_squares_floor(n: int, d: int) -> float:
    """max(0, 1 - d/n): the residual that a d-dimensional key space leaves of n unit values, exactly. Source: trace."""
    return max(0.0, 1 - d / n)


def welch_coherence(n: int, d: int) -> float:
    """√((n-d)/(d(n-1))) ≤ max_{i≠j}|k_i·k_j| for any n ≥ d unit keys (0 for n < d). Welch, IEEE IT 20 (1974).

    Attained by equiangular tight frames: three keys at 120° in the plane have coherence 1/2.

    >>> round(welch_coherence(3, 2), 12)
    0.5
    """
    return max(0.0, (n - d) / (d * (n - 1))) ** 0.5


def marchenko_pastur_edges(aspect: float) -> tuple[float, float]:
    """(1 ∓ √g)², g = d/n ≤ 1: the ends of the limiting spectrum of K'K/n for n × d keys with independent unit entries.

    Reference: Marchenko and Pastur, Math. USSR-Sbornik 1 (1967); Bai and Yin, Ann. Probab. 21 (1993).

    >>> marchenko_pastur_edges(0.25)
    (0.25, 2.25)
    """
    return (1 - aspect**0.5) ** 2, (1 + aspect**0.5) ** 2


def marchenko_pastur_condition(aspect: float) -> float:
    """κ(K) → (1+√g)/(1-√g), g = d/n < 1; ∞ at g = 1, where E ln κ ≈ ln n + 1.54 (Edelman 1988). Finite sizes lie below.

    >>> marchenko_pastur_condition(0.25)
    3.0
    """
    low, high = marchenko_pastur_edges(aspect)
    return (high / low) ** 0.5 if low > 0 else float("inf")
