"""What is measured on keys, values and outputs, and the formulas drawn over it. Functions of NumPy arrays.

K (..., n, d_k), V and O (..., n, d_v); any leading axes are a batch and are kept. Nothing here builds a problem or
runs a layer.
"""

from ttr_numerics.measure import bounds
from ttr_numerics.measure.capacity import pairs_at_half
from ttr_numerics.measure.conditioning import condition_number, forward_error, residual_ratio
from ttr_numerics.measure.covariance import (
    centred,
    effective_rank,
    mean_key_share,
    participation_ratio,
    spectrum,
    unit_rows,
    whitened,
    whitening_metric,
)
from ttr_numerics.measure.fits import Line, PowerLaw, constant, line, power_law
from ttr_numerics.measure.intervals import Interval, geometric_interval, mean_interval, proportion_interval
from ttr_numerics.measure.recall import best_scale, exact_recall, list_recall, ranks, relative_squared_error
from ttr_numerics.measure.state_size import (
    effective_state_size,
    entropic_rank,
    entropic_state_size,
    numerical_rank,
    rank_floor,
)

__all__ = [
    "Interval",
    "Line",
    "PowerLaw",
    "best_scale",
    "bounds",
    "centred",
    "condition_number",
    "constant",
    "effective_rank",
    "effective_state_size",
    "entropic_rank",
    "entropic_state_size",
    "exact_recall",
    "forward_error",
    "geometric_interval",
    "line",
    "list_recall",
    "mean_interval",
    "mean_key_share",
    "numerical_rank",
    "pairs_at_half",
    "participation_ratio",
    "power_law",
    "proportion_interval",
    "rank_floor",
    "ranks",
    "relative_squared_error",
    "residual_ratio",
    "spectrum",
    "unit_rows",
    "whitened",
    "whitening_metric",
]
