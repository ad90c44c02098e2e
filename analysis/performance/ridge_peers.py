"""The ridge solution at every position by other libraries, each in the form that its users would write for speed.

A library is imported when its contender is made: ImportError is a stated absence. Positions solved one by one share
H_t, summed from the outer products, and o_t = u_t'G_t with (H_t + λI) u_t = q_t, which is one right-hand side a
position, G_t never formed: o = tril((U K') ∘ Γ) V. What cannot be run whole does a share (`contender`).
"""

import importlib
import importlib.metadata
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.linalg

from analysis.performance.contender import NUMPY, THEIRS, Contender, Library
from analysis.performance.problems import Sequence
from ttr_numerics.arrays import namespace, positions

__all__ = [
    "few_positions",
    "middles",
    "numpy_sherman_morrison",
    "numpy_solve",
    "padasip_rls",
    "scipy_cholesky",
    "scipy_lstsq",
    "sklearn_ridge",
    "statsmodels_rls",
    "torch_cholesky",
    "version",
]

BLOCK = 16  # positions whose H_t are held at once: they stay in the cache; 64 and more were slower
FEW, SEGMENT = 8, 64  # positions of a method whose cost grows with t; consecutive ones where it does not


def by_position(s: Sequence, log_decay: float, solve: Callable[[Any, Any], Any]) -> Any:
    """o (heads, T, d_v) from `solve(H, q)` (n, d, 1) for H (n, d, d), head after head, block after block."""
    xp = namespace(s.k)
    heads = []
    for q, k, v in zip(s.q, s.k, s.v, strict=True):
        U = xp.concat([solve(H, q[at, :, None]) for at, H in _moments(k, log_decay)])[..., 0]
        weights = xp.tril(U @ xp.matrix_transpose(k))
        if log_decay != 0.0:
            t = xp.astype(positions(k, len(k)), k.dtype)
            weights = weights * xp.exp(log_decay * xp.tril(t[:, None] - t))
        heads.append(weights @ v)
    return xp.stack(heads)


def _moments(k: Any, log_decay: float) -> Iterator[tuple[slice, Any]]:
    """H_t = Σ_{i≤t} γ^(t-i) k_i k_i' (n, d, d) for the positions of one block after another; k (T, d) of one head."""
    xp, T = namespace(k), k.shape[0]
    H = k[:1, :, None] * k[:1, None, :] * 0
    for start in range(0, T, BLOCK):
        K = k[start : start + BLOCK]
        added = K[:, :, None] * K[:, None, :]
        if log_decay == 0.0:
            H = H[-1] + xp.cumulative_sum(added, axis=0)
        else:  # γ^t Σ γ^-i within a block: γ^-BLOCK is small
            power = xp.exp(log_decay * (1 + xp.astype(positions(k, len(K)), k.dtype)))[:, None, None]
            H = power * (H[-1] + xp.cumulative_sum(added / power, axis=0))
        yield slice(start, start + BLOCK), H


def numpy_solve(s: Sequence, ridge: float, log_decay: float = 0.0) -> Contender:
    """`numpy.linalg.solve`, a stack of positions in one call."""
    Λ = ridge * np.eye(s.k.shape[-1], dtype=s.k.dtype)

    def run() -> Any:
        return by_position(s, log_decay, lambda H, q: np.linalg.solve(H + Λ, q))

    routine = "LU a position (numpy.linalg: in float64)"
    return Contender("numpy.linalg.solve a position", THEIRS, NUMPY.version, routine, "ridge", run)


def torch_cholesky(
    s: Sequence, ridge: float, library: Library, log_decay: float = 0.0, heads: int | None = None
) -> Contender:
    """`torch.linalg.cholesky` and `torch.cholesky_solve`, a stack of positions in one call."""
    torch = importlib.import_module("torch")
    given = Sequence(*(library.asarray(x[:heads]) for x in s))
    Λ = ridge * torch.eye(s.k.shape[-1], dtype=given.k.dtype, device=given.k.device)

    def run() -> Any:
        o = by_position(given, log_decay, lambda H, q: torch.cholesky_solve(q, torch.linalg.cholesky(H + Λ)))
        library.synchronize()
        return o

    routine = "batched Cholesky a position, in the dtype"
    return Contender("torch batched Cholesky a position", THEIRS, library.version, routine, "ridge", run, heads=heads)


def numpy_sherman_morrison(s: Sequence, ridge: float) -> Contender:
    """Recursive least squares as in the textbook: one loop over t, all heads at once."""

    def run() -> np.ndarray:
        return _sherman_morrison(s.q, s.k, s.v, ridge)

    name, routine = "NumPy Sherman-Morrison loop", "numpy.matmul in the dtype"
    return Contender(name, THEIRS, NUMPY.version, routine, "ridge", run)


def _sherman_morrison(q: np.ndarray, k: np.ndarray, v: np.ndarray, ridge: float) -> np.ndarray:
    heads, T, d = k.shape
    P = np.broadcast_to(np.eye(d, dtype=k.dtype) / k.dtype.type(ridge), (heads, d, d)).copy()
    S, o = np.zeros((heads, d, v.shape[-1]), k.dtype), np.empty_like(v)
    for t in range(T):
        row, column = k[:, t, None, :], k[:, t, :, None]
        Pk = P @ column
        gain = Pk / (1 + row @ Pk)
        S += gain * (v[:, t, None, :] - row @ S)
        P -= gain * Pk.swapaxes(-1, -2)
        o[:, t] = (q[:, t, None, :] @ S)[:, 0]
    return o


