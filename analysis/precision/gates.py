"""Products of gates inside a block: factored into exponentials of sums, as differences of sums, or as products.

factored:      (q_t e^{c_t}) · (k_i e^{-c_i}),  c summed from the block's first key on: e^{-c} overflows
differences:   q_t · k_i e^{c_t - c_i} for i ≤ t, masked before exp: c_t - c_i cancels digits of a long sum
products:      `layers.chunked`, which multiplies factors of at most 1
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ttr_numerics import layers, tasks
from ttr_numerics.arrays import Array, namespace, quiet
from ttr_numerics.axes import Output
from ttr_numerics.measure import bounds
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import run_as

__all__ = ["DIFFERENCES", "FACTORED", "FORMS", "PRODUCTS", "digit_rows", "gate_rows"]

FACTORED, DIFFERENCES, PRODUCTS = "factored", "differences of sums", "products of gates"
DIMENSION, DRAWS = 16, 4
LAST, SEEN = 64, 256  # rows that are judged, and tokens that they can still see
MEAN_GATE = -0.5  # nats a token: about e⁻⁹⁶ after the 192 tokens before the rows that are judged

Row = dict[str, Any]


def gate_rows(cell: Row, rng: np.random.Generator) -> list[Row]:
    """A row a form: the worst relative error in one block of C tokens with a constant gate, None if it overflows."""
    block, gate, dtype = cell["block"], cell["gate"], FORMATS[cell["dtype"]]
    arrays = _arrays(rng, dtype.nearest(np.full((DRAWS, block), gate)))
    right = layers.gated_linear_attention(**arrays).o
    rows = []
    for name, form in FORMS.items():
        error = _worst(_run(form, arrays, dtype), right)
        limit = bounds.overflow_gate(block, dtype.largest)
        rows.append({"form": name, "limit": limit, "overflows": error is None, "value": error, "u": dtype.u})
    return rows


def digit_rows(cell: Row, rng: np.random.Generator) -> list[Row]:
    """The worst relative error of the last rows of T tokens, where sums of gates have grown to T/2 nats."""
    dtype, T = FORMATS[cell["dtype"]], cell["tokens"]
    arrays = _arrays(rng, dtype.nearest(rng.uniform(2 * MEAN_GATE, 0.0, (DRAWS, T))))
    right = layers.gated_linear_attention(**{n: x[:, -SEEN:] for n, x in arrays.items()}).o[:, -LAST:]
    rows = []
    for name in (DIFFERENCES, PRODUCTS):
        error = _worst(_run(FORMS[name], arrays, dtype)[:, -LAST:], right)
        rows.append({"form": name, "u": dtype.u, "nats": -MEAN_GATE * T, "value": error})
    return rows


def factored(q: Array, k: Array, v: Array, *, log_decay: Array) -> Output:
    """One block, every score a product of two exponentials: the form that overflows."""
    xp = namespace(q)
    total = _since_first(log_decay)
    scores = (q * xp.exp(total)) @ xp.matrix_transpose(k * xp.exp(-total))
    return Output(xp.tril(scores) @ v, None)


def differences(q: Array, k: Array, v: Array, *, log_decay: Array) -> Output:
    """The last `SEEN` tokens as one block, exponentials of differences of the sums since the first token."""
    xp = namespace(q)
    total = _since_first(log_decay)[..., -SEEN:, :]
    q, k, v = (x[..., -SEEN:, :] for x in (q, k, v))
    apart = total - xp.matrix_transpose(total)
    visible = xp.tril(xp.ones_like(apart)) > 0
    weights = xp.exp(xp.where(visible, apart, xp.zeros_like(apart)))
    return Output(xp.tril(weights * (q @ xp.matrix_transpose(k))) @ v, None)


FORMS: dict[str, Callable[..., Output]] = {
    FACTORED: factored,
    DIFFERENCES: differences,
    PRODUCTS: layers.chunked.gated_linear_attention,
}


def _since_first(log_decay: Array) -> Array:
    """Sums of gates (..., T, 1) after the first token."""
    xp = namespace(log_decay)
    total = xp.cumulative_sum(log_decay, axis=-1)
    return (total - log_decay[..., :1])[..., None]


def _arrays(rng: np.random.Generator, gates: np.ndarray) -> dict[str, np.ndarray]:
    q, k, v = (tasks.isotropic_unit_keys(rng, (*gates.shape, DIMENSION)) for _ in range(3))
    return {"q": q, "k": k, "v": v, "log_decay": gates}


def _run(form: Callable[..., Output], arrays: dict[str, np.ndarray], dtype: Any) -> np.ndarray:
    with quiet():
        return run_as(form, arrays, dtype)


def _worst(o: np.ndarray, right: np.ndarray) -> float | None:
    """max_t ‖o_t - right_t‖ / max_t ‖right_t‖, None where o is not finite."""
    if not np.all(np.isfinite(o)):
        return None
    apart = np.linalg.norm(o - right, axis=-1)
    return float(np.max(apart) / np.max(np.linalg.norm(right, axis=-1)))
