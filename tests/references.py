"""Naive twins of the layers, written from the recursions, and the one comparator of the test set.

A twin treats one head: q, k (T, d_k), v (T, d_v), beta (T,), log_decay (T,) or (T, d_k), S (d_k, d_v). It returns
outputs with, per token, the size of the same recursion on absolute values and the number κ of unit roundoffs by
which a float64 run may differ from it. Nothing here imports a layer's arithmetic.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ttr_numerics import layers, tolerance
from ttr_numerics.precision import FORMATS

# Agreement asked of float64 where the derived κ·u is smaller: 900 roundoffs of the recursion on absolute values, so
# that a case too small for error analysis to say much still allows another summation order and another exp.
FLOOR = 1e-13


@dataclass(frozen=True)
class Twin:
    """Outputs o (T, d_v); size (T,), the norm of the recursion on absolute values; kappa (T,)."""

    o: np.ndarray
    size: np.ndarray
    kappa: np.ndarray


def additive(q: np.ndarray, k: np.ndarray, v: np.ndarray, log_decay: np.ndarray | None = None) -> Twin:
    """S ← diag(exp g) S + k v', read after the write. Each token adds at most d_k + 4 roundings to any product."""
    (T, d_k), d_v = k.shape, v.shape[1]
    S, A = np.zeros((d_k, d_v)), np.zeros((d_k, d_v))
    o, size = np.zeros((T, d_v)), np.zeros(T)
    for t in range(T):
        for c in range(d_k):
            decay = 1.0 if log_decay is None else np.exp(log_decay[t] if log_decay.ndim == 1 else log_decay[t, c])
            S[c] = decay * S[c] + k[t, c] * v[t]
            A[c] = decay * A[c] + abs(k[t, c]) * abs(v[t])
        o[t], size[t] = q[t] @ S, np.linalg.norm(abs(q[t]) @ A)
    return Twin(o, size, (d_k + 4.0) * np.arange(1, T + 1))


def delta(q: np.ndarray, k: np.ndarray, v: np.ndarray, beta: np.ndarray, log_decay: np.ndarray | None = None) -> Twin:
    """S̄ = diag(exp g) S, then the error v - k S̄ on the decayed state, then S = S̄ + β k' error."""
    (T, d_k), d_v = k.shape, v.shape[1]
    S, A = np.zeros((d_k, d_v)), np.zeros((d_k, d_v))
    o, size = np.zeros((T, d_v)), np.zeros(T)
    for t in range(T):
        if log_decay is not None:
            decay = np.exp(log_decay[t]) * np.ones(d_k)
            S, A = decay[:, None] * S, decay[:, None] * A
        error, bound = v[t] - k[t] @ S, abs(v[t]) + abs(k[t]) @ A
        for c in range(d_k):
            S[c] = S[c] + beta[t] * k[t, c] * error
            A[c] = A[c] + abs(beta[t] * k[t, c]) * bound
        o[t], size[t] = q[t] @ S, np.linalg.norm(abs(q[t]) @ A)
    return Twin(o, size, (d_k + 6.0) * np.arange(1, T + 1))


def mesa(q: np.ndarray, k: np.ndarray, v: np.ndarray, ridge: Any, log_decay: np.ndarray, beta: np.ndarray) -> Twin:
    """Ridge regression of tokens 1..t, weighted by β_i and the gates since i, solved anew at every t.

    Sizes are normwise, ‖q‖‖(H + Λ)⁻¹‖‖G‖: Cholesky loses of the order of 3 d_k² roundoffs times the condition number
    (Higham, theorem 10.3), the moments d_k (t + 2).
    """
    (T, d_k), d_v = k.shape, v.shape[1]
    o, size, kappa = np.zeros((T, d_v)), np.zeros(T), np.zeros(T)
    for t in range(T):
        H, G, A = np.diag(ridge * np.ones(d_k)), np.zeros((d_k, d_v)), np.zeros((d_k, d_v))
        for i in range(t + 1):
            weight = beta[i] * np.exp(np.sum(log_decay[i + 1 : t + 1]))
            H, G = H + weight * np.outer(k[i], k[i]), G + weight * np.outer(k[i], v[i])
            A = A + weight * np.outer(abs(k[i]), abs(v[i]))
        o[t] = q[t] @ np.linalg.solve(H, G)
        size[t] = np.linalg.norm(q[t]) * np.linalg.norm(np.linalg.inv(H), 2) * np.linalg.norm(A)
        kappa[t] = np.linalg.cond(H) * d_k * (3 * d_k + t + 2)
    return Twin(o, size, kappa)


