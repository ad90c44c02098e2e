"""The layers that are linear in v, each with its gates, and two matrices of each: for v = I.

The operator A (T, T) is the causal layer's outputs; the read-out H (n, n) is what the memory of all n pairs gives back
at its own keys, without writing. `memory` m sets gates of 1 - 1/m a token, and windows of m tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ttr_numerics import layers
from ttr_numerics.layers import chunked

__all__ = ["ATTENTION", "GATED", "MEMORIES", "UNGATED", "Memory", "Tokens"]

RIDGE = 0.25  # MesaNet's smallest regulariser
FAR = -1e4  # a logit whose exponential is 0
SMALL = 1e-3  # the ridge that recursive least squares starts from


@dataclass(frozen=True)
class Tokens:
    """Queries and keys (m, T, d) of unit norm, and what the gates need."""

    q: np.ndarray
    k: np.ndarray
    memory: int | None
    rates: np.ndarray  # in-context rates of RWKV-7 (m, T, d), between 0 and 1

    @property
    def identity(self) -> np.ndarray:
        """v = I for every batch entry (m, T, T)."""
        m, T = self.k.shape[:2]
        return np.tile(np.eye(T), (m, 1, 1))

    @property
    def ones(self) -> np.ndarray:
        """(m, T)."""
        return np.ones(self.k.shape[:2])

    @property
    def log_decay(self) -> np.ndarray:
        """ln(1 - 1/memory) a token (m, T)."""
        assert self.memory is not None, "a layer with a gate has a memory"
        return np.full(self.k.shape[:2], np.log1p(-1 / self.memory))

    @property
    def scaled(self) -> np.ndarray:
        """Queries of the attention layers: logits √d cos."""
        return self.k.shape[-1] ** 0.5 * self.q

    @property
    def scaled_keys(self) -> np.ndarray:
        """The keys as such queries."""
        return self.k.shape[-1] ** 0.5 * self.k


@dataclass(frozen=True)
class Memory:
    """`operator(tokens)` (m, T, T), causal; `read(tokens)` (m, n, n) of the final state at the keys."""

    name: str
    operator: Callable[[Tokens], np.ndarray]
    read: Callable[[Tokens], np.ndarray]


def _state_layer(name: str, layer: Callable[..., Any], arguments: Callable[[Tokens], dict[str, Any]]) -> Memory:
    """A layer whose state is a matrix S read by q S."""

    def run(x: Tokens, q: np.ndarray) -> Any:
        return layer(q, x.k, x.identity, **arguments(x))

    return Memory(name, lambda x: run(x, x.q).o, lambda x: x.k @ run(x, x.k).state)


def _rwkv7(x: Tokens) -> dict[str, Any]:
    """Removal key k, in-context rates, and per-channel decays between none and twice the gate."""
    return {"a": -x.k, "b": x.k * x.rates, "log_decay": 2 * x.rates[..., ::-1] * x.log_decay[..., None]}


def _mesa_read(x: Tokens) -> np.ndarray:
    """Read by tokens that write nothing."""
    state = layers.mesa(x.k, x.k, x.identity, ridge=RIDGE).state
    return np.asarray(layers.mesa(x.k, 0 * x.k, 0 * x.identity, ridge=RIDGE, beta=0 * x.ones, initial_state=state).o)


def _recursive(x: Tokens, q: np.ndarray) -> Any:
    return layers.original_mesa(q, x.k, x.identity, ridge=SMALL, log_decay=x.log_decay)


def _softmax_read(x: Tokens) -> np.ndarray:
    return np.asarray(layers.bidirectional_softmax_attention(x.scaled_keys, x.k, x.identity).o)


def _windowed_read(x: Tokens) -> np.ndarray:
    """Softmax over the last `memory` keys: the logits of the others are -∞ in effect."""
    assert x.memory is not None
    return _biased(x, np.where(np.arange(x.k.shape[1])[::-1] < x.memory, 0.0, FAR))


def _forgetting_read(x: Tokens) -> np.ndarray:
    """Logits q·k_i + (n - 1 - i) ln(1 - 1/memory)."""
    return _biased(x, np.arange(x.k.shape[1])[::-1] * x.log_decay)


def _biased(x: Tokens, bias: np.ndarray) -> np.ndarray:
    """Softmax with `bias` (n,) or (m, n) a key: one more channel of the keys, read by a query that is 1 there."""
    more = (x.ones * bias)[..., None]
    q, k = (np.concatenate(parts, axis=-1) for parts in ((x.scaled_keys, x.ones[..., None]), (x.k, more)))
    return np.asarray(layers.bidirectional_softmax_attention(q, k, x.identity).o)


UNGATED = (
    _state_layer("linear attention", chunked.linear_attention, lambda x: {}),
    _state_layer("delta rule, β = 1", chunked.delta_rule, lambda x: {"beta": x.ones}),
    _state_layer("delta rule, β = 1/2", chunked.delta_rule, lambda x: {"beta": x.ones / 2}),
    Memory("mesa, ridge 0.25", lambda x: layers.mesa(x.q, x.k, x.identity, ridge=RIDGE).o, _mesa_read),
    Memory("softmax", lambda x: layers.softmax_attention(x.scaled, x.k, x.identity).o, _softmax_read),
)
GATED = (
    _state_layer("gated linear attention", chunked.gated_linear_attention, lambda x: {"log_decay": x.log_decay}),
    _state_layer("gated delta rule", chunked.gated_delta_rule, lambda x: {"log_decay": x.log_decay, "beta": x.ones}),
    _state_layer("RWKV-7", chunked.generalized_delta_rule, _rwkv7),
    Memory("RLS, forgetting", lambda x: _recursive(x, x.q).o, lambda x: x.k @ _recursive(x, x.k).state.S),
    Memory(
        "sliding window",
        lambda x: layers.sliding_window_attention(x.scaled, x.k, x.identity, window=x.memory or 1).o,
        _windowed_read,
    ),
    Memory(
        "forgetting attention",
        lambda x: layers.forgetting_attention(x.scaled, x.k, x.identity, log_decay=x.log_decay).o,
        _forgetting_read,
    ),
)
MEMORIES = {memory.name: memory for memory in (*UNGATED, *GATED)}
ATTENTION = ("softmax", "sliding window", "forgetting attention")  # their state is a list of keys: no d_k in the way
