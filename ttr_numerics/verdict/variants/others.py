"""Other layers on the same arrays: every row of the catalogue that takes them, and softmax of other weights."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ttr_numerics.pairs import Pairing, catalogue, pairing
from ttr_numerics.verdict.evidence import Evidence
from ttr_numerics.verdict.variants.variant import Change, Variant
from ttr_numerics.verdict.verdict import Word

__all__ = ["LAYERS", "SOFTMAX"]

# What each attention is once one of its arguments is forgotten, or once its weights are not divided by their sum.
_WITHOUT = {
    "sink_attention": ("softmax_attention", "the sink"),
    "sliding_window_attention": ("softmax_attention", "the window"),
    "forgetting_attention": ("softmax_attention", "the gate"),
}


def _as_row(evidence: Evidence, name: str, **extra: Any) -> Change:
    row = pairing(name)
    taken = {n: x for n, x in evidence.arrays.items() if n in ("q", "k", "v", *row.arrays, *row.optional)}
    return Change({**taken, **extra}, name, layer=row.layer, forms=row.forms)


def _unnormalised(evidence: Evidence) -> Iterator[Change]:
    if evidence.row.name == "softmax_attention":
        yield _as_row(evidence, "exponential_attention")
    if evidence.row.name == "normalized_linear_attention":
        yield _as_row(evidence, "linear_attention")


def _normalised(evidence: Evidence) -> Iterator[Change]:
    if evidence.row.name == "exponential_attention":
        yield _as_row(evidence, "softmax_attention")
    if evidence.row.name == "linear_attention":
        yield _as_row(evidence, "normalized_linear_attention")


def _off_by_one(evidence: Evidence) -> Iterator[Change]:
    if evidence.row.name == "softmax_attention":
        yield _as_row(evidence, "sink_attention", sink=0.0)


def _reduced(what: str, evidence: Evidence) -> Iterator[Change]:
    less, words = _WITHOUT.get(evidence.row.name, ("", ""))
    if words == what:
        yield _as_row(evidence, less)


def _other_rows(causal: bool, evidence: Evidence) -> Iterator[Change]:
    for row in catalogue():
        if (
            row.causal is causal
            and row.name != evidence.row.name
            and set(row.arrays) <= set(evidence.arrays)
            and _accepts(row, evidence.arrays)
        ):
            yield _as_row(evidence, row.name)


def _accepts(row: Pairing, arrays: dict[str, Any]) -> bool:
    """Whether every array has as many axes as one of the shapes that `row` declares for it."""
    batch = arrays["q"].ndim - 2
    return all(
        any(np.ndim(arrays[x.name]) in {batch + len(shape), len(shape)} for shape in x.shapes)
        for x in row.arguments
        if x.name in arrays
    )


SOFTMAX = (
    Variant("softmax.unnormalised", "weights not divided by their sum", _unnormalised),
    Variant("softmax.normalised", "weights divided by their sum", _normalised),
    Variant("softmax.sink", "an extra logit of 0 in the sum of weights (off by one)", _off_by_one),
    Variant("sink.ignored", "the sink ignored", partial(_reduced, "the sink"), Word.WRONG),
    Variant("window.ignored", "the window ignored", partial(_reduced, "the window"), Word.WRONG),
)
LAYERS = (
    Variant("layer.{name}", "{name}", partial(_other_rows, True), Word.OTHER_LAYER),
    Variant("layer.{name}", "{name}", partial(_other_rows, False), Word.OTHER_LAYER, whole=True),
)
