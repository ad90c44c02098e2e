"""Orthogonal transformations of stacked rows, block by block, for whole batches of small matrices.

The array API has QR with an explicit Q; here Q is applied as blocks of Householder reflectors I - Y'TY, the rows of Y
unit vectors from their diagonal on. T follows from them alone: T'⁻¹ is the lower triangle of YY' with its diagonal
halved (2/τ = ‖y‖²). A column that is zero below its diagonal has y = e, τ = 2: its row changes sign.
Reference: Schreiber and Van Loan, SIAM J. Sci. Stat. Comput. 10 (1989); Puglisi, same journal 13 (1992).
"""

import array_api_compat
import numpy as np

from ttr_numerics.arrays.library import Array, concat, eye, namespace, zeros

__all__ = ["causal_products", "triangularised"]

PANEL = 16  # columns reduced before the rest is updated by matrix products


def triangularised(A: Array, n: int) -> Array:
    """The first n rows (..., n, n + m) of Q'A, A (..., rows, n + m), where Q comes from the QR of its first n columns.

    They begin with an upper triangle, diagonal of either sign. Rows much smaller than others must stand below them:
    reflectors lose small rows on top of large ones. 2n²(rows - n/3) + 4nm(rows - n/2) flops.
    """
    unit, done = _Unit(A, min(n, PANEL)), []
    for s in range(0, n, PANEL):
        w = min(PANEL, n - s)
        triangle, Y, T = _reflectors(A[..., :w], unit)
        rest = A[..., w:]
        rest = rest - namespace(Y).matrix_transpose(Y) @ (T @ (Y @ rest))
        done.append(concat([zeros(A, (*A.shape[:-2], w, s)), triangle, rest[..., :w, :]], -1))
        A = rest[..., w:, :]
    return concat(done, -2)


def causal_products(A: Array, B: Array) -> tuple[Array, Array]:
    """L' and the upper triangle of Q₂'B (..., C, C), where [I; A] = [Q₁; Q₂] L': A, B (..., n, C).

    LL' = I + A'A, and Q₂ = A L'⁻¹ without forming a product of A with itself. 4nC² flops.
    """
    C, factor, products = A.shape[-1], [], []
    unit = _Unit(A, min(C, PANEL))
    identity = unit.eye + zeros(A, (*A.shape[:-2], *unit.eye.shape))
    for s in range(0, C, PANEL):
        w = min(PANEL, C - s)
        triangle, Y, T = _reflectors(concat([identity[..., :w, :w], A[..., :w]], -2), unit)
        Y = Y[..., w:]  # on the rows of the identity the reflectors are the identity, and what is to come is 0
        rest = concat([A[..., w:], B], -1)  # later columns, and the queries that see this panel
        change = T @ (Y @ rest)
        rest = rest - namespace(Y).matrix_transpose(Y) @ change
        A, B = rest[..., : C - s - w], rest[..., C - s :]  # the next panel is not seen by the queries of this one
        before = zeros(change, (*change.shape[:-1], s))
        factor.append(concat([before, triangle, -change[..., : C - s - w]], -1))
        products.append(concat([before, -change[..., C - s - w :]], -1))
    return concat(factor, -2), concat(products, -2)


class _Unit:
    """Constants of a panel of w columns: made once, for their making costs as much as their use."""

    def __init__(self, x: Array, w: int) -> None:
        xp = namespace(x)
        self.eye = eye(x, w)
        self.upper = xp.triu(xp.ones_like(self.eye))
        self.half = xp.matrix_transpose(self.upper) - self.eye / 2


def _reflectors(A: Array, unit: _Unit) -> tuple[Array, Array, Array]:
    """Upper triangle (..., w, w), Y (..., w, rows) and T' (..., w, w) of the QR of A (..., rows, w)."""
    packed, idle = _factored(A)
    xp, w = namespace(A), A.shape[-1]
    upper, half = unit.upper[:w, :w], unit.half[:w, :w]
    triangle = xp.where(idle[..., None], -packed[..., :w, :], packed[..., :w, :]) * upper
    Y = xp.matrix_transpose(packed)
    Y = concat([Y[..., :w] * (upper - unit.eye[:w, :w]) + unit.eye[:w, :w], Y[..., w:]], -1)
    return triangle, Y, xp.linalg.inv((Y @ xp.matrix_transpose(Y)) * half)


def _factored(A: Array) -> tuple[Array, Array]:
    """R and the reflectors packed as LAPACK does (..., rows, w), and which are idle (..., w)."""
    if array_api_compat.is_numpy_array(A):
        packed, tau = np.linalg.qr(A, mode="raw")
        return packed.mT.astype(A.dtype, copy=False), tau == 0
    if array_api_compat.is_torch_array(A) and not A.requires_grad:
        packed, tau = namespace(A).geqrf(A)
        return packed, tau == 0
    return _factored_by_columns(A)


def _factored_by_columns(A: Array) -> tuple[Array, Array]:
    """The same, one column at a time for the whole batch: for libraries without a batched factorisation."""
    xp, w = namespace(A), A.shape[-1]
    packed, idles, above = [], [], zeros(A, (*A.shape[:-2], 0, w))
    for _ in range(w):
        a, x, rest = A[..., :1, 0], A[..., 1:, 0], A[..., 0, 1:]
        one, idle = xp.ones_like(a), xp.all(x == 0, axis=-1, keepdims=True)
        scale = xp.where(idle, one, xp.max(xp.abs(A[..., :, 0]), axis=-1, keepdims=True))
        norm = scale * xp.sqrt(xp.sum((A[..., :, 0] / scale) ** 2, axis=-1, keepdims=True))
        b = xp.where(idle, a, xp.where(a > 0, -norm, norm))
        y = x / xp.where(idle, one, a - b)
        tau = xp.where(idle, 0 * one, (b - a) / xp.where(idle, one, b))
        change = tau * (rest + (y[..., None, :] @ A[..., 1:, 1:])[..., 0, :])
        A = A[..., 1:, 1:] - y[..., :, None] * change[..., None, :]
        packed.append(xp.concat([above[..., :, 0], b, y], axis=-1))
        idles.append(idle)
        above = xp.concat([above[..., :, 1:], (rest - change)[..., None, :]], axis=-2)
    return xp.stack(packed, axis=-1), xp.concat(idles, axis=-1)
