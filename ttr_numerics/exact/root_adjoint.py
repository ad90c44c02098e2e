"""The adjoint of ageing moments A_t = R_t'R_t that age as a whole, in the coordinates of their square root.

In `exact.adjoint` u_t = A_t⁻¹q_t grows as 1/Γ_t wherever no key points, and what a key has of it, a residual times u_t,
does not: v_i'g_t - k_i'z_t would cancel to all digits. Relative to (R, F) before a chunk every part is small as it
stands. With A, B, Q₂, L, E of `exact.square_root`, t ≥ i in the chunk, û_t = R u_t and ê_t = R (S_t - S) g_t:

    k_i u_t = [tril(B'Q₂) L⁻¹]_ti,               û = B' - tril(B'Q₂) Q₂',
    (v_i - k_i S_t) g_t = [tril(GE') L⁻¹]_ti,    ê = tril(GE') Q₂'.

A chunk asks three sums of all later tokens, G = Σ û_t'g_t, Y = Σ ê_t'û_t, W = Σ û_t'z_t relative to (R₊, F₊) after it.
From the QR [K; R] = [a; N] R₊ and the residuals r = L⁻ᵀE that the chunk leaves,

    dk_i = (r_i G' - a_i Y) R₊⁻ᵀ - a_i W,   dv_i = a_i G;   G ← N G,   Y ← (N Y + Q₂E G') N',   W ← N W,

and the chunk's own pairs are added. Weights: w_i dw_i = Σ_t c_ti = r_i G'a_i' - a_i Y a_i' and the chunk's own pairs.
Gates: outputs do not change when all moments are scaled, so d log γ_s = -Σ_{i≥s} w_i dw_i - tr Y, Y that of the end.
Reference: Giles, An extended collection of matrix derivative results, 2008; this form is derived here.
"""

from collections.abc import Callable, Iterator
from math import isqrt
from typing import NamedTuple

from ttr_numerics.arrays import (
    Array,
    concat,
    eye,
    forward_substitution,
    namespace,
    solve_triangular,
    triangularised,
    zeros,
)
from ttr_numerics.exact.growth import Growth, pieces
from ttr_numerics.exact.recursion import NATS, SquareRoot, largest_first, positive

__all__ = ["Later", "TokenGradients", "divided", "root_adjoint", "transposed"]

CHUNK = 64
TOGETHER = 64  # chunks whose rows are joined: single rows that live on leave holes in the heap
LEAST = 2.0**-600  # stands for a weight of 0, at which the gradient is a limit: far below rounding, far above underflow


class Later(NamedTuple):
    """What comes after says of (R, F), in the coordinates of R: G (..., d_k, d_v), Y and W (..., d_k, d_k).

    W R' = G F' + Y', so that dF = G and dR = -(Y R⁻ᵀ + W), upper triangle.
    """

    G: Array
    Y: Array
    W: Array

    def scaled(self, root: Array) -> "Later":
        """Relative to (R, F)/root."""
        return Later(root * self.G, self.Y, root * self.W)


class TokenGradients(NamedTuple):
    """Of `q`, `k`, `v` (..., T, d), and of `log_decay` and `weights` (..., T)."""

    q: Array
    k: Array
    v: Array
    log_decay: Array
    weights: Array


class _Chunk(NamedTuple):
    """Rows [K | V] scaled by `factor`, and [R | F] before them, as old as the first."""

    piece: slice
    growth: Growth
    factor: Array
    rows: Array
    joint: Array


def root_adjoint(
    q: Array,
    k: Array,
    v: Array,
    g: Array,
    log_decay: Array | None,
    weights: Array | None,
    start: SquareRoot,
    end: Callable[[SquareRoot], Later],
) -> tuple[TokenGradients, Later]:
    """Gradients of all tokens and of (R_0, F_0), from g (..., T, d_v) of the outputs and `end(R_T, F_T)` of the state.

    Keeps (R, F) before every √n-th of n chunks of at most 64 tokens and NATS of decay, and finds those between anew.
    """
    xp = namespace(q)
    w = xp.ones_like(q[..., 0]) if weights is None else xp.where(weights > LEAST, weights, LEAST + 0 * weights)
    chunks = _Chunks(k, v, None if log_decay is None else log_decay[..., None], xp.sqrt(w)[..., None], start)
    later, tokens, joined = end(chunks.last), [], []
    pairs_with_end = -_trace(later.Y)[..., None]
    for chunk in chunks.backwards():
        own, later = _one_chunk(q[..., chunk.piece, :], g[..., chunk.piece, :], chunk, later)
        tokens.append(own)
        if len(tokens) == TOGETHER or chunk.piece.start == 0:
            joined.append(_in_order(tokens))
            tokens = []
    if not joined:
        return TokenGradients(q, k, v, q[..., 0], q[..., 0]), later
    dq, dk, dv, pairs = _in_order(joined)
    since = xp.flip(xp.cumulative_sum(xp.flip(pairs[..., 0], axis=-1), axis=-1), axis=-1)
    return TokenGradients(dq, dk, dv, pairs_with_end - since, pairs[..., 0] / w), later


def _in_order(parts: list[tuple[Array, ...]]) -> tuple[Array, ...]:
    """Rows found last first, joined first to last."""
    return tuple(concat(list(reversed(rows)), -2) for rows in zip(*parts, strict=True))


