"""A recurrent state stored in 16 bits between tokens: what it cannot forget, what it accumulates, and what helps.

The layer computes in float32 and is handed its state token by token, stored in between as a decoder stores it.
"""

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from ttr_numerics import layers, tasks
from ttr_numerics.arrays import Array
from ttr_numerics.axes import Output
from ttr_numerics.measure import bounds, mean_interval
from ttr_numerics.precision import FORMATS, contract_named
from ttr_numerics.tolerance import run_as

__all__ = ["FEEDBACK", "NEAREST", "ONCE", "SINGLE", "STOCHASTIC", "TWICE", "decay_rows", "final_states", "state_rows"]

SINGLE, NEAREST, STOCHASTIC, FEEDBACK = "float32", "bfloat16, to nearest", "stochastic rounding", "error feedback"
ONCE, TWICE = "once a token", "after the decay and after the write"
STORED = (NEAREST, STOCHASTIC, FEEDBACK)
DIMENSION, HEADS = 64, 3
DECAYS, ENTRIES = 1000, 1 << 14
PRECISION = FORMATS["bfloat16"].precision


def decay_rows(cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Forgetting alone, at 1 - δ: the share of entries that one decay leaves as they are, and what a thousand leave."""
    delta = 2.0 ** -cell["bits"]
    S = nearest(2.0 ** rng.uniform(-4.0, 4.0, (ENTRIES // DIMENSION, DIMENSION)).astype(np.float32)).astype(float)
    one, many = (_decayed(S, delta, tokens) for tokens in (1, DECAYS))
    share = float(np.mean(one == S))
    return [
        {
            "delta": delta,
            "unchanged": share,
            "entries": S.size,
            "theory": bounds.unforgotten_share(delta, PRECISION),
            "left": float(np.linalg.norm(many) / np.linalg.norm(S)),
            "should": (1 - delta) ** DECAYS,
            "decays": DECAYS,
        }
    ]


def state_rows(cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """The gated delta rule over many tokens, its state stored in each way, against float64 throughout."""
    gate, tokens = cell["gate"], cell["tokens"]
    k, v = (tasks.isotropic_unit_keys(rng, (HEADS, tokens, DIMENSION)) for _ in range(2))
    log_decay, beta = np.full((HEADS, tokens), np.log(gate)), np.ones((HEADS, tokens))
    truth = layers.chunked.gated_delta_rule(k, k, v, log_decay=log_decay, beta=beta).state
    single = {"log_decay": log_decay.astype(np.float32), "beta": beta.astype(np.float32)}
    states = final_states(k.astype(np.float32), v.astype(np.float32), single, rng)
    rows = []
    for (rounded, storage), S in states.items():
        error = np.linalg.norm(S - truth, axis=(-2, -1)) / np.linalg.norm(truth, axis=(-2, -1))
        rows.append({"rounded": rounded, "storage": storage, "d": DIMENSION, **mean_interval(error)._asdict()})
    return rows


def final_states(
    k: np.ndarray, v: np.ndarray, gates: Mapping[str, np.ndarray], rng: np.random.Generator
) -> dict[tuple[str, str], np.ndarray]:
    """The last state (heads, d_k, d_v) by when and how it is stored: all of them run side by side, as a batch."""
    once, twice = (_Stores(rng, (k.shape[0], k.shape[-1], v.shape[-1])) for _ in range(2))
    single = np.zeros_like(once.S[0])
    for t in range(k.shape[1]):
        decay = np.exp(gates["log_decay"][:, t, None, None])
        decayed = np.concatenate([single[None], decay * once.S, twice.stored(decay * twice.S)])
        at = (np.broadcast_to(x[:, t : t + 1], (len(decayed), k.shape[0], 1, x.shape[-1])) for x in (k, k, v))
        beta = np.broadcast_to(gates["beta"][:, t : t + 1], (len(decayed), k.shape[0], 1))
        decayed[0] *= decay
        S = layers.delta_rule(*at, beta=beta, initial_state=decayed).state
        single, n = S[0], 1 + len(STORED)
        once.S, twice.S = once.stored(S[1:n]), twice.stored(S[n:])
    named = {(rounded, storage): S for rounded, x in ((ONCE, once), (TWICE, twice)) for storage, S in x.named().items()}
    return {(ONCE, SINGLE): single} | named


class _Stores:
    """States (storages, heads, d_k, d_v) as each of `STORED` keeps them; feedback owes what it has not yet stored."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> None:
        self.rng, self.owed = rng, np.zeros(shape, dtype=np.float32)
        self.S = np.zeros((len(STORED), *shape), dtype=np.float32)

    def stored(self, S: np.ndarray) -> np.ndarray:
        """S as read back; what error feedback loses, itself in bfloat16, is added before it stores again."""
        wanted = S[2] + self.owed
        kept = np.stack([nearest(S[0]), dithered(S[1], self.rng), nearest(wanted)])
        self.owed = nearest(wanted - kept[2])
        return kept

    def named(self) -> dict[str, np.ndarray]:
        """The states by the name of their storage."""
        return dict(zip(STORED, self.S, strict=True))


def nearest(x: np.ndarray) -> np.ndarray:
    """x (float32) rounded to bfloat16, ties to even."""
    return x.astype(ml_dtypes.bfloat16).astype(np.float32)


def dithered(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """x (float32) rounded to bfloat16 up or down, with the probabilities that make its mean x: 16 random bits added."""
    noise = rng.integers(0, 1 << 16, x.shape, dtype=np.uint16)
    return ((np.ascontiguousarray(x).view(np.uint32) + noise) & np.uint32(0xFFFF0000)).view(np.float32)


def _decayed(S: np.ndarray, delta: float, tokens: int) -> np.ndarray:
    """S (d_k, d_v) after `tokens` tokens of gated linear attention that write nothing, its state in bfloat16."""

    def layer(q: Array, v: Array, S: Array, log_decay: Array) -> Output:
        state = layers.gated_linear_attention(q, q, v, log_decay=log_decay, initial_state=S).state
        return Output(state, state)

    silent = {"q": np.zeros((tokens, S.shape[0])), "v": np.zeros((tokens, S.shape[1]))}
    gates = np.full(tokens, np.log1p(-delta))
    return run_as(layer, {**silent, "S": S, "log_decay": gates}, contract_named("float32,state=bfloat16"))
