"""Formulas to draw over measurements: recall errors, capacities and condition numbers of random keys.

Unless said otherwise keys are independent, uniform on the unit sphere of dimension d, values are unit vectors
independent of the keys, errors are E‖o_i - v_i‖² averaged over the n stored pairs (so relative to the values), and
the tests check each formula against simulation.
"""

from ttr_numerics.measure.bounds.age import (
    additive_age_errors,
    diagonal_age_errors,
    erasing_age_errors,
)
from ttr_numerics.measure.bounds.age_coupled import (
    Write,
    coupled_age_errors,
    minibatch_age_errors,
    momentum_write,
)
from ttr_numerics.measure.bounds.age_robust import entrywise_influence, robust_age_errors, shortening_influence
from ttr_numerics.measure.bounds.age_softmax import softmax_age_errors
from ttr_numerics.measure.bounds.age_solved import divided_age_errors, frobenius_ridge, ridge_age_errors
from ttr_numerics.measure.bounds.codebook import argmax_accuracy
from ttr_numerics.measure.bounds.delta import delta_rule_age_error, delta_rule_errors
from ttr_numerics.measure.bounds.delta_mean import best_constant_step, delta_rule_mean_error
from ttr_numerics.measure.bounds.dense import dense_capacity, dense_half, polynomial_moment, signs_recalled
from ttr_numerics.measure.bounds.drift import (
    best_gate,
    best_gated_delta_rule,
    best_gated_delta_rule_limit,
    coloured_gated_delta_rule_error,
    gated_delta_rule_drift_error,
    kalman_drift_limit,
    metric_penalty,
    noiseless_drift_constant,
)
from ttr_numerics.measure.bounds.hebbian import (
    coherence_error,
    gated_linear_attention_error,
    linear_attention_error,
    linear_attention_fixed_keys,
    linear_attention_scaled_error,
)
from ttr_numerics.measure.bounds.iterative import (
    chebyshev_bound,
    chebyshev_steps,
    conjugate_gradient_bound,
    conjugate_gradient_steps,
)
from ttr_numerics.measure.bounds.kaczmarz import kaczmarz_bound
from ttr_numerics.measure.bounds.local_fits import LocalFitError, local_fit_error
from ttr_numerics.measure.bounds.precision import (
    asymmetry_horizon,
    overflow_gate,
    overflow_steps,
    stored_state_error,
    unforgotten_share,
)
from ttr_numerics.measure.bounds.qk_norm import effective_sample_size, largest_attention, norm_log_weights
from ttr_numerics.measure.bounds.random_keys import (
    least_squares_floor,
    marchenko_pastur_condition,
    marchenko_pastur_edges,
    welch_coherence,
)
from ttr_numerics.measure.bounds.ranked import argmax_capacity, argmax_load, list_recall_probability, top1_accuracy
from ttr_numerics.measure.bounds.rates import (
    best_bandwidth_exponent,
    kernel_smoother_exponent,
    local_linear_exponent,
    local_polynomial_exponent,
    squared_bias_order,
)
from ttr_numerics.measure.bounds.reassigned import (
    reassigned_additive_error,
    reassigned_delta_error,
    reassigned_mean_error,
)
from ttr_numerics.measure.bounds.regression import (
    best_normalized_steps,
    forgetting_misadjustment,
    hebbian_regression_error,
    least_norm_regression_error,
    normalized_delta_errors,
    normalized_delta_misadjustment,
    ridge_regression_error,
)
from ttr_numerics.measure.bounds.rotary import rotary_mean_share, rotary_recall_error, rotary_similarity
from ttr_numerics.measure.bounds.smoothers import (
    log_mean_weight,
    ramsauer_capacity,
    softmax_argmax_half,
    softmax_error_half,
    softmax_exponent,
    softmax_load,
    softmax_recall_bound,
    sufficient_gain,
)
from ttr_numerics.measure.bounds.smoothing import effective_dimension, smoothing_error
from ttr_numerics.measure.bounds.transition import (
    all_recalled_probability,
    expected_misses,
    forgetting_half,
    half_recalled,
)
from ttr_numerics.measure.bounds.weighted_sum import weighted_sum_errors

__all__ = [
    "LocalFitError",
    "Write",
    "additive_age_errors",
    "all_recalled_probability",
    "argmax_accuracy",
    "argmax_capacity",
    "argmax_load",
    "asymmetry_horizon",
    "best_bandwidth_exponent",
    "best_constant_step",
    "best_gate",
    "best_gated_delta_rule",
    "best_gated_delta_rule_limit",
    "best_normalized_steps",
    "chebyshev_bound",
    "chebyshev_steps",
    "coherence_error",
    "coloured_gated_delta_rule_error",
    "conjugate_gradient_bound",
    "conjugate_gradient_steps",
    "coupled_age_errors",
    "delta_rule_age_error",
    "delta_rule_errors",
    "delta_rule_mean_error",
    "dense_capacity",
    "dense_half",
    "diagonal_age_errors",
    "divided_age_errors",
    "effective_dimension",
    "effective_sample_size",
    "entrywise_influence",
    "erasing_age_errors",
    "expected_misses",
    "forgetting_half",
    "forgetting_misadjustment",
    "frobenius_ridge",
    "gated_delta_rule_drift_error",
    "gated_linear_attention_error",
    "half_recalled",
    "hebbian_regression_error",
    "kaczmarz_bound",
    "kalman_drift_limit",
    "kernel_smoother_exponent",
    "largest_attention",
    "least_norm_regression_error",
    "least_squares_floor",
    "linear_attention_error",
    "linear_attention_fixed_keys",
    "linear_attention_scaled_error",
    "list_recall_probability",
    "local_fit_error",
    "local_linear_exponent",
    "local_polynomial_exponent",
    "log_mean_weight",
    "marchenko_pastur_condition",
    "marchenko_pastur_edges",
    "metric_penalty",
    "minibatch_age_errors",
    "momentum_write",
    "noiseless_drift_constant",
    "norm_log_weights",
    "normalized_delta_errors",
    "normalized_delta_misadjustment",
    "overflow_gate",
    "overflow_steps",
    "polynomial_moment",
    "ramsauer_capacity",
    "reassigned_additive_error",
    "reassigned_delta_error",
    "reassigned_mean_error",
    "ridge_age_errors",
    "ridge_regression_error",
    "robust_age_errors",
    "rotary_mean_share",
    "rotary_recall_error",
    "rotary_similarity",
    "shortening_influence",
    "signs_recalled",
    "smoothing_error",
    "softmax_age_errors",
    "softmax_argmax_half",
    "softmax_error_half",
    "softmax_exponent",
    "softmax_load",
    "softmax_recall_bound",
    "squared_bias_order",
    "stored_state_error",
    "sufficient_gain",
    "top1_accuracy",
    "unforgotten_share",
    "weighted_sum_errors",
    "welch_coherence",
]
