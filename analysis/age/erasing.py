"""Memories that correct: delta rules with every gate, mini-batches and preconditioners."""

from functools import partial
from typing import Any

import numpy as np

from analysis.age import momentum
from analysis.age.subject import APPROXIMATE, BETA, DECAY, EXACT, Subject, every_token, log_gates, spread_decays
from ttr_numerics import exact
from ttr_numerics.measure import bounds

__all__ = ["SUBJECTS"]

BATCH, RATE, ETA = 8, 0.8, 0.25
CURVATURE, BASE, CENTRE = 0.97, 1.5, -0.2


def _spread(d: int) -> np.ndarray:
    """Gates of mean BETA, from half to three halves of it."""
    return BETA * np.linspace(0.5, 1.5, d)


def _delta(K: np.ndarray, V: np.ndarray, beta: float) -> dict[str, Any]:
    return {"beta": every_token(K, beta)}


def _gated(K: np.ndarray, V: np.ndarray) -> dict[str, Any]:
    return {"beta": every_token(K, BETA), "log_decay": log_gates(K, DECAY)}


def _kda(K: np.ndarray, V: np.ndarray) -> dict[str, Any]:
    return {"beta": every_token(K, BETA), "log_decay": log_gates(K, spread_decays(K.shape[-1]))}


def _erase_write(K: np.ndarray, V: np.ndarray) -> dict[str, Any]:
    erase, write = (every_token(K, _spread(x.shape[-1])) for x in (K, V))
    return {"log_decay": log_gates(K, spread_decays(K.shape[-1])), "erase": erase, "write": write}


def _comba(K: np.ndarray, V: np.ndarray) -> dict[str, Any]:
    return {**_gated(K, V), "p": RATE * K}


def _rwkv7(K: np.ndarray, V: np.ndarray) -> dict[str, Any]:
    return {"k": BETA * K, "a": -RATE * K, "b": K, "log_decay": log_gates(K, DECAY)}


def _several(K: np.ndarray, V: np.ndarray) -> dict[str, Any]:
    """Two pairs a token: every other key is its second."""
    k, v = (x.reshape(len(x), -1, 2, x.shape[-1]) for x in (K, V))
    q = k[:, :, 0]
    return {"q": q, "k": k, "v": v, "beta": np.full(k.shape[:-1], BETA), "log_decay": log_gates(q, DECAY)}


def _descended(layer: str, arguments: dict[str, Any], K: np.ndarray, V: np.ndarray) -> np.ndarray:
    state = exact.descent_prefixes(K, K, V, inner=arguments["eta"], batch=arguments["batch"]).state
    return np.asarray(K @ state.S)


def _preconditioned(K: np.ndarray, V: np.ndarray) -> dict[str, Any]:
    curvature = {"curvature_beta": every_token(K, 1.0), "curvature_log_decay": log_gates(K, CURVATURE)}
    return {**_gated(K, V), **curvature, "base": BASE, "centre": CENTRE}


def _scalar(n: int, d: int, erase: float, write: float, decay: float = DECAY) -> np.ndarray:
    return bounds.erasing_age_errors(n, np.full(d, decay), np.full(d, erase), write)


def _channels(n: int, d: int) -> np.ndarray:
    return bounds.erasing_age_errors(n, spread_decays(d), BETA * spread_decays(d), BETA)


def _channels_apart(n: int, d: int) -> np.ndarray:
    return bounds.erasing_age_errors(n, spread_decays(d), _spread(d) * spread_decays(d), _spread(d))


def _product(n: int, d: int) -> np.ndarray:
    one, g = np.ones((1, 1)), np.array([BETA])
    writes = [bounds.Write(DECAY * one, DECAY * BETA * one, g), bounds.Write(one, BETA * one, g)]
    return np.asarray(np.mean(bounds.coupled_age_errors(n, d, writes), axis=1))


def _mean_multiplier(n: int, d: int) -> np.ndarray:
    """The multiplier at the mean curvature 1/(d(1-c)) in every channel: its fluctuation is left out."""
    r = float(np.log(1 / (d * (1 - CURVATURE))) - CENTRE)
    m = BASE ** (-r / (1 + abs(r)))
    return _scalar(n, d, DECAY * BETA * m, BETA * m)


SUBJECTS = (
    Subject(
        "delta rule, β = 1",
        "delta_rule",
        "no gate",
        EXACT,
        partial(_delta, beta=1.0),
        lambda n, d: bounds.delta_rule_errors(n, d, 1.0),
    ),
    Subject(
        "delta rule, β = 1/2",
        "delta_rule",
        "no gate",
        EXACT,
        partial(_delta, beta=BETA),
        lambda n, d: bounds.delta_rule_errors(n, d, BETA),
    ),
    Subject(
        "gated delta rule",
        "gated_delta_rule",
        "α = 0.95, β = 1/2",
        EXACT,
        _gated,
        lambda n, d: bounds.delta_rule_errors(n, d, BETA, DECAY),
    ),
    Subject(
        "Kimi delta attention", "gated_delta_rule", "α from 1/2 to 127/128 by channel, β = 1/2", EXACT, _kda, _channels
    ),
    Subject(
        "erase-write delta rule",
        "erase_write_delta_rule",
        "α from 1/2 to 127/128, erase and write gates from 1/4 to 3/4 by channel",
        EXACT,
        _erase_write,
        _channels_apart,
        value_gates=_spread,
        square=True,
    ),
    Subject(
        "Comba",
        "comba",
        "α = 0.95, β = 1/2, feedback along 0.8 k",
        EXACT,
        _comba,
        partial(_scalar, erase=BETA * RATE, write=BETA),
    ),
    Subject(
        "RWKV-7",
        "generalized_delta_rule",
        "α = 0.95, removal rate 0.8, values at 1/2",
        EXACT,
        _rwkv7,
        partial(_scalar, erase=RATE, write=BETA),
    ),
    Subject(
        "gated delta product",
        "gated_delta_product",
        "α = 0.95, two writes a token, β = 1/2",
        EXACT,
        _several,
        _product,
        writes=2,
    ),
    Subject(
        "Longhorn",
        "longhorn",
        "β = 2: a step of 2/3",
        EXACT,
        partial(_delta, beta=2.0),
        lambda n, d: bounds.delta_rule_errors(n, d, 2 / 3),
    ),
    Subject(
        "Longhorn, diagonal",
        "longhorn_diagonal",
        "β = 2: a step of 2/3",
        EXACT,
        lambda K, V: {"beta": np.full(V.shape, 2.0)},
        lambda n, d: bounds.diagonal_age_errors(n, d, 2 / 3),
    ),
    Subject(
        "Kaczmarz delta rule",
        "kaczmarz_delta_rule",
        "α = 0.95, step 1",
        EXACT,
        lambda K, V: {"step": every_token(K, 1.0), "log_decay": log_gates(K, DECAY)},
        lambda n, d: bounds.delta_rule_errors(n, d, 1.0, DECAY),
    ),
    *momentum.SUBJECTS,
    Subject(
        "TTT-Linear",
        "ttt_linear",
        "η = 1/4, mini-batches of 8",
        EXACT,
        lambda K, V: {"eta": every_token(K, ETA), "batch": BATCH},
        lambda n, d: bounds.minibatch_age_errors(n, d, ETA, BATCH),
        batch=BATCH,
        solver=_descended,
    ),
    Subject(
        "preconditioned delta rule",
        "preconditioned_delta_rule",
        "α = 0.95, β = 1/2, curvature kept by 0.97",
        APPROXIMATE,
        _preconditioned,
        _mean_multiplier,
    ),
)
