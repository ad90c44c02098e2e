"""Does it help to track the uncertainty of the solution? v = kS + noise is fitted; the error is that at unseen keys.

A fixed metric Σ^(-1/2) makes the keys isotropic. Against it stands recursive least squares, which learns both the
metric and the gain as it goes; between them a fixed metric with a scalar gain that falls as the error does.
Keys N(0, Σ) with log-uniform Σ, S standard normal and then scaled to a signal of d, noise in units of the signal's
variance. Errors are tr(E'ΣE)/tr(S'ΣS), E = Ŝ - S: the mean over all unseen keys, not a sample of it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from analysis.key_covariance.memories import STEPS, ends, interval_row
from ttr_numerics import exact, tasks
from ttr_numerics.layers import chunked
from ttr_numerics.measure import bounds, geometric_interval, whitening_metric

__all__ = [
    "ANNEALED",
    "BAYES",
    "DELTA_FIXED",
    "DELTA_OTHERS",
    "DELTA_RAW",
    "LINEAR_FIXED",
    "LINEAR_RAW",
    "OTHER_KEYS",
    "RLS",
    "steady_forgetting",
    "steady_step",
    "unseen",
]

Row = dict[str, Any]
TRIALS, WIDTH = 40, 8
OTHER_KEYS = 4  # keys a channel that the estimated metric has seen
LINEAR_RAW, LINEAR_FIXED = "linear attention", "linear attention, Σ^-1/2"
DELTA_RAW, DELTA_FIXED, DELTA_OTHERS = "delta rule", "delta rule, Σ^-1/2", "delta rule, estimated Σ^-1/2"
ANNEALED, RLS, BAYES = "delta rule, Σ^-1/2, falling step", "RLS, ridge → 0", "RLS, ridge of the prior"
SMALL = 1e-9  # the ridge that stands for none, in units of Σ's smallest eigenvalue


def unseen(cell: Row, rng: np.random.Generator) -> list[Row]:
    """Errors on unseen queries after n pairs, and their ratio to that of RLS with the ridge of the prior."""
    n, d, noise = cell["n"], cell["d"], cell["noise"]
    spectrum = tasks.log_uniform_spectrum(d, cell["cond"])
    K, other = tasks.gaussian_keys(rng, (TRIALS, n, d), spectrum), OTHER_KEYS * d
    S = rng.standard_normal((TRIALS, d, WIDTH))
    S *= np.sqrt(d * WIDTH / _size(S, spectrum))[:, None, None]  # every signal is d, so that `noise` is its share
    V = K @ S + np.sqrt(noise * d) * rng.standard_normal((TRIALS, n, WIDTH))
    fixed = np.diag(spectrum**-0.5)
    estimated = whitening_metric(tasks.gaussian_keys(rng, (TRIALS, other, d), spectrum))

    def error(found: np.ndarray) -> np.ndarray:
        return _size(found - S, spectrum) / _size(S, spectrum)

    least = float(spectrum[-1]) * SMALL
    stepped = {
        DELTA_RAW: [error(_normalized(step)(K, V)) for step in STEPS],
        DELTA_FIXED: [error(_through(fixed, K, V, _normalized(step))) for step in STEPS],
        DELTA_OTHERS: [error(_through(estimated, K, V, _normalized(step))) for step in STEPS],
    }
    best = {name: int(np.argmin(np.mean(found, axis=-1))) for name, found in stepped.items()}
    errors = {
        LINEAR_RAW: error(_scaled(chunked.linear_attention(K, K, V).state, S, spectrum)),
        LINEAR_FIXED: error(_through(fixed, K, V, _added) / (n + d + 1 + d * noise)),  # the best scale, of the formula
        **{name: found[best[name]] for name, found in stepped.items()},
        ANNEALED: error(_through(fixed, K, V, _normalized(bounds.best_normalized_steps(n, d, noise)))),
        RLS: error(exact.recursive_least_squares(K, K, V, ridge=least).state.S),
        BAYES: error(exact.recursive_least_squares(K, K, V, ridge=max(least, noise * d)).state.S),
    }
    chosen = {name: ends(np.array([index]), len(STEPS)) for name, index in best.items()}
    return [
        {"layer": name} | interval_row(e) | _ratio(e, errors[BAYES]) | chosen.get(name, {})
        for name, e in errors.items()
    ]


def steady_step(cell: Row, rng: np.random.Generator) -> list[Row]:
    """Where the delta rule ends with a constant step on isotropic keys, from S_0 = S: only the noise is left."""
    d, beta = cell["d"], cell["beta"]
    tokens = round(12 * d / (2 * beta - beta * beta))  # e^-12 of the way is left
    K, E = _isotropic(cell, rng, tokens)
    state = _normalized(beta)(K, E)
    return [interval_row(np.sum(state**2, axis=(-2, -1)) / (d * WIDTH))]


def steady_forgetting(cell: Row, rng: np.random.Generator) -> list[Row]:
    """Where least squares that forgets ends on isotropic keys: only the noise is left."""
    d, decay = cell["d"], cell["decay"]
    tokens = round(12 / (1 - decay)) + 4 * d
    K, E = _isotropic(cell, rng, tokens)
    gates = np.full(K.shape[:-1], np.log(decay))
    state = exact.recursive_least_squares(K, K, E, ridge=SMALL, log_decay=gates).state.S
    return [interval_row(np.sum(state**2, axis=(-2, -1)) / (d * WIDTH))]


def _isotropic(cell: Row, rng: np.random.Generator, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Standard normal keys, and noise as values: S = 0, its signal counted as d."""
    shape = (TRIALS, tokens)
    return rng.standard_normal((*shape, cell["d"])), np.sqrt(cell["noise"] * cell["d"]) * rng.standard_normal(
        (*shape, WIDTH)
    )


def _added(K: np.ndarray, V: np.ndarray) -> np.ndarray:
    return np.asarray(chunked.linear_attention(K, K, V).state)


def _normalized(step: float | np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The delta rule with steps β_t/‖k_t‖²."""

    def fitted(K: np.ndarray, V: np.ndarray) -> np.ndarray:
        return np.asarray(chunked.delta_rule(K, K, V, beta=step / np.sum(K * K, axis=-1)).state)

    return fitted


def _through(
    metric: np.ndarray, K: np.ndarray, V: np.ndarray, fitted: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """metric S̃, S̃ fitted to keys K metric: the map that unseen keys are read with."""
    return metric @ fitted(K @ metric, V)


def _size(S: np.ndarray, spectrum: np.ndarray) -> np.ndarray:
    return np.sum(spectrum[:, None] * S * S, axis=(-2, -1))


def _scaled(found: np.ndarray, S: np.ndarray, spectrum: np.ndarray) -> np.ndarray:
    """c Ŝ with the best c for unseen keys, one for all draws."""
    c = np.sum(spectrum[:, None] * found * S) / np.sum(spectrum[:, None] * found * found)
    return c * found


def _ratio(errors: np.ndarray, reference: np.ndarray) -> Row:
    """The geometric mean of the paired ratios and its 95 % interval; none where the reference is rounding."""
    if np.max(reference) < 1e-12:
        return {"ratio": None, "ratio_low": None, "ratio_high": None}
    found = geometric_interval(errors / reference)
    return {"ratio": found.value, "ratio_low": found.low, "ratio_high": found.high}
