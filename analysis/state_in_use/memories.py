"""The layers that are linear in v, each with its gates: eleven swept over loads, gates and spectra, and all others."""

from collections.abc import Callable
from typing import Any

import numpy as np

from analysis.state_in_use.memory import SMALL, Memory, Tokens
from analysis.state_in_use.others import FADING_OTHERS, PLAIN_OTHERS
from ttr_numerics import layers
from ttr_numerics.layers import chunked

__all__ = ["ATTENTION", "ERASING", "GATED", "GROUPS", "MEMORIES", "RIDGE", "UNGATED"]

RIDGE = 0.25  # MesaNet's smallest regulariser
FAR = -1e4  # a logit whose exponential is 0


def _state_layer(
    name: str, layer: Callable[..., Any], arguments: Callable[[Tokens], dict[str, Any]], setting: str
) -> Memory:
    """A layer whose state is a matrix S read by q S."""

    def run(x: Tokens, q: np.ndarray, v: np.ndarray) -> Any:
        return layer(q, x.k, v, **arguments(x))

    return Memory(name, lambda x, v: run(x, x.q, v).o, lambda x, v: x.k @ run(x, x.k, v).state, setting)


def _rwkv7(x: Tokens) -> dict[str, Any]:
    """Removal key k, in-context rates, and per-channel decays between none and twice the gate."""
    return {"a": -x.k, "b": x.k * x.rates, "log_decay": x.channel_log_decay}


def _mesa_read(x: Tokens, v: np.ndarray) -> np.ndarray:
    """Read by tokens that write nothing."""
    state = layers.mesa(x.k, x.k, v, ridge=RIDGE).state
    return np.asarray(layers.mesa(x.k, 0 * x.k, 0 * v, ridge=RIDGE, beta=0 * x.ones, initial_state=state).o)


def _recursive(x: Tokens, q: np.ndarray, v: np.ndarray) -> Any:
    return layers.original_mesa(q, x.k, v, ridge=SMALL, log_decay=x.log_decay)


def _softmax_read(x: Tokens, v: np.ndarray) -> np.ndarray:
    return np.asarray(layers.bidirectional_softmax_attention(x.scaled_keys, x.k, v).o)


def _windowed_read(x: Tokens, v: np.ndarray) -> np.ndarray:
    """Softmax over the last `memory` keys: the logits of the others are -∞ in effect."""
    assert x.memory is not None
    return _biased(x, v, np.where(np.arange(x.k.shape[1])[::-1] < x.memory, 0.0, FAR))


def _forgetting_read(x: Tokens, v: np.ndarray) -> np.ndarray:
    """Logits q·k_i + (n - 1 - i) ln(1 - 1/memory)."""
    return _biased(x, v, np.arange(x.k.shape[1])[::-1] * x.log_decay)


def _biased(x: Tokens, v: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Softmax with `bias` (n,) or (m, n) a key: one more channel of the keys, read by a query that is 1 there."""
    more = (x.ones * bias)[..., None]
    q, k = (np.concatenate(parts, axis=-1) for parts in ((x.scaled_keys, x.ones[..., None]), (x.k, more)))
    return np.asarray(layers.bidirectional_softmax_attention(q, k, v).o)


UNGATED = (
    _state_layer("linear attention", chunked.linear_attention, lambda x: {}, "no gate"),
    _state_layer("delta rule, β = 1", chunked.delta_rule, lambda x: {"beta": x.ones}, "no gate"),
    _state_layer("delta rule, β = 1/2", chunked.delta_rule, lambda x: {"beta": x.ones / 2}, "no gate"),
    Memory("mesa, ridge 0.25", lambda x, v: layers.mesa(x.q, x.k, v, ridge=RIDGE).o, _mesa_read),
    Memory("softmax", lambda x, v: layers.softmax_attention(x.scaled, x.k, v).o, _softmax_read),
)
GATED = (
    _state_layer(
        "gated linear attention", chunked.gated_linear_attention, lambda x: {"log_decay": x.log_decay}, "gate"
    ),
    _state_layer(
        "gated delta rule",
        chunked.gated_delta_rule,
        lambda x: {"log_decay": x.log_decay, "beta": x.ones},
        "gate, β = 1",
    ),
    _state_layer("RWKV-7", chunked.generalized_delta_rule, _rwkv7, "gates by channel, removal rates from 0 to 1"),
    Memory(
        "RLS, forgetting",
        lambda x, v: _recursive(x, x.q, v).o,
        lambda x, v: x.k @ _recursive(x, x.k, v).state.S,
        f"gate, ridge {SMALL:g} that decays with the data (original Mesa)",
    ),
    Memory(
        "sliding window",
        lambda x, v: layers.sliding_window_attention(x.scaled, x.k, v, window=x.memory or 1).o,
        _windowed_read,
        "window",
    ),
    Memory(
        "forgetting attention",
        lambda x, v: layers.forgetting_attention(x.scaled, x.k, v, log_decay=x.log_decay).o,
        _forgetting_read,
        "gate",
    ),
)
MEMORIES = {memory.name: memory for memory in (*UNGATED, *GATED, *PLAIN_OTHERS, *FADING_OTHERS)}
ERASING = ("delta rule, β = 1", "gated delta rule")  # β = 1 takes a direction out at every token
# Their state is a list of keys: no d_k in the way.
ATTENTION = ("softmax", "sliding window", "forgetting attention", "softmax with a sink")
_ADDITIVE = (
    "linear attention",
    "gated linear attention",
    "gated linear attention, per channel",
    "RWKV-6",
    "mLSTM",
    "Longhorn, diagonal",
)
_SOLVING = ("mesa, ridge 0.25", "RLS, forgetting", "MesaNet, 30 CG steps", "Gated KalmaNet")
GROUPS = {
    "additive": _ADDITIVE,
    "error-correcting": tuple(name for name in MEMORIES if name not in (*_ADDITIVE, *_SOLVING, *ATTENTION)),
    "solving": _SOLVING,
    "attention": ATTENTION,
}