def scipy_lstsq(s: Sequence, ridge: float) -> Contender:
    """`scipy.linalg.lstsq` on the stacked rows, position by position."""
    q, k, v = (x[0] for x in (s.q, s.k, s.v))
    T, d = k.shape
    at, prior, nothing = middles(T), ridge**0.5 * np.eye(d, dtype=k.dtype), np.zeros((d, v.shape[-1]), v.dtype)

    def one(t: int) -> np.ndarray:
        rows, values = np.concatenate([k[: t + 1], prior]), np.concatenate([v[: t + 1], nothing])
        return q[t] @ scipy.linalg.lstsq(rows, values, check_finite=False)[0]

    return few_positions("scipy.linalg.lstsq a position", version("scipy"), "SVD (LAPACK gelsd) in the dtype", one, at)


def scipy_cholesky(s: Sequence, ridge: float) -> Contender:
    """`scipy.linalg.cho_factor` and `cho_solve` at consecutive positions, H_t updated from one to the next."""
    q, k, v = (x[0] for x in (s.q, s.k, s.v))
    T, d = k.shape
    start = max(0, T // 2 - SEGMENT // 2)
    at = tuple(range(start, min(start + SEGMENT, T)))
    before = (k[:start].T @ k[:start] + ridge * np.eye(d, dtype=k.dtype), k[:start].T @ v[:start])

    def run() -> np.ndarray:
        H, G, rows = before[0].copy(), before[1].copy(), []
        for t in at:
            H += np.outer(k[t], k[t])
            G += np.outer(k[t], v[t])
            rows.append(
                scipy.linalg.cho_solve(scipy.linalg.cho_factor(H, check_finite=False), q[t], check_finite=False) @ G
            )
        return np.stack(rows)[None]

    name, routine = "scipy.linalg.cho_solve a position", "Cholesky (LAPACK potrf) in the dtype"
    return Contender(name, THEIRS, version("scipy"), routine, "ridge", run, heads=1, positions=at)


def sklearn_ridge(s: Sequence, ridge: float) -> Contender:
    """`sklearn.linear_model.Ridge`, fitted anew at a position."""
    estimator = importlib.import_module("sklearn.linear_model").Ridge
    q, k, v = (x[0] for x in (s.q, s.k, s.v))

    def one(t: int) -> Any:
        return estimator(alpha=ridge, fit_intercept=False).fit(k[: t + 1], v[: t + 1]).predict(q[t : t + 1])[0]

    return few_positions(
        "scikit-learn Ridge a position",
        version("scikit-learn"),
        "Cholesky (SciPy) in the dtype",
        one,
        middles(len(k)),
    )


def statsmodels_rls(s: Sequence, ridge: float) -> Contender:
    """`statsmodels` RecursiveLS from the prior covariance I/λ; it has one output a filter."""
    filters = importlib.import_module("statsmodels.regression.recursive_ls")
    q, k, v, d = s.q[0], s.k[0], s.v[0, :, 0], s.k.shape[-1]
    prior = {"initial_state": np.zeros(d), "initial_state_cov": np.eye(d) / ridge}

    def run() -> np.ndarray:
        fit = filters.RecursiveLS(v, k, initialization="known", **prior).filter()
        return np.sum(q * fit.recursive_coefficients.filtered.T, axis=-1)[None, :, None]

    name, routine = "statsmodels RecursiveLS", "Kalman filter in Cython, in float64"
    return Contender(name, THEIRS, version("statsmodels"), routine, "ridge", run, heads=1, columns=1)


def padasip_rls(s: Sequence, ridge: float) -> Contender:
    """`padasip` FilterRLS from the inverse I/λ; it has one output a filter."""
    filters = importlib.import_module("padasip").filters
    q, k, v, d = s.q[0], s.k[0], s.v[0, :, 0], s.k.shape[-1]

    def run() -> np.ndarray:
        rls, o = filters.FilterRLS(n=d, mu=1.0, eps=ridge, w="zeros"), np.empty(len(k))
        for t in range(len(k)):
            rls.adapt(v[t], k[t])
            o[t] = rls.predict(q[t])
        return o[None, :, None]

    name, routine = "padasip FilterRLS", "Sherman-Morrison token by token (NumPy), in float64"
    return Contender(name, THEIRS, version("padasip"), routine, "ridge", run, heads=1, columns=1)


def few_positions(
    name: str, version: str, routine: str, one: Callable[[int], np.ndarray], at: tuple[int, ...], truth: str = "ridge"
) -> Contender:
    """`one(t)` at few positions of one head."""

    def run() -> Any:
        return np.stack([one(t) for t in at])[None]

    return Contender(name, THEIRS, version, routine, truth, run, heads=1, positions=at)


def middles(T: int) -> tuple[int, ...]:
    """The middles of equal parts of 0..T-1: their mean cost is that of all where cost is a polynomial of low degree."""
    few = min(FEW, T)
    return tuple((2 * i + 1) * T // (2 * few) for i in range(few))


def version(distribution: str) -> str:
    return f"{distribution} {importlib.metadata.version(distribution)}"
