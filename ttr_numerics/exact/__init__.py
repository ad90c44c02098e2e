"""Exact solvers, one mathematical problem a file, independent of every layer.

K (..., T, d_k) and V (..., T, d_v) are data as in `scipy.linalg.lstsq(K, V)`; a `..._prefixes` solver answers at
every position t from tokens 1..t and returns `Output(o, state)`. All take float32 or float64.
"""

from ttr_numerics.exact import kernels
from ttr_numerics.exact.chebyshev import ridge_prefixes_by_chebyshev
from ttr_numerics.exact.correlation import correlation_prefixes
from ttr_numerics.exact.innovation import recursive_least_squares_by_innovation, ridge_prefixes_by_innovation
from ttr_numerics.exact.kaczmarz import kaczmarz_prefixes
from ttr_numerics.exact.kernel_ridge import kernel_ridge_prefixes
from ttr_numerics.exact.least_norm import LeastNorm, least_norm
from ttr_numerics.exact.local_polynomial import local_polynomial, local_polynomial_prefixes
from ttr_numerics.exact.moments import ridge_prefixes_by_moments
from ttr_numerics.exact.recursion import Recursion
from ttr_numerics.exact.recursive import (
    choose_recursive_least_squares,
    recursive_least_squares,
    recursive_least_squares_by_tokens,
)
from ttr_numerics.exact.ridge import Ridge, ridge, ridge_dual
from ttr_numerics.exact.ridge_prefixes import choose_ridge_prefixes, ridge_prefixes
from ttr_numerics.exact.smoother import WeightedCache, kernel_smoother, kernel_smoother_prefixes
from ttr_numerics.exact.square_root import (
    SquareRoot,
    recursive_least_squares_by_square_root,
    ridge_prefixes_by_square_root,
)
from ttr_numerics.exact.weights import prefix_weights

__all__ = [
    "LeastNorm",
    "Recursion",
    "Ridge",
    "SquareRoot",
    "WeightedCache",
    "choose_recursive_least_squares",
    "choose_ridge_prefixes",
    "correlation_prefixes",
    "kaczmarz_prefixes",
    "kernel_ridge_prefixes",
    "kernel_smoother",
    "kernel_smoother_prefixes",
    "kernels",
    "least_norm",
    "local_polynomial",
    "local_polynomial_prefixes",
    "prefix_weights",
    "recursive_least_squares",
    "recursive_least_squares_by_innovation",
    "recursive_least_squares_by_square_root",
    "recursive_least_squares_by_tokens",
    "ridge",
    "ridge_dual",
    "ridge_prefixes",
    "ridge_prefixes_by_chebyshev",
    "ridge_prefixes_by_innovation",
    "ridge_prefixes_by_moments",
    "ridge_prefixes_by_square_root",
]
