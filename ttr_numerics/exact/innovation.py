"""Ridge regression at every position without a time loop: chunks of tokens update the solution by their innovations.

With S the solution and P = (H + Λ)⁻¹ before a chunk of rows (K, V, Q), and I + KPK' = LL',

    [Z | E] = L⁻¹ [KP | V - KS];   O = QS + tril(QZ') E;   [P | -S] ← [P | -S] - Z'[Z | E].

One Cholesky factor serves every position of the chunk: the leading rows of L are the factor of the leading tokens.
All else is a matrix product, about 14 d² flops a token at a chunk of d/2 against 6 d² for chunked linear attention.
The algorithm carries an inverse. Without forgetting it need not symmetrise it: an error X of P becomes
(I - GK) X (I - GK)' with G = PK'(I + KPK')⁻¹, a contraction. Its error follows κ = ‖H + Λ‖/min Λ, measured as
κu/50 (u the unit roundoff; q random and q = k, chunks 16 and 32, κ from 5e1 to 4e10, float64 and float32).
*Forgetting* divides P by γ, and with it whatever asymmetry it has: P is symmetrised at the end of each chunk. Rows of a
chunk grow as `exact.growth` says, and P - Z'Z cancels what they grew by: hence few nats in a chunk.
Reference: Haykin, Adaptive Filter Theory, chapter 10, for one token at a time.
"""

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
from ttr_numerics.exact.growth import Growth, pieces
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.moments import initial_moments, last_moments
from ttr_numerics.exact.recursion import Recursion, initial_recursion, refuse_overflow

__all__ = ["CHUNK", "innovation_prefixes", "recursive_least_squares_by_innovation", "ridge_prefixes_by_innovation"]

CHUNK = 32
NATS = 2.0  # of decay in a chunk: P - Z'Z loses a factor of at most e²


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
    check_solvable(q=q, k=k, v=v, weights=weights)
    if log_decay is not None:
        raise ValueError("log_decay: expected None (innovations share one regulariser), got an array")
    before = initial_moments(initial_state, q, v)
    P = inverse_posdef(before.H + diagonal_matrix(row_ridge(ridge, q)), "H + ridge")
    root = None if weights is None else namespace(q).sqrt(per_token("weights", weights, q))
    o, _ = innovation_prefixes(q, k, v, None, root, Recursion(P @ before.G, P))
    return Output(o, last_moments(k, v, weights, initial_state))


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
    check_solvable(q=q, k=k, v=v, weights=weights)
    start = initial_recursion(ridge, initial_state, q, v)
    gate = None if log_decay is None else per_token("log_decay", log_decay, q)
    root = None if weights is None else namespace(q).sqrt(per_token("weights", weights, q))
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
    joint, d_k, outputs = concat([state.P, -state.S], -1), k.shape[-1], []
    for piece in pieces(q.shape[-2], chunk, log_decay, NATS):
        K, V = k[..., piece, :], v[..., piece, :]  # weighted here: a copy of the whole sequence costs more than a chunk
        if root is not None:
            K, V = root[..., piece, :] * K, root[..., piece, :] * V
        if log_decay is None:
            o, joint = _one_chunk(q[..., piece, :], K, V, joint)
        else:
            growth = Growth(log_decay[..., piece, :])
            joint = _divided(joint, growth.first, d_k)
            o, joint = _one_chunk(q[..., piece, :], growth.rows * K, growth.rows * V, joint)
            joint = _divided(joint, growth.end, d_k)
        outputs.append(o)
    return Output(concat(outputs, -2) if outputs else v, Recursion(-joint[..., d_k:], joint[..., :d_k]))


def _one_chunk(Q: Array, K: Array, V: Array, joint: Array) -> tuple[Array, Array]:
    xp, d_k = namespace(K), K.shape[-1]
    rows = K @ joint + concat([xp.zeros_like(K), V], -1)  # [KP | V - KS]
    factor = cholesky(eye(K, K.shape[-2]) + rows[..., :d_k] @ xp.matrix_transpose(K), "I + K P K'")
    innovations = forward_substitution(factor, rows)
    ZT = xp.matrix_transpose(innovations[..., :d_k])
    o = xp.tril(Q @ ZT) @ innovations[..., d_k:] - Q @ joint[..., d_k:]
    return o, joint - ZT @ innovations


def _divided(joint: Array, root: Array, d_k: int) -> Array:
    """[P/γ | -S] with P symmetrised, root = √γ (..., 1, 1)."""
    P = joint[..., :d_k] / root**2
    return concat([(P + namespace(P).matrix_transpose(P)) / 2, joint[..., d_k:]], -1)
