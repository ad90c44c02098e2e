"""What a number format does to a recurrence over time: stalled decays, stored states, divergence, overflow."""

import math

__all__ = [
    "asymmetry_horizon",
    "overflow_gate",
    "overflow_steps",
    "stored_state_error",
    "unforgotten_share",
]


def unforgotten_share(delta: float, precision: int) -> float:
    """log₂(2^-p/δ) in [0, 1]: the share of p-bit numbers m 2^e, m in [1, 2), that x(1-δ) rounded to nearest leaves x.

    x stays where δ m is at most half a spacing, 2^-p: every x for δ ≤ 2^-(p+1), none for δ > 2^-p; ln m uniform, as
    leading digits are over a wide range. Exact for p → ∞; for p bits within 2^(1-p) of it. Source: derived here.

    >>> unforgotten_share(2.0**-9, 8), unforgotten_share(2.0**-8.5, 8), unforgotten_share(2.0**-8, 8)
    (1.0, 0.5, 0.0)
    """
    return min(1.0, max(0.0, -precision - math.log2(delta)))


def stored_state_error(decay: float, d: int, u: float) -> float:
    """u √(c/(1-γ²(1-1/d))), c = 1/(4 ln 2): relative error of a delta-rule state stored by stochastic rounding.

    The rounding of an entry 2^e m has mean 0 and variance (2u 2^e)²/6, a share of 2u²/3 · E m⁻² = 2u²/3 · 3/(8 ln 2)
    of its square; isotropic unit keys and β = 1 leave γ²(1-1/d) of every error's square to the next token.
    Approximate: errors independent, ln m uniform. Source: derived here.

    >>> round(stored_state_error(1.0, 64, 2.0**-8), 4)
    0.0188
    """
    return u * math.sqrt(1 / (4 * math.log(2)) / (1 - decay**2 * (1 - 1 / d)))


def asymmetry_horizon(decay: float, u: float, start: float, settled: float) -> float:
    """ln(P_∞/(u P_0)) / ln(1/γ) tokens until recursive least squares without symmetry has lost P.

    With P ← (P - g (Pk)')/γ, g ∝ Pk, what is taken off is symmetric: the antisymmetric rounding error, about u P_0 from
    the first tokens, is only divided by γ, until it is as large as P itself. Source: derived here, to a factor in the
    logarithm.

    >>> round(asymmetry_horizon(0.99, 2.0**-53, 100.0, 0.01))
    2739
    """
    return math.log(settled / (u * start)) / -math.log(decay)


def overflow_steps(decay: float, largest: float, start: float = 1.0) -> int:
    """The first t with P_0 γ^-t > `largest`: when P overflows along a direction that no key excites.

    >>> overflow_steps(0.99, 2.0**128)
    8828
    """
    return math.floor(math.log(largest / start) / -math.log(decay)) + 1


def overflow_gate(block: int, largest: float) -> float:
    """-ln(largest)/(C-1): the log decay a token below which exp(-Σ) over a block of C tokens overflows.

    The factored form (q exp c)(k exp -c)' forms it for the block's last key, c summed from its first token on.

    >>> round(overflow_gate(16, 2.0**128), 3)
    -5.915
    """
    return -math.log(largest) / (block - 1)
