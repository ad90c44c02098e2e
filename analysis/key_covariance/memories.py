"""The memories that are compared, what is done to the keys before, and how an error becomes rows."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ttr_numerics import exact
from ttr_numerics.arrays import LinAlgError
from ttr_numerics.layers import chunked
from ttr_numerics.measure import (
    best_scale,
    bounds,
    centred,
    mean_interval,
    participation_ratio,
    relative_squared_error,
    unit_rows,
    whitened,
    whitening_metric,
)

__all__ = [
    "BEST",
    "BOTH",
    "CENTRED",
    "DELTA",
    "LEAST",
    "LINEAR",
    "OTHERS",
    "POPULATION",
    "RIDGE",
    "RIDGES",
    "STEPS",
    "TREATMENT",
    "UNIT",
    "WHITENED",
    "Reading",
    "best_of",
    "best_ridge",
    "ends",
    "identity_gap",
    "interval_row",
    "nearest",
    "off_mean",
    "readings",
    "scale_for",
    "through_metric_of",
]

LINEAR, DELTA, BEST = "linear attention, scaled", "delta rule, β = 1", "delta rule, best β"
LEAST, RIDGE = "least squares (RLS)", "ridge, best λ"
UNIT, CENTRED, WHITENED, BOTH = "unit norm", "centred", "whitened", "centred, whitened"
POPULATION, OTHERS = "Σ^-1/2 of the population", "Σ^-1/2 of other keys"
STEPS = tuple(np.geomspace(0.02, 1.0, 12).tolist())
RIDGES = tuple(np.geomspace(1e-4, 10.0, 16).tolist())  # in units of the mean eigenvalue of K'K

TREATMENT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    UNIT: unit_rows,
    CENTRED: lambda K: unit_rows(off_mean(K)),
    WHITENED: lambda K: unit_rows(whitened(K)),
    BOTH: lambda K: unit_rows(whitened(off_mean(K))),
}


class Reading(NamedTuple):
    """What a memory gives, and of a number chosen from a list how often the choice is an end of it, as a row says."""

    o: np.ndarray
    ends: dict[str, Any]


def off_mean(K: np.ndarray) -> np.ndarray:
    """k_i less the mean key; LinAlgError where rounding alone is left of one."""
    left = centred(K)
    size, before = (np.linalg.norm(x, axis=-1) for x in (left, K))
    if not np.all(size > K.shape[-2] * np.finfo(K.dtype).eps * np.max(before)):
        raise LinAlgError("K: expected keys that differ from their mean, got one that does not")
    return left


def through_metric_of(other: np.ndarray, K: np.ndarray) -> np.ndarray:
    """K M^(-1/2) scaled to unit norm, M the second moment of `other` keys."""
    return unit_rows(K @ whitening_metric(other))


def readings(K: np.ndarray, V: np.ndarray, q: np.ndarray, W: np.ndarray) -> dict[str, Reading]:
    """What each memory of unit keys K with V gives at q. Its free number is the best for W, batch entry by entry."""
    additive = q @ chunked.linear_attention(K, K, V).state
    steps = [q @ chunked.delta_rule(K, K, V, beta=np.full(K.shape[:-1], step)).state for step in STEPS]
    return {
        LINEAR: Reading(scale_for(additive, W) * additive, {}),
        DELTA: Reading(steps[-1], {}),
        BEST: best_of(steps, W),
        LEAST: Reading(q @ exact.least_norm(K, V).S, {}),
    }


def scale_for(o: np.ndarray, W: np.ndarray) -> np.ndarray:
    """The best scale (..., 1, 1) of outputs o for W."""
    return np.asarray(best_scale(o, W))[..., None, None]


def best_ridge(K: np.ndarray, V: np.ndarray, q: np.ndarray, W: np.ndarray) -> Reading:
    """Ridge regression at q with the best of `RIDGES` for W."""
    mean = K.shape[-2] / K.shape[-1]
    return best_of([q @ exact.ridge(K, V, mean * share).S for share in RIDGES], W)


def best_of(outputs: list[np.ndarray], W: np.ndarray) -> Reading:
    """The output nearest to W (m, n, d_v) for each of the m batch entries."""
    best = nearest(outputs, W)
    return Reading(np.stack(outputs)[best, np.arange(len(W))], ends(best, len(outputs)))


def nearest(outputs: list[np.ndarray], W: np.ndarray) -> np.ndarray:
    """Which output is nearest to W (m, n, d_v): (m,)."""
    return np.asarray(np.argmin([relative_squared_error(o, W) for o in outputs], axis=0))


def ends(choices: np.ndarray, tried: int) -> dict[str, Any]:
    """How many choices there are, and how many of them are the least and the greatest of those tried."""
    least, most = (int(np.count_nonzero(choices == end)) for end in (0, tried - 1))
    return {"choices": int(np.size(choices)), "least": least, "most": most}


def identity_gap(K: np.ndarray, V: np.ndarray) -> np.ndarray:
    """Linear attention's error at the scale PR/n, less 1 - PR/n (m,): of mean 0 for values that ignore the keys."""
    n, ranks = K.shape[-2], participation_ratio(K)
    o = (ranks / n)[..., None, None] * (K @ chunked.linear_attention(K, K, V).state)
    return relative_squared_error(o, V) - [bounds.linear_attention_fixed_keys(n, float(rank))[1] for rank in ranks]


def interval_row(values: np.ndarray) -> dict[str, Any]:
    """The mean over draws or heads (m,) and one standard error on either side.

    No interval for m = 1, and no value where one is infinite: a condition number of which no digit is known.
    """
    if not np.all(np.isfinite(values)):
        return {"value": None, "low": None, "high": None, "trials": len(values)}
    found = mean_interval(values)._asdict()
    return found if len(values) > 1 else found | {"low": None, "high": None}
