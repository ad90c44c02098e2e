"""Regression with a loss that is not the square: M-estimates by iteratively reweighted least squares."""

from dataclasses import dataclass
from typing import Any

from ttr_numerics.arrays import Array, LinAlgError, name_slices, namespace
from ttr_numerics.exact.inputs import check_rows, check_solvable
from ttr_numerics.exact.losses import Weighted
from ttr_numerics.exact.ridge import ridge

__all__ = ["MEstimate", "m_estimate"]


@dataclass(frozen=True)
class MEstimate:
    """S (..., d_k, d_v), the objective Σ ℓ(v_i - k_i S) (...), the steps taken, and |K'ψ| in units of its rounding."""

    S: Array
    objective: Array
    steps: int
    gradient_ratio: Array


def m_estimate(K: Array, V: Array, loss: Any, steps: int = 2000) -> MEstimate:
    """S = argmin Σ_i ℓ(v_i - k_i S), `loss` of `exact.losses`, by S ← S + damping (S_w - S), S_w weighted by ψ(e)/e.

    Stationary where K'ψ(V - KS) = 0; stops where every entry of it is below what rounding of the residuals and of the
    product explains, |K|'(|ψ(e + δ) - ψ(e - δ)|/2 + T u|ψ|) with δ = (d_k + 2) u (|V| + |K||S|), and the objective no
    longer falls by more than rounding. Unique for a strictly
    convex loss and independent columns of K, which rank-deficient K lacks: refused, as is a loss that is not above
    p = 1. Raises LinAlgError naming the slices that have not converged in `steps` steps.
    Reference: Holland and Welsch, Commun. Stat. A6 (1977) 813; Huber, Robust Statistics, section 7.8.
    """
    check_solvable(K=K, V=V)
    check_rows(K, V)
    power = getattr(loss.loss if isinstance(loss, Weighted) else loss, "p", 2)
    if not power > 1:
        raise ValueError(f"loss: expected a power above 1, got {power}; p = 1 is a linear programme")
    xp, S = namespace(K), ridge(K, V).S
    objective, slack = loss.total(V - K @ S), V.shape[-2] * V.shape[-1] * float(xp.finfo(K.dtype).eps)
    for step in range(steps + 1):
        ratio, delta = _gradient_ratio(K, V, S, loss), _rounding(K, V, S)
        moved = S + loss.damping * (_reweighted(K, V, loss, V - K @ S, delta) - S)
        after = loss.total(V - K @ moved)
        if bool(xp.all((ratio <= 1) & (objective - after <= slack * objective + loss.total(delta)))):
            return MEstimate(S, objective, step, ratio)
        S, objective = moved, after
    raise LinAlgError(
        f"m_estimate: expected a gradient at rounding level in {steps} steps, got {float(xp.max(ratio)):.3g} "
        f"times it{name_slices(~(ratio <= 1))}"
    )


def _rounding(K: Array, V: Array, S: Array) -> Array:
    """(d_k + 2) u (|V| + |K||S|): how far rounding moves each residual."""
    xp = namespace(K)
    u = float(xp.finfo(K.dtype).eps) / 2
    return (K.shape[-1] + 2) * u * (xp.abs(V) + xp.abs(K) @ xp.abs(S))


def _gradient_ratio(K: Array, V: Array, S: Array, loss: Any) -> Array:
    """The largest entry of |K'ψ| in units of its rounding level (...); 0 where both are 0."""
    xp, e, delta = namespace(K), V - K @ S, _rounding(K, V, S)
    u, size = float(xp.finfo(K.dtype).eps) / 2, xp.matrix_transpose(xp.abs(K))
    psi, above, below = (loss.weight(x) * x for x in (e, e + delta, e - delta))
    level = size @ (xp.abs(above - below) / 2 + K.shape[-2] * u * xp.abs(psi))
    gradient = xp.abs(xp.matrix_transpose(K) @ psi)
    ratio = gradient / xp.where(level > 0, level, xp.ones_like(level))
    return xp.max(xp.max(ratio, axis=-1), axis=-1)


def _reweighted(K: Array, V: Array, loss: Any, e: Array, delta: Array) -> Array:
    """Weighted least squares, every value channel with weights of its own; errors below rounding count as that."""
    xp = namespace(K)
    known = xp.where(xp.abs(e) < delta, delta, e)
    weights = xp.broadcast_to(loss.weight(xp.where(known == 0, xp.ones_like(e), known)), e.shape)
    channels = (*e.shape[:-2], e.shape[-1], K.shape[-2], K.shape[-1])
    keys = xp.broadcast_to(K[..., None, :, :], channels)
    solution = ridge(keys, xp.matrix_transpose(V)[..., None], 0.0, xp.matrix_transpose(weights)).S
    return xp.matrix_transpose(solution[..., 0])
