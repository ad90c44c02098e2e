"""How well conditioned keys are: Gaussian keys, and stored keys as captured, centred and scaled to unit norm."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ttr_numerics import tasks
from ttr_numerics.arrays import namespace, to_numpy
from ttr_numerics.measure import centred, geometric_interval
from ttr_numerics.study import placed

__all__ = ["gaussian_rows", "of_unit_size", "singular_values", "stored_rows"]

GAUSSIAN_DIMENSION, GAUSSIAN_DRAWS = 64, 40
ASPECTS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 2 / 3, 4 / 5, 9 / 10, 1.0)
LOADS = (1.25, 1.5, 2, 3, 4, 8)  # tokens a channel
RAW, CENTRED, UNIT = "as captured", "centred", "unit norm"


def gaussian_rows(cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """cond(K) of n × d Gaussian keys with d/n = `aspect`."""
    n = round(GAUSSIAN_DIMENSION / cell["aspect"])
    K = rng.standard_normal((cell["draws"], n, GAUSSIAN_DIMENSION))
    s = singular_values(cell, K)
    return [{"n": n, "d": GAUSSIAN_DIMENSION} | geometric_interval(s[:, 0] / s[:, -1])._asdict()]


def stored_rows(cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """cond(K) of the first n tokens by treatment: the middle, best and worst head; singular heads are counted apart."""
    found = tasks.stored(cell["keys"])
    first, rows = of_unit_size(found.k[:, : cell["n"]].astype(float)), []
    for treatment, treated in TREATMENTS.items():
        X = treated(first)
        s = singular_values(cell, X)
        regular = s[:, -1] > max(X.shape[-2:]) * float(np.finfo(X.dtype).eps) * s[:, 0]
        conds = s[regular, 0] / s[regular, -1]
        row = {"source": found.name, "treatment": treatment, "d": X.shape[-1], "heads": len(X)}
        ends = [float(of(conds)) if len(conds) else None for of in (np.median, np.min, np.max)]
        rows.append(row | {"singular": len(X) - len(conds)} | dict(zip(("value", "low", "high"), ends, strict=True)))
    return rows


def singular_values(cell: dict[str, Any], K: np.ndarray) -> np.ndarray:
    """σ_1 ≥ ... ≥ σ_min(n, d) (..., min(n, d)) of K (..., n, d) by the library of the cell."""
    (X,) = placed(cell, K)
    return to_numpy(namespace(X).linalg.svdvals(X))


def of_unit_size(X: np.ndarray) -> np.ndarray:
    """X 2^e with its largest entry in [1/2, 1): no digit changes, and no square overflows."""
    _, exponent = np.frexp(np.max(np.abs(X)))
    return np.ldexp(X, -exponent)


def _unit(K: np.ndarray) -> np.ndarray:
    """k_i/‖k_i‖, and keys of zero as they are: they have no direction."""
    norms = np.linalg.norm(K, axis=-1, keepdims=True)
    return K / np.where(norms > 0, norms, 1.0)


TREATMENTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {RAW: lambda K: K, CENTRED: centred, UNIT: _unit}
