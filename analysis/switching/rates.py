"""How fast local fits approach a smooth function: the error of each, its bandwidth at its best, for one n and d."""

from typing import Any

import numpy as np

from analysis.drift.excess import interval_row
from ttr_numerics import exact
from ttr_numerics.measure import bounds

__all__ = ["BANDWIDTHS", "GLOBAL", "LINEAR", "NOISE", "SMOOTHER", "curved", "rate_rows"]

SMOOTHER, LINEAR, GLOBAL = "local constant (softmax)", "local linear", "global linear"
NOISE = 0.25  # variance of a value's noise
QUERIES = 96
TRIALS = 6
BANDWIDTHS = tuple(float(c) for c in np.geomspace(0.25, 1.6, 7))  # in units of n^-1/(d+4)


def curved(x: np.ndarray) -> np.ndarray:
    """f(x) = Σ_a (x_a + x_a²)/√d (..., 1) on [-1, 1]^d: slopes of 3/√d and -1/√d at the ends, second derivatives 2/√d.

    The best linear function misses it by Σ_a (x_a² - 1/3)/√d, a mean square of 4/45 in any dimension.
    """
    return np.sum(x + x**2, axis=-1, keepdims=True) / x.shape[-1] ** 0.5


def rate_rows(cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Mean squared error at uniform queries, each local fit at the bandwidth of least mean over all draws."""
    n, d = int(cell["n"]), int(cell["d"])
    K, q = rng.uniform(-1, 1, (TRIALS, n, d)), rng.uniform(-1, 1, (TRIALS, QUERIES, d))
    V, truth = curved(K) + NOISE**0.5 * rng.standard_normal((TRIALS, n, 1)), curved(q)
    plane = exact.ridge(_with_one(K), V, 1e-9).S
    rows = [{"layer": GLOBAL, "bandwidth": None} | interval_row(_errors(_with_one(q) @ plane, truth))]
    kernels = [exact.kernels.Gaussian(c * n ** -bounds.best_bandwidth_exponent(d, 4)) for c in BANDWIDTHS]
    # The ridge only settles queries that too few keys surround: their fit is the local constant.
    fits = {
        SMOOTHER: [exact.kernel_smoother(q, K, V, kernel=kernel) for kernel in kernels],
        LINEAR: [exact.local_polynomial(q, K, V, degree=1, ridge=1e-4, kernel=kernel) for kernel in kernels],
    }
    for name, answers in fits.items():
        by_bandwidth = [_errors(o, truth) for o in answers]
        best = int(np.argmin(np.mean(by_bandwidth, axis=-1)))
        rows.append({"layer": name, "bandwidth": kernels[best].bandwidth} | interval_row(by_bandwidth[best]))
    return rows


def _errors(o: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.mean((o - truth) ** 2, axis=(-2, -1))


def _with_one(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.ones_like(x[..., :1])], axis=-1)
