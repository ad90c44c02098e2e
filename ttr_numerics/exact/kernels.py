"""Kernels κ(x, y) as frozen objects: `kernel(X, Y)` or `kernel.log(X, Y)` on rows X (..., n, d), Y (..., m, d)."""

from dataclasses import dataclass

from ttr_numerics.arrays import Array, namespace, square_distances

__all__ = ["Exponential", "Gaussian", "Linear", "Polynomial"]


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
