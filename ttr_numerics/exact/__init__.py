"""Exact solvers, one mathematical problem a file, independent of every layer.

K (..., T, d_k) and V (..., T, d_v) are data as in `scipy.linalg.lstsq(K, V)`; a `..._prefixes` solver answers at
every position t from tokens 1..t and returns `Output(o, state)`. All take float32 or float64. A `certified_...` solver
returns an `Enclosure`, balls that contain the exact answer for certain, and `enclosed(solve, arrays)` that of any
solver or layer (needs python-flint).
"""

from ttr_numerics.exact import kernels
from ttr_numerics.exact import losses as losses
from ttr_numerics.exact.affine import affine_prefixes, diagonal_kaczmarz_prefixes
from ttr_numerics.exact.certified import (
    Enclosure,
    EnclosureError,
    certified_correlation_prefixes,
    certified_heavy_ball_prefixes,
    certified_kaczmarz_prefixes,
    certified_kernel_ridge_prefixes,
    certified_kernel_smoother,
    certified_kernel_smoother_prefixes,
    certified_recursive_least_squares,
    certified_ridge,
    certified_ridge_prefixes,
    certified_weighted_least_squares,
    enclosed,
)
from ttr_numerics.exact.chebyshev import ridge_prefixes_by_chebyshev
from ttr_numerics.exact.correlation import correlation_prefixes
from ttr_numerics.exact.correlation_ratio import correlation_ratio_prefixes
from ttr_numerics.exact.descent import descent_prefixes
from ttr_numerics.exact.heavy_ball import heavy_ball_prefixes
from ttr_numerics.exact.innovation import recursive_least_squares_by_innovation, ridge_prefixes_by_innovation
from ttr_numerics.exact.kaczmarz import kaczmarz_prefixes, mismatched_kaczmarz_prefixes
from ttr_numerics.exact.kalman import random_walk_kalman
from ttr_numerics.exact.kernel_ridge import kernel_ridge_prefixes
from ttr_numerics.exact.kernel_sum import kernel_sum_prefixes
from ttr_numerics.exact.krylov import galerkin_prefixes
from ttr_numerics.exact.layer_norm import layer_norm_least_squares
from ttr_numerics.exact.least_norm import LeastNorm, least_norm
from ttr_numerics.exact.local_polynomial import local_polynomial, local_polynomial_prefixes
from ttr_numerics.exact.m_estimate import MEstimate, m_estimate
from ttr_numerics.exact.mean_shift import mean_shift_prefixes
from ttr_numerics.exact.minimax import minimax_prefixes
from ttr_numerics.exact.moments import ridge_prefixes_by_moments
from ttr_numerics.exact.nonlinear_kaczmarz import Softmax, mirror_descent_prefixes, nonlinear_kaczmarz_prefixes
from ttr_numerics.exact.preconditioned import preconditioned_kaczmarz_prefixes
from ttr_numerics.exact.prediction import predictive_correlation_prefixes
from ttr_numerics.exact.proximal import proximal_prefixes
from ttr_numerics.exact.recursion import Recursion
from ttr_numerics.exact.recursive import (
    choose_recursive_least_squares,
    recursive_least_squares,
    recursive_least_squares_by_tokens,
)
from ttr_numerics.exact.ridge import Ridge, ridge, ridge_dual
from ttr_numerics.exact.ridge_prefixes import choose_ridge_prefixes, ridge_prefixes
from ttr_numerics.exact.signed_smoother import signed_smoother_prefixes
from ttr_numerics.exact.simplex import SimplexLeastSquares, simplex_least_squares
from ttr_numerics.exact.smoother import WeightedCache, kernel_smoother, kernel_smoother_prefixes
from ttr_numerics.exact.square_root import (
    SquareRoot,
    recursive_least_squares_by_square_root,
    ridge_prefixes_by_square_root,
)
from ttr_numerics.exact.state_feedback import state_feedback_prefixes
from ttr_numerics.exact.tangent import (
    perceptron_descent_prefixes,
    perceptron_least_squares,
    tangent_kernel_ridge_prefixes,
)
from ttr_numerics.exact.time_smoother import exponential_mean_prefixes, exponential_smoother_prefixes
from ttr_numerics.exact.tsallis import tsallis_smoother_prefixes
from ttr_numerics.exact.weights import prefix_weights
from ttr_numerics.exact.windowed_least_squares import windowed_least_squares_prefixes

__all__ = [
    "Enclosure",
    "EnclosureError",
    "LeastNorm",
    "MEstimate",
    "Recursion",
    "Ridge",
    "SimplexLeastSquares",
    "Softmax",
    "SquareRoot",
    "WeightedCache",
    "affine_prefixes",
    "certified_correlation_prefixes",
    "certified_heavy_ball_prefixes",
    "certified_kaczmarz_prefixes",
    "certified_kernel_ridge_prefixes",
    "certified_kernel_smoother",
    "certified_kernel_smoother_prefixes",
    "certified_recursive_least_squares",
    "certified_ridge",
    "certified_ridge_prefixes",
    "certified_weighted_least_squares",
    "choose_recursive_least_squares",
    "choose_ridge_prefixes",
    "correlation_prefixes",
    "correlation_ratio_prefixes",
    "descent_prefixes",
    "diagonal_kaczmarz_prefixes",
    "enclosed",
    "exponential_mean_prefixes",
    "exponential_smoother_prefixes",
    "galerkin_prefixes",
    "heavy_ball_prefixes",
    "kaczmarz_prefixes",
    "kernel_ridge_prefixes",
    "kernel_smoother",
    "kernel_smoother_prefixes",
    "kernel_sum_prefixes",
    "kernels",
    "layer_norm_least_squares",
    "least_norm",
    "local_polynomial",
    "local_polynomial_prefixes",
    "losses",
    "m_estimate",
    "mean_shift_prefixes",
    "minimax_prefixes",
    "mirror_descent_prefixes",
    "mismatched_kaczmarz_prefixes",
    "nonlinear_kaczmarz_prefixes",
    "perceptron_descent_prefixes",
    "perceptron_least_squares",
    "preconditioned_kaczmarz_prefixes",
    "predictive_correlation_prefixes",
    "prefix_weights",
    "proximal_prefixes",
    "random_walk_kalman",
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
    "signed_smoother_prefixes",
    "simplex_least_squares",
    "state_feedback_prefixes",
    "tangent_kernel_ridge_prefixes",
    "tsallis_smoother_prefixes",
    "windowed_least_squares_prefixes",
]
