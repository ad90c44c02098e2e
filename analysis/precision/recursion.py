"""Recursive least squares that loses its symmetry, and the forms that do not; P that winds up until it overflows.

With g = Pk/(γ + k'Pk) the textbook takes g (Pk)' off P. That product is symmetric whatever P is, so an antisymmetric
rounding error is never taken off, only divided by γ: written so, the recursion must fail. With g k'P it is repaired.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ttr_numerics import exact, layers
from ttr_numerics.arrays import Array, namespace, quiet
from ttr_numerics.axes import Output, Recursion
from ttr_numerics.exact.recursion import initial_recursion
from ttr_numerics.measure import bounds
from ttr_numerics.recurrence import sequential

__all__ = ["FORMS", "ONE_SIDED", "overflow_rows", "recursion_rows"]

DIMENSION, TRIALS, START, NOISE = 16, 16, 100.0, 0.1
HORIZONS = 40  # memory lengths 1/(1-γ) that are run
POINTS = 33
LOST = 10.0  # times the error of the sound form in float64: from there the recursion has failed
ONE_SIDED, TWO_SIDED, MESA, EXACT = "g (Pk)'", "g k'P", "g k'P, symmetrised", "square root"

SHOWN = (ONE_SIDED, EXACT)  # the forms whose course is stored; the other two are as the last

Row = dict[str, Any]


def recursion_rows(cell: Row, rng: np.random.Generator) -> list[Row]:
    """Mean squared error of q_t S_t - q_t S* by form: over time, and where it first exceeds ten times the sound one's.

    Standard normal keys and queries, values k_t S* and noise; P_0 = 100 I. Means over trials and windows of a tenth of
    a memory length.
    """
    decay = cell["decay"]
    window = max(1, round(0.1 / (1 - decay)))
    T = 10 * HORIZONS * window
    k, q = (rng.standard_normal((TRIALS, T, DIMENSION)) for _ in range(2))
    S = rng.standard_normal((TRIALS, DIMENSION, 1))
    v = k @ S + NOISE * rng.standard_normal((TRIALS, T, 1))
    found = {
        (dtype, name): _windowed(form, (q, k, v), decay, np.dtype(dtype), window, q @ S)
        for dtype in ("float64", "float32")
        for name, form in FORMS.items()
    }
    sound = found["float64", MESA]
    rows: list[Row] = []
    for (dtype, name), errors in found.items():
        after = np.flatnonzero(~(errors <= LOST * sound))
        failed = int((after[0] + 1) * window) if len(after) else None
        settled = 1 - decay  # P_∞ = (1-γ)(E kk')⁻¹
        horizon = bounds.asymmetry_horizon(decay, float(np.finfo(dtype).eps) / 2, START, settled)
        row = {"dtype": dtype, "form": name, "tokens": T, "failed": failed, "horizon": horizon, "trials": TRIALS}
        row |= {"largest": float(np.max(errors)), "last": float(errors[-1]), "sound": float(sound[-1])}
        rows.append({"kind": "failure", **row})
        if name not in SHOWN:
            continue
        for at in np.unique(np.linspace(1, len(errors), POINTS).round().astype(int)) - 1:
            time = float((at + 1) * window * (1 - decay))
            rows.append({"kind": "course", "dtype": dtype, "form": name, "memories": time, "value": float(errors[at])})
    return rows


def overflow_rows(cell: Row, rng: np.random.Generator) -> list[Row]:
    """The token at which P overflows along a direction that no key excites, P_0 = I.

    (P + P')/2 overflows a factor two before P does, ln 2 / ln(1/γ) tokens.
    """
    decay, dtype = cell["decay"], np.dtype(cell["dtype"])
    largest = float(np.finfo(dtype).max)
    rows = []
    for name, most in ((TWO_SIDED, largest), (MESA, largest / 2)):
        predicted = bounds.overflow_steps(decay, most)
        found = _overflow(FORMS[name], decay, dtype, predicted)
        rows.append({"form": name, "overflowed": found, "predicted": predicted})
    return rows


def _overflow(form: Callable[..., Output], decay: float, dtype: np.dtype, predicted: int) -> int | None:
    """The first token with an infinite P, among those up to 5 % after the predicted one."""
    near, last = round(0.95 * predicted), round(1.05 * predicted)
    k = np.zeros((last, 2), dtype=dtype)
    k[:, 0] = 1.0
    gates = np.full(last, np.log(decay), dtype=dtype)
    with quiet():
        state = form(k[:near], k[:near], k[:near, :1], ridge=1.0, log_decay=gates[:near]).state
        for t in range(near, last):
            if not np.all(np.isfinite(state.P)):
                return t
            at = slice(t, t + 1)
            state = form(k[at], k[at], k[at, :1], log_decay=gates[at], initial_state=state).state
    return None


def one_sided(
    q: Array, k: Array, v: Array, *, log_decay: Array, ridge: Any = None, initial_state: Recursion | None = None
) -> Output:
    """P ← (P - g (Pk)')/γ, g = Pk/(γ + k'Pk): the unsound writing."""
    state = initial_recursion(ridge, initial_state, q, v)
    return sequential(_step(lambda kP, Pk: namespace(Pk).matrix_transpose(Pk)), state, q, k, v, log_decay[..., None])


def two_sided(
    q: Array, k: Array, v: Array, *, log_decay: Array, ridge: Any = None, initial_state: Recursion | None = None
) -> Output:
    """P ← (P - g k'P)/γ, g = Pk/(γ + k'Pk), not symmetrised."""
    state = initial_recursion(ridge, initial_state, q, v)
    return sequential(_step(lambda kP, Pk: kP), state, q, k, v, log_decay[..., None])


def _step(row: Callable[[Array, Array], Array]) -> Callable[..., tuple[Recursion, Array]]:
    """One token, taking g · row(k'P, Pk) off P."""

    def step(state: Recursion, q: Array, k: Array, v: Array, gate: Array) -> tuple[Recursion, Array]:
        (S, P), decay = state, namespace(k).exp(gate)
        Pk, kP = P @ namespace(k).matrix_transpose(k), k @ P
        gain = Pk / (decay + k @ Pk)
        S = S + gain @ (v - k @ S)
        return Recursion(S, (P - gain @ row(kP, Pk)) / decay), q @ S

    return step


FORMS: dict[str, Callable[..., Output]] = {
    ONE_SIDED: one_sided,
    TWO_SIDED: two_sided,
    MESA: layers.original_mesa,
    EXACT: exact.recursive_least_squares,
}


def _windowed(
    form: Callable[..., Output],
    arrays: tuple[np.ndarray, np.ndarray, np.ndarray],
    decay: float,
    dtype: np.dtype,
    window: int,
    right: np.ndarray,
) -> np.ndarray:
    """Mean squared error in every window of tokens, infinite where it overflows."""
    q, k, v = (x.astype(dtype) for x in arrays)
    with quiet():
        o = form(q, k, v, ridge=1 / START, log_decay=np.full(q.shape[:-1], np.log(decay), dtype=dtype)).o
        squares = np.square(o.astype(float) - right)[..., 0]
    squares = np.where(np.isfinite(squares), squares, np.finfo(float).max ** 0.5)
    return np.mean(squares.reshape(TRIALS, -1, window), axis=(0, 2))
