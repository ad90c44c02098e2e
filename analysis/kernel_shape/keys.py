"""Where the inputs of a map come from: random in as many channels as it needs, or given keys, projected to them."""

from collections.abc import Callable

import numpy as np

from ttr_numerics import tasks

__all__ = ["FIXED", "FREE", "FIXED_CHANNELS", "Draw", "fixed", "free", "projected"]

FREE, FIXED = "free key dimension", "16-dimensional keys"
FIXED_CHANNELS = 16
Draw = Callable[[int], np.ndarray]  # how many rows: unit rows (n, channels)


def free(rng: np.random.Generator, channels: int) -> Draw:
    """Rows uniform on the unit sphere of as many channels as the map needs."""
    return lambda n: tasks.isotropic_unit_keys(rng, (n, channels))


def fixed(rng: np.random.Generator, channels: int) -> Draw:
    """Uniform unit keys of FIXED_CHANNELS channels through one random projection, drawn here."""
    project = projected(rng, FIXED_CHANNELS, channels)
    return lambda n: project(tasks.isotropic_unit_keys(rng, (n, FIXED_CHANNELS)))


def projected(rng: np.random.Generator, d: int, channels: int) -> Callable[[np.ndarray], np.ndarray]:
    """x ↦ xP/‖xP‖ for x (n, d), P (d, channels) of orthonormal rows or columns; P = I for channels = d."""
    if channels == d:
        return lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)
    Q = np.linalg.qr(rng.standard_normal((max(d, channels), min(d, channels))))[0]
    P = Q if channels < d else Q.T

    def project(x: np.ndarray) -> np.ndarray:
        y = x @ P
        return np.asarray(y / np.linalg.norm(y, axis=-1, keepdims=True))

    return project
