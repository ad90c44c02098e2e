"""The adjoint of ageing moments: what gradients of every prefix's moments say about tokens, weights and gates.

The moments of keys with the rows y_i = [v_i | k_i] are M_t = [G_t | H_t] = γ_t M_{t-1} + w_t k_t'y_t. Let the loss have
in M_t the gradient u_t'x_t of rank one, x_t = [g_t | -z_t], and in M_T another, X_{T+1}, besides. Its total derivative
X_t = u_t'x_t + γ_{t+1} X_{t+1} runs backwards, a linear attention of its own, and

    dy_i = w_i k_i X_i;  dk_i = w_i y_i X_i';  dw_i = k_i X_i y_i';  d log γ_s = ⟨X_s, γ_s M_{s-1}⟩;  dM_0 = γ_1 X_1,

where dy_i = [dv_i | a second part of dk_i].
The gate's gradient is Σ_{t≥s>i} c_ti over pairs, c_ti = w_i γ_i^(t) (u_t k_i')(x_t y_i'), with the start as token 0 and
the end as token T + 1. It also obeys d log γ_s = d log γ_{s+1} + u_s M_s x_s' - w_s dw_s, a difference of long sums in
which a gate of -50 would be lost to rounding. So the pairs themselves are added, each of which holds the factor γ_s:
within a chunk as two running sums of the matrix c, across chunks as inner products of M before with X after. A gate of
-inf gets 0.
The gates ask for the same matrices of pairs as the tokens: hence one loop here, not `recurrence` on flipped time.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ttr_numerics.arrays import Array, concat, eye, namespace
from ttr_numerics.exact.weights import prefix_weights

__all__ = ["MomentGradients", "ages", "moment_adjoint", "moments_before"]

CHUNK = 64


class MomentGradients(NamedTuple):
    """Of `k`, `v` (..., T, d), `weights`, `log_decay` (..., T; None if not asked) and `start` (..., d_k, d_v + d_k)."""

    k: Array
    v: Array
    weights: Array
    log_decay: Array | None
    start: Array


def moments_before(k: Array, v: Array, weights: Array, log_decay: Array, start: Array) -> list[Array]:
    """M before each chunk, from M_0 = `start` (..., d_k, d_v + d_k): what the gradient of `log_decay` asks for."""
    xp, states = namespace(k), [start]
    for piece in _pieces(k)[:-1]:
        _, _, to_end, whole = ages(log_decay[..., piece])
        aged = to_end * weights[..., piece, None] * k[..., piece, :]
        added = xp.matrix_transpose(aged) @ concat([v[..., piece, :], k[..., piece, :]], -1)
        states.append(whole * states[-1] + added)
    return states


def moment_adjoint(
    k: Array,
    v: Array,
    weights: Array,
    log_decay: Array,
    u: Array,
    z: Array,
    g: Array,
    end: Array,
    before: list[Array] | None,
) -> MomentGradients:
    """The gradients above from u, z (..., T, d_k), g (..., T, d_v) and X_{T+1} = `end` (..., d_k, d_v + d_k).

    weights, log_decay (..., T), leading axes of length 1 allowed. `before` from `moments_before`, or None where no
    gradient of `log_decay` is asked for. About 20 d² flops a token at d_v = d_k = d, and 8 d² more with it.
    """
    after, tokens, gates = end, [], []
    for number, piece in reversed(list(enumerate(_pieces(k)))):
        K, V, U, Z, G = (rows[..., piece, :] for rows in (k, v, u, z, g))
        w, gate = weights[..., piece, None], log_decay[..., piece]
        chunk = _Chunk(K, concat([V, K], -1), U, concat([G, -Z], -1), w, gate, after)
        tokens.append(chunk.tokens())
        if before is not None:
            gates.append(chunk.gates(before[number]))
        after = chunk.total()
    dk, dv, dw = [_in_order(parts) for parts in zip(*tokens, strict=True)] if tokens else (k, v, k[..., :1])
    dg = None if before is None else _in_order(gates)[..., 0] if gates else k[..., 0]
    return MomentGradients(dk, dv, dw[..., 0], dg, after)


def ages(log_decay: Array) -> tuple[Array, Array, Array, Array]:
    """γ between the tokens of a chunk (..., C, C), from its start and to its end (..., C, 1), and over all of it."""
    xp, none = namespace(log_decay), namespace(log_decay).zeros_like(log_decay[..., :1])
    gamma = prefix_weights(concat([none, log_decay], -1))
    return gamma[..., 1:, 1:], gamma[..., 1:, :1], xp.matrix_transpose(gamma[..., -1:, 1:]), gamma[..., -1:, :1]


class _Chunk:
    """The pairs of tokens in one chunk; `after` is γ X (..., d_k, d_v + d_k) of the token that follows it."""

    def __init__(self, k: Array, y: Array, u: Array, x: Array, w: Array, log_decay: Array, after: Array) -> None:
        xp = namespace(k)
        self.k, self.y, self.u, self.x, self.w, self.after = k, y, u, x, w, after
        self.near, self.from_start, self.to_end, self.whole = ages(log_decay)
        self.uk = u @ xp.matrix_transpose(k)
        self.xy = self.near * (x @ xp.matrix_transpose(y))
        self.later = self.to_end * (k @ after)

    def tokens(self) -> tuple[Array, Array, Array]:
        """dk, dv (..., C, d) and dw (..., C, 1)."""
        xp, d_v = namespace(self.k), self.x.shape[-1] - self.k.shape[-1]
        dk = xp.matrix_transpose(self.xy) @ self.u + self.to_end * (self.y @ xp.matrix_transpose(self.after))
        dy = xp.matrix_transpose(self.near * self.uk) @ self.x + self.later
        return self.w * (dk + dy[..., d_v:]), self.w * dy[..., :d_v], xp.sum(self.k * dk, axis=-1, keepdims=True)

    def total(self) -> Array:
        """γ X of the first token."""
        return self.whole * self.after + namespace(self.k).matrix_transpose(self.from_start * self.u) @ self.x

    def gates(self, before: Array) -> Array:
        """Σ_{t≥s>i} c_ti (..., C, 1), with the moments `before` as first token and what comes after as last."""
        xp = namespace(self.k)
        first = self.from_start * xp.sum((self.u @ before) * self.x, axis=-1, keepdims=True)
        last = self.w * xp.sum(self.later * self.y, axis=-1, keepdims=True)
        across = self.whole * xp.sum(xp.sum(self.after * before, axis=-1, keepdims=True), axis=-2, keepdims=True)
        pairs = concat([first, self.uk * self.xy * xp.matrix_transpose(self.w)], -1)
        pairs = concat([pairs, concat([across, xp.matrix_transpose(last)], -1)], -2)
        earlier = xp.flip(xp.cumulative_sum(pairs, axis=-1), axis=-2)
        both = xp.flip(xp.cumulative_sum(earlier, axis=-2), axis=-2)
        return xp.sum(both * eye(both, both.shape[-1]), axis=-1, keepdims=True)[..., :-1, :]


def _pieces(k: Array) -> list[slice]:
    return [slice(start, min(start + CHUNK, k.shape[-2])) for start in range(0, k.shape[-2], CHUNK)]


def _in_order(parts: Sequence[Array]) -> Array:
    return concat(list(reversed(parts)), -2)
