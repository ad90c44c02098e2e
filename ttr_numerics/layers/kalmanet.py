"""Gated KalmaNet: ridge regression whose ridge follows the size of the memory, by Chebyshev steps.

    H_t, G_t as in `mesa`;   λ_t = a ‖H_t‖_F;   x_t ≈ (H_t + λ_t I)⁻¹ q_t;   o_t = (q_t + α_t (x_t - q_t)) G_t

The spectrum of H_t + λ_t I lies in [λ_t, λ_t + ‖H_t‖_F]: its condition number is at most (1 + a)/a, whatever the keys.
"""

from collections.abc import Callable

from ttr_numerics.arrays import Array, as_state, namespace
from ttr_numerics.axes import Moments, Output, check_sequence, per_token
from ttr_numerics.layers.conjugate_gradient import check_steps
from ttr_numerics.layers.mesa import gate_and_weight, initial_moments, remember
from ttr_numerics.recurrence import sequential

__all__ = ["chebyshev", "check_ratio", "gated_kalmanet", "mixture", "nonzero", "square_norm", "trace"]


def gated_kalmanet(
    q: Array,
    k: Array,
    v: Array,
    *,
    log_decay: Array | None = None,
    beta: Array | None = None,
    alpha: Array | None = None,
    ridge_ratio: float = 0.02,
    steps: int = 30,
    initial_state: Moments | None = None,
) -> Output:
    """o_t = (q_t + α_t (x_t - q_t)) G_t, x_t by Chebyshev steps on (H_t + λ_t I) x = q_t, λ_t = ridge_ratio ‖H_t‖_F.

    log_decay, beta, alpha (..., T), default 0, 1, 1. `steps` counts as the released kernels do, after the gradient
    step 2 q/(2λ + ‖H‖_F) that they begin with: the answer is the Chebyshev step of degree steps + 1. They scale keys
    and values by a write gate after normalising (beta is its square) and the output by d_k^(-1/2). Where H_t = 0
    nothing is stored and o_t = 0. The state is `Moments(H, G)`. Reference: Peng et al., arXiv 2511.21016.
    """
    check_sequence(q, k, v)
    check_steps(steps, 0)
    check_ratio(ridge_ratio)
    xp, mix = namespace(q), mixture(alpha, q)

    def step(
        state: Moments, q: Array, k: Array, v: Array, log_decay: Array, beta: Array, alpha: Array
    ) -> tuple[Moments, Array]:
        H, G = as_state(remember(state, k, v, log_decay, beta))
        unit = nonzero(trace(H))
        A = H / unit  # whose squares do not underflow
        x = chebyshev(lambda p: p @ A, q, xp.sqrt(nonzero(square_norm(A))), ridge_ratio, steps) / unit
        return Moments(H, G), (q + alpha * (x - q)) @ G

    gates = gate_and_weight(q, log_decay, beta)
    return sequential(step, initial_moments(initial_state, q, v), q, k, v, *gates, mix)


def chebyshev(apply: Callable[[Array], Array], q: Array, norm: Array, ratio: float, steps: int) -> Array:
    """x ≈ (A + λI)⁻¹ q, rows (..., n, d), λ = ratio · norm, for 0 ≤ A ≤ norm > 0: apply(p) = p A, norm (..., n, 1).

    x_0 = τq, then x ← ω(x - τ((A + λI)x - q)) - (ω - 1) x_before with ω ← 1/(1 - ρ²ω), ω_0 = 2, τ = 2/(2λ + norm),
    ρ = norm/(2(2λ + norm)). Reference: Golub and Varga, Numer. Math. 3 (1961).
    """
    ridge = ratio * norm
    length = 2 / (2 * ridge + norm)
    rho = 1 / (2 * (2 * ratio + 1))
    before, x, omega = namespace(q).zeros_like(q), length * q, 2.0
    for _ in range(steps):
        omega = 1 / (1 - rho**2 * omega)
        residual = apply(x) + ridge * x - q
        before, x = x, omega * (x - length * residual) - (omega - 1) * before
    return x


def mixture(alpha: Array | None, q: Array) -> Array:
    """alpha (..., T, 1), 1 if None."""
    return per_token("alpha", namespace(q).ones_like(q[..., 0]) if alpha is None else alpha, q)


def check_ratio(ratio: float) -> None:
    """Raise unless the ridge is a positive multiple of the norm."""
    if not ratio > 0:
        raise ValueError(f"ridge_ratio: expected above 0, got {ratio}")


def trace(H: Array) -> Array:
    """tr H (..., 1, 1)."""
    xp = namespace(H)
    return xp.sum(xp.linalg.diagonal(H), axis=-1, keepdims=True)[..., None]


def square_norm(A: Array) -> Array:
    """‖A‖_F² (..., 1, 1)."""
    xp = namespace(A)
    return xp.sum(xp.sum(A * A, axis=-1, keepdims=True), axis=-2, keepdims=True)


def nonzero(x: Array) -> Array:
    """x, and 1 where it is 0: the memory is empty there and nothing is read from it."""
    return namespace(x).where(x != 0, x, namespace(x).ones_like(x))
