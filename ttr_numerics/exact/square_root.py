"""Ridge regression at every position in square-root form: the error follows cond(K), not its square.

The state is R, upper triangular with R'R = H + Λ, and F = R S: no inverse, no Gram matrix. For a chunk (K, V, Q)

    [A | B] = R⁻ᵀ [K' | Q'];    [I; A] = [Q₁; Q₂] L' (QR);    O = B'F + tril((Q₂'B)') L⁻¹ (V - A'F);
    [R | F] ← the leading rows of Q'[K V; R F], Q from the QR of [K; R].

Rows are sorted before that last QR, the largest first: reflectors lose small rows on top of large ones.

Three places decide the accuracy. K R⁻¹ R⁻ᵀ would square the condition number. L⁻¹(A'B) for Q₂'B would lose queries that
repeat keys, where A is large and L hides it. Q₁'V - Q₂'F for L⁻¹(V - A'F) would lose values that fit.

*Once the keys span the space* rows bring little news: ‖A‖² is the sum of their leverages. While it is at most SMALL
both factors are well conditioned, whatever R is, and products with two Cholesky factors do the same at half the price:

    I + A'A = LL';  [Q₂' | E] = L⁻¹ [A' | V - A'F];  O = B'F + tril(B'Q₂) E;  I + AA' = MM';
    [R | F] ← M' [R | F + Q₂E].

An error of M multiplies R from the left: relative to each column of the data, as an error of a reflector is.

*Forgetting* multiplies R and F by √γ. Within a chunk everything is relative to its first token: row i grows by
exp(-½Σ log_decay), and what is common to all rows cancels. A chunk ends where the accumulated decay would pass NATS.
Reference: Golub and Van Loan, Matrix Computations, section 6.5; Björck, Numerical Methods for Least Squares, chapter 3.
"""

from typing import Any

from ttr_numerics.arrays import (
    Array,
    LinAlgError,
    causal_products,
    cholesky,
    concat,
    eye,
    forward_substitution,
    name_slices,
    namespace,
    quiet,
    triangularised,
)
from ttr_numerics.axes import Moments, Output, check_sequence, per_token, row_ridge
from ttr_numerics.exact.adjoint import differentiable
from ttr_numerics.exact.growth import Growth, pieces
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.prefix_solutions import last_moments
from ttr_numerics.exact.recursion import NATS, SquareRoot, first_root, initial_root, largest_first, positive, wide
from ttr_numerics.exact.recursive_adjoint import moments_adjoint, square_root_adjoint

__all__ = [
    "CHUNK",
    "SquareRoot",
    "recursive_least_squares_by_square_root",
    "ridge_prefixes_by_square_root",
    "square_root_prefixes",
]

CHUNK = 64  # and at most d_k: longer chunks lose digits where queries repeat keys, 4 to 28 times at 2 to 4 d_k
SHORTEST = 8  # whatever d_k
SMALL = 100.0  # of ‖A‖²: both Cholesky factors have a condition number of at most √101


@differentiable(moments_adjoint, Moments)
def ridge_prefixes_by_square_root(
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge: Any,
    log_decay: None = None,
    weights: Array | None = None,
    initial_state: Moments | None = None,
) -> Output:
    """`ridge_prefixes` without forgetting, with the error of a QR of the keys themselves: √κ u where moments have κu.

    Needs H_0 + Λ > 0; an initial H_0 enters by its Cholesky factor, with the error of moments. float32 input is
    factored in float64 and the answer rounded, as NumPy's own factorisations do.
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, weights=weights, log_decay=log_decay)
    if log_decay is not None:
        raise ValueError("log_decay: expected None (a fixed ridge beside forgetting has no square root), got an array")
    last = last_moments(k, v, weights, initial_state)
    root = None if weights is None else wide(per_token("weights", weights, q))
    start = first_root(wide(row_ridge(ridge, q)), initial_state, q, v)
    o, _ = square_root_prefixes(wide(q), wide(k), wide(v), None, _rooted(root), start)
    return Output(_as(o, q), last)


@differentiable(square_root_adjoint, SquareRoot)
def recursive_least_squares_by_square_root(
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge: Any = None,
    log_decay: Array | None = None,
    weights: Array | None = None,
    initial_state: SquareRoot | None = None,
) -> Output:
    """`recursive_least_squares` by QR, for any decay that leaves a regulariser; its state is `SquareRoot(R, F)`.

    float32 input is factored in float64 and the answer, not the state, is rounded. Raises `LinAlgError` naming slices
    where nothing regularises: after a reset (log_decay -inf), or once the decay of Λ underflows.
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, weights=weights, log_decay=log_decay)
    gate = None if log_decay is None else wide(per_token("log_decay", log_decay, q))
    root = None if weights is None else wide(per_token("weights", weights, q))
    start = initial_root(ridge, initial_state, q, v)
    o, state = square_root_prefixes(wide(q), wide(k), wide(v), gate, _rooted(root), start)
    return Output(_as(o, q), state)


