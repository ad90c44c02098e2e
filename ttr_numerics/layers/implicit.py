"""Implicit online learning: S_t = argmin ½‖S - S_{t-1}‖² + ½β_t‖v_t - k_t S‖², exactly and by its diagonal."""

from ttr_numerics.arrays import Array, as_state, namespace
from ttr_numerics.axes import Output, check_sequence, initial_matrix, per_channel, per_token
from ttr_numerics.layers.delta import correct
from ttr_numerics.recurrence import sequential

__all__ = ["implicit_step", "longhorn", "longhorn_diagonal"]


def longhorn(q: Array, k: Array, v: Array, *, beta: Array, initial_state: Array | None = None) -> Output:
    """S_t = S_{t-1} + k_t' ε_t (v_t - k_t S_{t-1}), ε_t = β_t/(1 + β_t‖k_t‖²), o_t = q_t S_t.

    The exact proximal step, stable for every beta (..., T) ≥ 0; β → ∞ is Kaczmarz.
    Reference: Liu et al. (Longhorn), arXiv 2407.14207.
    """
    check_sequence(q, k, v)
    step = implicit_step(k, per_token("beta", beta, q))
    return sequential(correct, initial_matrix(initial_state, q, v), q, k, v, step)


def longhorn_diagonal(q: Array, k: Array, v: Array, *, beta: Array, initial_state: Array | None = None) -> Output:
    """S_t = (1 - k_t²'ε_t)∘S_{t-1} + k_t'(ε_t∘v_t), ε_t = β_t/(1 + β_t‖k_t‖²), o_t = q_t S_t.

    beta, ε (..., T, d_v): a step per value channel. The released layer: k'k replaced by its diagonal, so that every
    entry of S forgets by itself and no entry sees another's error.
    Reference: Liu et al. (Longhorn), arXiv 2407.14207, and the released code.
    """
    check_sequence(q, k, v)
    step = implicit_step(k, per_channel("beta", beta, v))
    return sequential(_correct_entries, initial_matrix(initial_state, q, v), q, k, v, step)


def implicit_step(k: Array, beta: Array) -> Array:
    """ε = β/(1 + β‖k‖²): the size of the explicit step that an implicit one is; k (..., T, d_k)."""
    return beta / (1 + beta * namespace(k).sum(k * k, axis=-1, keepdims=True))


def _correct_entries(S: Array, q: Array, k: Array, v: Array, step: Array) -> tuple[Array, Array]:
    key = namespace(k).matrix_transpose(k)
    S = (1 - (key * key) * step) * S + key * (step * v)
    return S, q @ as_state(S)
