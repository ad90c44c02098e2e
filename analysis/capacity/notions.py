"""What "recalled" can mean, and how the rows call things."""

import math

__all__ = [
    "ALL",
    "ARGMAX",
    "BEST_DELTA",
    "CLOSE",
    "DELTA",
    "DENSE",
    "EVERY",
    "EXACT",
    "GAIN",
    "GATED",
    "KEYS",
    "LEAST",
    "LINEAR",
    "LIST",
    "LIST_SHARE",
    "LOG_DECAY",
    "MATRIX",
    "MESA",
    "SIGNS",
    "SMOOTHER",
    "SOFTMAX",
    "THEOREM",
    "THRESHOLD",
    "TOLERANCE",
    "list_length",
]

# Layers
LINEAR, GATED = "linear attention", "gated linear attention, γ = 1 - 2⁻⁸"
DELTA, BEST_DELTA = "delta rule, β = 1", "delta rule, best constant β"
MESA, LEAST = "mesa, Λ = 1/4", "least squares"
SMOOTHER = "softmax attention, β = d/2"

# Notions
EXACT, ARGMAX, LIST, ALL = "exact recall", "argmax recall", "list recall", "all pairs by argmax"
CLOSE, SIGNS = "within ε", "all signs right"
THRESHOLD = 2.0**-26  # half of the 53 bits of float64: far above rounding, far below any approximation
LIST_SHARE = 0.05
LOG_DECAY = math.log1p(-(2.0**-8))  # the fourth of RetNet's gates: half of a pair is forgotten after 177 tokens
TOLERANCE = 0.1  # the ε of CLOSE, for unit values

# Parts of the grid
MATRIX, EVERY, SOFTMAX = "matrix", "every pair", "softmax"
GAIN, THEOREM, DENSE, KEYS = "gain", "theorem", "dense", "keys"


def list_length(n: int) -> int:
    """The best 5 % of n values, at least one."""
    return max(1, round(LIST_SHARE * n))
