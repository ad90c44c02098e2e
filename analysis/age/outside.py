"""Layers of the catalogue without an age curve here, and why."""

__all__ = ["OUTSIDE"]

_ORDER = "no gate, and the output does not depend on the order of the pairs: the curve is flat, as for softmax"
OUTSIDE = {
    "normalized_linear_attention": _ORDER,
    "bidirectional_softmax_attention": _ORDER,
    "exponential_attention": _ORDER,
    "compact_kernel_attention": _ORDER,
    "normalized_relu_attention": _ORDER,
    "entmax_attention": _ORDER,
    "hopfield": _ORDER,
    "kernel_ridge_attention": _ORDER,
    "intention": _ORDER,
    "local_linear_attention": _ORDER,
    "local_polynomial_attention": _ORDER,
    "parallax": _ORDER,
    "omega_rule": "its window shows each key to several gradients, so that a key and the memory it meets are dependent "
    "and second moments do not close; window 1 is the delta rule with momentum",
    "exponentiated_gradient_rule": "values have to be mixtures of rows of probabilities; no signed value is stored",
    "layer_norm_ttt_linear": "the gradient passes through a layer norm; without it TTT-Linear",
    "ttt_mlp": "a network of two layers: no closed moments",
}
