"""How fast local fits approach a smooth function: the error of each, its bandwidth at its best, for one n and d."""

from typing import Any

import numpy as np

from analysis.drift.excess import interval_row
from ttr_numerics import exact
from ttr_numerics.measure import bounds

__all__ = ["BANDWIDTHS", "DEGREES", "GLOBAL", "LINEAR", "NOISE", "QUADRATIC", "SMOOTHER", "misfit", "rate_rows", "wave"]

SMOOTHER, LINEAR, QUADRATIC = "local constant (softmax)", "local linear", "local quadratic"
GLOBAL = "global linear"
DEGREES = {SMOOTHER: 0, LINEAR: 1, QUADRATIC: 2}
FREQUENCY = 3.0
NOISE = 0.25  # variance of a value's noise
QUERIES = 36
TRIALS = 16
VALUES = 16  # draws of the noise on the same keys
BANDWIDTHS = tuple(float(c) for c in np.geomspace(0.25, 2.2, 8))  # in units of n^-1/(d+b), b of each fit
RIDGE = 1e-4  # only settles queries that too few keys surround: their fit is the local constant


def channel(x: np.ndarray) -> np.ndarray:
    """g(x) = sin(ωx + π/4), ω = 3: every derivative, divided by ω^j, is ±0.80 or ±0.60 at the ends of [-1, 1]."""
    return np.sin(FREQUENCY * x + np.pi / 4)


def wave(x: np.ndarray) -> np.ndarray:
    """f(x) = Σ_a g(x_a)/√d (..., 1) on [-1, 1]^d, in the class of no fit; mean square 1/2 less its squared mean."""
    return np.sum(channel(x), axis=-1, keepdims=True) / x.shape[-1] ** 0.5


def misfit() -> float:
    """½ - ½ s² - (3/2)((s - cos ω)/ω)², s = sin ω/ω: what the best linear function leaves of f, in any dimension.

    g has mean square ½, mean s/√2 and mean of x g (s - cos ω)/(ω√2); x has mean square 1/3. Channels are independent.
    """
    s = np.sin(FREQUENCY) / FREQUENCY
    return float(0.5 - 0.5 * s**2 - 1.5 * ((s - np.cos(FREQUENCY)) / FREQUENCY) ** 2)


def rate_rows(cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Mean squared error at uniform queries, each local fit at the bandwidth of least mean over all draws."""
    n, d = int(cell["n"]), int(cell["d"])
    K, q = rng.uniform(-1, 1, (TRIALS, n, d)), rng.uniform(-1, 1, (TRIALS, QUERIES, d))
    V, truth = wave(K) + NOISE**0.5 * rng.standard_normal((TRIALS, n, VALUES)), wave(q)
    plane = exact.ridge(_with_one(K), V, 1e-9).S
    flat = {"layer": GLOBAL, "units": None, "expected": misfit()}
    rows = [flat | interval_row(_errors(_with_one(q) @ plane, truth))]
    for name, degree in DEGREES.items():
        unit = n ** -bounds.best_bandwidth_exponent(d, bounds.squared_bias_order(degree))
        by_bandwidth = [
            _errors(exact.local_polynomial(q, K, V, degree=degree, ridge=RIDGE, kernel=kernel), truth)
            for kernel in (exact.kernels.Gaussian(c * unit) for c in BANDWIDTHS)
        ]
        expected = min(bounds.local_fit_error(degree, d, n, c * unit, NOISE, channel).error for c in BANDWIDTHS)
        best = int(np.argmin(np.mean(by_bandwidth, axis=-1)))
        rows.append({"layer": name, "units": BANDWIDTHS[best], "expected": expected} | interval_row(by_bandwidth[best]))
    return rows


def _errors(o: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.mean((o - truth) ** 2, axis=(-2, -1))


def _with_one(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.ones_like(x[..., :1])], axis=-1)
