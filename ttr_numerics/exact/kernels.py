"""Kernels κ(x, y) as frozen objects: `kernel(X, Y)` or `kernel.log(X, Y)` on rows X (..., n, d), Y (..., m, d)."""

from dataclasses import dataclass
from math import prod

from ttr_numerics.arrays import Array, concat, namespace
from ttr_numerics.exact.blocks import spans

__all__ = ["Exponential", "Gaussian", "Linear", "Polynomial"]

TILE = 1 << 16  # entries of the differences formed at a time, all batch slices together: they stay in cache


@dataclass(frozen=True)
class Gaussian:
    """κ(x, y) = exp(-‖x - y‖² / 2h²), h the bandwidth. Differences are formed, not expanded: no cancellation."""

    bandwidth: float = 1.0

    def log(self, X: Array, Y: Array) -> Array:
        """Logarithm of the kernel matrix (..., n, m)."""
        return _square_distances(X, Y) * (-0.5 / self.bandwidth**2)

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


def _square_distances(X: Array, Y: Array) -> Array:
    """‖x_i - y_j‖² (..., n, m) from formed differences, in tiles of rows against rows."""
    (n, d), m = X.shape[-2:], Y.shape[-2]
    pair = max(1, d * prod(X.shape[:-2]), d * prod(Y.shape[:-2]))
    across = max(1, min(128, m, TILE // pair))
    down = max(1, TILE // (pair * across))
    rows = [X[..., piece, None, :] for piece in spans(n, down)] or [X[..., :, None, :]]
    columns = [Y[..., None, piece, :] for piece in spans(m, across)] or [Y[..., None, :, :]]
    return concat([concat([_squares(x - y) for y in columns], -1) for x in rows], -2)


def _squares(x: Array) -> Array:
    """‖x‖² of every row, as a matrix product: faster than the sum of a product over a short axis."""
    return (x[..., None, :] @ x[..., :, None])[..., 0, 0]
