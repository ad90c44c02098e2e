"""Variants of step sizes: another gradient factor, another token's, missing where the state is erased or written."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from ttr_numerics.verdict.evidence import Evidence
from ttr_numerics.verdict.variants.moved import other_heads, shifted
from ttr_numerics.verdict.variants.variant import Change, Variant
from ttr_numerics.verdict.verdict import Word

__all__ = ["STEPS"]


def _each(function: Callable[[np.ndarray], np.ndarray], evidence: Evidence) -> Iterator[Change]:
    for name in evidence.steps:
        yield Change(evidence.changed(**{name: function(evidence.arrays[name])}), name)


def _mean_square(evidence: Evidence) -> Iterator[Change]:
    d_v = evidence.arrays["v"].shape[-1]
    for name in evidence.steps:
        yield Change(evidence.changed(**{name: evidence.arrays[name] * (2.0 / d_v)}), name)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0.0, -x))


def _moved(tokens: int, evidence: Evidence) -> Iterator[Change]:
    for name in evidence.steps:
        for x, words in shifted(evidence, name, tokens):
            yield Change(evidence.changed(**{name: x}), name, words)


def _of_other_heads(evidence: Evidence) -> Iterator[Change]:
    for name in evidence.steps:
        for x, words in other_heads(evidence, evidence.arrays[name]):
            yield Change(evidence.changed(**{name: x}), name, words)


def _corrections(evidence: Evidence) -> Iterator[tuple[str, np.ndarray]]:
    """Names of steps β of a correction k'β(v - kS), as factors of values."""
    for name in evidence.steps:
        x = evidence.arrays[name]
        if x.shape == evidence.arrays["v"].shape[:-1]:
            yield name, x[..., None]


def _erase_only(evidence: Evidence) -> Iterator[Change]:
    """k'(v - β k S): the values over β."""
    for name, beta in _corrections(evidence):
        if beta.all():
            yield Change(evidence.changed(v=evidence.arrays["v"] / beta), name)


def _write_only(evidence: Evidence) -> Iterator[Change]:
    """k'(β v - k S): a step of 1 on values times β."""
    for name, beta in _corrections(evidence):
        v = evidence.arrays["v"] * beta
        yield Change(evidence.changed(**{name: np.ones_like(evidence.arrays[name]), "v": v}), name)


STEPS = (
    Variant("step.doubled", "{name} times 2: another gradient factor", partial(_each, lambda b: 2 * b)),
    Variant("step.halved", "{name} times 1/2: another gradient factor", partial(_each, lambda b: b / 2)),
    Variant("step.two_over_d", "{name} times 2/d_v: another gradient factor", _mean_square),
    Variant("step.sigmoid", "{name} sent through a sigmoid", partial(_each, _sigmoid)),
    Variant("step.ignored", "{name} ignored: steps of 1", partial(_each, np.ones_like)),
    Variant("step.squared", "{name} applied twice", partial(_each, lambda b: b * b)),
    Variant("step.late", "{name} late by one token{detail}", partial(_moved, 1), Word.WRONG),
    Variant("step.early", "{name} early by one token{detail}", partial(_moved, -1), Word.WRONG),
    Variant("step.other_head", "{name} of another head ({detail})", _of_other_heads, Word.WRONG),
    Variant("step.erase_only", "{name} in what is erased but not in what is written", _erase_only),
    Variant("step.write_only", "{name} in what is written but not in what is erased", _write_only),
)
