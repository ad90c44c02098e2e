"""What is measured on keys, values and outputs, and the formulas drawn over it. Functions of NumPy arrays.

K (..., n, d_k), V and O (..., n, d_v); any leading axes are a batch and are kept. Nothing here builds a problem or
runs a layer.
"""

from ttr_numerics.measure import bounds
from ttr_numerics.measure.conditioning import condition_number, forward_error, residual_ratio
from ttr_numerics.measure.covariance import (
    centred,
    effective_rank,
    mean_key_share,
    participation_ratio,
    spectrum,
    unit_rows,
    whitened,
)
from ttr_numerics.measure.intervals import Interval, geometric_interval, mean_interval, proportion_interval
from ttr_numerics.measure.recall import best_scale, exact_recall, list_recall, ranks, relative_squared_error

__all__ = [
    "Interval",
    "best_scale",
    "bounds",
    "centred",
    "condition_number",
    "effective_rank",
    "exact_recall",
    "forward_error",
    "geometric_interval",
    "list_recall",
    "mean_interval",
    "mean_key_share",
    "participation_ratio",
    "proportion_interval",
    "ranks",
    "relative_squared_error",
    "residual_ratio",
    "spectrum",
    "unit_rows",
    "whitened",
]
