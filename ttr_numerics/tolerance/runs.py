"""The layer's own code in a declared arithmetic, once, every operation rounded to nearest."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ttr_numerics.arrays import LinAlgError, quiet
from ttr_numerics.arrays.arithmetic import Rounding, Serial, Shortened
from ttr_numerics.arrays.rounded import rounded
from ttr_numerics.precision import FORMATS, MAGNIFIED, MAGNIFIED_BITS, Contract, Format, throughout
from ttr_numerics.tolerance.norms import row_norms
from ttr_numerics.tolerance.policy import Layer, Policy

__all__ = ["arriving", "as_contract", "run_as", "shadow"]


def run_as(layer: Layer, arrays: Mapping[str, Any], arithmetic: Format | Contract) -> np.ndarray:
    """o (..., T, d_v) of the layer's own code with every operation rounded to nearest as the contract says.

    The inputs are rounded as they arrive, and o to the output's format; float32 and float64 throughout are NumPy's.
    """
    contract = as_contract(arithmetic)
    return contract.output.nearest(_to_nearest(layer, arriving(arrays, contract), contract))


def as_contract(arithmetic: Format | Contract) -> Contract:
    """A format as the contract of it throughout."""
    return throughout(arithmetic) if isinstance(arithmetic, Format) else arithmetic


def arriving(arrays: Mapping[str, Any], contract: Contract) -> dict[str, Any]:
    """The arguments that are there, arrays rounded as they arrive."""
    given = {n: x for n, x in arrays.items() if x is not None}
    return {n: contract.arriving(n).nearest(x) if isinstance(x, np.ndarray) else x for n, x in given.items()}


def shadow(policy: Policy, layer: Layer, stored: Mapping[str, Any], contract: Contract, o: np.ndarray) -> np.ndarray:
    """The largest error (..., T) of the runs to nearest, from the reference o.

    Infinite where that of the layer itself overflows, or fails; what another form loses so does not count.
    """
    magnified = contract.magnified > 1  # float64 throughout: the layer's own run is the reference
    errors = []
    for form in policy.nearest:
        own = form is layer or layer not in policy.nearest
        run = _shortened(form, stored, o) if magnified and own else _run(_to_nearest, form, stored, contract, o)
        errors.append(_error(run, o, np.inf if own else 0.0))
    for form in policy.serial:
        run = _shortened(form, stored, o, Serial) if magnified else _run(_serial, form, stored, contract, o)
        errors.append(_error(run, o, 0.0))
    return np.max(errors, axis=0)


def _error(run: np.ndarray, o: np.ndarray, overflown: float) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):
        error = row_norms(run - o)
    return np.where(np.isfinite(error), error, overflown)


def _run(run: Any, form: Layer, stored: Mapping[str, Any], contract: Contract, o: np.ndarray) -> np.ndarray:
    """`run`, infinite where a matrix is no longer definite in this arithmetic."""
    try:
        return run(form, stored, contract)
    except LinAlgError:
        return np.full(o.shape, np.inf)


def _shortened(form: Layer, stored: Mapping[str, Any], o: np.ndarray, wrapper: Any = lambda x: x) -> np.ndarray:
    """o and the form's error with four bits fewer than float64, divided by 2⁴."""
    return o + (_emulated(form, stored, wrapper(Shortened(MAGNIFIED_BITS))) - o) / MAGNIFIED


def _to_nearest(layer: Layer, stored: Mapping[str, Any], contract: Contract) -> np.ndarray:
    """The layer run as the contract says: by NumPy where it has it, else every operation rounded to nearest."""
    if contract == throughout(FORMATS["float64"]):
        return np.asarray(layer(**stored).o)
    if contract == throughout(FORMATS["float32"]):
        with np.errstate(all="ignore"):
            run = layer(**{n: x.astype(np.float32) if isinstance(x, np.ndarray) else x for n, x in stored.items()})
        return np.asarray(run.o, dtype=np.float64)
    return _emulated(layer, stored, contract.nearest())


def _serial(layer: Layer, stored: Mapping[str, Any], contract: Contract) -> np.ndarray:
    """The same with sums taken term by term."""
    with quiet():
        return _emulated(layer, stored, Serial(contract.nearest()))


def _emulated(layer: Layer, stored: Mapping[str, Any], arithmetic: Rounding) -> np.ndarray:
    """The layer with every operation rounded."""
    arrays = {n: rounded(x, arithmetic) if isinstance(x, np.ndarray) else x for n, x in stored.items()}
    return np.asarray(layer(**arrays).o.x)
