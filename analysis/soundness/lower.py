"""The same computation one precision lower: it has to fail at least one probe."""

from collections.abc import Callable
from typing import Any

from ttr_numerics.arrays import quiet
from ttr_numerics.convention import Convention
from ttr_numerics.pairs import Pairing, pairing
from ttr_numerics.precision import FORMATS, lower
from ttr_numerics.probes import PROBES, Here, Subject
from ttr_numerics.probes.battery import examined
from ttr_numerics.tolerance import run_as

__all__ = ["first_to_fail"]


def first_to_fail(layer: str, dtype: str, seed: int) -> dict[str, Any]:
    """Which probe is the first to see it, the quick ones asked first; `probe` None where none does."""
    row = pairing(layer)
    subject = Subject(Here(_lowered(row, dtype)), row, Convention(), dtype, "numpy")
    asked = 0
    for finding in examined(subject, sorted(PROBES, key=lambda p: not p.quick), seed):
        asked += finding.word is not None
        if finding.wrong:
            return _row(layer, dtype, finding.probe, asked)
    return _row(layer, dtype, None, asked)


def _row(layer: str, dtype: str, probe: str | None, asked: int) -> dict[str, Any]:
    return {"layer": layer, "format": dtype, "lower": lower(FORMATS[dtype]).name, "probe": probe, "asked": asked}


def _lowered(row: Pairing, dtype: str) -> Callable[..., Any]:
    """The layer's own code with every operation rounded to nearest, one precision lower."""

    def layer(q: Any, k: Any, v: Any, **named: Any) -> Any:
        given = {"q": q, "k": k, "v": v, **named}
        wide = {n: x.astype("float64") if hasattr(x, "astype") else x for n, x in given.items() if x is not None}
        with quiet():
            return run_as(row.layer, wide, lower(FORMATS[dtype])).astype(q.dtype)

    return layer
