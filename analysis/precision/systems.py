"""Systems (H + λI) x = q with solutions that are right beyond float64: of prescribed κ, or of the keys of a prefix.

λ is fixed, as MesaNet's, or a multiple of ‖H‖_F, as Gated KalmaNet's, for which κ = 1 + ‖H‖_F/λ is an upper bound.
"""

import decimal
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from ttr_numerics import tasks

__all__ = ["CLUSTERS", "DIMENSION", "EARLY", "FIXED", "LOG", "PREFIX", "RATIO", "System", "of_keys", "prescribed"]

DIMENSION, PREFIX, DRAWS, QUERIES = 64, 16, 4, 4
LOG, CLUSTERS, EARLY = "log-uniform", "two clusters", f"prefix of {PREFIX} keys"
FIXED, RATIO = 0.25, 0.02  # MesaNet's least ridge; Gated KalmaNet's multiple of ‖H‖_F
DIGITS = 45
_decimals = np.frompyfunc(lambda x: Decimal(float(x)), 1, 1)


class System(NamedTuple):
    """H (m, d, d), queries (m, n, d), ridge (m,), a bound κ for all m, and (H + ridge I)⁻¹q as the sum x + rest."""

    H: np.ndarray
    q: np.ndarray
    ridge: np.ndarray
    kappa: float
    x: np.ndarray
    rest: np.ndarray

    def error(self, computed: np.ndarray) -> np.ndarray:
        """computed - (H + ridge I)⁻¹q."""
        return (computed - self.x) - self.rest

    def sizes(self, rows: np.ndarray) -> np.ndarray:
        """‖·‖_A of rows (m, n, d)."""
        Ax = rows @ self.H + self.ridge[:, None, None] * rows
        return np.sqrt(np.sum(rows * Ax, axis=-1))


def prescribed(rng: np.random.Generator, spectrum: str, kappa: float, frobenius: bool) -> System:
    """‖H‖₂ = 1 and λ = ‖H‖/(κ-1), in the Frobenius norm if so asked: random eigenvectors, random unit queries."""
    H = np.stack([_memory(rng, spectrum, kappa) for _ in range(DRAWS)])
    q = tasks.isotropic_unit_keys(rng, (DRAWS, QUERIES, DIMENSION))
    if kappa == 1:
        return System(0 * H, q, np.ones(DRAWS), kappa, q, 0 * q)
    size = np.linalg.norm(H, axis=(-2, -1)) if frobenius else np.ones(DRAWS)
    ridge = size * (1 / (kappa - 1))
    return System(H, q, ridge, kappa, *refined(H, q, ridge))


def of_keys(K: np.ndarray, q: np.ndarray, frobenius: bool) -> System:
    """H = K'K of unit keys (m, n, d), λ = 1/4, or ‖H‖_F/50 if so asked."""
    H = K.mT @ K
    if frobenius:
        ridge, kappa = RATIO * np.linalg.norm(H, axis=(-2, -1)), (1 + RATIO) / RATIO
    else:
        ridge, kappa = np.full(len(H), FIXED), 1 + float(np.max(np.linalg.norm(H, 2, axis=(-2, -1)))) / FIXED
    return System(H, q, ridge, kappa, *refined(H, q, ridge))


def refined(H: np.ndarray, q: np.ndarray, ridge: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H + λI)⁻¹q as x + rest by refinement with decimal residuals: each pass leaves κu of the error before."""
    A = H + ridge[:, None, None] * np.eye(H.shape[-1])
    with decimal.localcontext(prec=DIGITS):
        matrix, right, shift = _decimals(H), _decimals(q), _decimals(ridge)[:, None, None]
        x = 0 * right
        for _ in range(4):
            residual = right - np.stack([a @ b for a, b in zip(x, matrix, strict=True)]) - shift * x
            x = x + _decimals(np.linalg.solve(A, residual.astype(float).mT).mT)
        nearest = x.astype(float)
        return nearest, (x - _decimals(nearest)).astype(float)


def _memory(rng: np.random.Generator, spectrum: str, kappa: float) -> np.ndarray:
    """H (d, d) of norm 1 with random eigenvectors; with 1/(κ-1) on its diagonal it has condition number κ."""
    if spectrum == EARLY:
        K = tasks.isotropic_unit_keys(rng, (PREFIX, DIMENSION))
        H = K.T @ K
    else:
        axes, _ = np.linalg.qr(rng.standard_normal((DIMENSION, DIMENSION)))
        H = (axes * (_spectrum(rng, spectrum, kappa) - 1 / kappa)) @ axes.T
    H = (H + H.T) / 2
    return H / np.linalg.norm(H, 2) if kappa > 1 else H


def _spectrum(rng: np.random.Generator, spectrum: str, kappa: float) -> np.ndarray:
    """Eigenvalues in [1/κ, 1], both ends taken; clusters are a tenth of their centre wide."""
    if spectrum == LOG:
        return np.geomspace(1 / kappa, 1.0, DIMENSION)
    low, high = (rng.uniform(0.9, 1.0, DIMENSION // 2) for _ in range(2))
    low, high = low / np.min(low), high / np.max(high)
    return np.concatenate([low / kappa, high])
