"""Variants of the gates: another logarithm, none, another token's or another head's, applied twice or not at all."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from ttr_numerics.verdict.evidence import Evidence
from ttr_numerics.verdict.variants.moved import other_heads, shifted
from ttr_numerics.verdict.variants.variant import Change, Variant
from ttr_numerics.verdict.verdict import Word

__all__ = ["GATES"]

_CLAMPS = (1.0, 5.0, 10.0, 20.0)


def _each(function: Callable[[np.ndarray], np.ndarray], evidence: Evidence) -> Iterator[Change]:
    """Every log gate g through a function."""
    for name in evidence.gates:
        yield Change(evidence.changed(**{name: function(evidence.arrays[name])}), name)


def _linear(evidence: Evidence) -> Iterator[Change]:
    """The decay is g itself, below 0: with s_t = Π sign g the state s_t S_t decays by |g| on rows s_t q, s_t k."""
    a = evidence.arrays
    if "log_decay" not in evidence.gates or a["k"].shape != a["q"].shape:
        return
    gate = a["log_decay"]
    sign = np.cumprod(np.where(gate < 0, -1.0, 1.0), axis=evidence.at)
    rows = evidence.row_factor(sign)
    arrays = evidence.changed(q=a["q"] * rows, k=a["k"] * rows, log_decay=np.log(np.abs(gate)))
    yield Change(arrays | {n: a[n] * rows for n in ("a", "b", "p") if n in a and np.ndim(a[n])}, "log_decay")


def _averaged(evidence: Evidence) -> Iterator[Change]:
    """One gate for all channels: their mean, or the first."""
    for name in evidence.gates:
        gate = evidence.arrays[name]
        if gate.ndim == evidence.o.ndim:
            yield Change(evidence.changed(**{name: np.mean(gate, axis=-1)}), name, "their mean")
            yield Change(evidence.changed(**{name: gate[..., 0]}), name, "the first")


def _clamped(evidence: Evidence) -> Iterator[Change]:
    for name in evidence.gates:
        for least in _CLAMPS:
            yield Change(evidence.changed(**{name: np.maximum(evidence.arrays[name], -least)}), name, f"{-least:g}")


def _moved(tokens: int, evidence: Evidence) -> Iterator[Change]:
    for name in evidence.gates:
        for x, words in shifted(evidence, name, tokens):
            yield Change(evidence.changed(**{name: x}), name, words)


def _of_other_heads(evidence: Evidence) -> Iterator[Change]:
    for name in evidence.gates:
        for x, words in other_heads(evidence, evidence.arrays[name]):
            yield Change(evidence.changed(**{name: x}), name, words)


def _without_input_gate(evidence: Evidence) -> Iterator[Change]:
    for name in ("log_input",):
        if name in evidence.arrays:
            yield Change(evidence.changed(**{name: np.zeros_like(evidence.arrays[name])}), name)


def _polynomial(evidence: Evidence) -> Iterator[Change]:
    """exp by the first terms of its series, where they are positive."""
    for name in evidence.gates:
        g, series, term = (
            evidence.arrays[name],
            np.ones_like(evidence.arrays[name]),
            np.ones_like(evidence.arrays[name]),
        )
        for degree in range(1, 6):
            term = term * g / degree
            series = series + term
            if degree > 1 and (series > 0).all():
                yield Change(evidence.changed(**{name: np.log(series)}), name, f"degree {degree}")


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, x)


GATES = (
    Variant("gate.base2", "{name}: the gate read as a base-2 logarithm", partial(_each, lambda g: g * np.log(2.0))),
    Variant(
        "gate.base2_inverse",
        "exp2 of a base-2 gate missing: the natural {name} divided by ln 2",
        partial(_each, lambda g: g / np.log(2.0)),
    ),
    Variant("gate.ignored", "the gate ignored ({name} taken as 0)", partial(_each, np.zeros_like)),
    Variant("gate.twice", "{name}: the gate applied twice", partial(_each, lambda g: 2 * g)),
    Variant("gate.root", "half of the gate: {name} over 2", partial(_each, lambda g: g / 2)),
    Variant("gate.linear", "the gate taken linear: exp of {name} forgotten", _linear),
    Variant("gate.exp_twice", "the exponential of {name} taken twice", partial(_each, np.exp)),
    Variant(
        "gate.first_order", "exp({name}) replaced by 1 + {name}", partial(_each, lambda g: np.log1p(np.maximum(g, -1)))
    ),
    Variant("gate.polynomial", "exp({name}) replaced by its series to {detail}", _polynomial),
    Variant(
        "gate.complement",
        "1 minus the gate in place of the gate {name}",
        partial(_each, lambda g: np.log(-np.expm1(g))),
    ),
    Variant("gate.log_sigmoid", "a log-sigmoid applied to {name} once more", partial(_each, lambda g: -_softplus(-g))),
    Variant("gate.softplus", "a softplus applied to {name} once more", partial(_each, lambda g: -_softplus(g))),
    Variant("gate.clamped", "{name} clamped at {detail}", _clamped),
    Variant("gate.scalar", "one gate for all channels of {name}: {detail}", _averaged),
    Variant("gate.late", "{name} late by one token{detail}", partial(_moved, 1), Word.WRONG),
    Variant("gate.early", "{name} early by one token{detail}", partial(_moved, -1), Word.WRONG),
    Variant("gate.other_head", "{name} of another head ({detail})", _of_other_heads, Word.WRONG),
    Variant("input_gate.ignored", "the gate ignored ({name} taken as 0)", _without_input_gate),
)