def _as(x: Array, like: Array) -> Array:
    return namespace(x).astype(x, like.dtype, copy=False)


def _rooted(weight: Array | None) -> Array | None:
    return None if weight is None else namespace(weight).sqrt(weight)


def square_root_prefixes(
    q: Array, k: Array, v: Array, log_decay: Array | None, root: Array | None, state: SquareRoot, chunk: int = CHUNK
) -> Output:
    """o_t = q_t S_t (..., T, d_v), rows weighted by root² (..., T, 1), ageing by log_decay (..., T, 1); None for none.

    Raises `LinAlgError` naming slices where R has a pivot of zero: nothing regularises.
    """
    d_k, joint, outputs = k.shape[-1], concat(list(state), -1), namespace(v).empty_like(v)
    for piece in pieces(q.shape[-2], min(chunk, max(SHORTEST, d_k)), log_decay, NATS):
        rows = concat([k[..., piece, :], v[..., piece, :]], -1)
        if root is not None:
            rows = root[..., piece, :] * rows
        growth = None if log_decay is None else Growth(log_decay[..., piece, :])
        if growth is not None:
            joint, rows = growth.first * joint, growth.rows * rows
        _refuse_singular(joint[..., :d_k])
        outputs[..., piece, :], joint = _one_chunk(q[..., piece, :], rows, joint, growth)
    joint = positive(joint)
    return Output(outputs, SquareRoot(joint[..., :d_k], joint[..., d_k:]))


def _one_chunk(Q: Array, rows: Array, joint: Array, growth: Growth | None) -> tuple[Array, Array]:
    """Outputs of the chunk rows = [K | V] from joint = [R | F], and [R | F] after it."""
    xp, (C, d_k) = namespace(rows), Q.shape[-2:]
    K, V, R, F = rows[..., :d_k], rows[..., d_k:], joint[..., :d_k], joint[..., d_k:]
    AB = forward_substitution(xp.matrix_transpose(R), xp.matrix_transpose(concat([K, Q], -2)))
    A, B, known = AB[..., :C], AB[..., C:], xp.matrix_transpose(AB) @ F
    residual, answer = V - known[..., :C, :], known[..., C:, :]
    with quiet():  # an overflow is not small
        small = bool(xp.max(xp.sum(xp.sum(A * A, axis=-1), axis=-1)) <= SMALL)
    if small:
        update, after = _by_products(A, B, residual, joint)
        after = after if growth is None else growth.end * after
    else:
        update = _by_reflectors(A, B, residual)
        stacked = largest_first(concat([rows, joint], -2), d_k)
        after = triangularised(stacked if growth is None else growth.end * stacked, d_k)
    return answer + update, after


def _by_reflectors(A: Array, B: Array, residual: Array) -> Array:
    """tril((Q₂'B)') L⁻¹ residual, Q₂ from the QR of [I; A]."""
    xp = namespace(A)
    LT, products = causal_products(A, B)
    errors = forward_substitution(xp.matrix_transpose(LT), residual)
    return xp.matrix_transpose(xp.triu(products)) @ errors


def _by_products(A: Array, B: Array, residual: Array, joint: Array) -> tuple[Array, Array]:
    """The same from Cholesky factors of I + A'A and I + AA', and [R | F] after the chunk."""
    xp, (d_k, C), AT = namespace(A), A.shape[-2:], namespace(A).matrix_transpose(A)
    factor = cholesky(eye(A, C) + AT @ A, "I + A'A")
    solved = forward_substitution(factor, concat([AT, residual], -1))
    Q2, errors = xp.matrix_transpose(solved[..., :d_k]), solved[..., d_k:]
    MT = xp.matrix_transpose(cholesky(eye(A, d_k) + A @ AT, "I + AA'"))
    after = concat([joint[..., :d_k], joint[..., d_k:] + Q2 @ errors], -1)
    return xp.tril(xp.matrix_transpose(B) @ Q2) @ errors, MT @ after


def _refuse_singular(R: Array) -> None:
    xp = namespace(R)
    pivots = xp.abs(xp.linalg.diagonal(R))
    bad = ~xp.all(xp.isfinite(pivots) & (pivots > 0), axis=-1)
    if bool(xp.any(bad)):
        raise LinAlgError(
            f"H + ridge: expected a triangular factor without zero pivots, got one{name_slices(bad)}; give a larger "
            "ridge; after a reset (log_decay -inf, or a decay that underflows) a decaying ridge leaves nothing that "
            "regularises: use ridge_prefixes, whose ridge is fixed, or exact.least_norm"
        )
