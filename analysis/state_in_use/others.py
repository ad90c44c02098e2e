"""All other layers that are linear in v, each in one setting, read through the catalogue's `memory`.

Not among them, being what others are on unit keys: Kaczmarz (a gated delta rule) and the square-root forms. Not linear
in v: clipped and lp delta rules, TTT-Linear under layer norm, TTT-MLP, a deep Titans, the orthogonalised Omega rule.
RWKV-4, RG-LRU and HGRN have a state a value channel, with keys that are weights or gates: no one matrix A(q, k).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from analysis.state_in_use.memory import Memory, Tokens
from ttr_numerics import layers
from ttr_numerics.layers import chunked
from ttr_numerics.pairs import pairing

__all__ = ["FADING_OTHERS", "PLAIN_OTHERS"]

HALF, RATE, BONUS = 0.5, 0.8, 1.5
MOMENTUM, THETA, ETA, BATCH = 0.6, 0.1, 0.25, 8
RIDGE, RATIO, KEPT = 0.25, 0.02, 0.97

Arguments = dict[str, Any]
Given = Callable[[Tokens, np.ndarray], Arguments]


def _by_catalogue(
    name: str, row: str, setting: str, layer: Callable[..., Any], given: Given, matrices: int = 1
) -> Memory:
    """A layer with `given(tokens, v)`, its state read as the catalogue's `row` reads it."""

    def run(x: Tokens, q: np.ndarray, v: np.ndarray) -> tuple[Any, Arguments]:
        arguments = {"q": q, "k": x.k, "v": v} | given(x, v)
        return layer(**arguments), arguments

    def recalled(x: Tokens, v: np.ndarray) -> np.ndarray:
        found, arguments = run(x, x.k, v)
        beside = {key: value for key, value in arguments.items() if key not in ("q", "k", "v")}
        return np.asarray(pairing(row).memory(found.state, **beside)(x.k))

    return Memory(name, lambda x, v: run(x, x.q, v)[0].o, recalled, setting, matrices)


def _halved(x: Tokens, v: np.ndarray) -> Arguments:
    return {"beta": HALF * x.ones, "log_decay": x.log_decay}


def _twice(x: Tokens, v: np.ndarray) -> Arguments:
    """Every token writes the pair before it again, then its own; the first has none before it."""

    def with_last(rows: np.ndarray) -> np.ndarray:
        before = np.concatenate([np.zeros_like(rows[:, :1]), rows[:, :-1]], axis=1)
        return np.stack([before, rows], axis=2)

    k = with_last(x.k)
    return {"k": k, "v": with_last(v), "beta": np.full(k.shape[:-1], HALF), "log_decay": x.log_decay}


def _preconditioned(x: Tokens, v: np.ndarray) -> Arguments:
    curvature = {"curvature_beta": x.ones, "curvature_log_decay": np.log(KEPT) * x.ones}
    return _halved(x, v) | curvature


def _sunk(x: Tokens, v: np.ndarray) -> np.ndarray:
    """A sink of logit 0 is a key of zeros with a value of zeros; its own row is dropped."""
    q, k, values = (np.concatenate([rows, 0 * rows[:, :1]], axis=1) for rows in (x.scaled_keys, x.k, v))
    return np.asarray(layers.bidirectional_softmax_attention(q, k, values).o)[:, :-1]


PLAIN_OTHERS = (
    _by_catalogue(
        "Longhorn", "longhorn", "β = 2: a step of 2/3", chunked.longhorn, lambda x, v: {"beta": 2.0 * x.ones}
    ),
    _by_catalogue(
        "Longhorn, diagonal",
        "longhorn_diagonal",
        "β = 2: a step of 2/3",
        layers.longhorn_diagonal,
        lambda x, v: {"beta": np.full(v.shape, 2.0)},
    ),
    _by_catalogue(
        "delta rule with momentum",
        "momentum_delta_rule",
        "β = 0.2, momentum 0.6",
        chunked.momentum_delta_rule,
        lambda x, v: {"beta": 2 * THETA * x.ones, "log_momentum": np.log(MOMENTUM) * x.ones},
        matrices=2,
    ),
    _by_catalogue(
        "TTT-Linear",
        "ttt_linear",
        "η = 1/4, mini-batches of 8, no layer norm",
        chunked.ttt_linear,
        lambda x, v: {"eta": ETA * x.ones, "batch": BATCH},
        matrices=2,
    ),
    Memory(
        "softmax with a sink",
        lambda x, v: layers.sink_attention(x.scaled, x.k, v, sink=0.0).o,
        _sunk,
        "sink of logit 0",
    ),
)
FADING_OTHERS = (
    _by_catalogue(
        "gated linear attention, per channel",
        "gated_linear_attention",
        "gates by channel",
        chunked.gated_linear_attention,
        lambda x, v: {"log_decay": x.channel_log_decay},
    ),
    _by_catalogue(
        "RWKV-6",
        "rwkv6",
        "gates by channel, bonus 1.5",
        chunked.rwkv6,
        lambda x, v: {"log_decay": x.channel_log_decay, "bonus": np.full(x.k.shape[-1], BONUS)},
    ),
    _by_catalogue(
        "mLSTM",
        "mlstm",
        "gate, i = 1",
        chunked.mlstm,
        lambda x, v: {"log_input": 0 * x.ones, "log_forget": x.log_decay},
    ),
    _by_catalogue(
        "Kimi delta attention",
        "gated_delta_rule",
        "gates by channel, β = 1/2",
        chunked.gated_delta_rule,
        lambda x, v: _halved(x, v) | {"log_decay": x.channel_log_decay},
    ),
    _by_catalogue(
        "erase-write delta rule",
        "erase_write_delta_rule",
        "gates by channel, erase gates from 0 to 1, write 1/2",
        chunked.erase_write_delta_rule,
        lambda x, v: {"log_decay": x.channel_log_decay, "erase": x.rates, "write": np.full(v.shape, HALF)},
    ),
    _by_catalogue(
        "Comba",
        "comba",
        "gate, β = 1/2, feedback along 0.8 k",
        chunked.comba,
        lambda x, v: _halved(x, v) | {"p": RATE * x.k},
    ),
    _by_catalogue(
        "gated delta product",
        "gated_delta_product",
        "gate, β = 1/2, the pair before written again first",
        chunked.gated_delta_product,
        _twice,
    ),
    _by_catalogue(
        "Titans, linear",
        "titans",
        "leak as the gate, θ = 0.1, momentum 0.6",
        chunked.titans,
        lambda x, v: {
            "theta": THETA * x.ones,
            "log_momentum": np.log(MOMENTUM) * x.ones,
            "log_decay": x.log_decay,
        },
        matrices=2,
    ),
    _by_catalogue(
        "preconditioned delta rule",
        "preconditioned_delta_rule",
        "gate, β = 1/2, curvature kept by 0.97",
        chunked.preconditioned_delta_rule,
        _preconditioned,
    ),
    _by_catalogue(
        "MesaNet, 30 CG steps",
        "mesa_cg",
        "gate, ridge 1/4",
        chunked.mesa_cg,
        lambda x, v: {"ridge": RIDGE, "log_decay": x.log_decay},
    ),
    _by_catalogue(
        "Gated KalmaNet",
        "gated_kalmanet",
        "gate, ridge 0.02 ‖H‖",
        chunked.gated_kalmanet,
        lambda x, v: {"ridge_ratio": RATIO, "log_decay": x.log_decay},
    ),
)
