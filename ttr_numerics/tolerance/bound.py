"""The bound itself: see `ttr_numerics.tolerance`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from ttr_numerics.precision import FORMATS, Contract, Format
from ttr_numerics.tolerance.norms import row_norms
from ttr_numerics.tolerance.policy import REPLICAS, Layer, Policy, chosen
from ttr_numerics.tolerance.replicas import mean_squares
from ttr_numerics.tolerance.runs import arriving, as_contract, shadow

__all__ = ["BIAS", "FALSE_ALARM", "Rounding", "quantile", "rounding"]

FALSE_ALARM = 1e-3
BIAS = 3  # multiples of the error of the same arithmetic
LOST = 0.1  # part of a head's positions


@dataclass(frozen=True)
class Rounding:
    """What rounding does to one layer on one input.

    `reference` (..., T, d_v) is the float64 output on inputs rounded as they arrive; `spread` (..., T) the widest root
    mean square replica error, `shadow` (..., T) the largest error of the runs to nearest, `bound` (..., T) the
    tolerance on ‖o_t - reference_t‖₂; `quantile` the Student factor; `policy` what ran.
    """

    reference: np.ndarray
    spread: np.ndarray
    shadow: np.ndarray
    bound: np.ndarray
    quantile: float
    contract: Contract
    policy: Policy


def quantile(comparisons: int, replicas: int = REPLICAS, false_alarm: float = FALSE_ALARM) -> float:
    """t_R(1 - α/2N): the multiple of the replica spread that N sound errors exceed with probability α at most."""
    return -float(special.stdtrit(replicas, false_alarm / (2 * max(comparisons, 1))))


def rounding(
    layer: Layer,
    arrays: Mapping[str, Any],
    arithmetic: Format | Contract,
    output: Format | None = None,
    forms: tuple[Layer, ...] = (),
    replicas: int = REPLICAS,
    seed: int = 0,
) -> Rounding:
    """Bound the rounding error of `layer(**arrays)` computed in `arithmetic` and stored in `output`.

    `forms` are other sound algorithms for the same outputs; the bound covers the widest that `policy` runs.

    `arrays` are float64 NumPy arrays (and plain numbers) by argument name; a contract stores each input as
    `Contract.arriving` says. `output` is by default the contract's own. Raises what the layer raises.
    """
    contract = as_contract(arithmetic)
    stored = arriving(arrays, contract)
    inexact = {n for n, x in stored.items() if isinstance(x, np.ndarray) and not np.array_equal(x, arrays[n])}
    policy = chosen(layer, forms, stored, contract, replicas)
    reference = np.asarray(policy.reference(**stored).o)
    size = row_norms(reference)
    size = np.where(size > 0, size, 1.0)  # errors are squared in units of the output: no overflow, no underflow
    mean_square = mean_squares(policy, stored, inexact, contract, reference, size, seed)
    # The float64 reference has rounding errors of its own, of the same spread scaled to its roundoff.
    own = (FORMATS["float64"].u / contract.finest.u) ** 2
    spread = size * np.sqrt(mean_square * (1 + own))
    spread = np.where(np.isfinite(spread), spread, np.inf)  # replicas that overflow decide nothing
    nearest = shadow(policy, layer, stored, contract, reference)
    factor = quantile(spread.size, policy.replicas)
    bound = np.fmax(factor * spread, BIAS * nearest) + _storage(reference, stored, contract, output or contract.output)
    undecided = bound >= row_norms(reference)
    bound = np.where(undecided & _lost(undecided, nearest, reference), np.inf, bound)
    return Rounding(reference, spread, nearest, bound, factor, contract, policy)


def _lost(undecided: np.ndarray, nearest: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Heads (..., 1) with an answer that are undecided at most positions, and LOST of them off by all of it to nearest.

    Errors there are no longer linear in the roundings, nor Gaussian: conjugate gradients that diverge in bfloat16.
    """
    size = row_norms(reference)
    answered = size > 0
    n, open_, off = (np.sum(answered & x, axis=-1, keepdims=True) for x in (True, undecided, nearest >= size))
    return (2 * open_ > n) & (off > LOST * n)


def _storage(reference: np.ndarray, stored: Mapping[str, Any], contract: Contract, output: Format) -> np.ndarray:
    """Rounding the output to a coarser format than it was computed in, and values lost to underflow in any role."""
    final = output.u * row_norms(reference) if output.u > contract.finest.u else 0.0
    values = row_norms(stored["v"]).reshape(*stored["q"].shape[:-1], -1).sum(axis=-1)  # a token may bring several
    operands = np.sum(np.abs(stored["q"]), axis=-1) + np.cumsum(values, axis=-1)
    return final + np.sqrt(reference.shape[-1]) * (output.floor + contract.floor * operands)
