"""What is timed and what is true: random sequences with unit keys, and float64 answers from another algorithm.

Ridge: S_t minimises ‖[√w V; 0] - [√w K; √λ I] S‖, solved as it stands by `numpy.linalg.lstsq` (SVD), nothing squared.
Kernel ridge: α_t from a QR factorisation of κ(K_t, K_t) + λI. Layers: their sequential definition in float64.
Every truth reads the stored numbers: those of float32 inputs are widened, never drawn again.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from scipy.spatial.distance import cdist

from ttr_numerics import layers, tasks

__all__ = ["RIDGE", "Sequence", "Size", "Truth", "checked", "draw", "kernel_truth", "layer_truth", "ridge_truth"]

RIDGE = 1e-2
Truth = Callable[[int, int], np.ndarray]  # (head, position) -> (d_v,)


class Size(NamedTuple):
    """Tokens, channels of keys and of values, heads."""

    T: int
    d: int
    heads: int


class Sequence(NamedTuple):
    """q, k, v (heads, T, d), unit rows in q and k; log_decay, beta (heads, T); of one library and dtype."""

    q: Any
    k: Any
    v: Any
    log_decay: Any
    beta: Any

    def head(self, number: int) -> "Sequence":
        """One head of it, in float64."""
        return Sequence(*(np.asarray(x[number], dtype=np.float64) for x in self))


def draw(rng: np.random.Generator, size: Size, dtype: str, log_decay: float) -> Sequence:
    """Keys and queries uniform on the sphere, Gaussian values, steps uniform on (0, 1), one decay for every token."""
    q, k = (tasks.isotropic_unit_keys(rng, (size.heads, size.T, size.d)) for _ in range(2))
    gate = np.full((size.heads, size.T), log_decay)
    drawn = (q, k, rng.standard_normal(q.shape), gate, rng.uniform(size=gate.shape))
    return Sequence(*(x.astype(dtype) for x in drawn))


def checked(T: int, number: int) -> tuple[int, ...]:
    """`number` positions, evenly spaced, the last one among them."""
    return tuple(sorted({(i + 1) * T // number - 1 for i in range(number)} - {-1}))


def ridge_truth(given: Sequence, ridge: float, log_decay: float) -> Truth:
    """o_t = q_t S_t by least squares on the stacked rows, weights w_i = exp(log_decay (t - i))."""

    def row(head: int, t: int) -> np.ndarray:
        s = given.head(head)
        root = np.exp(0.5 * log_decay * np.arange(t, -1.0, -1.0))[:, None]
        d = s.k.shape[-1]
        A = np.concatenate([root * s.k[: t + 1], ridge**0.5 * np.eye(d)])
        B = np.concatenate([root * s.v[: t + 1], np.zeros((d, s.v.shape[-1]))])
        return s.q[t] @ np.linalg.lstsq(A, B)[0]

    return cache(row)


def kernel_truth(given: Sequence, ridge: float) -> Truth:
    """o_t = κ(q_t, K_t) (κ(K_t, K_t) + λI)⁻¹ V_t for the Gaussian kernel of bandwidth 1, by QR."""

    def row(head: int, t: int) -> np.ndarray:
        s = given.head(head)
        K = s.k[: t + 1]
        Q, R = np.linalg.qr(_gaussian(K, K) + ridge * np.eye(t + 1))
        return _gaussian(s.q[t : t + 1], K)[0] @ scipy.linalg.solve_triangular(R, Q.T @ s.v[: t + 1])

    return cache(row)


def layer_truth(given: Sequence, layer: str) -> Truth:
    """The sequential layer of that name in float64, one head at a time."""
    take: dict[str, tuple[str, ...]] = {"delta_rule": ("beta",), "gated_delta_rule": ("log_decay", "beta")}

    @cache
    def outputs(head: int) -> np.ndarray:
        s = given.head(head)
        gates = {name: getattr(s, name) for name in take.get(layer, ())}
        return getattr(layers, layer)(s.q, s.k, s.v, **gates).o

    return lambda head, t: outputs(head)[t]


def _gaussian(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * cdist(X, Y, "sqeuclidean"))
