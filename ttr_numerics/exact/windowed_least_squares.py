"""Least squares on a sliding window: the newest pair comes in, the oldest goes, and nothing is ever subtracted."""

from typing import NamedTuple

from ttr_numerics.arrays import Array, concat, diagonal_matrix, namespace, zeros
from ttr_numerics.axes import Output, check_sequence, per_token
from ttr_numerics.exact.blocks import spans
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.least_norm import least_norm

__all__ = ["WindowRows", "windowed_least_squares_prefixes"]

BLOCK = 128  # positions whose windows are held at a time


class WindowRows(NamedTuple):
    """The last window - 1 tokens: k (..., n, d_k), v (..., n, d_v), weights (..., n, 1)."""

    k: Array
    v: Array
    weights: Array


def windowed_least_squares_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    window: int,
    ridge: float = 0.0,
    weights: Array | None = None,
    initial_state: WindowRows | None = None,
) -> Output:
    """o_t = q_t S_t, S_t = argmin ½Σ_{t-window<i≤t} w_i‖v_i - k_i S‖² + ½λ‖S‖², of least norm where that is not unique.

    weights (..., T), default 1; λ = `ridge`. Every window is factored anew, from its own rows (singular values, LAPACK
    gelsd): the error follows the condition of the window. Downdating a factor by the oldest row would lose all digits
    where that row was large. window · d_k numbers a position. Judged by `least_norm(...).residual_ratio`.
    Reference: Golub and Van Loan, Matrix Computations, section 6.5.4 (why not to downdate).
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, weights=weights)
    if window < 1:
        raise ValueError(f"window: expected at least 1, got {window}")
    xp = namespace(q)
    w = per_token("weights", xp.ones_like(q[..., 0]) if weights is None else weights, q)
    rows = WindowRows(k, v, w)
    if initial_state is not None:
        rows = WindowRows(*(concat([old, new], -2) for old, new in zip(initial_state, rows, strict=True)))
    outputs, before = [], rows.k.shape[-2] - k.shape[-2]
    for piece in spans(k.shape[-2], BLOCK):
        K, V, W = (_windows(x, range(before + piece.start, before + piece.stop), window) for x in rows)
        S = least_norm(*_regularised(xp.sqrt(W) * K, xp.sqrt(W) * V, ridge)).S
        outputs.append((q[..., piece, None, :] @ S)[..., 0, :])
    first = max(0, rows.k.shape[-2] - window + 1)
    return Output(concat(outputs, -2) if outputs else v, WindowRows(*(x[..., first:, :] for x in rows)))


def _windows(x: Array, positions: range, window: int) -> Array:
    """The rows of the window that ends at each of the positions (..., n, window, d), zero before the first token."""
    short = max(0, window - 1 - positions.start)
    first = positions.start - window + 1 + short
    x = concat([zeros(x, (*x.shape[:-2], short, x.shape[-1])), x[..., first : positions.stop, :]], -2)
    return namespace(x).stack([x[..., i : i + window, :] for i in range(len(positions))], axis=-3)


def _regularised(K: Array, V: Array, ridge: float) -> tuple[Array, Array]:
    """The rows with √λ I below: their least squares is ridge regression."""
    if ridge == 0:
        return K, V
    root = diagonal_matrix(ridge**0.5 + zeros(K, (*K.shape[:-2], K.shape[-1])))
    return concat([K, root], -2), concat([V, zeros(V, (*V.shape[:-2], K.shape[-1], V.shape[-1]))], -2)
