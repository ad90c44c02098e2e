"""Variants of numbers and whole arguments: a ridge missing, another count of steps, an argument that is not used."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ttr_numerics.arguments import Domain
from ttr_numerics.verdict.evidence import Evidence
from ttr_numerics.verdict.variants.variant import Change, Variant
from ttr_numerics.verdict.verdict import Word

__all__ = ["NUMBERS"]

_INVISIBLE = 2.0**-40  # of a ridge
_COUNTS = (*range(1, 9), 10, 16, 20)  # tried where none is given


def _ridge(function: Callable[[Any], Any], evidence: Evidence) -> Iterator[Change]:
    if "ridge" in evidence.arrays:
        yield Change(evidence.changed(ridge=function(evidence.arrays["ridge"])))


def _no_ridge(evidence: Evidence) -> Iterator[Change]:
    """A ridge that no digit shows, at tokens enough: before, a problem without has no answer."""
    if "ridge" in evidence.arrays:
        d = evidence.arrays["q"].shape[-1]
        rows = slice(2 * d, None) if evidence.row.causal else slice(None)
        if 2 * d < evidence.T:
            yield Change(
                evidence.changed(ridge=evidence.arrays["ridge"] * _INVISIBLE),
                rows=rows,
                place=lambda o: o[..., rows, :],
            )


def _growing(evidence: Evidence) -> Iterator[Change]:
    """ridge t at token t: copies of the sequence, the ridge of each that of the one token taken from it."""
    ridge, T = evidence.arrays.get("ridge"), evidence.T
    if ridge is None or evidence.o.size * T * evidence.arrays["q"].shape[-1] > 1 << 22:
        return
    tokens = np.arange(1.0, T + 1)
    d, batch = evidence.arrays["q"].shape[-1], evidence.o.shape[:-2]
    scaled = tokens.reshape(-1, *(1,) * (len(batch) + 1)) * np.broadcast_to(ridge, (*batch, d))
    copies = {n: np.broadcast_to(x, (T, *x.shape)) if np.ndim(x) else x for n, x in evidence.arrays.items()}
    yield Change(
        {**copies, "ridge": scaled}, place=lambda o: np.moveaxis(np.diagonal(o, axis1=0, axis2=o.ndim - 2), -1, -2)
    )


def _counted(evidence: Evidence) -> Iterator[Change]:
    """Every whole number near the one given; a few where the layer's own number serves."""
    for x in evidence.row.arguments:
        if x.domain is Domain.COUNT and x.name in evidence.arrays:
            given = int(evidence.arrays[x.name])
            near = {*range(1, min(given, 8) + 3), *range(given - 2, given + 3), 2 * given, given // 2}
            near |= {evidence.whole.T} if x.name in ("window", "batch") else set()
            for count in sorted(n for n in near if n > 0 and n != given):
                yield Change(evidence.changed(**{x.name: count}), x.name, f"{count} and not {given}")
        elif x.domain is Domain.COUNT:
            for count in _COUNTS:
                yield Change(evidence.changed(**{x.name: count}), x.name, f"{count} and not the layer's own number")


def _not_used(evidence: Evidence) -> Iterator[Change]:
    """Optional arguments left out."""
    for name in evidence.row.optional:
        if name in evidence.arrays and name != "initial_state":
            yield Change(evidence.without(name), name)


def _neutral(names: tuple[str, ...], value: float, evidence: Evidence) -> Iterator[Change]:
    for name in names:
        if name in evidence.arrays:
            x = evidence.arrays[name]
            yield Change(evidence.changed(**{name: np.full_like(x, value) if np.ndim(x) else value}), name)


NUMBERS = (
    Variant("ridge.missing", "the ridge missing", _no_ridge),
    Variant("ridge.squared", "the ridge squared", partial(_ridge, lambda r: r * r)),
    Variant("ridge.length", "the ridge times t at token t: a mean in place of a sum of squares", _growing),
    Variant("{name}.count", "{name} {detail}", _counted, Word.WRONG),
    Variant("{name}.ignored", "{name} ignored", _not_used, Word.WRONG),
    Variant("{name}.ignored", "{name} ignored (1)", partial(_neutral, ("gain", "bonus"), 1.0), Word.WRONG),
    Variant("{name}.ignored", "{name} ignored (0)", partial(_neutral, ("shift", "bonus", "eps"), 0.0), Word.WRONG),
)
