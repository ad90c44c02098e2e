"""Precision as a cause: the declared contract broken in one role.

A contract is named where the layer's own code, emulated in it, errs as the output does: the two errors, in tolerances,
are correlated. Sizes alone name nothing, since errors of any origin can have them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from scipy import special

from ttr_numerics.arrays import LinAlgError
from ttr_numerics.precision import DTYPES, FORMATS, Contract, Format, throughout
from ttr_numerics.tolerance import FALSE_ALARM, Rounding, rounding, row_norms, run_as
from ttr_numerics.verdict.evidence import Evidence
from ttr_numerics.verdict.search import Explanation
from ttr_numerics.verdict.variants.states import by_chunks
from ttr_numerics.verdict.verdict import Word

__all__ = ["broken"]

_TOKENS = 48  # compared beyond the first wrong one: a coarser role shows at every token
_ALIKE = 0.4  # correlation of errors at least, however many entries they have
_SIZE = 2.0  # between the size of an error and of that share of it which the contract makes
_CHUNKS = (32, 128)
_STORED = ("float32", "bfloat16", "float16")
_COARSER = dict.fromkeys(("state", "gate", "residual", "accumulator", "output"), _STORED) | {
    "operands": ("float32", "tf32", "bfloat16", "float16")
}


@dataclass(frozen=True)
class _Tried:
    """A contract, in words, and the correlation of the errors it makes with those of the output."""

    key: str
    words: str
    alike: float


def broken(evidence: Evidence, bound: Rounding, contract: Contract, output: Format) -> Explanation | None:
    """The contract, one role coarser, in which the layer errs as the output does; those as like it are named too."""
    if not np.isfinite(evidence.o).all():
        return None
    rounded = _rounded_output(evidence, bound, output)
    if rounded is not None:
        return rounded
    narrow = _narrow(evidence, contract, output)
    if narrow is not None:
        return narrow
    T = min(evidence.T, evidence.first + _TOKENS) if evidence.row.causal else evidence.T
    short, unit = evidence.beginning(T), np.maximum(bound.bound[..., :T, None], np.finfo(float).tiny)
    error = ((short.o - bound.reference[..., :T, :]) / unit)[evidence.heads]
    exact = np.asarray(evidence.row.layer(**short.arrays).o)
    tried = [
        _Tried(key, words, max((_alike((o - exact) / unit, error, short.heads) for o in outputs), default=0.0))
        for key, words, outputs in (*_in_one_role(short, contract), *_in_softmax(short, contract))
    ]
    least = max(_ALIKE, _by_chance(error.size, len(tried)))
    ranked = sorted((t for t in tried if t.alike >= least), key=lambda t: -t.alike)
    if not ranked:
        return None
    best, *others = ranked
    as_like = [t.words for t in others if 1 - t.alike <= 1.5 * (1 - best.alike)][:3]
    also = f"; so does one with {', or '.join(as_like)}" if as_like else ""
    sentence = (
        f"{evidence.row.name} with {best.words} errs as this output does (correlation of errors {best.alike:.2f}), in "
        f"{contract.name} it does not{also}: declare that contract, or keep this one"
    )
    return Explanation(best.key, Word.CONVENTION, sentence)


def _grids(evidence: Evidence, output: Format) -> Iterator[str]:
    """Coarser formats that hold every number of the output."""
    for name in _COARSER["output"]:
        coarse = FORMATS[name]
        if coarse.precision < output.precision and np.array_equal(coarse.nearest(evidence.o), evidence.o):
            yield name


def _rounded_output(evidence: Evidence, bound: Rounding, output: Format) -> Explanation | None:
    """Every number of the output is one of a coarser format, and as near to the answer as that allows."""
    for name in _grids(evidence, output):
        coarse = FORMATS[name]
        allowed = bound.bound + coarse.u * row_norms(bound.reference) + np.sqrt(evidence.o.shape[-1]) * coarse.floor
        if (row_norms(evidence.o - bound.reference) <= allowed).all():
            words = f"the output stored in {name} on its way: every number of it is one of {name}"
            return Explanation(f"contract.output={name}", Word.CONVENTION, f"{evidence.row.name} with {words}")
    return None


def _narrow(evidence: Evidence, contract: Contract, output: Format) -> Explanation | None:
    """Every number of the output is one of a coarser format, and all within what that format makes throughout."""
    row = evidence.row
    for name in _grids(evidence, output):
        try:
            bound = rounding(row.layer, evidence.arrays, FORMATS[name], None, row.forms)
        except LinAlgError:
            continue
        if np.isfinite(bound.bound).all() and (row_norms(evidence.o - bound.reference) <= bound.bound).all():
            words = f"everything in {name}: every number of the output is one of {name}, and lies within its rounding"
            return Explanation(
                f"contract.dtype={name}", Word.CONVENTION, f"{row.name} with {words}, not within {contract.name}'s"
            )
    return None


def _in_one_role(evidence: Evidence, contract: Contract) -> Iterator[tuple[str, str, Iterator[np.ndarray]]]:
    """Key, words and emulated outputs: each role in each coarser format, and everything in a coarser dtype."""
    for role in ("state", "residual", "operands", "gate", "accumulator"):
        for name in _COARSER[role]:
            if FORMATS[name].precision < getattr(contract, role).precision:
                words = f"{'an' if role[0] in 'ao' else 'a'} {role} in {name}"
                outputs = _emulated(evidence, replace(contract, **{role: FORMATS[name]}))
                handed = _stored_by_chunks(evidence, FORMATS[name]) if role == "state" else iter(())
                yield f"contract.{role}={name}", words, chain(outputs, handed)
    for name in DTYPES:
        if FORMATS[name].precision < contract.finest.precision:
            yield f"contract.dtype={name}", f"everything in {name}", _emulated(evidence, throughout(FORMATS[name]))


def _emulated(evidence: Evidence, contract: Contract) -> Iterator[np.ndarray]:
    """The layer's own code and its forms in the contract."""
    for form in (evidence.row.layer, *evidence.row.forms):
        try:
            yield run_as(form, evidence.arrays, contract)
        except LinAlgError:
            continue


