"""The measurement, as a study: cells of a layer, a format and a regime, and of a layer one precision lower."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from analysis.journal import measured_rows
from analysis.soundness import faults, forms
from analysis.soundness.lower import first_to_fail
from ttr_numerics.arrays import LinAlgError, quiet
from ttr_numerics.convention import Convention
from ttr_numerics.pairs import catalogue, pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.probes import Here, NotApplicable, Subject
from ttr_numerics.probes.probe import check_domain, drawn
from ttr_numerics.probes.regimes import TABLE, Regime
from ttr_numerics.study import Grid, Study
from ttr_numerics.tolerance import Rounding, rounding, row_norms

__all__ = ["DTYPES", "FAULTS", "SEED", "SIZES", "STUDY", "measure", "measure_cell"]

SEED = 20265
DTYPES = ("float64", "float32", "float16", "bfloat16")
FAULTS = 4  # graded faults a cell
DETECTABLE = 10  # multiples of the largest error of a sound form at the token: from there a fault has to be caught
SIZES = {"T": (24, 96), "d": (4, 16)}
LAYERS = tuple(row.name for row in catalogue())
REGIMES = tuple(regime.name for regime in TABLE if regime.quick)

Row = dict[str, Any]


def measure_cell(cell: dict[str, Any], rng: np.random.Generator) -> list[Row]:
    """The sound forms and the graded faults of a regime, nothing where it does not apply; or one precision lower."""
    if cell["regime"] == "one precision lower":
        return [first_to_fail(cell["layer"], cell["format"], SEED)]
    return _regime(cell["layer"], cell["format"], cell["regime"], rng)


STUDY = Study(
    "soundness",
    "Does the derived tolerance accuse sound code, and does it let faults pass?",
    measure_cell,
    (Grid({"layer": LAYERS, "format": DTYPES, "regime": (*REGIMES, "one precision lower")}),),
    SEED,
)


def measure(progress: Callable[..., Iterable[Any]]) -> list[Row]:
    """The rows of every cell, in the order of the grid."""
    return measured_rows(STUDY, progress)


def _regime(layer: str, dtype: str, regime: str, rng: np.random.Generator) -> list[Row]:
    row, found = pairing(layer), next(r for r in TABLE if r.name == regime)
    subject = Subject(Here(row.layer), row, Convention(), dtype, "numpy")
    try:
        arrays = _inputs(found, subject, rng)
        with quiet():
            bound = rounding(row.layer, arrays, FORMATS[dtype], forms=row.forms)
    except (NotApplicable, LinAlgError):
        return []
    errors = {name: _error(o, bound) for name, o in forms.outputs(row, arrays, dtype)}
    if not errors:  # every form refuses
        return []
    runs = [_judged(error, bound) for error in errors.values()]
    worst = max(errors, key=lambda name: _ratio(errors[name], bound))
    sound = {
        "layer": layer,
        "format": dtype,
        "regime": regime,
        "tokens": arrays["q"].shape[-2],
        "runs": len(runs),
        "accused": sum(word == "wrong" for word in runs),
        "inconclusive": sum(word == "inconclusive" for word in runs),
        "worst_ratio": _ratio(errors[worst], bound),
        "worst_form": worst,
    }
    return [sound | _sharpness(subject, arrays, bound, np.max(list(errors.values()), axis=0), rng)]


def _inputs(regime: Regime, subject: Subject, rng: np.random.Generator) -> dict[str, Any]:
    """The regime's arrays at a drawn size, rounded to the format, where the layer itself has an answer."""
    sizes = {"T": int(rng.integers(*SIZES["T"])), **{n: int(rng.integers(*SIZES["d"])) for n in ("d_k", "d_v")}}
    case = subject.case(regime.change(subject, drawn(subject, rng, (1, 2), **sizes | dict(regime.axes)), rng))
    check_domain(subject, case)
    return case.ours


def _error(o: np.ndarray, bound: Rounding) -> np.ndarray:
    """‖o_t - reference_t‖ (..., T), infinite where o is not finite."""
    finite = np.isfinite(o).all(axis=-1)
    return np.where(finite, row_norms(np.where(finite[..., None], o, 0.0) - bound.reference), np.inf)


def _judged(error: np.ndarray, bound: Rounding) -> str:
    """As `check` judges: wrong, inconclusive (more than half of some head's positions), or right."""
    if (error > bound.bound).any():
        return "wrong"
    size = row_norms(bound.reference)
    undecided = (bound.bound >= size) & ((size > 0) | (size == 0).all(axis=-1, keepdims=True))
    return "inconclusive" if (undecided.mean(axis=-1) > 0.5).any() else "right"


def _ratio(error: np.ndarray, bound: Rounding) -> float:
    allowed = np.where(bound.bound > 0, bound.bound, np.finfo(float).tiny)
    with np.errstate(over="ignore", invalid="ignore"):
        ratio = np.where((error == 0) | np.isinf(bound.bound), 0.0, error / allowed)
    return float(np.max(ratio, initial=0.0))


def _sharpness(
    subject: Subject, arrays: dict[str, Any], bound: Rounding, sound: np.ndarray, rng: np.random.Generator
) -> Row:
    """Graded faults: how many had to be caught, how many of them were, and how many passed above the printed limit.

    One sound form may be right at a token by luck; a *typical* error there is the spread of the replicas too.
    """
    counts = dict.fromkeys(("owed", "caught", "typical", "typical_caught", "small", "passed_above_limit"), 0)
    for _ in range(FAULTS):
        fault = faults.drawn(subject.row, arrays, rng)
        faulty = subject.case(fault.made(subject.row, arrays)).ours
        try:
            with quiet():
                effect = _error(np.asarray(subject.row.layer(**faulty).o), bound)
                o = next((o for _, o in forms.outputs(subject.row, faulty, subject.dtype)), None)
        except (ValueError, LinAlgError):  # outside of the layer's domain
            continue
        if o is None:
            continue
        missed = not (_error(o, bound) > bound.bound).any()
        owed = bool((effect > DETECTABLE * sound).any())
        counts["owed"] += owed
        counts["caught"] += owed and not missed
        typical = bool((effect > DETECTABLE * np.maximum(bound.spread, sound)).any())
        counts["typical"] += typical
        counts["typical_caught"] += typical and not missed
        counts["small"] += not owed
        counts["passed_above_limit"] += missed and bool((effect > 2 * bound.bound).any())
    return counts
