"""A layer that is linear in v, and the tokens it is run on: its operator and its read-out are its answers to v = I.

The operator A (T, T) is the causal layer's outputs; the read-out H (n, n) is what the memory of all n pairs gives back
at its own keys, without writing. `memory` m sets gates of 1 - 1/m a token, and windows of m tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from ttr_numerics import tasks

__all__ = ["SMALL", "Memory", "Run", "Tokens", "check_linear"]

SMALL = 1e-3  # the ridge that recursive least squares starts from, the least of any layer here


@dataclass(frozen=True)
class Tokens:
    """Queries and keys (m, T, d) of unit norm, and what the gates need."""

    q: np.ndarray
    k: np.ndarray
    memory: int | None
    rates: np.ndarray  # in-context rates of RWKV-7, and how gates differ by channel (m, T, d), between 0 and 1

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
    def channel_log_decay(self) -> np.ndarray:
        """Per channel (m, T, d): between none and twice the gate."""
        return np.asarray(2 * self.rates[..., ::-1] * self.log_decay[..., None])

    @property
    def scaled(self) -> np.ndarray:
        """Queries of the attention layers: logits √d cos."""
        return np.asarray(self.k.shape[-1] ** 0.5 * self.q)

    @property
    def scaled_keys(self) -> np.ndarray:
        """The keys as such queries."""
        return np.asarray(self.k.shape[-1] ** 0.5 * self.k)


Run = Callable[[Tokens, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Memory:
    """`outputs(tokens, v)` (m, T, d_v), causal; `recalled(tokens, v)` (m, n, d_v) of the final state at the keys.

    `matrices` is how many d_k × d_v matrices the state is; `setting` says in words what it is run with.
    """

    name: str
    outputs: Run
    recalled: Run
    setting: str = "no gate"
    matrices: int = 1

    def operator(self, x: Tokens) -> np.ndarray:
        """A (m, T, T): the outputs for v = I."""
        return np.asarray(self.outputs(x, x.identity))

    def read(self, x: Tokens) -> np.ndarray:
        """H (m, n, n): what is recalled for v = I."""
        return np.asarray(self.recalled(x, x.identity))


@cache
def check_linear(memory: Memory) -> None:
    """Raise ValueError unless f(v₁ + 2v₂) = f(v₁) + 2f(v₂) for the outputs and for what is recalled.

    On fixed random tokens (2, 40, 4), more than two of the mini-batches that the first gradients, linear whatever the
    loss, fill. Both sides are sums of T products of rounded factors, which a solve multiplies
    by its condition number, 1 + T/`SMALL` at most: a nonlinearity below T d eps (1 + T/SMALL) is not seen.
    """
    rng = np.random.default_rng(0)
    shape = (2, 40, 4)
    q, k, v, w = (tasks.isotropic_unit_keys(rng, shape) for _ in range(4))
    x = Tokens(q, k, 8, rng.uniform(size=shape))
    rounding = shape[1] * shape[2] * float(np.finfo(float).eps) * (1 + shape[1] / SMALL)
    for f in (memory.outputs, memory.recalled):
        both, first, second = (np.asarray(f(x, values)) for values in (v + 2 * w, v, w))
        off = np.max(np.abs(both - first - 2 * second))
        if not off <= rounding * (np.max(np.abs(first)) + 2 * np.max(np.abs(second))):
            raise ValueError(f"layer: expected one that is linear in v, got {memory.name}, off by {off:.2g}")
