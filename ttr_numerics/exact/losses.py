"""Losses of a prediction z for a value v, rows (..., T, d_v), as frozen objects.

`influence(z, v)` is -∂ℓ/∂z, `weight(e)` the factor of the error with ψ(e) = weight(e) e, by which least squares is
reweighted, `total(e)` the sum of ℓ over the rows; `rows(part)` is the loss of some tokens.
"""

from dataclasses import dataclass

from ttr_numerics.arrays import Array, eye, namespace

__all__ = ["EntrywiseHuber", "Huber", "LayerNormSquares", "Power", "Squares"]


@dataclass(frozen=True)
class _Loss:
    """A loss of e = v - z, which is given by its weight."""

    @property
    def damping(self) -> float:
        """The part of a reweighted least-squares step that converges: 1 where the weight falls with the error."""
        return 1.0

    def weight(self, e: Array) -> Array:
        raise NotImplementedError

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

    def total(self, e: Array) -> Array:
        """Σ ½‖e_i‖²."""
        return _sum(e * e) / 2


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

    def total(self, e: Array) -> Array:
        """Σ ℓ(e_i)."""
        xp, size = namespace(e), self.size(e)
        return _sum(xp.where(size <= self.delta, size * size / 2, self.delta * (size - self.delta / 2)))

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

    def total(self, e: Array) -> Array:
        """Σ|e_ij|^p/p."""
        return _sum(namespace(e).abs(e) ** self.p) / self.p


@dataclass(frozen=True)
class LayerNormSquares:
    """ℓ = ½‖v - LN(z)‖², LN(z) = gain (z - z̄)/√(var z + ε) + shift; gain, shift (..., 1, d_v)."""

    gain: Array
    shift: Array
    epsilon: float

    def influence(self, z: Array, v: Array) -> Array:
        """(v - LN(z)) diag(gain) J, J = (dP - ẑ'ẑ)/(dσ) the Jacobian of ẑ = zP/σ as a matrix, dP = dI - 1."""
        xp, d = namespace(z), z.shape[-1]
        dP = d * eye(z, d) - xp.ones_like(eye(z, d))
        sigma = xp.sqrt(xp.sum((z @ dP) * z, axis=-1, keepdims=True) / d**2 + self.epsilon)
        unit = (z @ dP) / (d * sigma)
        jacobian = (dP - unit[..., :, None] * unit[..., None, :]) / (d * sigma[..., None])
        error = self.gain * (v - self.gain * unit - self.shift)
        return (error[..., None, :] @ jacobian)[..., 0, :]

    def rows(self, part: slice) -> "LayerNormSquares":
        """The loss itself."""
        return self


def _sum(x: Array) -> Array:
    """The sum over the last two axes."""
    xp = namespace(x)
    return xp.sum(xp.sum(x, axis=-1), axis=-1)
