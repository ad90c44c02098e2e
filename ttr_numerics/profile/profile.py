"""Choosing on one half of the tokens, judging on the other: what a layer is worth on given keys, and how sure that is.

Keys are brought to norm 1, as a layer with an ℓ2-norm sees them, and pairs are recalled after all of them are stored.
What a layer leaves open is chosen on the first half of the tokens by the mean error over heads; the second half, stored
by itself, is what is reported. Heads are the repetitions of the intervals: they speak of heads of such a layer on this
text, not of other texts.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from ttr_numerics.measure import Interval, relative_squared_error, unit_rows
from ttr_numerics.profile.capacity import HALF, Capacity, capacity, sizes
from ttr_numerics.profile.contenders import CONTENDERS, RIDGES, Contender
from ttr_numerics.profile.keys import Keys, described
from ttr_numerics.profile.ridges import Ridged, ridged

__all__ = ["HALF", "Profile", "Served", "Tried", "profiled"]

FEWEST = 4  # tokens that can be split in halves of more than one pair


@dataclass(frozen=True)
class Tried:
    """A point of a layer's grid and its recall error (heads,) on the second half."""

    settings: dict[str, float]
    error: tuple[float, ...]


@dataclass(frozen=True)
class Served:
    """A layer with its chosen settings: recall error (heads,) on the second half, and how many numbers it stores.

    `capacity` is the largest number of the file's first pairs (a power of two, or all) that it stores with a mean
    recall error of at most 1/2, by its best settings for as many; `full` says that more would not have fitted, else
    the file has no more. `stores` has the same by head, with its interval. `expected` (heads,) is exact:
    ‖H - I‖²_F/n, H the layer's outputs for v = I at the second half's keys, which is the error that it leaves in
    expectation of values that are independent of the keys, uncorrelated, of mean 0 and one variance. `tried` is the
    whole grid on the second half, and `edges` names the settings chosen at an end of it.
    """

    layer: str
    settings: dict[str, float]
    error: tuple[float, ...]
    numbers: int
    capacity: int
    full: bool
    expected: tuple[float, ...]
    stores: Capacity
    tried: tuple[Tried, ...]
    edges: dict[str, str]

    @property
    def mean(self) -> float:
        """The mean over heads."""
        return float(np.mean(self.error))

    @property
    def untold(self) -> tuple[Tried, ...]:
        """What of the grid cannot be told from the chosen settings, by the interval of `lead`; all, for one head."""
        gains = [_lead(self.error, point.error) for point in self.tried]
        return tuple(x for x, gain in zip(self.tried, gains, strict=True) if not (gain.low > 0 or gain.high < 0))


@dataclass(frozen=True)
class Profile:
    """`keys`, one a head; `served`, the smallest error first; `random_values` where the file had no values.

    `ridges`, ascending, is what least squares trades on the second half.
    """

    tokens: int
    d_k: int
    d_v: int
    random_values: bool
    keys: tuple[Keys, ...]
    served: tuple[Served, ...]
    ridges: tuple[Ridged, ...]

    def lead(self, first: Served, second: Served) -> tuple[float, float, float]:
        """Mean over heads of the second's error less the first's, and its 95 % interval (NaN for a single head)."""
        found = _lead(first.error, second.error)
        return found.value, found.low, found.high

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON values; null for what there is not: an interval, a finite condition number."""
        plain: dict[str, Any] = _plain({"schema": 1, **asdict(self)})
        for said, served in zip(plain["served"], self.served, strict=True):
            said["stores"]["interval"] = _plain(served.stores.interval._asdict())
        return plain


def profiled(k: np.ndarray, v: np.ndarray | None = None, seed: int = 0) -> Profile:
    """The profile of keys k (..., T, d_k) with values v (..., T, d_v), random unit ones of d_k entries if None.

    Raises ValueError for shapes that do not fit, entries that are not finite, zero keys, T < 4, and a head whose values
    are all zero in a half of the tokens.
    """
    K = _heads("k", k)
    V = unit_rows(np.random.default_rng([seed, *b"values"]).standard_normal(K.shape)) if v is None else _heads("v", v)
    if V.shape[:2] != K.shape[:2]:
        raise ValueError(f"v: expected the heads and tokens of k, {K.shape[:2]}, got {V.shape[:2]}")
    if K.shape[1] < FEWEST:
        raise ValueError(f"k: expected at least {FEWEST} tokens, got {K.shape[1]}")
    unit, half = unit_rows(K), K.shape[1] // 2
    second = slice(half, 2 * half)
    if not all(np.any(V[:, part], axis=(1, 2)).all() for part in (slice(half), second)):
        raise ValueError("v: expected values that are not all zero in half of a head's tokens")
    served = sorted((_served(c, unit, V) for c in CONTENDERS), key=lambda s: s.mean)
    ridges = ridged(unit[:, second], V[:, second], RIDGES)
    return Profile(K.shape[1], K.shape[2], V.shape[2], v is None, tuple(described(K)), tuple(served), ridges)


def _lead(first: tuple[float, ...], second: tuple[float, ...]) -> Interval:
    """Mean over heads of the second's error less the first's, and its 95 % interval by Student's t, heads paired."""
    gain, half = np.subtract(second, first), float("nan")
    if len(gain) > 1:
        half = float(stats.t.ppf(0.975, len(gain) - 1) * np.std(gain, ddof=1) / np.sqrt(len(gain)))
    mean = float(np.mean(gain))
    return Interval(mean, mean - half, mean + half, len(gain))