def softmax(q: np.ndarray, k: np.ndarray, v: np.ndarray, causal: bool = True) -> Twin:
    """Weighted mean of values, weights exp(q·k). An absolute error of a logit is a relative error of its weight."""
    T, d_v = v.shape
    o, size, kappa = np.zeros((T, d_v)), np.zeros(T), np.zeros(T)
    for t in range(T):
        n = t + 1 if causal else T
        logits = [sum(q[t, c] * k[i, c] for c in range(k.shape[1])) for i in range(n)]
        weights = [np.exp(z - max(logits)) for z in logits]
        o[t] = sum(w * x for w, x in zip(weights, v, strict=False)) / sum(weights)
        size[t] = np.linalg.norm(sum(w * abs(x) for w, x in zip(weights, v, strict=False)) / sum(weights))
        logit_size = np.max(np.abs(k[:n]) @ np.abs(q[t]))
        kappa[t] = 2 * (k.shape[1] + 2) * logit_size + 2 * n + 4
    return Twin(o, size, kappa)


@dataclass(frozen=True)
class Case:
    """A layer, its twin, and the gates it takes: by argument name, a maker of (rng, shape (..., T), d_k)."""

    layer: Callable[..., Any]
    twin: Callable[..., Twin]
    gates: dict[str, Callable[[np.random.Generator, tuple[int, ...], int], Any]]
    causal: bool = True

    def inputs(
        self, rng: np.random.Generator, batch: tuple[int, ...] = (), T: int = 5, d_k: int = 3, d_v: int = 2
    ) -> dict[str, Any]:
        """Random arguments; keys of norm about one, so that no delta rule diverges."""
        q, k, v = (rng.standard_normal((*batch, T, d)) for d in (d_k, d_k, d_v))
        gates = {name: make(rng, (*batch, T), d_k) for name, make in self.gates.items()}
        return {"q": q, "k": k / np.sqrt(d_k), "v": v, **gates}


def _decay(rng: np.random.Generator, shape: tuple[int, ...], d_k: int) -> np.ndarray:
    return -rng.exponential(0.3, shape)


def _channels(rng: np.random.Generator, shape: tuple[int, ...], d_k: int) -> np.ndarray:
    return -rng.exponential(0.3, (*shape, d_k))


def _step(rng: np.random.Generator, shape: tuple[int, ...], d_k: int) -> np.ndarray:
    return rng.uniform(0.1, 1.0, shape)


def _ridge(rng: np.random.Generator, shape: tuple[int, ...], d_k: int) -> float:
    return 0.5


