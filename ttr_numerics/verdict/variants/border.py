"""Variants of the border: the scale of q·k, normalisation of rows, queries, keys and values exchanged."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from ttr_numerics.convention import L2Norm
from ttr_numerics.pairs import pairing
from ttr_numerics.verdict.evidence import Evidence
from ttr_numerics.verdict.variants.variant import Change, Variant
from ttr_numerics.verdict.verdict import Word

__all__ = ["BORDER", "before_normalisation"]

_NEARLY = 0.9  # of length 1, squared: rows shorter than about 3 √eps before are not recognised


def _scaled(name: str, power: float, evidence: Evidence) -> Iterator[Change]:
    """x times d_k^power."""
    x = evidence.arrays[name]
    yield Change(evidence.changed(**{name: x * float(evidence.arrays["q"].shape[-1]) ** power}))


def _unit(x: np.ndarray, eps: float) -> np.ndarray:
    return x / np.sqrt(np.sum(x * x, axis=-1, keepdims=True) + eps)


def _normalised(names: str, evidence: Evidence) -> Iterator[Change]:
    """Rows divided by √(‖x‖² + eps)."""
    for eps in (1e-6, 1e-5, 1e-12):
        unit = {n: _unit(evidence.arrays[n], eps) for n in names}
        yield Change(evidence.changed(**unit), detail=f"eps {eps:.0e}")


def before_normalisation(x: np.ndarray) -> np.ndarray | None:
    """The rows that a declared L2 norm brought to lengths just below 1, as its eps tells; None where none did."""
    squares = np.sum(x * x, axis=-1)
    return L2Norm().theirs(x) if ((squares < 1) & (squares > _NEARLY)).all() else None


def _not_normalised(names: str, evidence: Evidence) -> Iterator[Change]:
    rows = {n: before_normalisation(evidence.arrays[n]) for n in names}
    if not any(x is None for x in rows.values()):
        yield Change(evidence.changed(**rows))


def _half_normalised(erase: bool, evidence: Evidence) -> Iterator[Change]:
    """S̄ + w k'(v - e S̄) with the key normalised in e alone, or in k' alone: a delta rule with gates of its own."""
    a, row = evidence.arrays, pairing("erase_write_delta_rule")
    if evidence.row.name not in ("delta_rule", "gated_delta_rule"):
        return
    length = np.linalg.norm(a["k"], axis=-1, keepdims=True) + np.zeros_like(a["k"])
    if not length.all():
        return
    beta = a["beta"][..., None]
    arrays = {n: x for n, x in a.items() if n != "beta"}
    arrays["erase"] = beta / length if erase else beta * length
    arrays["k"] = a["k"] if erase else a["k"] / length
    arrays["write"] = beta + np.zeros_like(a["v"])
    arrays.setdefault("log_decay", np.zeros(beta.shape[:-1]))
    yield Change(arrays, layer=row.layer, forms=row.forms)


def _exchanged(one: str, other: str, evidence: Evidence) -> Iterator[Change]:
    x, y = evidence.arrays[one], evidence.arrays[other]
    if x.shape == y.shape:
        yield Change(evidence.changed(**{one: y, other: x}))


BORDER = (
    Variant(
        "scale.inverse_root",
        "q·k divided by √d: if that scale is meant, declare it (--scale '1/sqrt(d)')",
        partial(_scaled, "q", -0.5),
    ),
    Variant("scale.root", "q·k multiplied by √d: a factor 1/√d is missing", partial(_scaled, "q", 0.5)),
    Variant("scale.inverse", "q·k divided by d, where √d is usual", partial(_scaled, "q", -1.0)),
    Variant("scale.keys", "keys divided by √d, in every role they have", partial(_scaled, "k", -0.5)),
    Variant("norm.qk", "q and k normalised inside ({detail}): declare it, or do not", partial(_normalised, "qk")),
    Variant("norm.k", "k alone normalised inside ({detail})", partial(_normalised, "k")),
    Variant("norm.q", "q alone normalised inside ({detail})", partial(_normalised, "q")),
    *(
        Variant(
            "norm.missing", f"the declared l2 norm of {' and '.join(names)} missing", partial(_not_normalised, names)
        )
        for names in ("q", "k", "qk")
    ),
    Variant(
        "erase.normalised", "the key normalised where it erases, not where it writes", partial(_half_normalised, True)
    ),
    Variant(
        "write.normalised", "the key normalised where it writes, not where it erases", partial(_half_normalised, False)
    ),
    Variant("qk.exchanged", "q and k exchanged", partial(_exchanged, "q", "k"), Word.WRONG),
    Variant("kv.exchanged", "k and v exchanged", partial(_exchanged, "k", "v"), Word.WRONG),
)
