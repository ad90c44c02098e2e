"""MesaNet: the Mesa layer's ridge regression, solved at every token by some conjugate gradient steps.

H_t, G_t as in `mesa`;   A_t = H_t + Λ;   x_t ≈ A_t⁻¹ q_t;   o_t = x_t G_t
"""

from collections.abc import Callable
from typing import Any

from ttr_numerics.arrays import Array, as_state, diagonal_matrix, namespace, unit_roundoff
from ttr_numerics.axes import Moments, Output, check_sequence, row_ridge
from ttr_numerics.layers.mesa import gate_and_weight, initial_moments, remember
from ttr_numerics.recurrence import sequential

__all__ = ["check_positive", "check_start", "check_steps", "conjugate_gradient", "mesa_cg"]


def mesa_cg(
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge: Any,
    log_decay: Array | None = None,
    beta: Array | None = None,
    steps: int = 30,
    start: Array | None = None,
    initial_state: Moments | None = None,
) -> Output:
    """o_t = x_t G_t, x_t after `steps` conjugate gradient steps on (H_t + diag(ridge)) x = q_t from x = start_t.

    ridge a number or (..., d_k), above 0; log_decay, beta (..., T), default 0 and 1; start (..., T, d_k), default 0:
    from `q` itself 0 steps are gated linear attention, from q/(diag H_t + ridge) MesaNet decodes. Stops where the
    residual is below u‖q_t‖; nothing absolute is added to a denominator, so that o_t scales with q_t. The state is
    `Moments(H, G)`. Reference: von Oswald et al. (MesaNet), arXiv 2506.05233.
    """
    check_sequence(q, k, v)
    check_steps(steps, 0)
    x0, regulariser = check_start(start, q), diagonal_matrix(check_positive(row_ridge(ridge, q)))

    def step(
        state: Moments, q: Array, k: Array, v: Array, log_decay: Array, beta: Array, x0: Array
    ) -> tuple[Moments, Array]:
        H, G = as_state(remember(state, k, v, log_decay, beta))
        A = H + regulariser
        return Moments(H, G), conjugate_gradient(lambda p: p @ A, q, x0, steps) @ G

    return sequential(step, initial_moments(initial_state, q, v), q, k, v, *gate_and_weight(q, log_decay, beta), x0)


def conjugate_gradient(apply: Callable[[Array], Array], q: Array, x: Array, steps: int) -> Array:
    """`steps` steps of Hestenes and Stiefel on A x = q from x, every row (..., n, d) its own system: apply(p) = p A.

    Rows whose residual has fallen to u‖q‖ stay as they are. Works in units of the largest entry of q and x, so that
    squares neither overflow nor vanish.
    """
    unit = _unit(q, x)
    q, x = q / unit, x / unit
    r = q - apply(x)
    p, size, least = r, _dot(r, r), _dot(q, q)
    for _ in range(steps):
        live = _above_roundoff(size, least)
        if not _any(live):
            break
        Ap = apply(p)
        curvature = _dot(p, Ap)
        live = live if live is True else live & ~(curvature <= 0)  # which in half precision may underflow
        length = _quotient(size, curvature, live)
        x, r = x + length * p, r - length * Ap
        before, size = size, _dot(r, r)
        p = r + _quotient(size, before, live) * p
    return unit * x


def check_positive(ridge: Array) -> Array:
    """`ridge`, refused where it is 0: then rounding decides whether H_t + ridge is definite."""
    if ridge.dtype != object and not bool(namespace(ridge).all(ridge > 0)):
        raise ValueError("ridge: expected above 0 (conjugate gradients need H_t + ridge positive definite), got 0")
    return ridge


def check_steps(steps: int, least: int) -> None:
    """Raise unless `steps` is a whole number and at least `least`."""
    if not isinstance(steps, int) or steps < least:
        raise ValueError(f"steps: expected a whole number, at least {least}, got {steps}")


def check_start(start: Array | None, q: Array) -> Array:
    """The rows to start from (..., T, d_k): zero if None."""
    if start is None:
        return namespace(q).zeros_like(q)
    if tuple(start.shape) != tuple(q.shape):
        raise ValueError(f"start: expected shape {tuple(q.shape)} as q, got {tuple(start.shape)}")
    if start.dtype != q.dtype:
        raise ValueError(f"start: expected dtype {q.dtype} as q, got {start.dtype}")
    return start


def _dot(x: Array, y: Array) -> Array:
    return namespace(x).vecdot(x, y)[..., None]


def _unit(q: Array, x: Array) -> Any:
    """The largest entry of each row, 1 for a row of zeros and for symbols, which do not overflow."""
    if q.dtype == object:
        return 1
    xp = namespace(q)
    largest = xp.max(xp.maximum(xp.abs(q), xp.abs(x)), axis=-1, keepdims=True)
    return xp.where(largest > 0, largest, xp.ones_like(largest))


def _above_roundoff(size: Array, of: Array) -> Any:
    """Where a squared residual is not within u² times the squared norm; True for symbols, which are not rounded."""
    return True if size.dtype == object else ~(size <= unit_roundoff(size) ** 2 * of)


def _any(live: Any) -> bool:
    return live is True or bool(namespace(live).any(live))


def _quotient(a: Array, b: Array, live: Any) -> Array:
    """a/b where `live`, else 0: after exact convergence both are 0."""
    if live is True:
        return a / b
    xp = namespace(a)
    return xp.where(live, a / xp.where(live, b, xp.ones_like(b)), xp.zeros_like(a))
