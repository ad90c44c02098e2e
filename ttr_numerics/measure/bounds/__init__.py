"""Formulas to draw over measurements: recall errors, capacities and condition numbers of random keys.

Unless said otherwise keys are independent, uniform on the unit sphere of dimension d, values are unit vectors
independent of the keys, errors are E‖o_i - v_i‖² averaged over the n stored pairs (so relative to the values), and
the tests check each formula against simulation.
"""

from ttr_numerics.measure.bounds.delta import best_constant_step, delta_rule_age_error, delta_rule_errors
from ttr_numerics.measure.bounds.hebbian import (
    coherence_error,
    gated_linear_attention_error,
    linear_attention_error,
    linear_attention_fixed_keys,
    linear_attention_scaled_error,
)
from ttr_numerics.measure.bounds.random_keys import (
    least_squares_floor,
    marchenko_pastur_condition,
    marchenko_pastur_edges,
    welch_coherence,
)
from ttr_numerics.measure.bounds.ranked import argmax_capacity, argmax_load, list_recall_probability, top1_accuracy

__all__ = [
    "argmax_capacity",
    "argmax_load",
    "best_constant_step",
    "coherence_error",
    "delta_rule_age_error",
    "delta_rule_errors",
    "gated_linear_attention_error",
    "least_squares_floor",
    "linear_attention_error",
    "linear_attention_fixed_keys",
    "linear_attention_scaled_error",
    "list_recall_probability",
    "marchenko_pastur_condition",
    "marchenko_pastur_edges",
    "top1_accuracy",
    "welch_coherence",
]