def _served(contender: Contender, K: np.ndarray, V: np.ndarray) -> Served:
    half, grid = K.shape[1] // 2, contender.settings()
    first, second = slice(half), slice(half, 2 * half)
    chosen = int(np.argmin(np.mean(_errors(contender, K[:, first], V[:, first]), axis=-1)))
    judged = _errors(contender, K[:, second], V[:, second])
    values = np.broadcast_to(np.eye(half), (len(K), half, half))
    expected = relative_squared_error(contender.recalled(K[:, second], values, grid[chosen]), values)
    stores = _stores(contender, K, V)
    return Served(
        contender.layer,
        grid[chosen],
        tuple(map(float, judged[chosen])),
        contender.stored(half, K.shape[2], V.shape[2]),
        stores.largest,
        stores.largest < K.shape[1],
        tuple(map(float, expected)),
        stores,
        tuple(Tried(s, tuple(map(float, e))) for s, e in zip(grid, judged, strict=True)),
        _edges(grid[chosen], contender),
    )


def _stores(contender: Contender, K: np.ndarray, V: np.ndarray) -> Capacity:
    """Of the first pairs, by the best settings for as many."""
    n = sizes(K.shape[1])
    by_size = (_errors(contender, K[:, :size], V[:, :size]) for size in n)
    return capacity(n, np.stack([errors[np.argmin(np.mean(errors, axis=-1))] for errors in by_size]))


def _edges(settings: dict[str, float], contender: Contender) -> dict[str, str]:
    ends = {"least": min, "most": max}
    found = {(name, end): of(contender.grid[name]) for name in settings for end, of in ends.items()}
    return {name: end for (name, end), value in found.items() if settings[name] == value}


def _errors(contender: Contender, K: np.ndarray, V: np.ndarray) -> np.ndarray:
    """Recall errors (settings, heads); 0 for a head whose values are all zero, which every layer gives back."""
    there = np.any(V, axis=(1, 2))
    errors = np.zeros((len(contender.settings()), len(K)))
    if there.any():
        recalled = (contender.recalled(K[there], V[there], s) for s in contender.settings())
        errors[:, there] = np.stack([relative_squared_error(O, V[there]) for O in recalled])
    return errors


def _plain(x: Any) -> Any:
    if isinstance(x, dict):
        return {name: _plain(value) for name, value in x.items()}
    if isinstance(x, list | tuple):
        return [_plain(value) for value in x]
    return None if isinstance(x, float) and not np.isfinite(x) else x


def _heads(name: str, x: np.ndarray) -> np.ndarray:
    """(heads, T, d) in float64."""
    x = np.asarray(x)
    if x.ndim < 2 or 0 in x.shape:
        raise ValueError(f"{name}: expected shape (..., T, d) without an empty axis, got {x.shape}")
    wide = x.astype(np.float64).reshape(-1, *x.shape[-2:])
    if not np.isfinite(wide).all():
        raise ValueError(f"{name}: expected finite entries, got {int((~np.isfinite(wide)).sum())} that are not")
    return wide
