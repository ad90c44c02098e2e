"""What is done with the features: read as they are, divided, scaled to unit length, centred, or solved for exactly."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ttr_numerics import exact
from ttr_numerics.layers import chunked

__all__ = [
    "CENTRED",
    "EXACT",
    "PLAIN",
    "RATIO",
    "RIDGE",
    "SOLVED",
    "TREATMENTS",
    "UNIT",
    "Smoothed",
    "Treatment",
    "unevenness",
]

PLAIN, RATIO, UNIT, CENTRED = "as they are", "divided by φ(q)'Σφ(k)", "unit length", "centred, unit length"
RIDGE, EXACT = "unit length, ridge 0.02 ‖H‖", "unit length, least squares"
SOLVED = (RIDGE, EXACT)
RIDGE_RATIO = 0.02


class Smoothed(NamedTuple):
    """tr A and ‖A‖_F² of the matrix A (n, n) with O = A V."""

    trace: float
    square: float


class Treatment(NamedTuple):
    """How features F (n, D) are `prepared`, given the mean feature of other keys; what a memory of them returns for
    values V (n, d_v) at its own keys; and tr A, ‖A‖_F² from the features alone."""

    prepared: Callable[[np.ndarray, np.ndarray], np.ndarray]
    recalled: Callable[[np.ndarray, np.ndarray], np.ndarray]
    smoothed: Callable[[np.ndarray], Smoothed]


def _as_is(F: np.ndarray, mean: np.ndarray) -> np.ndarray:
    return F


def _unit(F: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row of zeros stays: rectified maps send some keys there, and store nothing for them."""
    size = np.linalg.norm(F, axis=-1, keepdims=True)
    return F / np.where(size > 0, size, 1.0)


def _centred(F: np.ndarray, mean: np.ndarray) -> np.ndarray:
    return _unit(F - mean, mean)


def _sum(F: np.ndarray, V: np.ndarray) -> np.ndarray:
    return np.asarray(F @ chunked.linear_attention(F, F, V).state)


def _of_sum(F: np.ndarray) -> Smoothed:
    H = F.T @ F
    return Smoothed(float(np.trace(H)), float(np.sum(H * H)))


def _ratio(F: np.ndarray, V: np.ndarray) -> np.ndarray:
    state = chunked.normalized_linear_attention(F, F, V).state
    return _over(F @ state.S, F @ state.z)


def _of_ratio(F: np.ndarray) -> Smoothed:
    below, H = F @ np.sum(F, axis=0), F.T @ F
    divided = _over(F, below)
    return Smoothed(float(np.sum(F * divided)), float(np.sum((divided @ H) * divided)))


def _over(x: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Rows of x over `below`, 0/0 = 0 as in the layer: features that are all zero."""
    return np.asarray(x / np.where(below == 0, 1.0, below)[:, None])


def _ridge(F: np.ndarray, V: np.ndarray) -> np.ndarray:
    return np.asarray(F @ exact.ridge(F, V, RIDGE_RATIO * float(np.linalg.norm(F.T @ F))).S)


def _of_ridge(F: np.ndarray) -> Smoothed:
    H = F.T @ F
    spectrum = np.maximum(np.linalg.eigvalsh(H), 0.0)
    kept = spectrum / (spectrum + RIDGE_RATIO * np.linalg.norm(H))
    return Smoothed(float(np.sum(kept)), float(np.sum(kept**2)))


def _least(F: np.ndarray, V: np.ndarray) -> np.ndarray:
    return np.asarray(F @ exact.least_norm(F, V).S)


def _of_least(F: np.ndarray) -> Smoothed:
    rank = float(np.linalg.matrix_rank(F))
    return Smoothed(rank, rank)


def unevenness(F: np.ndarray) -> float:
    """Σ h_i² of the leverages h of F (n, D), least where they are equal: a key of leverage 1 takes a feature alone."""
    U, s, _ = np.linalg.svd(F, full_matrices=False)
    rank = int(np.sum(s > max(F.shape) * np.finfo(F.dtype).eps * s[0]))
    return float(np.sum(np.sum(U[:, :rank] ** 2, axis=1) ** 2))


TREATMENTS = {
    PLAIN: Treatment(_as_is, _sum, _of_sum),
    RATIO: Treatment(_as_is, _ratio, _of_ratio),
    UNIT: Treatment(_unit, _sum, _of_sum),
    CENTRED: Treatment(_centred, _sum, _of_sum),
    RIDGE: Treatment(_unit, _ridge, _of_ridge),
    EXACT: Treatment(_unit, _least, _of_least),
}
