"""Random keys of a prescribed covariance, and of a prescribed mean.

Spectra are eigenvalues (d,) from large to small with mean 1, so that E‖k‖² = d, and κ(Σ) = `cond`. The axes are the
channels: no layer that is equivariant under rotation can tell.

A worked row: d = 4, cond = 100, log-uniform, has eigenvalues in the ratios 100, 21.5, 4.64, 1.
"""

import numpy as np

__all__ = ["gaussian_keys", "log_uniform_spectrum", "power_law_spectrum", "two_level_spectrum", "unit_keys_with_mean"]


def log_uniform_spectrum(d: int, cond: float) -> np.ndarray:
    """λ_j ∝ cond^(-(j-1)/(d-1)): equal ratios.

    >>> log_uniform_spectrum(3, 100.0) * 111 / 3
    array([100.,  10.,   1.])
    """
    return _scaled(np.geomspace(1.0, 1.0 / cond, d))


def power_law_spectrum(d: int, cond: float) -> np.ndarray:
    """λ_j ∝ j^(-a), a = ln cond / ln d.

    >>> power_law_spectrum(2, 4.0)
    array([1.6, 0.4])
    """
    exponent = np.log(cond) / np.log(d) if d > 1 else 0.0
    return _scaled(np.arange(1.0, d + 1) ** -exponent)


def two_level_spectrum(d: int, cond: float) -> np.ndarray:
    """Half of the eigenvalues (the greater half of an odd d) `cond` times the others.

    >>> two_level_spectrum(4, 3.0)
    array([1.5, 1.5, 0.5, 0.5])
    """
    return _scaled(np.where(np.arange(d) < (d + 1) // 2, 1.0, 1.0 / cond))


def gaussian_keys(rng: np.random.Generator, shape: tuple[int, ...], spectrum: np.ndarray) -> np.ndarray:
    """Rows N(0, diag(spectrum)): (..., T, d)."""
    return rng.standard_normal(shape) * np.sqrt(spectrum)


def unit_keys_with_mean(rng: np.random.Generator, shape: tuple[int, ...], share: float) -> np.ndarray:
    """√s u + √(1-s) g/√d scaled to unit norm (..., T, d): g standard normal, u one unit vector a batch entry.

    The common part carries about the share s of the squared length.
    """
    u = rng.standard_normal((*shape[:-2], 1, shape[-1]))
    u /= np.linalg.norm(u, axis=-1, keepdims=True)
    x = share**0.5 * u + ((1 - share) / shape[-1]) ** 0.5 * rng.standard_normal(shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _scaled(x: np.ndarray) -> np.ndarray:
    return x / np.mean(x)
