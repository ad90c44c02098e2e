"""What key norms weigh in softmax attention, and how much attention a key can get at all."""

import numpy as np

__all__ = ["effective_sample_size", "largest_attention", "norm_log_weights"]


def norm_log_weights(K: np.ndarray, gain: float) -> np.ndarray:
    """β‖k_i‖²/2 (..., T): softmax of β q·k is the Nadaraya-Watson mean of bandwidth β^-½ with these log weights.

    β q·k = -β‖q - k‖²/2 + β‖k‖²/2 + β‖q‖²/2, and the last term is the same for every key. Source: derived here.

    >>> norm_log_weights(np.array([[3.0, 4.0]]), 2.0)
    array([25.])
    """
    return gain / 2 * np.sum(K * K, axis=-1)


def effective_sample_size(log_weights: np.ndarray) -> np.ndarray:
    """(Σw)²/Σw² (...) of log weights (..., T): as many equal weights average as well.

    Reference: Kish, Survey Sampling, 1965, section 11.7.

    >>> float(effective_sample_size(np.log([1.0, 1.0, 2.0])))
    2.6666666666666665
    """
    w = np.exp(log_weights - np.max(log_weights, axis=-1, keepdims=True))
    return np.sum(w, axis=-1) ** 2 / np.sum(w * w, axis=-1)


def largest_attention(n: int, gain: float) -> float:
    """1/(1 + (n-1)e^{-2β}) ≥ p_i for n unit keys and unit queries: logits lie in [-β, β]; always.

    At β = 1/√d it is about e^{2/√d}/n: nothing is recalled, whatever the keys. Source: derived here.

    >>> round(largest_attention(2, 0.0), 12)
    0.5
    """
    return 1 / (1 + (n - 1) * float(np.exp(-2 * gain)))
