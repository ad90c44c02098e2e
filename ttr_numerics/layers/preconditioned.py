"""The gated delta rule preconditioned by a bounded diagonal: erase on k_t, write on k_t∘m(A_t).

    A_t = exp(c_t) A_{t-1} + η_t k_t∘k_t;   m(A) = base^{-s}, s = r/(1 + |r|), r = log(A + eps) - centre

A is the diagonal of the decayed Gram matrix K'K, the Hessian of the squared loss; m lies between 1/base and base.
"""

import math
from functools import partial

from ttr_numerics.arrays import Array, as_residual, as_state, namespace
from ttr_numerics.axes import (
    Output,
    Preconditioned,
    check_sequence,
    initial_array,
    initial_matrix,
    initial_parts,
    per_token,
)
from ttr_numerics.recurrence import sequential

__all__ = ["initial_preconditioned", "multiplier", "preconditioned_delta_rule"]


def preconditioned_delta_rule(
    q: Array,
    k: Array,
    v: Array,
    *,
    log_decay: Array,
    beta: Array,
    curvature_log_decay: Array,
    curvature_beta: Array,
    base: float = 1.5,
    centre: float = -0.2,
    eps: float = 1e-6,
    initial_state: Preconditioned | None = None,
) -> Output:
    """S̄ = diag(exp log_decay_t) S_{t-1}, S_t = S̄ + (k_t∘m(A_t))' β_t (v_t - k_t S̄), o_t = q_t S_t.

    beta, curvature_beta η, curvature_log_decay c (..., T); log_decay (..., T) or per channel (..., T, d_k); logarithms
    at most 0, -inf a reset of their own memory. The state is `Preconditioned(S, A)`. The released layers normalise q
    and k before. Reference: Preconditioned DeltaNet, arXiv 2604.21100; constants as released.
    """
    check_sequence(q, k, v)
    gates = (
        per_token("beta", beta, q),
        per_token("log_decay", log_decay, q, channels=True),
        per_token("curvature_beta", curvature_beta, q),
        per_token("curvature_log_decay", curvature_log_decay, q),
    )
    step = partial(_correct, constants=(base, centre, eps))
    return sequential(step, initial_preconditioned(initial_state, q, v), q, k, v, *gates)


def multiplier(A: Array, base: float, centre: float, eps: float) -> Array:
    """base^{-r/(1 + |r|)}, r = log(A + eps) - centre: near base for small A, near 1/base for large."""
    xp = namespace(A)
    r = xp.log(A + eps) - centre
    return xp.exp(-math.log(base) * (r / (1 + xp.abs(r))))


def initial_preconditioned(state: Preconditioned | None, q: Array, v: Array) -> Preconditioned:
    """The state to begin with: `state` after a check, zero if None."""
    S, A = (None, None) if state is None else initial_parts(state, Preconditioned)
    shape = (*q.shape[:-2], q.shape[-1])
    return Preconditioned(initial_matrix(S, q, v, "initial_state.S"), initial_array(A, shape, q, "initial_state.A"))


def _correct(
    state: Preconditioned,
    q: Array,
    k: Array,
    v: Array,
    beta: Array,
    log_decay: Array,
    curvature_beta: Array,
    curvature_log_decay: Array,
    *,
    constants: tuple[float, float, float],
) -> tuple[Preconditioned, Array]:
    xp = namespace(k)
    A = xp.exp(curvature_log_decay) * state.A[..., None, :] + curvature_beta * (k * k)
    S = xp.matrix_transpose(xp.exp(log_decay)) * state.S
    S = S + xp.matrix_transpose(k * multiplier(A, *constants)) @ (beta * as_residual(v - k @ S))
    return Preconditioned(S, A[..., 0, :]), q @ as_state(S)
