"""Memories that only add and forget: the weight of a pair is a product of gates, whatever the keys."""

from functools import partial
from typing import Any

import numpy as np

from analysis.age.subject import (
    APPROXIMATE,
    DECAY,
    EXACT,
    Subject,
    by_last_query,
    every_token,
    log_gates,
    powers,
    signs,
    spread_decays,
)
from ttr_numerics import gates
from ttr_numerics.measure import bounds
from ttr_numerics.pairs import pairing

__all__ = ["SUBJECTS"]

BONUS, HEADS = 1.5, 4
SPREAD = "α from 1/2 to 127/128 by channel"


def _scalar_gate(K: np.ndarray, V: np.ndarray) -> dict[str, Any]:
    return {"log_decay": log_gates(K, DECAY)}


def _channel_gates(K: np.ndarray, V: np.ndarray) -> dict[str, Any]:
    return {"log_decay": log_gates(K, spread_decays(K.shape[-1]))}


def _heads(K: np.ndarray, V: np.ndarray) -> dict[str, Any]:
    rates = np.resize(np.array(gates.retnet(HEADS)), len(K))
    return {"log_decay": rates[:, None] + np.zeros(K.shape[:2])}


def _mean_of_heads(n: int, d: int) -> np.ndarray:
    heads = [bounds.additive_age_errors(powers(n, np.full(d, np.exp(g)))) for g in gates.retnet(HEADS)]
    return np.asarray(np.mean(heads, axis=0))


def _read_first(K: np.ndarray, V: np.ndarray) -> dict[str, Any]:
    return {**_channel_gates(K, V), "bonus": np.full(K.shape[-1], BONUS)}


def _with_bonus(n: int, d: int) -> np.ndarray:
    weights = powers(n, spread_decays(d)) / spread_decays(d)  # read before this token's gate: one factor less
    weights[0] = BONUS
    return bounds.additive_age_errors(weights)


def _products_with_bonus(layer: str, arguments: dict[str, Any], K: np.ndarray, V: np.ndarray) -> np.ndarray:
    """Σ_j (k_i'G_j k_j)v_j (m, n, d_v) with the gates G_j = α^(age-1) before the newest pair, and its bonus."""
    age = np.arange(K.shape[1])[::-1, None]
    G = np.exp((age - 1) * arguments["log_decay"][:, -1:])
    G[:, -1] = arguments["bonus"]
    return np.asarray(K @ ((G * K).mT @ V))


def _averaged(K: np.ndarray, V: np.ndarray) -> dict[str, Any]:
    return {"log_decay": log_gates(K, DECAY), "bonus": np.full(K[:, 0].shape, np.log(BONUS))}


def _mean_with_bonus(n: int, d: int) -> np.ndarray:
    weights = powers(n, np.array([DECAY])) / DECAY
    weights[0] = BONUS
    return bounds.additive_age_errors(weights / np.sum(weights))


def _one_channel(n: int, d: int, write: float) -> np.ndarray:
    return bounds.additive_age_errors(write * powers(n, np.array([DECAY])))


def _exponential_gates(K: np.ndarray, V: np.ndarray) -> dict[str, Any]:
    return {"log_input": every_token(K, 0.0), "log_forget": log_gates(K, DECAY)}


def _equal(rng: np.random.Generator, m: int, n: int, d: int) -> np.ndarray:
    """Keys of weight e^0 (m, n, d): RWKV-4's keys are weights and do not say which token is meant."""
    return np.zeros((m, n, d))


def _mean_of_values(layer: str, arguments: dict[str, Any], K: np.ndarray, V: np.ndarray) -> np.ndarray:
    """Receptance 1: every query reads the same mean (m, n, d_v)."""
    o = pairing(layer).layer(np.ones_like(K), K, V, **arguments).o
    return np.asarray(np.broadcast_to(o[:, -1:], V.shape))


SUBJECTS = (
    Subject(
        "linear attention",
        "linear_attention",
        "no gate",
        EXACT,
        lambda K, V: {},
        lambda n, d: np.full(n, bounds.linear_attention_error(n, d)),
    ),
    Subject(
        "gated linear attention, scalar",
        "gated_linear_attention",
        "α = 0.95",
        EXACT,
        _scalar_gate,
        lambda n, d: bounds.additive_age_errors(powers(n, np.full(d, DECAY))),
    ),
    Subject(
        "gated linear attention, per channel",
        "gated_linear_attention",
        SPREAD,
        EXACT,
        _channel_gates,
        lambda n, d: bounds.additive_age_errors(powers(n, spread_decays(d))),
    ),
    Subject(
        "RetNet, mean of 4 heads",
        "gated_linear_attention",
        "α = 1 - 2^(-5-h)",
        EXACT,
        _heads,
        _mean_of_heads,
        period=HEADS,
    ),
    Subject(
        "RWKV-6",
        "rwkv6",
        f"{SPREAD}, bonus {BONUS}",
        EXACT,
        _read_first,
        _with_bonus,
        by_last_query,
        solver=_products_with_bonus,
    ),
    Subject(
        "RWKV-4",
        "rwkv4",
        f"α = 0.95, newest token's weight {BONUS}, equal keys",
        EXACT,
        _averaged,
        _mean_with_bonus,
        _mean_of_values,
        keys=_equal,
    ),
    Subject(
        "RG-LRU",
        "rg_lru",
        "α = 0.95, keys ±1 by channel",
        EXACT,
        _scalar_gate,
        partial(_one_channel, write=float(np.sqrt(1 - DECAY**2))),
        by_last_query,
        keys=signs,
    ),
    Subject(
        "HGRN",
        "hgrn",
        "α = 0.95, keys ±1 by channel",
        EXACT,
        _scalar_gate,
        partial(_one_channel, write=1 - DECAY),
        by_last_query,
        keys=signs,
    ),
    Subject(
        "mLSTM",
        "mlstm",
        "f = 0.95, i = 1",
        APPROXIMATE,
        _exponential_gates,
        lambda n, d: bounds.divided_age_errors(DECAY ** np.arange(n), d),
    ),
)
