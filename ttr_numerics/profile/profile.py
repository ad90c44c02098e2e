"""Choosing on one half of the tokens, judging on the other: what a layer is worth on given keys, and how sure that is.

Keys are brought to norm 1, as a layer with an ℓ2-norm sees them, and pairs are recalled after all of them are stored.
What a layer leaves open is chosen on the first half of the tokens by the mean error over heads; the second half, stored
by itself, is what is reported. Heads are the repetitions of the intervals.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from ttr_numerics.measure import relative_squared_error, unit_rows
from ttr_numerics.profile.contenders import CONTENDERS, Contender
from ttr_numerics.profile.keys import Keys, described

__all__ = ["HALF", "Profile", "Served", "profiled"]

HALF = 0.5  # recall error at which a memory counts as full
FEWEST = 4  # tokens that can be split in halves of more than one pair


@dataclass(frozen=True)
class Served:
    """A layer with its chosen settings: recall error (heads,) on the second half, and how many numbers it stores.

    `capacity` is the largest number of the file's first pairs (a power of two, or all) that it stores with a mean
    recall error of at most 1/2, by its best settings for as many; `full` says that more would not have fitted, else
    the file has no more.
    """

    layer: str
    settings: dict[str, float]
    error: tuple[float, ...]
    numbers: int
    capacity: int
    full: bool

    @property
    def mean(self) -> float:
        """The mean over heads."""
        return float(np.mean(self.error))


@dataclass(frozen=True)
class Profile:
    """`keys`, one a head; `served`, the smallest error first; `random_values` where the file had no values."""

    tokens: int
    d_k: int
    d_v: int
    random_values: bool
    keys: tuple[Keys, ...]
    served: tuple[Served, ...]

    def lead(self, first: Served, second: Served) -> tuple[float, float, float]:
        """Mean over heads of the second's error less the first's, and its 95 % interval (NaN for a single head)."""
        gain = np.subtract(second.error, first.error)
        mean, half = float(np.mean(gain)), float("nan")
        if len(gain) > 1:
            half = float(stats.t.ppf(0.975, len(gain) - 1) * np.std(gain, ddof=1) / np.sqrt(len(gain)))
        return mean, mean - half, mean + half

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {"schema": 1, **asdict(self)}


def profiled(k: np.ndarray, v: np.ndarray | None = None, seed: int = 0) -> Profile:
    """The profile of keys k (..., T, d_k) with values v (..., T, d_v), random unit ones of d_k entries if None.

    Raises ValueError for shapes that do not fit, entries that are not finite, zero keys, zero values and T < 4.
    """
    K = _heads("k", k)
    V = unit_rows(np.random.default_rng([seed, *b"values"]).standard_normal(K.shape)) if v is None else _heads("v", v)
    if V.shape[:2] != K.shape[:2]:
        raise ValueError(f"v: expected the heads and tokens of k, {K.shape[:2]}, got {V.shape[:2]}")
    if K.shape[1] < FEWEST:
        raise ValueError(f"k: expected at least {FEWEST} tokens, got {K.shape[1]}")
    unit = unit_rows(K)
    if not np.all(np.any(V, axis=(1, 2))):
        raise ValueError("v: expected values that are not all zero in a head")
    served = sorted((_served(c, unit, V) for c in CONTENDERS), key=lambda s: s.mean)
    return Profile(K.shape[1], K.shape[2], V.shape[2], v is None, tuple(described(K)), tuple(served))


def _served(contender: Contender, K: np.ndarray, V: np.ndarray) -> Served:
    half = K.shape[1] // 2

    def error(tokens: slice, settings: dict[str, float]) -> np.ndarray:
        return relative_squared_error(contender.recalled(K[:, tokens], V[:, tokens], settings), V[:, tokens])

    first, second = slice(half), slice(half, 2 * half)
    settings = min(contender.settings(), key=lambda s: float(np.mean(error(first, s))))
    sizes = [n for n in (2**i for i in range(1, 24)) if n < K.shape[1]] + [K.shape[1]]
    fitting = [n for n in sizes if min(np.mean(error(slice(n), s)) for s in contender.settings()) <= HALF]
    capacity = max(fitting, default=0)
    numbers = contender.stored(half, K.shape[2], V.shape[2])
    errors = tuple(map(float, error(second, settings)))
    return Served(contender.layer, settings, errors, numbers, capacity, capacity < K.shape[1])


def _heads(name: str, x: np.ndarray) -> np.ndarray:
    """(heads, T, d) in float64."""
    x = np.asarray(x)
    if x.ndim < 2 or 0 in x.shape:
        raise ValueError(f"{name}: expected shape (..., T, d) without an empty axis, got {x.shape}")
    wide = x.astype(np.float64).reshape(-1, *x.shape[-2:])
    if not np.isfinite(wide).all():
        raise ValueError(f"{name}: expected finite entries, got {int((~np.isfinite(wide)).sum())} that are not")
    return wide
