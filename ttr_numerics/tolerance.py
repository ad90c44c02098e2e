"""How far rounding alone may move a layer's output, per token and head: derived from data, never typed.

The layer's own code runs R times in float64 with random rounding errors of the declared format (stochastic
replicas, `arrays.rounded`) and once in that format itself. So do its other sound forms, such as chunk-parallel ones,
whose errors can be far larger (a triangular system of correlated keys); the widest counts. For replica errors e_r and
a sound subject's error e, exchangeable Gaussian vectors of any covariance, ‖e‖² R / Σ‖e_r‖² has its heaviest tail where
the covariance has rank one, where it is F(1, R). So

    bound = max( t_R(1 - α/2N) · √(Σ‖e_r‖²/R),  3 ‖e_reference‖ ) + output rounding + underflow,

with N positions judged together and α the chance of one false alarm in the whole comparison, for subjects that round
like one of the forms. The factor 3 on the references of the same format covers rounding to nearest that is biased
(repeated keys, constant gates), which random errors do not show; float64, whose own run is the reference, is run with
four bits fewer instead, and that error divided by 2⁴. Where keys, values and gates are all constant, sound code of
another order reached 2.6. R, α and that 3 are choices; the rest is derived.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from ttr_numerics.arrays import LinAlgError
from ttr_numerics.arrays.rounded import Nearest, Shortened, rounded
from ttr_numerics.arrays.rounded import Rounding as Arithmetic
from ttr_numerics.precision import FORMATS, MAGNIFIED, MAGNIFIED_BITS, Format

__all__ = ["BIAS", "FALSE_ALARM", "REPLICAS", "Rounding", "quantile", "rounding", "row_norms"]

REPLICAS = 16
FALSE_ALARM = 1e-3
BIAS = 3  # multiples of the error of the same format
GROUP = 1 << 25  # array entries of all replicas run together

Layer = Callable[..., Any]


@dataclass(frozen=True)
class Rounding:
    """What rounding does to one layer on one input.

    `reference` (..., T, d_v) is the float64 output on inputs rounded to the format; `spread` (..., T) the widest root
    mean square replica error, `shadow` (..., T) the largest error of the same-format references, `bound` (..., T) the
    tolerance on ‖o_t - reference_t‖₂; `quantile` the Student factor.
    """

    reference: np.ndarray
    spread: np.ndarray
    shadow: np.ndarray
    bound: np.ndarray
    quantile: float
    format: Format


def quantile(comparisons: int, replicas: int = REPLICAS, false_alarm: float = FALSE_ALARM) -> float:
    """t_R(1 - α/2N): the multiple of the replica spread that N sound errors exceed with probability α at most."""
    return float(stats.t.isf(false_alarm / (2 * max(comparisons, 1)), replicas))


def rounding(
    layer: Layer,
    arrays: Mapping[str, Any],
    arithmetic: Format,
    output: Format | None = None,
    forms: tuple[Layer, ...] = (),
    replicas: int = REPLICAS,
    seed: int = 0,
) -> Rounding:
    """Bound the rounding error of `layer(**arrays)` computed in `arithmetic` and stored in `output`.

    `forms` are other sound algorithms for the same outputs; the bound covers the widest.

    `arrays` are float64 NumPy arrays (and plain numbers) by argument name. Raises what the layer raises.
    """
    given = {name: x for name, x in arrays.items() if x is not None}
    stored = {n: arithmetic.nearest(x) if isinstance(x, np.ndarray) else x for n, x in given.items()}
    inexact = {n for n in stored if isinstance(given[n], np.ndarray) and not np.array_equal(stored[n], given[n])}
    reference = np.asarray(layer(**stored).o)
    size = row_norms(reference)
    size = np.where(size > 0, size, 1.0)  # errors are squared in units of the output: no overflow, no underflow
    all_forms = (layer, *forms)
    mean_square = np.max(
        [_mean_square(form, stored, inexact, arithmetic, reference, size, replicas, seed) for form in all_forms], axis=0
    )
    # The float64 reference has rounding errors of its own, of the same spread scaled to its roundoff.
    own = (FORMATS["float64"].u / arithmetic.u) ** 2
    spread = size * np.sqrt(mean_square * (1 + own))
    spread = np.where(np.isfinite(spread), spread, np.inf)  # replicas that overflow decide nothing
    shadow = _shadow(all_forms, stored, arithmetic, reference)
    factor = quantile(spread.size, replicas)
    bound = np.fmax(factor * spread, BIAS * shadow) + _storage(reference, stored, arithmetic, output or arithmetic)
    return Rounding(reference, spread, shadow, bound, factor, arithmetic)


def _mean_square(
    layer: Layer,
    stored: Mapping[str, Any],
    inexact: set[str],
    arithmetic: Format,
    reference: np.ndarray,
    size: np.ndarray,
    replicas: int,
    seed: int,
) -> np.ndarray:
    """Σ‖e_r/size‖²/R (..., T) over stochastic replicas, on the first axis of every array, in groups that fit in memory.

    An input that had to be rounded to the format gets that error in every replica: a subject may have scaled it later.
    """
    noise = arithmetic.replicas(np.random.default_rng(seed))
    magnified = noise.u / arithmetic.u
    T = reference.shape[-2]
    entries = reference.size * max(T, stored["q"].shape[-1]) // max(reference.shape[-1], 1)
    group = min(replicas, max(1, GROUP // max(entries, 1)))
    total, done = np.zeros(reference.shape[:-1]), 0
    while done < replicas:
        n = min(group, replicas - done)
        inputs = {}
        for name, x in stored.items():
            if isinstance(x, np.ndarray):
                x = np.broadcast_to(x, (n, *x.shape))
                x = rounded(noise.store(x) if name in inexact else x, noise)
            inputs[name] = x
        try:
            error = (layer(**inputs).o.x - reference) / size[..., None]
        except LinAlgError:  # in this arithmetic a matrix is no longer definite: nothing is decided
            return np.full(reference.shape[:-1], np.inf)
        total += np.sum(error * error, axis=(0, -1))
        noise.renew()
        done += n
    return total / (replicas * magnified**2)


def _shadow(
    forms: tuple[Layer, ...], stored: Mapping[str, Any], arithmetic: Format, reference: np.ndarray
) -> np.ndarray:
    """The largest error (..., T) of the forms in the format; infinite where the first, the layer itself, overflows."""
    runs = []
    for form in forms:
        try:
            runs.append(_same_format(form, stored, arithmetic))
        except LinAlgError:
            runs.append(np.full(reference.shape, np.inf))
    if arithmetic.name == "float64":  # there the layer's own run is the reference
        runs[0] = reference + (_emulated(forms[0], stored, Shortened(MAGNIFIED_BITS)) - reference) / MAGNIFIED
    with np.errstate(invalid="ignore", over="ignore"):
        own, *others = (row_norms(o - reference) for o in runs)
    return np.max([np.where(np.isfinite(own), own, np.inf), *(np.nan_to_num(x, posinf=0.0) for x in others)], axis=0)


def _same_format(layer: Layer, stored: Mapping[str, Any], arithmetic: Format) -> np.ndarray:
    """The layer run in the format: by NumPy where it has it, else every operation rounded to nearest."""
    if arithmetic.name == "float64":
        return np.asarray(layer(**stored).o)
    if arithmetic.name == "float32":
        with np.errstate(all="ignore"):
            run = layer(**{n: x.astype(np.float32) if isinstance(x, np.ndarray) else x for n, x in stored.items()})
        return np.asarray(run.o, dtype=np.float64)
    return _emulated(layer, stored, Nearest(arithmetic.info))


def _emulated(layer: Layer, stored: Mapping[str, Any], arithmetic: Arithmetic) -> np.ndarray:
    """The layer with every operation rounded to nearest."""
    arrays = {n: rounded(x, arithmetic) if isinstance(x, np.ndarray) else x for n, x in stored.items()}
    return np.asarray(layer(**arrays).o.x)


def _storage(reference: np.ndarray, stored: Mapping[str, Any], arithmetic: Format, output: Format) -> np.ndarray:
    """Rounding the output to a coarser format, and values lost to underflow."""
    final = output.u * row_norms(reference) if output.u > arithmetic.u else 0.0
    values = row_norms(stored["v"]).reshape(*stored["q"].shape[:-1], -1).sum(axis=-1)  # a token may bring several
    operands = np.sum(np.abs(stored["q"]), axis=-1) + np.cumsum(values, axis=-1)
    return final + np.sqrt(reference.shape[-1]) * (output.floor + arithmetic.floor * operands)


def row_norms(x: np.ndarray) -> np.ndarray:
    """‖x_t‖₂ over the last axis, without overflow or underflow of the squares."""
    scale = np.max(np.abs(x), axis=-1, keepdims=True, initial=0.0)
    scale = np.where((scale > 0) & np.isfinite(scale), scale, 1.0)
    return scale[..., 0] * np.sqrt(np.sum((x / scale) ** 2, axis=-1))
