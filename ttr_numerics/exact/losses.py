"""Losses of a prediction z for a value v, rows (..., T, d_v), as frozen objects.

`influence(z, v)` is -∂ℓ/∂z, `weight(e)` the factor of the error with ψ(e) = weight(e) e, by which least squares is
reweighted, `values(e)` ℓ row by row or entry by entry and `total(e)` its sum; `rows(part)` is the loss of some tokens.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from ttr_numerics.arrays import Array, eye, namespace

__all__ = ["EntrywiseHuber", "Huber", "LayerNormSquares", "Power", "Squares", "Weighted"]


@dataclass(frozen=True)
class _Loss(ABC):
    """A loss of e = v - z, which is given by its weight."""

    @property
    def damping(self) -> float:
        """The part of a reweighted least-squares step that converges: 1 where the weight falls with the error."""
        return 1.0

    @abstractmethod
    def weight(self, e: Array) -> Array:
        """ℓ'(‖e‖)/‖e‖ for every row of e, or for every entry where the loss is a sum over entries."""

    @abstractmethod
    def values(self, e: Array) -> Array:
        """ℓ by row or entry."""

    def total(self, e: Array) -> Array:
        """Σ ℓ over the rows of e (...)."""
        return _sum(self.values(e))

    def influence(self, z: Array, v: Array) -> Array:
        """ψ(v - z) = weight(e) e."""
        return self.weight(v - z) * (v - z)

    def rows(self, part: slice) -> "_Loss":
        """The loss itself: the same for every token."""
        return self


@dataclass(frozen=True)
class Squares(_Loss):
    """ℓ = ½‖e‖²."""

    def weight(self, e: Array) -> Array:
        """1."""
        return namespace(e).ones_like(e)

    def values(self, e: Array) -> Array:
        """½e_j²."""
        return e * e / 2


@dataclass(frozen=True)
class Huber(_Loss):
    """ℓ = ½‖e‖² up to ‖e‖ = δ, δ‖e‖ - δ²/2 beyond; δ (..., T, 1) or a number."""

    delta: Array | float

    def size(self, e: Array) -> Array:
        """‖e‖ (..., T, 1)."""
        xp = namespace(e)
        return xp.sqrt(xp.sum(e * e, axis=-1, keepdims=True))

    def weight(self, e: Array) -> Array:
        """min(1, δ/‖e‖)."""
        xp, size = namespace(e), self.size(e)
        delta = self.delta + xp.zeros_like(size)
        return delta / xp.maximum(size, delta)

    def values(self, e: Array) -> Array:
        """ℓ(e) from ‖e‖."""
        xp, size = namespace(e), self.size(e)
        return xp.where(size <= self.delta, size * size / 2, self.delta * (size - self.delta / 2))

    def rows(self, part: slice) -> "Huber":
        """The loss with the thresholds of some tokens."""
        return type(self)(self.delta if isinstance(self.delta, int | float) else self.delta[..., part, :])


@dataclass(frozen=True)
class EntrywiseHuber(Huber):
    """Huber's loss of every entry of e."""

    def size(self, e: Array) -> Array:
        """|e|."""
        return namespace(e).abs(e)


@dataclass(frozen=True)
class Power(_Loss):
    """ℓ = Σ|e_j|^p/p, p ≥ 1."""

    p: float

    @property
    def damping(self) -> float:
        """1/(p - 1) for p > 2: Newton's step. Reference: Kahng, Math. Comp. 26 (1972) 505."""
        return 1 / max(self.p - 1, 1.0)

    def weight(self, e: Array) -> Array:
        """|e|^{p-2}, 0 where e is 0."""
        xp, size = namespace(e), namespace(e).abs(e)
        return xp.where(size == 0, xp.zeros_like(e), xp.where(size == 0, xp.ones_like(e), size) ** (self.p - 2))

    def values(self, e: Array) -> Array:
        """|e_j|^p/p."""
        return namespace(e).abs(e) ** self.p / self.p


@dataclass(frozen=True)
class Weighted(_Loss):
    """γ_i ℓ(e_i): the `loss` of every token times its weight γ (..., T, 1), at least 0."""

    loss: _Loss
    gamma: Array

    @property
    def damping(self) -> float:
        """That of the loss itself."""
        return self.loss.damping

    def weight(self, e: Array) -> Array:
        """γ times the weight of the loss."""
        return self.gamma * self.loss.weight(e)

    def values(self, e: Array) -> Array:
        """γ ℓ(e)."""
        return self.gamma * self.loss.values(e)

    def rows(self, part: slice) -> "Weighted":
        """The loss of some tokens with their weights."""
        return Weighted(self.loss.rows(part), self.gamma[..., part, :])


@dataclass(frozen=True)
class LayerNormSquares:
    """ℓ = ½‖v - LN(z)‖², LN(z) = gain (z - z̄)/√(var z + ε) + shift; gain, shift (..., 1, d_v)."""

    gain: Array
    shift: Array
    epsilon: float

    def predicted(self, z: Array) -> Array:
        """LN(z)."""
        return self.gain * self._standardised(z)[0] + self.shift

    def influence(self, z: Array, v: Array) -> Array:
        """(v - LN(z)) diag(gain) J, J = (dP - ẑ'ẑ)/(dσ) the Jacobian of ẑ = zP/σ as a matrix, dP = dI - 1."""
        unit, sigma, dP = self._standardised(z)
        jacobian = (dP - unit[..., :, None] * unit[..., None, :]) / (z.shape[-1] * sigma[..., None])
        error = self.gain * (v - self.gain * unit - self.shift)
        return (error[..., None, :] @ jacobian)[..., 0, :]

    def _standardised(self, z: Array) -> tuple[Array, Array, Array]:
        """ẑ, σ and dP."""
        xp, d = namespace(z), z.shape[-1]
        dP = d * eye(z, d) - xp.ones_like(eye(z, d))
        sigma = xp.sqrt(xp.sum((z @ dP) * z, axis=-1, keepdims=True) / d**2 + self.epsilon)
        return (z @ dP) / (d * sigma), sigma, dP

    def rows(self, part: slice) -> "LayerNormSquares":
        """The loss itself."""
        return self


def _sum(x: Array) -> Array:
    """The sum over the last two axes."""
    xp = namespace(x)
    return xp.sum(xp.sum(x, axis=-1), axis=-1)
