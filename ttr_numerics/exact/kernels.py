"""Kernels κ(x, y) as frozen objects: `kernel(X, Y)` or `kernel.log(X, Y)` on rows X (..., n, d), Y (..., m, d)."""

from dataclasses import dataclass

from ttr_numerics.arrays import Array, namespace, square_distances

__all__ = ["Exponential", "Gaussian", "Linear", "Polynomial", "Rectified", "SymmetricBeta"]


@dataclass(frozen=True)
class Gaussian:
    """κ(x, y) = exp(-‖x - y‖² / 2h²), h the bandwidth. Differences are formed, not expanded: no cancellation."""

    bandwidth: float = 1.0

    def log(self, X: Array, Y: Array) -> Array:
        """Logarithm of the kernel matrix (..., n, m)."""
        return square_distances(X, Y) * (-0.5 / self.bandwidth**2)

    def __call__(self, X: Array, Y: Array) -> Array:
        """The kernel matrix (..., n, m)."""
        return namespace(X).exp(self.log(X, Y))


@dataclass(frozen=True)
class Exponential:
    """κ(x, y) = exp(x'y / h²): softmax attention's numerator."""

    bandwidth: float = 1.0

    def log(self, X: Array, Y: Array) -> Array:
        """Logarithm of the kernel matrix (..., n, m)."""
        return X @ namespace(Y).matrix_transpose(Y) / self.bandwidth**2

    def __call__(self, X: Array, Y: Array) -> Array:
        """The kernel matrix (..., n, m)."""
        return namespace(X).exp(self.log(X, Y))


@dataclass(frozen=True)
class Polynomial:
    """κ(x, y) = Σ_j c_j (x'y)^j; coefficients (1, 1, 1/2) are the exponential to second order."""

    coefficients: tuple[float, ...] = (1.0, 1.0, 0.5)

    def __call__(self, X: Array, Y: Array) -> Array:
        """The kernel matrix (..., n, m), by Horner's rule."""
        z = X @ namespace(Y).matrix_transpose(Y)
        value = self.coefficients[-1] * namespace(z).ones_like(z)
        for c in self.coefficients[-2::-1]:
            value = value * z + c
        return value


@dataclass(frozen=True)
class Linear:
    """κ(x, y) = x'y: kernel ridge regression with it is ridge regression."""

    def __call__(self, X: Array, Y: Array) -> Array:
        """The Gram matrix (..., n, m)."""
        return X @ namespace(Y).matrix_transpose(Y)


@dataclass(frozen=True)
class SymmetricBeta:
    """κ(x, y) = (1 - ‖x - y‖²/h²)_+ⁿ, n the order: 1 Epanechnikov, 2 biweight, 3 triweight; h = √(2n), n → ∞ Gaussian.

    Differences are formed, not expanded. Reference: Wand and Jones, Kernel Smoothing, section 2.7.
    """

    order: float = 1
    bandwidth: float = 1.0

    def log(self, X: Array, Y: Array) -> Array:
        """Logarithm of the kernel matrix (..., n, m), -inf outside the support."""
        return self.order * _logarithm(1 - square_distances(X, Y) / self.bandwidth**2)

    def __call__(self, X: Array, Y: Array) -> Array:
        """The kernel matrix (..., n, m)."""
        return namespace(X).exp(self.log(X, Y))


@dataclass(frozen=True)
class Rectified:
    """κ(x, y) = (x'y - b)_+ⁿ, b the threshold, n the order: a function of the distance where all ‖y‖ are equal."""

    threshold: float = 0.0
    order: float = 1

    def log(self, X: Array, Y: Array) -> Array:
        """Logarithm of the kernel matrix (..., n, m), -inf below the threshold."""
        return self.order * _logarithm(X @ namespace(Y).matrix_transpose(Y) - self.threshold)

    def __call__(self, X: Array, Y: Array) -> Array:
        """The kernel matrix (..., n, m)."""
        return namespace(X).exp(self.log(X, Y))


def _logarithm(x: Array) -> Array:
    """log x, -inf where x ≤ 0."""
    xp = namespace(x)
    return xp.where(x > 0, xp.log(xp.where(x > 0, x, xp.ones_like(x))), -xp.inf * xp.ones_like(x))
