"""Inputs to study: captured keys of real models, and random keys with prescribed properties."""

from ttr_numerics.tasks.associations import Associations, ContinuousRecall, associations, continuous_recall
from ttr_numerics.tasks.captured import Captured, captured, minilm, smollm2
from ttr_numerics.tasks.drifting import Drifting, drifting_regression
from ttr_numerics.tasks.mqar import (
    IGNORED,
    AssociativeRecall,
    mqar,
    neutral_filler,
    random_filler,
    reassigned_mqar,
)
from ttr_numerics.tasks.norms import lognormal_keys
from ttr_numerics.tasks.rational import SolvedProblem, rational_least_squares, solved_problem
from ttr_numerics.tasks.spectra import (
    gaussian_keys,
    log_uniform_spectrum,
    power_law_spectrum,
    two_level_spectrum,
    unit_keys_with_mean,
)
from ttr_numerics.tasks.stored import SHIPPED, content_of, stored
from ttr_numerics.tasks.switching import Piecewise, clustered_unit_keys, piecewise_linear_regression
from ttr_numerics.tasks.synthetic import coloured_unit_keys, conditioned_keys, isotropic_unit_keys

__all__ = [
    "IGNORED",
    "SHIPPED",
    "Associations",
    "AssociativeRecall",
    "Captured",
    "ContinuousRecall",
    "Drifting",
    "Piecewise",
    "SolvedProblem",
    "associations",
    "captured",
    "clustered_unit_keys",
    "coloured_unit_keys",
    "conditioned_keys",
    "content_of",
    "continuous_recall",
    "drifting_regression",
    "gaussian_keys",
    "isotropic_unit_keys",
    "log_uniform_spectrum",
    "lognormal_keys",
    "minilm",
    "mqar",
    "neutral_filler",
    "piecewise_linear_regression",
    "power_law_spectrum",
    "random_filler",
    "rational_least_squares",
    "reassigned_mqar",
    "smollm2",
    "solved_problem",
    "stored",
    "two_level_spectrum",
    "unit_keys_with_mean",
]
