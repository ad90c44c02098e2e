"""Variants with one unknown number: an argument times a factor, found by Gauss-Newton steps from 1.

c ← c + ⟨J, o - f(c)⟩ / ⟨J, J⟩,   J = (f(c(1 + h)) - f(c)) / (c h)
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ttr_numerics.convention import L2Norm
from ttr_numerics.verdict.evidence import Evidence
from ttr_numerics.verdict.variants.border import before_normalisation
from ttr_numerics.verdict.variants.variant import Arrays, Candidate, Change
from ttr_numerics.verdict.verdict import Word

__all__ = ["fitted"]

_STEPS = 8
_EPS = L2Norm().eps
_H = 1e-5  # relative difference of the slope
_KEYS = {"q": "scale.factor", "k": "keys.factor", "v": "values.factor", "initial_state": "state.factor"}


@dataclass(frozen=True)
class _Family:
    """`arrays(c)` for a number c > 0 to be found from `start`; `words` hold {c}."""

    cause: str
    name: str
    words: str
    arrays: Callable[[float], Arrays]
    start: float = 1.0


def fitted(evidence: Evidence, allowed: np.ndarray, only: Candidate | None = None) -> Iterator[Candidate]:
    """Each family at the number that fits best, with weights 1/allowed² (..., T); `only` that of one candidate."""
    for family in _families(evidence):
        if only is not None and (only.cause, only.change.name) != (family.cause, family.name):
            continue
        c = _best(family, evidence, allowed, family.start if only is None else float(only.change.detail))
        if c is not None:
            words = f"{evidence.row.name} with {family.words.format(c=f'{c:.6g}')}{_known(c, evidence)}"
            change = Change(family.arrays(c), family.name, repr(c))
            yield Candidate(family.cause, words, Word.CONVENTION, evidence.row.layer, evidence.row.forms, change)


def _families(evidence: Evidence) -> Iterator[_Family]:
    for name, x in evidence.arrays.items():
        if name not in evidence.counts and np.any(x):
            yield _Family(_key(name, evidence), name, f"{name} times {{c}}", _times(evidence, name, x))
    for names in ("q", "k", "qk"):
        origin = {n: before_normalisation(evidence.arrays[n]) for n in names}
        if not any(x is None for x in origin.values()):
            words = f"{' and '.join(names)} normalised with eps {{c}}, not the {_EPS:.0e} declared"
            yield _Family("norm.eps", names, words, _normalised(evidence, origin), 1e3 * _EPS)


def _times(evidence: Evidence, name: str, x: np.ndarray) -> Callable[[float], Arrays]:
    return lambda c: evidence.changed(**{name: x * c})


def _normalised(evidence: Evidence, rows: Arrays) -> Callable[[float], Arrays]:
    return lambda c: evidence.changed(**{n: L2Norm(c).ours(x) for n, x in rows.items()})


def _key(name: str, evidence: Evidence) -> str:
    kind = "gate" if name in evidence.gates else "step" if name in evidence.steps else name
    return _KEYS.get(name, f"{kind}.factor")


def _best(family: _Family, evidence: Evidence, allowed: np.ndarray, c: float) -> float | None:
    weight, begun = (1 / allowed)[..., None], c

    def output(c: float) -> np.ndarray:
        return np.asarray(evidence.row.layer(**family.arrays(c)).o)

    for _ in range(_STEPS):
        try:
            here, beside = output(c), output(c * (1 + _H))
        except (ValueError, ZeroDivisionError, OverflowError):
            return None
        slope, left = (beside - here) / (c * _H) * weight, (evidence.o - here) * weight
        total = float(np.sum(slope * slope))
        if not (np.isfinite(total) and total and np.isfinite(left).all()):
            return None
        step = float(np.clip(np.sum(slope * left) / total, -0.9 * abs(c), 9 * abs(c)))  # c keeps its sign
        c += step
        if abs(step) <= np.sqrt(np.finfo(float).eps) * abs(c):
            break
    same = family.start == 1 and abs(c - 1) <= np.sqrt(np.finfo(float).eps)
    return None if same or not np.isfinite(c + begun) else c


def _known(factor: float, evidence: Evidence) -> str:
    """The constant that a factor is to a thousandth."""
    d, T = evidence.arrays["q"].shape[-1], evidence.T
    known = {"√d": d**0.5, "1/√d": d**-0.5, "d": d, "1/d": 1 / d, "T": T, "1/T": 1 / T, "ln 2": np.log(2)}
    known |= {"1/ln 2": 1 / np.log(2), "2": 2.0, "1/2": 0.5}
    return next((f" (about {name})" for name, x in known.items() if abs(factor / x - 1) < 1e-3), "")
