"""The Omega rule: heavy-ball gradient descent on the squared loss of the last `window` tokens (Atlas).

    U_t = exp(log_momentum_t) U_{t-1} + Σ_{t-window<i≤t} w_i k_i' (v_i - k_i M_{t-1})
    M_t = exp(log_decay_t) M_{t-1} + β_t N(U_t);   o_t = q_t M_t

The gradient of ½Σ w_i‖v_i - k_i M‖² at the *undecayed* M_{t-1}; the step β_t stands outside the velocity, because N,
which makes the velocity's singular values alike, forgets its size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ttr_numerics.arrays import Array, as_residual, as_state, concat, namespace, zeros
from ttr_numerics.axes import Output, check_sequence, initial_array, initial_matrix, initial_parts, per_token
from ttr_numerics.recurrence import sequential

__all__ = ["NewtonSchulz", "Windowed", "omega_rule"]


class Windowed(NamedTuple):
    """Memory `M`, velocity `U` (..., d_k, d_v), and the tokens the next window may need: k, v, weights (..., n, d)."""

    M: Array
    U: Array
    k: Array
    v: Array
    weights: Array


@dataclass(frozen=True)
class NewtonSchulz:
    """N(U) = X_n, X_0 = U/‖U‖_F, X ← aX + b(XX')X + c(XX')²X: singular values s ← as + bs³ + cs⁵, vectors as they are.

    The default coefficients lift small singular values fast and settle near 1, not at it; (3/2, -1/2, 0) converges.
    Reference: Jordan et al., Muon, 2024; Björck and Bowie, SIAM J. Numer. Anal. 8 (1971) 358.
    """

    steps: int = 5
    coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315)

    def __call__(self, U: Array) -> Array:
        """N(U) of each matrix (..., d_k, d_v); 0 of 0."""
        xp, (a, b, c) = namespace(U), self.coefficients
        squares = xp.sum(xp.sum(U * U, axis=-1, keepdims=True), axis=-2, keepdims=True)
        X = U / xp.sqrt(xp.where(squares == 0, xp.ones_like(squares), squares))
        for _ in range(self.steps):
            gram = X @ xp.matrix_transpose(X)
            cubed = gram @ X
            X = a * X + b * cubed + c * (gram @ cubed)
        return X


def omega_rule(
    q: Array,
    k: Array,
    v: Array,
    *,
    beta: Array,
    window: int,
    log_momentum: Array | None = None,
    log_decay: Array | None = None,
    weights: Array | None = None,
    orthogonalise: Callable[[Array], Array] | None = None,
    initial_state: Windowed | None = None,
) -> Output:
    """M_t = e^{log_decay_t} M_{t-1} + β_t N(U_t), U_t = e^{log_momentum_t} U_{t-1} - ∇½Σ_window w_i‖v_i - k_i M‖².

    beta, log_momentum (default -inf: no momentum), log_decay (default 0), weights w (default 1) (..., T); N is
    `orthogonalise`, such as `NewtonSchulz(5)`, default the identity. `window` 1 without momentum and leak is the
    delta rule. Stable where β_t times the largest eigenvalue of the window's K'WK is below 2.
    Reference: Behrouz et al. (Atlas), arXiv 2505.23735, whose loss has no ½.
    """
    check_sequence(q, k, v)
    if window < 1:
        raise ValueError(f"window: expected at least 1, got {window}")
    xp, zero = namespace(q), namespace(q).zeros_like(q[..., 0])
    named = {
        "beta": beta,
        "weights": xp.ones_like(zero) if weights is None else weights,
        "log_momentum": xp.full_like(zero, -xp.inf) if log_momentum is None else log_momentum,
        "log_decay": zero if log_decay is None else log_decay,
    }

    def step(s: Windowed, q: Array, k: Array, v: Array, beta: Array, w: Array, momentum: Array, decay: Array) -> tuple:
        k, v, w = (concat([old, new], -2) for old, new in ((s.k, k), (s.v, v), (s.weights, w)))
        U = xp.exp(momentum) * s.U + xp.matrix_transpose(k) @ (w * as_residual(v - k @ s.M))
        M = xp.exp(decay) * s.M + beta * (U if orthogonalise is None else orthogonalise(U))
        first = max(0, k.shape[-2] - window + 1)
        return Windowed(M, U, *(x[..., first:, :] for x in (k, v, w))), q @ as_state(M)

    gates = [per_token(name, x, q) for name, x in named.items()]
    return sequential(step, _initial(initial_state, q, v), q, k, v, *gates)


def _initial(state: Windowed | None, q: Array, v: Array) -> Windowed:
    if state is None:
        empty = [zeros(q, (*q.shape[:-2], 0, d)) for d in (q.shape[-1], v.shape[-1], 1)]
        return Windowed(initial_matrix(None, q, v), initial_matrix(None, q, v), *empty)
    state = initial_parts(state, Windowed)
    M, U = initial_matrix(state.M, q, v, "initial_state.M"), initial_matrix(state.U, q, v, "initial_state.U")
    shape = *q.shape[:-2], *state.k.shape[-2:-1]
    widths = (("k", q.shape[-1]), ("v", v.shape[-1]), ("weights", 1))
    rows = [initial_array(getattr(state, name), (*shape, d), q, f"initial_state.{name}") for name, d in widths]
    return Windowed(M, U, *rows)
