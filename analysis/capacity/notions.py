"""What "recalled" can mean, and how the rows call things."""

import math

__all__ = [
    "ALL",
    "ARGMAX",
    "BANDWIDTHS",
    "BEST_DELTA",
    "CLOSE",
    "DELTA",
    "DENSE",
    "EVERY",
    "EXACT",
    "GAIN",
    "GATED",
    "GATED_DELTA",
    "KERNELS",
    "KERNEL_RIDGE",
    "KERNEL_RIDGE_PENALTY",
    "KEYS",
    "LEAST",
    "LINEAR",
    "LIST",
    "LIST_SHARE",
    "LOG_DECAY",
    "MATRIX",
    "MESA",
    "QUADRATIC",
    "SIGNS",
    "SMOOTHER",
    "SMOOTHER_ROOT",
    "SOFTMAX",
    "THEOREM",
    "THRESHOLD",
    "TOLERANCE",
    "list_length",
]

# Layers
LINEAR, GATED = "linear attention", "gated linear attention, γ = 1 - 2⁻⁸"
DELTA, BEST_DELTA = "delta rule, β = 1", "delta rule, best constant β"
GATED_DELTA = "gated delta rule, β = 1, γ = 1 - 2⁻⁸"
MESA, LEAST = "mesa, Λ = 1/4", "least squares"
SMOOTHER, SMOOTHER_ROOT = "softmax attention, β = d/2", "softmax attention, β = √d"
BANDWIDTHS = (1.0, 4.0, 16.0)
KERNEL_RIDGE = {h: f"kernel ridge, Gaussian, h = {h:g}" for h in BANDWIDTHS}
KERNEL_RIDGE_PENALTY = 2.0**-38  # its λ: above the rounding n u of a kernel matrix of n ≤ 4096 rows
QUADRATIC = "kernel of degree 2"

# Notions
EXACT, ARGMAX, LIST, ALL = "exact recall", "argmax recall", "list recall", "all pairs by argmax"
CLOSE, SIGNS = "within ε", "all signs right"
THRESHOLD = 2.0**-26  # half of the 53 bits of float64: far above rounding, far below any approximation
LIST_SHARE = 0.05
LOG_DECAY = math.log1p(-(2.0**-8))  # the fourth of RetNet's gates: half of a pair is forgotten after 177 tokens
TOLERANCE = 0.1  # the ε of CLOSE, for unit values

# Parts of the grid
MATRIX, EVERY, SOFTMAX = "matrix", "every pair", "softmax"
GAIN, THEOREM, DENSE, KERNELS, KEYS = "gain", "theorem", "dense", "kernels", "keys"


def list_length(n: int) -> int:
    """The best 5 % of n values, at least one."""
    return max(1, round(LIST_SHARE * n))
