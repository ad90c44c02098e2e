"""Agreement with the float64 layer in regimes where implementations break, each to a derived tolerance."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ttr_numerics.pairs import Pairing
from ttr_numerics.probes import inputs
from ttr_numerics.probes.probe import Found, Probe, check_domain, drawn, mutated
from ttr_numerics.probes.subject import Case, Subject
from ttr_numerics.problem import Problem
from ttr_numerics.verdict import Word, judged

__all__ = ["REGIMES", "TABLE", "Regime", "compared"]

Arrays = dict[str, Any]
Change = Callable[[Subject, Arrays, np.random.Generator], Arrays]


@dataclass(frozen=True)
class Regime:
    """Named inputs: an example of these `axes`, changed by `change(subject, arrays, rng)`; `claim` is the sentence."""

    name: str
    claim: str
    change: Change
    axes: tuple[tuple[str, int], ...] = ()
    quick: bool = True


def compared(subject: Subject, case: Case) -> Found:
    """The subject's answer against the layer, position by position, and the cause where they differ."""
    check_domain(subject, case)
    answer = subject.answer(case)
    verdict, _ = judged(Problem(subject.row, case.ours, answer.o, subject.dtype), subject.declared)
    return Found(verdict.word, verdict.reasons, float(np.max(verdict.ratio)), verdict.cause)


def _examine(regime: Regime, subject: Subject, rng: np.random.Generator) -> Found:
    arrays = drawn(subject, rng, (1, 2), **dict(regime.axes))
    return compared(subject, subject.case(regime.change(subject, arrays, rng)))


def _resets(subject: Subject, rng: np.random.Generator) -> Found:
    """Where the output is not finite the subject does not know resets, as few implementations say they do."""
    case = subject.case(inputs.resets(subject, drawn(subject, rng), rng))
    check_domain(subject, case)
    if np.isfinite(subject.answer(case).o).all():
        return compared(subject, case)
    reason = "NaN or infinite where a log gate is -inf: a reset in this layer; if yours must reset, this is wrong"
    return Found(Word.INCONCLUSIVE, (reason,), np.inf)


def _scaled_value(row: Pairing) -> Callable[..., Any]:
    """The layer with five percent more, and a hundredth, at the last token."""

    def change(out: Any, arguments: Arrays) -> Any:
        o = np.array(out.o)
        o[..., -1, :] = 1.05 * o[..., -1, :] + 0.01
        return o

    return mutated(row, change)


_CHANNELS = (("d_k", 8), ("d_v", 8))
TABLE = (
    Regime("generic", "equals the layer on generic inputs", inputs.same),
    Regime("ragged", "equals the layer at 67 tokens, no multiple of a chunk", inputs.same, (("T", 67), *_CHANNELS)),
    Regime("one token", "equals the layer at a single token", inputs.same, (("T", 1),)),
    Regime(
        "d_k ≠ d_v", "equals the layer where keys and values differ in size", inputs.same, (("d_k", 8), ("d_v", 20))
    ),
    Regime("d = 64", "equals the layer at d = 64", inputs.same, (("T", 8), ("d_k", 64), ("d_v", 64))),
    Regime("d = 128", "equals the layer at d = 128", inputs.same, (("d_k", 128), ("d_v", 128)), False),
    Regime("d = 256", "equals the layer at d = 256", inputs.same, (("T", 8), ("d_k", 256), ("d_v", 256)), False),
    Regime("long", "equals the layer over 300 tokens", inputs.same, (("T", 300),), False),
    Regime("gate 1", "equals the layer where nothing is forgotten", lambda s, a, _: inputs.gates(s, a, 0.0)),
    Regime(
        "gate e^-20", "equals the layer under strong decay, 20 nats a token", lambda s, a, _: inputs.gates(s, a, -20.0)
    ),
    Regime("gate e^-50", "equals the layer under decay of 50 nats a token", lambda s, a, _: inputs.gates(s, a, -50.0)),
    Regime(
        "slow gate", "equals the layer under slow decay, 1e-3 nats a token", lambda s, a, _: inputs.gates(s, a, -1e-3)
    ),
    Regime("mixed gates", "equals the layer where some tokens forget all and others nothing", inputs.mixed_gates),
    Regime(
        "long memory",
        "equals the layer over 1 024 tokens of slow decay",
        lambda s, a, _: inputs.gates(s, a, -1e-3),
        (("T", 1024), *_CHANNELS),
        False,
    ),
    Regime("4 096 tokens", "equals the layer over 4 096 tokens", inputs.many, (("T", 4096), *_CHANNELS), False),
    Regime("repeated keys", "equals the layer where one key is written again and again", inputs.repeated_keys),
    Regime("parallel keys", "equals the layer on nearly parallel keys", inputs.parallel_keys),
    Regime("zero keys", "equals the layer where every third key is zero", inputs.some_zero_keys),
    Regime(
        "real keys",
        "equals the layer on queries, keys and values of a language model, cut to 32 of 64 channels",
        inputs.real,
        (("d_k", 32), ("d_v", 32)),
    ),
    Regime(
        "real, d = 64",
        "equals the layer on 120 tokens of queries, keys and values of a language model",
        inputs.real,
        (("T", 120), ("d_k", 64), ("d_v", 64)),
        False,
    ),
    Regime("converged", "equals the layer where what is written is known already", inputs.converged, (("T", 64),)),
    Regime("recall", "equals the layer where queries are keys", inputs.recalling),
    Regime(
        "beta 0", "equals the layer where steps are 0 from the ninth token on", lambda s, a, _: inputs.steps(s, a, 0.0)
    ),
    Regime(
        "beta 1", "equals the layer where steps are 1 from the ninth token on", lambda s, a, _: inputs.steps(s, a, 1.0)
    ),
    Regime(
        "beta 2", "equals the layer at the border of stability, steps of 2", lambda s, a, _: inputs.steps(s, a, 2.0)
    ),
    Regime("tiny values", "equals the layer on values of size 1e-4", partial(inputs.sized, "v", 1e-4)),
    Regime("large values", "equals the layer on values of size 1e3", partial(inputs.sized, "v", 1e3)),
    Regime("smallest values", "equals the layer on values next to the smallest numbers", inputs.smallest),
    Regime("small queries", "equals the layer on queries of size 1e-2", partial(inputs.sized, "q", 1e-2)),
    Regime("tiny queries", "equals the layer on queries of size 1e-4", partial(inputs.sized, "q", 1e-4)),
    Regime("huge queries", "equals the layer on queries of size 1e3", partial(inputs.sized, "q", 1e3)),
    Regime("mixed heads", "equals the layer where heads differ in conditioning", inputs.mixed_heads),
    Regime("initial state", "equals the layer from a given state", inputs.started),
    Regime("optional arrays", "equals the layer with every optional array given", inputs.optional),
)


def _forgetting_resets(row: Pairing) -> Callable[..., Any]:
    """The layer with resets taken for gates of e^-1."""
    return lambda q, k, v, **named: row.layer(
        q, k, v, **{n: np.where(np.isneginf(x), -1.0, x) if np.ndim(x) else x for n, x in named.items()}
    )


REGIMES = (
    *(Probe(r.name, r.claim, partial(_examine, r), _scaled_value, r.quick, ("agreement",)) for r in TABLE),
    Probe(
        "resets", "equals the layer where gates of 0 reset the state", _resets, _forgetting_resets, True, ("regime",)
    ),
)
