"""Ridge regression at every position without a time loop: chunks of tokens update the solution by their innovations.

With S the solution and P = (H + Λ)⁻¹ before a chunk of rows (K, V, Q), and I + KPK' = LL',

    [Z | E] = L⁻¹ [KP | V - KS];   O = QS + tril(QZ') E;   [P | -S] ← [P | -S] - Z'[Z | E].

One Cholesky factor serves every position of the chunk: the leading rows of L are the factor of the leading tokens.
All else is a matrix product, about 14 d² flops a token at a chunk of d/2 against 6 d² for chunked linear attention.
The algorithm carries an inverse. Without forgetting it need not symmetrise it: an error X of P becomes
(I - GK) X (I - GK)' with G = PK'(I + KPK')⁻¹, a contraction. Its error follows κu, u the
unit roundoff, with κ = 1 + max_c tr H_c / min Λ over chunks c (`reports/conditioning.md`): P - Z'Z cancels what a chunk
adds to 1/P, and the longer the chunk the more.
*Forgetting* divides P by γ, and with it whatever asymmetry it has: P is symmetrised at the end of each chunk. Rows of a
chunk grow as `exact.growth` says, and P - Z'Z cancels what they grew by: hence few nats in a chunk.
Reference: Haykin, Adaptive Filter Theory, chapter 10, for one token at a time.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from ttr_numerics.arrays import (
    Array,
    cholesky,
    concat,
    diagonal_matrix,
    eye,
    forward_substitution,
    inverse_posdef,
    namespace,
    quiet,
)
from ttr_numerics.axes import Moments, Output, check_sequence, per_token, row_ridge
from ttr_numerics.exact.adjoint import differentiable, ridge_adjoint
from ttr_numerics.exact.growth import Growth, pieces
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.prefix_solutions import initial_moments, last_moments
from ttr_numerics.exact.recursion import Recursion, initial_recursion, refuse_overflow
from ttr_numerics.exact.recursive_adjoint import recursion_adjoint
from ttr_numerics.exact.weights import root_weights

__all__ = [
    "CHUNK",
    "innovation_prefixes",
    "recursive_least_squares_by_innovation",
    "ridge_prefixes_by_innovation",
    "solutions_by_innovation",
]

CHUNK = 32
NATS = 2.0  # of decay in a chunk: P - Z'Z loses a factor of at most e²


def solutions_by_innovation(
    q: Array,
    k: Array,
    v: Array,
    g: Array,
    *,
    ridge: Any,
    log_decay: None = None,
    weights: Array | None = None,
    initial_state: Moments | None = None,
) -> tuple[Array, Array]:
    """u = QP - tril(QZ') Z,  z = G S' + tril(G E') Z, chunk by chunk without forgetting, for the adjoint.

    P and S are those before a chunk: P_t = P - Z_{≤t}'Z_{≤t} and S_t = S + Z_{≤t}'E_{≤t}.
    """
    xp, d_k, start = namespace(q), q.shape[-1], _start(ridge, initial_state, q, v)
    u, z = xp.empty_like(q), xp.empty_like(q)
    root = None if weights is None else xp.sqrt(per_token("weights", weights, q))
    for piece, before, innovations, _ in _chunks(k, v, None, root, concat([start.P, -start.S], -1), CHUNK):
        Q, rows, Z, E = q[..., piece, :], g[..., piece, :], innovations[..., :d_k], innovations[..., d_k:]
        u[..., piece, :] = Q @ before[..., :d_k] - xp.tril(Q @ xp.matrix_transpose(Z)) @ Z
        before_T = xp.matrix_transpose(before[..., d_k:])
        z[..., piece, :] = xp.tril(rows @ xp.matrix_transpose(E)) @ Z - rows @ before_T
    return u, z


@differentiable(partial(ridge_adjoint, solutions_by_innovation), Moments)
def ridge_prefixes_by_innovation(
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge: Any,
    log_decay: None = None,
    weights: Array | None = None,
    initial_state: Moments | None = None,
) -> Output:
    """`ridge_prefixes` without forgetting, chunk by chunk, at a small multiple of the layer; needs H_0 + Λ > 0."""
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, weights=weights, log_decay=log_decay)
    if log_decay is not None:
        raise ValueError("log_decay: expected None (innovations share one regulariser), got an array")
    root = root_weights(weights, q)
    o, _ = innovation_prefixes(q, k, v, None, root, _start(ridge, initial_state, q, v))
    return Output(o, last_moments(k, v, weights, initial_state))


@differentiable(recursion_adjoint, Recursion)
def recursive_least_squares_by_innovation(
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge: Any = None,
    log_decay: Array | None = None,
    weights: Array | None = None,
    initial_state: Recursion | None = None,
) -> Output:
    """`recursive_least_squares`, chunk by chunk, where ridge and decay leave P = (H_t + Γ_tΛ)⁻¹ well conditioned."""
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, weights=weights, log_decay=log_decay)
    start = initial_recursion(ridge, initial_state, q, v)
    gate = None if log_decay is None else per_token("log_decay", log_decay, q)
    root = root_weights(weights, q)
    with quiet():
        o, state = innovation_prefixes(q, k, v, gate, root, start)
    refuse_overflow(state.P)
    return Output(o, state)


def innovation_prefixes(
    q: Array, k: Array, v: Array, log_decay: Array | None, root: Array | None, state: Recursion, chunk: int = CHUNK
) -> Output:
    """o_t = q_t S_t (..., T, d_v), rows weighted by root² (..., T, 1), ageing by log_decay (..., T, 1); None for none.

    The state holds what was known before, P = Λ⁻¹ and S = 0 for nothing.
    """
    # Outputs are written where they belong: a list of chunks to be joined would touch twice the fresh memory.
    xp, d_k, last, o = namespace(q), k.shape[-1], concat([state.P, -state.S], -1), namespace(v).empty_like(v)
    for piece, before, innovations, after in _chunks(k, v, log_decay, root, last, chunk):
        Q, ZT = q[..., piece, :], xp.matrix_transpose(innovations[..., :d_k])
        o[..., piece, :] = xp.tril(Q @ ZT) @ innovations[..., d_k:] - Q @ before[..., d_k:]
        last = after
    return Output(o, Recursion(-last[..., d_k:], last[..., :d_k]))


def _start(ridge: Any, initial: Moments | None, q: Array, v: Array) -> Recursion:
    """P = (H_0 + Λ)⁻¹ and S = P G_0."""
    before, diagonal = initial_moments(initial, q, v), row_ridge(ridge, q)
    if initial is None and bool(namespace(q).all(diagonal > 0)):
        return Recursion(before.G, diagonal_matrix(1 / diagonal) + before.H)
    P = inverse_posdef(before.H + diagonal_matrix(diagonal), "H + ridge")
    return Recursion(P @ before.G, P)


def _chunks(
    k: Array, v: Array, log_decay: Array | None, root: Array | None, joint: Array, chunk: int
) -> Iterator[tuple[slice, Array, Array, Array]]:
    """Each chunk, [P | -S] before it (as old as its first token), its innovations [Z | E] and [P | -S] after it."""
    d_k = k.shape[-1]
    for piece in pieces(k.shape[-2], chunk, log_decay, NATS):
        K, V = k[..., piece, :], v[..., piece, :]  # weighted here: a copy of the whole sequence costs more than a chunk
        if root is not None:
            K, V = root[..., piece, :] * K, root[..., piece, :] * V
        growth = None if log_decay is None else Growth(log_decay[..., piece, :])
        if growth is not None:
            joint, K, V = _divided(joint, growth.first, d_k), growth.rows * K, growth.rows * V
        innovations = _innovations(K, V, joint)
        after = joint - namespace(K).matrix_transpose(innovations[..., :d_k]) @ innovations
        if growth is not None:
            after = _divided(after, growth.end, d_k)
        yield piece, joint, innovations, after
        joint = after


def _innovations(K: Array, V: Array, joint: Array) -> Array:
    """[Z | E] of the chunk (K, V) from [P | -S]."""
    d_k, rows = K.shape[-1], K @ joint
    rows[..., d_k:] += V  # [KP | V - KS]
    factor = cholesky(eye(K, K.shape[-2]) + rows[..., :d_k] @ namespace(K).matrix_transpose(K), "I + K P K'")
    return forward_substitution(factor, rows)


def _divided(joint: Array, root: Array, d_k: int) -> Array:
    """[P/γ | -S] with P symmetrised, root = √γ (..., 1, 1)."""
    P = joint[..., :d_k] / root**2
    return concat([(P + namespace(P).matrix_transpose(P)) / 2, joint[..., d_k:]], -1)