def _stored_by_chunks(evidence: Evidence, format: Format) -> Iterator[np.ndarray]:
    """The state stored between chunks of other lengths than those of the forms."""
    if evidence.row.causal and "initial_state" in evidence.row.optional:
        for chunk in _CHUNKS:
            if chunk < evidence.T:
                stored = by_chunks(evidence, chunk, lambda before, after, piece: format.nearest(after))
                yield np.asarray(stored(**evidence.arrays).o)


def _in_softmax(evidence: Evidence, contract: Contract) -> Iterator[tuple[str, str, Iterator[np.ndarray]]]:
    """Logits and weights of softmax attention in a coarser format, the sum of values as declared."""
    if evidence.row.name not in ("softmax_attention", "bidirectional_softmax_attention"):
        return
    for name in _COARSER["gate"]:
        if FORMATS[name].precision < contract.gate.precision:
            yield f"contract.softmax={name}", f"its softmax in {name}", iter((_softmax_in(evidence, FORMATS[name]),))


def _softmax_in(evidence: Evidence, format: Format) -> np.ndarray:
    """o = w v, w = e/Σe, e = exp(z - max z), z = q k', each rounded."""
    q, k, v = (evidence.arrays[n] for n in "qkv")
    z, place = q @ np.swapaxes(k, -1, -2), np.arange(evidence.T)
    if evidence.row.causal:
        z = np.where(place[:, None] >= place, z, -np.inf)
    z = _nearest(format, z)
    e = format.nearest(np.exp(_nearest(format, z - np.max(z, axis=-1, keepdims=True))))
    return np.asarray(format.nearest(e / format.nearest(np.sum(e, axis=-1, keepdims=True))) @ v)


def _nearest(format: Format, z: np.ndarray) -> np.ndarray:
    """z rounded, what is masked left alone."""
    return np.where(np.isfinite(z), format.nearest(np.where(np.isfinite(z), z, 0.0)), z)


def _by_chance(n: int, tried: int) -> float:
    """The correlation that some of `tried` errors unrelated to one of n entries exceeds once in 1/FALSE_ALARM outputs.

    r √(n - 1)/√(1 - r²) has Student's distribution with n - 1 degrees of freedom.
    """
    t = -float(special.stdtrit(max(n - 1, 1), FALSE_ALARM / max(tried, 1)))
    return t / float(np.hypot(np.sqrt(max(n - 1, 1)), t))


def _alike(made: np.ndarray, error: np.ndarray, heads: np.ndarray) -> float:
    """The correlation of the errors that a contract makes with those of the output; 0 where their sizes differ."""
    made = made[heads]
    with np.errstate(all="ignore"):
        together, own = np.sum(made * error), np.sum(made * made)  # NumPy's: 0/0 is NaN, which is not alike
        slope, alike = float(together / own), float(together / np.sqrt(own * np.sum(error * error)))
    return alike if 1 / _SIZE <= slope <= _SIZE else 0.0
