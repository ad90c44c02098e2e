"""Random keys with prescribed norms or singular values."""

import numpy as np

__all__ = ["coloured_unit_keys", "conditioned_keys", "isotropic_unit_keys"]


def isotropic_unit_keys(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Rows uniform on the unit sphere: (..., T, d)."""
    x = rng.standard_normal(shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def conditioned_keys(rng: np.random.Generator, T: int, d: int, cond: float) -> np.ndarray:
    """K = U diag(s) V' (T, d) with Haar-random U, V and s geometric from 1 down to 1/cond: cond(K) is `cond`."""
    m = min(T, d)
    U, _ = np.linalg.qr(rng.standard_normal((T, m)))
    V, _ = np.linalg.qr(rng.standard_normal((d, m)))
    return (U * np.geomspace(1.0, 1.0 / cond, m)) @ V.T


def coloured_unit_keys(rng: np.random.Generator, shape: tuple[int, ...], cond: float) -> np.ndarray:
    """Rows N(0, Σ) scaled to unit norm (..., T, d); Σ has a log-uniform spectrum from 1 down to 1/cond, random axes.

    Each batch entry has axes of its own. κ(Σ) = `cond`, so a matrix of many such rows before scaling has κ(K) = √cond.
    """
    d = shape[-1]
    axes, _ = np.linalg.qr(rng.standard_normal((*shape[:-2], d, d)))
    x = (rng.standard_normal(shape) * np.sqrt(np.geomspace(1.0, 1.0 / cond, d))) @ axes
    return x / np.linalg.norm(x, axis=-1, keepdims=True)