def _bidirectional(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> Twin:
    return softmax(q, k, v, causal=False)


CASES = {
    "linear_attention": Case(layers.linear_attention, additive, {}),
    "gated_linear_attention": Case(layers.gated_linear_attention, additive, {"log_decay": _decay}),
    "gated_linear_attention_channels": Case(layers.gated_linear_attention, additive, {"log_decay": _channels}),
    "delta_rule": Case(layers.delta_rule, delta, {"beta": _step}),
    "gated_delta_rule": Case(layers.gated_delta_rule, delta, {"beta": _step, "log_decay": _decay}),
    "gated_delta_rule_channels": Case(layers.gated_delta_rule, delta, {"beta": _step, "log_decay": _channels}),
    "mesa": Case(layers.mesa, mesa, {"ridge": _ridge, "log_decay": _decay, "beta": _step}),
    "softmax_attention": Case(layers.softmax_attention, softmax, {}),
    "bidirectional_softmax_attention": Case(layers.bidirectional_softmax_attention, _bidirectional, {}, causal=False),
}
RECURRENT = [name for name in CASES if "softmax" not in name]
CAUSAL = [name for name, case in CASES.items() if case.causal]
GATED = [name for name, case in CASES.items() if "log_decay" in case.gates]


def stored(given: dict[str, Any], dtype: str) -> dict[str, Any]:
    """The arguments as `dtype` holds them, in float64."""
    return {n: FORMATS[dtype].nearest(x) if isinstance(x, np.ndarray) else x for n, x in given.items()}


def twin(case: Case, given: dict[str, Any]) -> Twin:
    """The twin of every head of `given`, stacked; gates broadcast over leading axes of length 1."""
    batch, heads = given["q"].shape[:-2], []
    for head in np.ndindex(batch):
        one = {}
        for name, x in given.items():
            if isinstance(x, np.ndarray):
                own = x.ndim - len(batch)
                x = np.broadcast_to(x, (*batch, *x.shape[-own:]))[head]
            one[name] = x
        heads.append(case.twin(**one))
    T, d_v = given["v"].shape[-2:]
    return Twin(
        np.reshape([h.o for h in heads], (*batch, T, d_v)),
        np.reshape([h.size for h in heads], (*batch, T)),
        np.reshape([h.kappa for h in heads], (*batch, T)),
    )


def allowed(case: Case, given: dict[str, Any], dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """The twin's outputs and the distance (..., T) from them that rounding in `dtype` explains."""
    truth = twin(case, stored(given, dtype))
    own = np.maximum(FLOOR, truth.kappa * FORMATS["float64"].u) * truth.size
    if dtype == "float64":
        return truth.o, own
    return truth.o, own + tolerance.rounding(case.layer, given, FORMATS[dtype]).bound


def wrong(output: np.ndarray, truth: np.ndarray, bound: np.ndarray) -> np.ndarray:
    """Where (..., T) an output is farther from the truth than the bound; NaN is wrong."""
    distance = np.linalg.norm(np.asarray(output, dtype=np.float64) - truth, axis=-1)
    return ~(distance <= bound)


@cache
def example(name: str, batch: tuple[int, ...], dtype: str) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Arguments, true outputs and bound of one case, computed once for all libraries. Not to be written to."""
    given = CASES[name].inputs(np.random.default_rng([len(batch), *map(ord, name)]), batch)
    return given, *allowed(CASES[name], given, dtype)


def wedin(A: np.ndarray, B: np.ndarray, X: np.ndarray, u: float) -> np.ndarray:
    """How far (per column) a backward stable least-squares solution may lie from the true X: ε(2κ/cosθ + κ²tanθ)‖x‖.

    ε = √(mn) u, the normwise backward error of Householder QR with its constant reduced to a square root (Higham,
    Accuracy and Stability, theorem 20.3, and Higham and Mary 2019). A zero column has distance 0.
    """
    kappa = np.linalg.cond(A)
    r, b, x = (np.linalg.norm(y, axis=0) for y in (B - A @ X, B, X))
    fitted = np.sqrt(np.maximum(b**2 - np.minimum(r, b) ** 2, (u * b) ** 2))
    sensitivity = np.zeros_like(b)
    np.divide(2 * kappa * b, fitted, out=sensitivity, where=b > 0)
    tangent = np.zeros_like(b)
    np.divide(kappa**2 * r, fitted, out=tangent, where=b > 0)
    return np.sqrt(A.shape[0] * A.shape[1]) * u * (sensitivity + tangent) * x


def normal_equations(A: np.ndarray, B: np.ndarray, X: np.ndarray, u: float) -> float:
    """How far (Frobenius) the Cholesky solution of A'A X = A'B may lie from X: d(3d + T + 2) u κ(A)² (‖X‖ + ‖B‖/‖A‖).

    Cholesky's backward error is d(3d + 1) u (Higham, theorem 10.3), that of forming A'A and A'B (T + 1) u.
    """
    T, d = A.shape
    size = np.linalg.norm(X) + np.linalg.norm(B) / np.linalg.norm(A, 2)
    return float(d * (3 * d + T + 2) * u * np.linalg.cond(A) ** 2 * size)


def stacked(K: np.ndarray, V: np.ndarray, ridge: float, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted ridge regression as the ordinary least-squares problem [√Γ K; √λ I], [√Γ V; 0]."""
    root, d = np.sqrt(weights)[:, None], K.shape[1]
    return np.vstack([root * K, np.sqrt(ridge) * np.eye(d)]), np.vstack([root * V, np.zeros((d, V.shape[1]))])
