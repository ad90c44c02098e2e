"""Factorisations the array API lacks or leaves unchecked: Cholesky, triangular solves, least squares.

A failure in a batch is collected and reported by slice. LAPACK has no half precision: float16 and bfloat16
are factored in float32 and the answer is rounded back.
"""

from typing import Any

import array_api_compat
import numpy as np
import scipy.linalg

from ttr_numerics.arrays.library import Array, eye, namespace, to_numpy

__all__ = [
    "LinAlgError",
    "cholesky",
    "forward_substitution",
    "inverse_posdef",
    "least_squares",
    "name_slices",
    "solve_posdef",
    "solve_triangular",
    "solve_triangular_numpy",
    "unit_forward_substitution",
]

LinAlgError = np.linalg.LinAlgError


def _widened(x: Array) -> Array:
    xp = namespace(x)
    if x.dtype != object and xp.isdtype(x.dtype, "real floating") and xp.finfo(x.dtype).bits < 32:
        return xp.astype(x, xp.float32)
    return x


def cholesky(a: Array, what: str = "matrix") -> Array:
    """Lower factor L (..., n, n) with L L' = a.

    Raises `LinAlgError` naming the slices that are not positive definite or not finite, on every library:
    CuPy would return rubbish in silence.
    """
    xp = namespace(a)
    if hasattr(xp, "own_cholesky"):
        return xp.own_cholesky(a)
    try:
        factor = _factor(xp, a)
    except RuntimeError as error:  # torch's LinAlgError is a RuntimeError
        raise LinAlgError(_refusal(a, what)) from error
    except ValueError as error:  # NumPy's LinAlgError is a ValueError
        raise LinAlgError(_refusal(a, what)) from error
    pivots = xp.linalg.diagonal(factor) ** 2
    # A pivot that has lost every digit of its diagonal entry passes by luck; NaN fails this comparison too.
    level = a.shape[-1] * float(xp.finfo(a.dtype).eps) * xp.linalg.diagonal(a)
    if not bool(xp.all(pivots > level)):
        raise LinAlgError(_refusal(a, what))
    return factor


def _factor(xp: Any, a: Array) -> Array:
    if array_api_compat.is_cupy_array(a):
        import cupyx

        with cupyx.errstate(linalg="raise"):
            return xp.linalg.cholesky(a)
    return xp.linalg.cholesky(a)


def _refusal(a: Array, what: str) -> str:
    """The sentence naming the slices of `a` that have no Cholesky factor, with their condition number."""
    stack = np.asarray(to_numpy(a), dtype=np.float64)
    finite = np.all(np.isfinite(stack), axis=(-1, -2))
    if not np.all(finite):
        return f"{what}: expected finite entries, got NaN or infinity{name_slices(~finite)}"
    spectrum = np.linalg.eigvalsh(stack)
    smallest = spectrum[..., 0] / np.maximum(np.max(np.abs(spectrum), axis=-1), np.finfo(float).tiny)
    bad = smallest <= a.shape[-1] * float(namespace(a).finfo(a.dtype).eps)
    bad = bad if np.any(bad) else smallest == np.min(smallest)
    return (
        f"{what}: expected positive definite, got smallest eigenvalue {np.min(smallest):.1e} times the largest"
        f"{name_slices(bad)}; give a larger ridge, or use exact.least_norm"
    )


def name_slices(bad: Array) -> str:
    """The batch indices where `bad` holds, as words: ' in slices (0, 3), (1, 2) and 5 more'; '' for no batch."""
    where = [tuple(int(i) for i in index) for index in np.argwhere(to_numpy(bad))]
    if where == [()]:
        return ""
    more = f" and {len(where) - 8} more" if len(where) > 8 else ""
    return f" in slices {', '.join(map(str, where[:8]))}{more}"


def solve_triangular(factor: Array, b: Array, transpose: bool = False) -> Array:
    """x with L x = b, or L' x = b if `transpose`; L (..., n, n) lower triangular, b (..., n, m)."""
    xp = namespace(factor, b)
    if hasattr(xp, "own_solve_triangular"):
        return xp.own_solve_triangular(factor, b, transpose)
    if array_api_compat.is_numpy_array(b):
        return solve_triangular_numpy(factor, b, transpose)
    matrix = xp.matrix_transpose(factor) if transpose else factor
    if array_api_compat.is_torch_array(b):
        x = xp.linalg.solve_triangular(_widened(matrix), _widened(b), upper=transpose)
        return x if x.dtype == b.dtype else xp.astype(x, b.dtype)
    if array_api_compat.is_cupy_array(b):
        import cupyx.scipy.linalg

        return cupyx.scipy.linalg.solve_triangular(factor, b, trans=int(transpose), lower=True)
    return xp.linalg.solve(matrix, b)


