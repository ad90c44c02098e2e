"""Where one layer is another: the subject on those arrays against the other layer's reference, an independent formula.

    gates of 1: gated delta rule = delta rule      p = k: Comba = delta rule      window 1: Omega rule = delta rule

The catalogue's derivations prove each by the layers' recurrences; the probe asks of the two references that they agree.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ttr_numerics.pairs import Pairing, pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.probes.probe import Found, NotApplicable, Probe, bound_of, check_domain, drawn, mutated, within
from ttr_numerics.probes.subject import Subject
from ttr_numerics.tolerance import row_norms
from ttr_numerics.verdict import Word

__all__ = ["REDUCTIONS", "TABLE", "Reduction"]

Arrays = dict[str, Any]
CLOSED = -60.0  # e^-60 adds nothing in any format, and is no reset
FAR = 2.0**15  # an error or a threshold that is never reached, which every format can hold


@dataclass(frozen=True)
class Reduction:
    """`row`'s layer where `set` gives those values is the layer called `other`, on the arrays `read` from them."""

    row: str
    words: str
    set: Callable[[Arrays], Arrays]
    other: str
    read: Callable[[Arrays], Arrays]


def _all(**values: float) -> Callable[[Arrays], Arrays]:
    """Every entry of each array at one value; numbers as they are."""
    return lambda a: {n: np.full_like(a[n], x) if isinstance(a[n], np.ndarray) else x for n, x in values.items()}


def _kept(*names: str, **renamed: str) -> Callable[[Arrays], Arrays]:
    """The arrays of these names, and others under new ones (new = old)."""
    return lambda a: {n: a[n] for n in ("q", "k", "v", *names)} | {new: a[old] for new, old in renamed.items()}


def _steps(a: Arrays) -> np.ndarray:
    """Step sizes (..., T, 1) that the drawn erase gates bring: that of the first channel, for all."""
    return a["erase"][..., :1]


TABLE = (
    Reduction("gated_linear_attention", "gates of 1", _all(log_decay=0.0), "linear_attention", _kept()),
    Reduction("rwkv6", "gates and a bonus of 1", _all(log_decay=0.0, bonus=1.0), "linear_attention", _kept()),
    Reduction("gated_delta_rule", "gates of 1", _all(log_decay=0.0), "delta_rule", _kept("beta")),
    Reduction(
        "erase_write_delta_rule",
        "one gate for what is erased and written",
        lambda a: {n: np.broadcast_to(_steps(a), a[n].shape).copy() for n in ("erase", "write")},
        "gated_delta_rule",
        lambda a: _kept("log_decay")(a) | {"beta": a["erase"][..., 0]},
    ),
    Reduction(
        "comba",
        "p = k and gates of 1",
        lambda a: {"p": a["k"].copy(), "log_decay": np.zeros_like(a["log_decay"])},
        "delta_rule",
        _kept("beta"),
    ),
    Reduction(
        "gated_delta_product",
        "steps of 0 for all but the first key of a token",
        lambda a: {"beta": a["beta"] * (np.arange(a["beta"].shape[-1]) == 0)},
        "gated_delta_rule",
        lambda a: (
            {"q": a["q"], "log_decay": a["log_decay"], "beta": a["beta"][..., 0]} | {n: a[n][..., 0, :] for n in "kv"}
        ),
    ),
    Reduction(
        "generalized_delta_rule",
        "b = k, a = -k and gates of 1",
        lambda a: {"a": -a["k"], "b": a["k"].copy(), "log_decay": np.zeros_like(a["log_decay"])},
        "delta_rule",
        lambda a: _kept()(a) | {"beta": np.ones_like(a["q"][..., 0])},
    ),
    Reduction(
        "kaczmarz_delta_rule",
        "one-hot keys",
        lambda a: {"k": np.eye(a["k"].shape[-1])[np.argmax(a["k"], axis=-1)]},
        "delta_rule",
        _kept(beta="step"),
    ),
    Reduction("momentum_delta_rule", "no momentum", _all(log_momentum=CLOSED), "delta_rule", _kept("beta")),
    Reduction("ttt_linear", "mini-batches of one token", _all(batch=1), "delta_rule", _kept(beta="eta")),
    Reduction(
        "titans",
        "no momentum, gates of 1",
        _all(log_momentum=CLOSED, log_decay=0.0),
        "delta_rule",
        lambda a: _kept()(a) | {"beta": 2 * a["theta"]},
    ),
    Reduction("omega_rule", "a window of one token", _all(window=1), "delta_rule", _kept("beta")),
    Reduction("huber_delta_rule", "a threshold never reached", _all(delta=FAR), "delta_rule", _kept("beta")),
    Reduction("entrywise_huber_delta_rule", "a threshold never reached", _all(delta=FAR), "delta_rule", _kept("beta")),
    Reduction("lp_delta_rule", "p = 2", _all(p=2.0), "delta_rule", _kept("beta")),
    Reduction("forgetting_attention", "gates of 1", _all(log_decay=0.0), "softmax_attention", _kept()),
    Reduction("sink_attention", "a sink of no weight", _all(sink=CLOSED), "softmax_attention", _kept()),
    Reduction("sliding_window_attention", "a window of all tokens", _all(window=24), "softmax_attention", _kept()),
    Reduction("hopfield", "one step, temperature 1", _all(beta=1.0, steps=1), "softmax_attention", _kept()),
    Reduction("parallax", "probes of zero", _all(probe=0.0), "softmax_attention", _kept()),
    Reduction("local_polynomial_attention", "degree 1", _all(degree=1), "local_linear_attention", _kept("ridge")),
)


def _reduced(subject: Subject, rng: np.random.Generator) -> Found:
    reduction = next((r for r in TABLE if r.row == subject.row.name), None)
    if reduction is None:
        raise NotApplicable(f"{subject.row.name} is no other layer anywhere")
    arrays = drawn(subject, rng)
    case = subject.case(arrays | reduction.set(arrays))
    check_domain(subject, case)
    other = np.asarray(pairing(reduction.other).layer(**reduction.read(case.ours)).o)
    bound = bound_of(subject, case)
    apart = row_norms(other - bound.reference)
    if (apart > np.sqrt(FORMATS["float64"].u) * np.max(row_norms(other))).any():
        raise NotApplicable(f"{reduction.words} are not exact in {subject.dtype}")
    good, ratio, first = within(subject.answer(case).o, other, bound.bound + apart)
    if good:
        return Found(Word.ROUNDING, (f"with {reduction.words} it is {reduction.other}",), ratio)
    return Found(Word.WRONG, (f"with {reduction.words} it is not {reduction.other}, first at {first}",), ratio)


def _never_neutral(row: Pairing) -> Callable[..., Any]:
    """The layer with a twentieth more at every token, and a hundredth."""
    return mutated(row, lambda out, a: 1.05 * out.o + 0.01)


REDUCTIONS = (
    Probe("reduction", "where it is a simpler layer it equals that", _reduced, _never_neutral, tags=("law",)),
)
