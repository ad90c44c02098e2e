"""Cells of stored keys: windows of n tokens in an empty memory, with their own values and with random ones.

Windows end at several places of the text, so that a pair of any age comes from many positions. Keys and values are
scaled to unit norm; a row of zeros stays one.
"""

from typing import Any

import numpy as np

from analysis.age.given_keys import expected_errors
from analysis.age.subject import PIECE, Subject, errors
from ttr_numerics import tasks
from ttr_numerics.measure import mean_interval

__all__ = ["bands", "stored_rows", "takes", "window_length", "windows"]

LONGEST, ENDS, STEP = 128, 5, 8
SEQUENCES = 120  # windows of random values in all, two at least for each window of keys


def window_length(T: int) -> int:
    """Half of the tokens, at most LONGEST, a multiple of STEP where there are as many."""
    half = max(1, min(T // 2, LONGEST))
    return half - half % STEP if half > STEP else half


def takes(subject: Subject, n: int) -> bool:
    """Whether a window of n keys is whole tokens and whole mini-batches of the layer."""
    return n % (subject.writes * subject.batch) == 0


def windows(x: np.ndarray, n: int) -> np.ndarray:
    """The n tokens before each of ENDS places (heads, ends, n, d) of x (heads, T, d), as unit rows or zeros."""
    T = x.shape[1]
    if not 1 <= n <= T:
        raise ValueError(f"n: expected 1 to {T}, the tokens that are stored, got {n}")
    wide = x.astype(np.float64)
    norms = np.linalg.norm(wide, axis=-1, keepdims=True)
    unit = wide / np.where(norms > 0, norms, 1.0)
    ends = np.unique(np.round(np.linspace(n, T, ENDS)).astype(int))
    return np.stack([unit[:, end - n : end] for end in ends], axis=1)


def bands(n: int) -> list[tuple[int, int]]:
    """First and last token since a pair was written: 1, 2 to 4, 5 to 16, 17 to 64, ..., the last up to n.

    >>> bands(20)
    [(1, 1), (2, 4), (5, 16), (17, 20)]
    """
    found = [(1, 1)]
    while found[-1][1] < n:
        last = found[-1][1]
        found.append((last + 1, min(4 * last, n)))
    return found


def stored_rows(subject: Subject, cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """A row a band of ages: errors with the keys' own values and with random ones, expected of these, and isotropic."""
    source, n = tasks.stored(cell["keys"]), cell["n"]
    if not takes(subject, n):
        raise ValueError(f"n: expected a multiple of {subject.writes * subject.batch} for {subject.label}, got {n}")
    K, V = windows(source.k, n), windows(source.v, n)
    (heads, ends, _, d), d_v = K.shape, V.shape[-1]
    K = np.repeat(K.reshape(-1, n, d), subject.period, axis=0)
    own = _errors(subject, K, V.reshape(-1, n, d_v)).reshape(heads, ends, -1).mean(axis=1)
    draws = max(2, SEQUENCES // (heads * ends))
    values = tasks.isotropic_unit_keys(rng, (draws, heads * ends, n, d_v))
    random = np.stack([_errors(subject, K, drawn) for drawn in values])
    expected = expected_errors(subject, K, d_v)
    isotropic = None if subject.square and d != d_v else subject.theory(n // subject.writes, d)
    about = {"source": source.name, "d": d, "heads": heads, "windows": heads * ends, "draws": draws}
    rows = []
    for first, last in bands(n // subject.writes):
        ages = slice(first - 1, last)
        theories = {"given_keys": _mean(expected, ages), "isotropic": _mean(isotropic, ages)}
        means = _with_own(own[:, ages]) | _with_random(random[..., ages]) | theories
        rows.append(about | {"first": first, "last": last} | means)
    return rows


def _errors(subject: Subject, K: np.ndarray, V: np.ndarray) -> np.ndarray:
    """Errors (windows, tokens) by age; each of the arguments that go round meets each window of V."""
    values, size = np.repeat(V, subject.period, axis=0), PIECE - PIECE % subject.period
    found = [errors(subject, K[i : i + size], values[i : i + size]) for i in range(0, len(K), size)]
    return np.concatenate(found).reshape(len(V), subject.period, -1).mean(axis=1)


def _with_own(found: np.ndarray) -> dict[str, Any]:
    """Mean and standard error over heads of (heads, ages); one head has no standard error."""
    mean = mean_interval(np.mean(found, axis=1))
    return {"value": mean.value, "error": mean.high - mean.value if mean.trials > 1 else None}


def _with_random(found: np.ndarray) -> dict[str, Any]:
    """Mean of (draws, windows, ages) and its standard error given the keys: the spread over draws of each window."""
    mean = np.mean(found, axis=-1)
    draws, count = mean.shape
    error = np.sqrt(np.mean(np.var(mean, axis=0, ddof=1)) / (draws * count))
    return {"random": float(np.mean(mean)), "random_error": float(error)}


def _mean(curve: np.ndarray | None, ages: slice) -> float | None:
    return None if curve is None else float(np.mean(curve[..., ages]))
