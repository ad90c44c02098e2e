"""How fast the delta rule with step 1 forgets its start when the same consistent pairs come again and again."""

import numpy as np

__all__ = ["kaczmarz_bound"]


def kaczmarz_bound(steps: int, singular_values: np.ndarray) -> np.ndarray:
    """(1 - σ_min²/Σσ²)^k ≥ E‖S_k - S*‖²/‖S_0 - S*‖² (...): keys drawn with chances ‖k_i‖²/‖K‖², independently.

    singular_values (..., r), those of K that are not zero: S* is the solution nearest to S_0, and the error stays in
    the span of the keys. Proved for K S = V with a solution; not for keys in shuffled passes, where no key is left out
    or drawn twice. Reference: Strohmer and Vershynin, J. Fourier Anal. Appl. 15 (2009), math/0702226.

    Two orthogonal unit keys: each step settles one of them, drawn evenly.

    >>> float(kaczmarz_bound(3, np.ones(2)))
    0.125
    """
    squares = np.asarray(singular_values, dtype=float) ** 2
    return (1 - np.min(squares, axis=-1) / np.sum(squares, axis=-1)) ** steps
