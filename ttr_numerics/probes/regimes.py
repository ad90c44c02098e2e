"""Agreement with the float64 layer in regimes where implementations break, each to a derived tolerance."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ttr_numerics.arguments import Domain
from ttr_numerics.pairs import Pairing
from ttr_numerics.probes.probe import NotApplicable, Probe, check_domain, drawn, mutated
from ttr_numerics.probes.subject import Subject
from ttr_numerics.problem import Problem
from ttr_numerics.verdict import Word, judged

__all__ = ["REGIMES"]

Arrays = dict[str, Any]


@dataclass(frozen=True)
class _Regime:
    name: str
    claim: str
    change: Callable[[Subject, Arrays, np.random.Generator], Arrays]
    axes: tuple[tuple[str, int], ...] = ()
    quick: bool = True


def _examine(regime: _Regime, subject: Subject, rng: np.random.Generator) -> tuple[Word, tuple[str, ...], float]:
    case = subject.case(regime.change(subject, drawn(subject, rng, (1, 2), **dict(regime.axes)), rng))
    check_domain(subject, case)
    answer = subject.answer(case)
    verdict, _ = judged(Problem(subject.row, case.ours, answer.o, subject.dtype), subject.dtype)
    return verdict.word, verdict.reasons, float(np.max(verdict.ratio))


def _gates(subject: Subject, arrays: Arrays, value: float) -> Arrays:
    """Every gate at one value; an optional one too, where the subject takes it."""
    row, shape = subject.row, arrays["q"].shape[:-1]
    gates = [x for x in row.arguments if x.domain is Domain.LOG_GATE]
    if not gates:
        raise NotApplicable(f"{row.name} has no gate")
    taken = [x.name for x in gates if x.name in arrays or subject.takes(x.name)]
    if not taken:
        raise NotApplicable(f"the gate of {row.name} is optional, and the subject takes none")
    return {**arrays, **{n: np.full(arrays[n].shape if n in arrays else shape, value) for n in taken}}


def _beta(subject: Subject, arrays: Arrays, value: float) -> Arrays:
    if "beta" not in subject.row.arrays or np.ndim(arrays["beta"]) < arrays["q"].ndim - 1:
        raise NotApplicable(f"{subject.row.name} takes no step sizes called beta")
    beta = arrays["beta"].copy()
    beta[(slice(None),) * _axis(arrays) + (slice(8, None),)] = value  # the first tokens write something to read
    return {**arrays, "beta": beta}


def _keys(arrays: Arrays, k: np.ndarray) -> Arrays:
    return {**arrays, "k": k}


def _axis(arrays: Arrays) -> int:
    return arrays["q"].ndim - 2


def _repeated(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    return _keys(arrays, np.repeat(arrays["k"].take([0], _axis(arrays)), arrays["q"].shape[-2], axis=_axis(arrays)))


def _parallel(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    k = _repeated(subject, arrays, rng)["k"]
    k = k + 0.01 * rng.standard_normal(k.shape) / np.sqrt(k.shape[-1])
    return _keys(arrays, k / np.linalg.norm(k, axis=-1, keepdims=True))


def _some_zero(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    k, at = arrays["k"].copy(), np.arange(arrays["q"].shape[-2]) % 3 == 1
    k[(slice(None),) * _axis(arrays) + (at,)] = 0.0
    return _keys(arrays, k)


def _recalling(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    if arrays["k"].shape != arrays["q"].shape:
        raise NotApplicable("a token of this layer brings several keys")
    return {**arrays, "q": arrays["k"].copy()}


def _sized(name: str, factor: float, subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    return {**arrays, name: arrays[name] * factor}


def _mixed(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """Heads of well and of ill conditioned keys side by side, judged per head."""
    bad = _parallel(subject, arrays, rng)["k"]
    k = arrays["k"].copy()
    k[:, 1:] = bad[:, 1:]
    return _keys(arrays, k)


def _same(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    return arrays


_TABLE = (
    _Regime("generic", "equals the layer on generic inputs", _same),
    _Regime(
        "ragged", "equals the layer at 67 tokens, no multiple of a chunk", _same, (("T", 67), ("d_k", 8), ("d_v", 8))
    ),
    _Regime("one token", "equals the layer at a single token", _same, (("T", 1),)),
    _Regime("d_k ≠ d_v", "equals the layer where keys and values differ in size", _same, (("d_k", 8), ("d_v", 20))),
    _Regime("d = 64", "equals the layer at d = 64", _same, (("T", 8), ("d_k", 64), ("d_v", 64))),
    _Regime("d = 128", "equals the layer at d = 128", _same, (("d_k", 128), ("d_v", 128)), quick=False),
    _Regime("long", "equals the layer over 300 tokens", _same, (("T", 300),), quick=False),
    _Regime("gate 1", "equals the layer where nothing is forgotten", lambda s, a, _: _gates(s, a, 0.0)),
    _Regime("gate e^-20", "equals the layer under strong decay, 20 nats a token", lambda s, a, _: _gates(s, a, -20.0)),
    _Regime("gate e^-50", "equals the layer under decay of 50 nats a token", lambda s, a, _: _gates(s, a, -50.0)),
    _Regime("slow gate", "equals the layer under slow decay, 1e-3 nats a token", lambda s, a, _: _gates(s, a, -1e-3)),
    _Regime("repeated keys", "equals the layer where one key is written again and again", _repeated),
    _Regime("parallel keys", "equals the layer on nearly parallel keys", _parallel),
    _Regime("zero keys", "equals the layer where every third key is zero", _some_zero),
    _Regime("recall", "equals the layer where queries are keys", _recalling),
    _Regime("beta 0", "equals the layer where steps are 0 from the ninth token on", lambda s, a, _: _beta(s, a, 0.0)),
    _Regime("beta 1", "equals the layer where steps are 1 from the ninth token on", lambda s, a, _: _beta(s, a, 1.0)),
    _Regime("beta 2", "equals the layer at the border of stability, steps of 2", lambda s, a, _: _beta(s, a, 2.0)),
    _Regime("tiny values", "equals the layer on values of size 1e-4", partial(_sized, "v", 1e-4)),
    _Regime("large values", "equals the layer on values of size 1e3", partial(_sized, "v", 1e3)),
    _Regime("small queries", "equals the layer on queries of size 1e-2", partial(_sized, "q", 1e-2)),
    _Regime("mixed heads", "equals the layer where heads differ in conditioning", _mixed),
)


def _scaled_value(row: Pairing) -> Callable[..., Any]:
    """The layer with five percent more, and a hundredth, at the last token."""

    def change(out: Any, arguments: Arrays) -> Any:
        o = np.array(out.o)
        o[..., -1, :] = 1.05 * o[..., -1, :] + 0.01
        return o

    return mutated(row, change)


REGIMES = tuple(Probe(r.name, r.claim, partial(_examine, r), _scaled_value, r.quick, ("agreement",)) for r in _TABLE)