BLOCK = 8  # order of the diagonal blocks that forward substitution inverts
LARGE = 128  # order above which one BLAS call outweighs a change of thread pool


def solve_triangular_numpy(factor: np.ndarray, b: np.ndarray, transpose: bool) -> np.ndarray:
    """The same on NumPy arrays, batch axes broadcast. Raises LinAlgError on a zero diagonal.

    Small systems stay inside NumPy: SciPy brings a second pool of BLAS threads, and alternating the two in a loop
    costs up to a hundred times the work. NumPy has no triangular solve, but elimination with pivoting finds nothing
    to do in an upper triangular matrix, so `solve` on it is plain back substitution; a lower one is read backwards.
    """
    if factor.shape[-1] > LARGE:
        batch = np.broadcast_shapes(factor.shape[:-2], b.shape[:-2])
        factor, b = (np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (factor, b))
        return scipy.linalg.solve_triangular(factor, b, trans=int(transpose), lower=True, check_finite=False)
    if transpose:
        return np.linalg.solve(factor.mT, b)
    return np.linalg.solve(factor[..., ::-1, ::-1], b[..., ::-1, :])[..., ::-1, :]


def forward_substitution(factor: Array, b: Array) -> Array:
    """x with L x = b for the inner loop of a chunked algorithm: L (..., n, n) short, b (..., n, m) wide.

    NumPy has no triangular solve of its own, so it goes block by block in matrix products, with the diagonal blocks
    of order 8 inverted all at once. A product with an inverse loses cond(block) where substitution does not: one step
    of refinement gives that back. Elsewhere the library's own solve.
    """
    if not array_api_compat.is_numpy_array(b) or b.dtype == object:
        return solve_triangular(factor, b)
    n, x = factor.shape[-1], np.empty(b.shape, b.dtype)
    if n == 0:
        return x
    diagonal = np.zeros((-(-n // BLOCK), *factor.shape[:-2], BLOCK, BLOCK), factor.dtype)
    diagonal[-1, ..., range(BLOCK), range(BLOCK)] = 1.0  # completes a last block that is shorter
    pieces = [slice(s, min(s + BLOCK, n)) for s in range(0, n, BLOCK)]
    for i, p in enumerate(pieces):
        diagonal[i, ..., : p.stop - p.start, : p.stop - p.start] = factor[..., p, p]
    inverse = _lower_inverse(diagonal)
    for i, p in enumerate(pieces):
        known = b[..., p, :] - factor[..., p, : p.start] @ x[..., : p.start, :] if i else b[..., p, :]
        block = inverse[i, ..., : p.stop - p.start, : p.stop - p.start]
        rows = block @ known
        x[..., p, :] = rows + block @ (known - factor[..., p, p] @ rows)
    return x


def _lower_inverse(L: np.ndarray) -> np.ndarray:
    """L⁻¹ of order 8 by halves, [A 0; C D]⁻¹ = [A⁻¹ 0; -D⁻¹CA⁻¹ D⁻¹], all matrices of a size at once."""
    n, inverse = L.shape[-1], np.zeros_like(L)
    i = np.arange(n)
    even, odd, reciprocals = i[::2], i[1::2], 1 / L[..., i, i]
    inverse[..., i, i] = reciprocals
    inverse[..., odd, even] = -reciprocals[..., odd] * L[..., odd, even] * reciprocals[..., even]
    size = 2
    while size < n:
        for s in range(0, n, 2 * size):
            first, second = slice(s, s + size), slice(s + size, s + 2 * size)
            corner = inverse[..., second, second] @ L[..., second, first] @ inverse[..., first, first]
            inverse[..., second, first] = -corner
        size *= 2
    return inverse


def unit_forward_substitution(below: Array, *right: Array) -> list[Array]:
    """The x with (I + tril(below, -1)) x = b for each b (..., n, m) of `right`; below (..., n, n).

    For many systems at once, hundreds of them: libraries' own triangular solves take them one by one. Block by block
    in matrix products, with the diagonal blocks of order 8 inverted all together, elementwise across the systems;
    for few systems `forward_substitution` is faster. Nothing is written in place, so that gradients pass.
    """
    xp, n = namespace(below, *right), below.shape[-1]
    if hasattr(xp, "own_solve_triangular"):
        factor = eye(below, n) + xp.tril(below, k=-1)
        return [xp.own_solve_triangular(factor, b, False) for b in right]
    inverses = _unit_diagonal_inverses(below)
    return [_substituted(below, inverses, b, 0) for b in right]


def _substituted(below: Array, inverses: list[Array], b: Array, start: int) -> Array:
    """x for the rows of b, which begin at row `start` of the system and no longer hold what rows before it gave."""
    n = b.shape[-2]
    if n <= BLOCK:
        return inverses[start // BLOCK] @ b
    half = -(-n // (2 * BLOCK)) * BLOCK
    first = _substituted(below, inverses, b[..., :half, :], start)
    rest = b[..., half:, :] - below[..., start + half : start + n, start : start + half] @ first
    return namespace(b).concat([first, _substituted(below, inverses, rest, start + half)], axis=-2)


def _unit_diagonal_inverses(below: Array) -> list[Array]:
    """(I + tril(D, -1))⁻¹ for the diagonal blocks D of order BLOCK, and for what is left."""
    xp, n = namespace(below), below.shape[-1]
    full = [below[..., s : s + BLOCK, s : s + BLOCK] for s in range(0, n - BLOCK + 1, BLOCK)]
    inverses = []
    if full:
        together = _unit_inverse(xp.stack(full))
        inverses = [together[i, ...] for i in range(len(full))]
    left = n % BLOCK
    return [*inverses, _unit_inverse(below[..., n - left :, n - left :])] if left else inverses


def _unit_inverse(below: Array) -> Array:
    """(I + tril(below, -1))⁻¹ of small order by elimination, all matrices at once along the last, contiguous axis."""
    xp, n = namespace(below), below.shape[-1]
    columns = _contiguous(xp.permute_dims(xp.reshape(below, (-1, n, n)), (1, 2, 0)))
    rest, rows = xp.broadcast_to(eye(below, n)[:, :, None], columns.shape), []
    for j in range(n):
        rows.append(rest[0, ...])
        rest = rest[1:, ...] - columns[j + 1 :, j, None, :] * rows[j]
    return xp.reshape(_contiguous(xp.permute_dims(xp.stack(rows), (2, 0, 1))), below.shape)


def _contiguous(x: Array) -> Array:
    if array_api_compat.is_numpy_array(x):
        return np.ascontiguousarray(x)
    return x.contiguous() if array_api_compat.is_torch_array(x) else x


def inverse_posdef(a: Array, what: str = "matrix") -> Array:
    """a⁻¹ = L⁻ᵀL⁻¹ for symmetric positive definite a. For algorithms that carry an inverse."""
    factor = cholesky(a, what)
    half = forward_substitution(factor, eye(a, a.shape[-1]) + 0 * factor)
    return namespace(a).matrix_transpose(half) @ half


def solve_posdef(a: Array, b: Array, what: str = "matrix") -> Array:
    """x with a x = b for symmetric positive definite a, in the dtype of `b`; refuses what has no Cholesky factor."""
    xp = namespace(a, b)
    factor = cholesky(_widened(a), what)
    if array_api_compat.is_numpy_array(a) and a.dtype != object and a.shape[-1] <= LARGE:
        # Elimination of `a` is cheaper than that of both factors, and NumPy has no triangular solve.
        return np.linalg.solve(_widened(a), _widened(b)).astype(b.dtype, copy=False)
    x = solve_triangular(factor, solve_triangular(factor, _widened(b)), transpose=True)
    return x if x.dtype == b.dtype else xp.astype(x, b.dtype)


def least_squares(a: Array, b: Array) -> tuple[Array, Array]:
    """Minimum-norm x minimising ‖a x - b‖, and the singular values of `a`, at any rank.

    Singular values below max(m, n) eps times the largest count as zero (LAPACK gelsd; elsewhere by the SVD).
    """
    xp = namespace(a, b)
    cutoff = max(a.shape[-2:]) * float(xp.finfo(a.dtype).eps)
    if array_api_compat.is_numpy_array(a):
        return _least_squares_numpy(a, b, cutoff)
    u, s, vh = xp.linalg.svd(a, full_matrices=False)
    keep = s > cutoff * xp.max(s, axis=-1, keepdims=True)
    inverse = xp.where(keep, 1 / xp.where(keep, s, xp.ones_like(s)), xp.zeros_like(s))
    x = xp.matrix_transpose(vh) @ (inverse[..., None] * (xp.matrix_transpose(u) @ b))
    return x, s


def _least_squares_numpy(a: np.ndarray, b: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (np.broadcast_to(y, (*batch, *y.shape[-2:])) for y in (a, b))
    x = np.zeros((*batch, a.shape[-1], b.shape[-1]), a.dtype)
    s = np.zeros((*batch, min(a.shape[-2:])), a.dtype)
    if 0 in (*a.shape, b.shape[-1]):
        return x, s
    for i in np.ndindex(batch):  # SciPy's own batch loop cannot stack slices of different rank
        x[i], _, _, s[i] = scipy.linalg.lstsq(a[i], b[i], cond=cutoff, check_finite=False)
    return x, s
