"""Keys whose lengths spread, their directions isotropic."""

import numpy as np

from ttr_numerics.tasks.synthetic import isotropic_unit_keys

__all__ = ["lognormal_keys"]


def lognormal_keys(rng: np.random.Generator, shape: tuple[int, ...], spread: float) -> np.ndarray:
    """Rows r u (..., T, d): u uniform on the unit sphere, ln r normal with standard deviation `spread`, E r² = 1.

    A row of spread 0.5 (d = 2): u = (0.6, 0.8), z = 1, r = exp(0.5 z - 0.25) = 1.284, k = (0.770, 1.027); one of
    z = -1 has r = 0.472.
    """
    u = isotropic_unit_keys(rng, shape)
    return u * np.exp(spread * rng.standard_normal((*shape[:-1], 1)) - spread**2)
