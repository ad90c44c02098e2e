"""Random keys with prescribed norms or singular values."""

import numpy as np

__all__ = ["conditioned_keys", "isotropic_unit_keys"]


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