class _Chunks:
    """All chunks of the sequence, last first, from few states that are kept; `last` is (R, F) after all of them."""

    def __init__(self, k: Array, v: Array, log_decay: Array | None, root: Array, start: SquareRoot) -> None:
        self.k, self.v, self.log_decay, self.root = k, v, log_decay, root
        self.pieces = list(pieces(k.shape[-2], CHUNK, log_decay, NATS)) if k.shape[-2] else []
        self.stride = isqrt(len(self.pieces)) + 1
        self.kept: list[Array] = []
        joint = concat(list(start), -1)
        for number, piece in enumerate(self.pieces):
            if number % self.stride == 0:
                self.kept.append(joint)
            joint = self._after(self._chunk(piece, joint))
        self.last = SquareRoot(joint[..., : k.shape[-1]], joint[..., k.shape[-1] :])

    def backwards(self) -> Iterator[_Chunk]:
        """Each chunk with the state before it."""
        for number, joint in reversed(list(enumerate(self.kept))):
            found = []
            for piece in self.pieces[number * self.stride : (number + 1) * self.stride]:
                found.append(self._chunk(piece, joint))
                joint = self._after(found[-1])
            yield from reversed(found)

    def _chunk(self, piece: slice, joint: Array) -> _Chunk:
        root = self.root[..., piece, :]
        growth = Growth(0 * root if self.log_decay is None else self.log_decay[..., piece, :])
        factor = root * growth.rows
        rows = factor * concat([self.k[..., piece, :], self.v[..., piece, :]], -1)
        return _Chunk(piece, growth, factor, rows, growth.first * joint)

    def _after(self, chunk: _Chunk) -> Array:
        d_k = self.k.shape[-1]
        stacked = largest_first(concat([chunk.rows, chunk.joint], -2), d_k)
        return chunk.growth.end * positive(triangularised(stacked, d_k))


def _one_chunk(Q: Array, G: Array, chunk: _Chunk, later: Later) -> tuple[tuple[Array, ...], Later]:
    """dq, dk, dv and w dw (..., C, 1) of a chunk, and what it and all after it say of (R, F) before it."""
    xp, d_k, joint = namespace(Q), Q.shape[-1], chunk.joint
    R, F, later = joint[..., :d_k], joint[..., d_k:], later.scaled(chunk.growth.end)
    BT, Q2, inverse, E = _whitened(Q, chunk.rows, R, F)
    R_after, a, N = _orthogonal(chunk.rows[..., :d_k], R)
    seen, said = xp.tril(BT @ Q2), xp.tril(G @ transposed(E))
    ku, residuals = seen @ inverse, said @ inverse
    u, e = BT - seen @ transposed(Q2), said @ transposed(Q2)
    # B - Q₂Q₂'B cancels where a key is large against R; the last token of a chunk has R₊ for a better way.
    last = transposed(N @ solve_triangular(transposed(R_after), transposed(Q[..., -1:, :])))
    u = concat([u[..., :-1, :], last], -2)
    z = divided(G @ transposed(F) + e, R)
    left, aG, aY = transposed(inverse) @ E, a @ later.G, a @ later.Y
    dk = divided(left @ transposed(later.G) - aY, R_after) - a @ later.W
    dk = dk + divided(transposed(residuals) @ u, R) - transposed(ku) @ z
    pairs = xp.sum(transposed(ku * residuals), axis=-1, keepdims=True)
    pairs = pairs + xp.sum(aG * left, axis=-1, keepdims=True) - xp.sum(aY * a, axis=-1, keepdims=True)
    before = Later(
        N @ later.G + transposed(u) @ G,
        (N @ later.Y + (Q2 @ E) @ transposed(later.G)) @ transposed(N) + transposed(e) @ u,
        N @ later.W + transposed(u) @ z,
    )
    dv = aG + transposed(ku) @ G
    return (z, chunk.factor * dk, chunk.factor * dv, pairs), before.scaled(chunk.growth.first)


def _whitened(Q: Array, rows: Array, R: Array, F: Array) -> tuple[Array, Array, Array, Array]:
    """B', Q₂ (..., d_k, C), L⁻¹ (..., C, C) and E (..., C, d_v)."""
    C, d_k = Q.shape[-2:]
    K, V = rows[..., :d_k], rows[..., d_k:]
    AB = forward_substitution(transposed(R), transposed(concat([K, Q], -2)))
    A, zero = AB[..., :C], zeros(R, (*R.shape[:-2], 1, 1))
    top = concat([A, eye(R, d_k) + zero], -1)  # [A; I], not [I; A]: the larger rows above
    stacked = concat([top, concat([eye(R, C) + zero, zeros(R, (*R.shape[:-2], C, d_k))], -1)], -2)
    reduced = triangularised(stacked, C)  # [L' | Q₂']: Q'[I; 0] to the right of Q'[A; I]
    right = concat([eye(R, C) + zero, V - transposed(A) @ F], -1)
    solved = forward_substitution(transposed(reduced[..., :C]), right)
    return transposed(AB[..., C:]), transposed(reduced[..., C:]), solved[..., :C], solved[..., C:]


def _orthogonal(K: Array, R: Array) -> tuple[Array, Array, Array]:
    """R₊, a and N of [K; R] = [a; N] R₊, the same R₊ as where (R, F) is carried on."""
    (C, d_k), zero = K.shape[-2:], zeros(R, (*R.shape[:-2], 1, 1))
    stacked = concat([concat([K, R], -2), eye(R, C + d_k) + zero], -1)
    reduced = positive(triangularised(largest_first(stacked, d_k), d_k))
    return reduced[..., :d_k], transposed(reduced[..., d_k : d_k + C]), transposed(reduced[..., d_k + C :])


def divided(x: Array, R: Array) -> Array:
    """x R⁻ᵀ."""
    return transposed(solve_triangular(transposed(R), transposed(x), transpose=True))


def transposed(x: Array) -> Array:
    """x'."""
    return namespace(x).matrix_transpose(x)


def _trace(x: Array) -> Array:
    return namespace(x).sum(namespace(x).sum(x * eye(x, x.shape[-1]), axis=-1), axis=-1)
