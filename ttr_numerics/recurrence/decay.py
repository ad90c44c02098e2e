"""The weights Γ between the tokens of a chunk, never formed by a division or a difference of logarithms."""

from typing import Any

from ttr_numerics.arrays import Array, concat, eye, namespace
from ttr_numerics.recurrence.rows import Rows

__all__ = ["decay_of"]


def decay_of(rows: Rows) -> Any:
    """Γ of `rows`: what a row of a chunk is worth to a later one."""
    log_decay = rows.log_decay
    if log_decay is None:
        return _NoDecay()
    if rows.log_momentum is not None:
        return _Velocity(log_decay, rows.log_momentum, rows.taken)
    return _TokenDecay(log_decay) if log_decay.shape[-1] == 1 else _ChannelDecay(log_decay)


class _NoDecay:
    """Γ = 1: rows keep their weight within a chunk."""

    def products(self, x: Array, k: Array) -> Array:
        """x_t' k_i for i ≤ t, else 0."""
        xp = namespace(x)
        return xp.tril(x @ xp.matrix_transpose(k))

    def products_before(self, x: Array, k: Array) -> Array:
        """x_t' k_i for i < t; the rest is not read."""
        return x @ namespace(x).matrix_transpose(k)

    def from_start(self, x: Array) -> Array:
        return x

    def from_start_before(self, x: Array) -> Array:
        return x

    def to_end(self, k: Array) -> Array:
        return k

    def left_of(self, S: Array, c: int) -> Array:
        return S


class _TokenDecay:
    """Γ from log_decay (..., n, C, 1), one factor a token, row by row: Γ_t = a_t Γ_{t-1} with 1 in its own place.

    Factors at most 1 are multiplied, nothing is divided or subtracted: -50 a token loses no digits, and -inf gives 0
    and not NaN.
    """

    def __init__(self, log_decay: Array) -> None:
        xp, C = namespace(log_decay), log_decay.shape[-2]
        a, one = xp.exp(log_decay), eye(log_decay, C)
        rows = [one[0, ...] + xp.zeros_like(a[..., 0, :])]
        for t in range(1, C):
            rows.append(a[..., t, :] * rows[-1] + one[t, ...])
        self.pairs = xp.stack(rows, axis=-2)
        self.start = a[..., :1, :] * self.pairs[..., :1]
        self.end = xp.matrix_transpose(self.pairs[..., -1:, :])

    def products(self, x: Array, k: Array) -> Array:
        """x_t' Γ k_i for i ≤ t, else 0."""
        return self.pairs * (x @ namespace(x).matrix_transpose(k))

    def products_before(self, x: Array, k: Array) -> Array:
        """x_t' Γ⁻ k_i for i < t: row t of Γ⁻ is row t - 1 of Γ. The rest is not read."""
        xp = namespace(x)
        return xp.roll(self.pairs, 1, axis=-2) * (x @ xp.matrix_transpose(k))

    def from_start(self, x: Array) -> Array:
        return self.start * x

    def from_start_before(self, x: Array) -> Array:
        return concat([x[..., :1, :], self.start[..., :-1, :] * x[..., 1:, :]], -2)

    def to_end(self, k: Array) -> Array:
        return self.end * k

    def left_of(self, S: Array, c: int) -> Array:
        return self.start[..., c, -1, :, None] * S


class _Velocity:
    """Γ with momentum: the response h_t of S, and m_t of U, to one step at i, and to [S; U] before the chunk.

        m_t = μ_t m_{t-1} + 1 in its own place;   h_t = a_t h_{t-1} + c_t m_t

    Sums of products of numbers that are not negative: no digits are lost.
    """

    def __init__(self, log_decay: Array, log_momentum: Array, taken: Array) -> None:
        xp, C = namespace(log_decay), log_decay.shape[-2]
        a, mu, c = xp.exp(log_decay), xp.exp(log_momentum), taken
        # Columns 0..C-1: a step at that row; column C: U before the chunk; column C + 1: S before the chunk.
        one = eye(log_decay, C + 2)
        m, h = one[C, ...] + xp.zeros_like(a[..., 0, :]), one[C + 1, ...] + xp.zeros_like(a[..., 0, :])
        before, after = [], []
        for t in range(C):
            before.append(h)
            m = mu[..., t, :] * m + one[t, ...]
            h = a[..., t, :] * h + c[..., t, :] * m
            after.append(h)
        self.before, self.after, self.last = xp.stack(before, axis=-2), xp.stack(after, axis=-2), m
        self.C = C

    def products(self, x: Array, k: Array) -> Array:
        """x_t' h_ti k_i for i ≤ t, else 0."""
        return self.after[..., : self.C] * (x @ namespace(x).matrix_transpose(k))

    def products_before(self, x: Array, k: Array) -> Array:
        """x_t' h_{t-1,i} k_i for i < t, else 0."""
        return self.before[..., : self.C] * (x @ namespace(x).matrix_transpose(k))

    def from_start(self, x: Array) -> Array:
        return self._reading(self.after, x)

    def from_start_before(self, x: Array) -> Array:
        return self._reading(self.before, x)

    def _reading(self, h: Array, x: Array) -> Array:
        C = self.C
        return concat([h[..., C + 1 :] * x, h[..., C : C + 1] * x], -1)

    def to_end(self, k: Array) -> Array:
        S, U = (rows[..., : self.C, None] * k for rows in (self.after[..., -1, :], self.last))
        return concat([S, U], -1)

    def left_of(self, Z: Array, c: int) -> Array:
        S, U = Z[..., : Z.shape[-2] // 2, :], Z[..., Z.shape[-2] // 2 :, :]
        h, m, C = self.after[..., c, -1, :, None, None], self.last[..., c, :, None, None], self.C
        return concat([h[..., C + 1, :, :] * S + h[..., C, :, :] * U, m[..., C, :, :] * U], -2)


class _ChannelDecay(_TokenDecay):
    """The same for log_decay (..., n, C, d_k), C a power of two: products without Γ itself, by halves.

    With a_t the decay from a block's start to t, its own included, and b_i from after i to the block's end, two
    neighbouring blocks make one, so that d_k channels cost matrix products of half blocks:

        Γ = [[Γ_1, 0], [a_2 b_1', Γ_2]];   a = [a_1, a_1(end) a_2];   b = [b_1 a_2(end), b_2].
    """

    def __init__(self, log_decay: Array) -> None:
        xp = namespace(log_decay)
        a = xp.exp(log_decay)[..., None, :]
        b = xp.ones_like(a)
        self.halves = []
        while a.shape[-3] > 1:
            (a_1, a_2), (b_1, b_2) = _halves(a), _halves(b)
            self.halves.append((a_2, b_1))
            a = concat([a_1, a_1[..., -1:, :] * a_2], -2)
            b = concat([b_1 * a_2[..., -1:, :], b_2], -2)
        self.start, self.end = a[..., 0, :, :], b[..., 0, :, :]

    def products(self, x: Array, k: Array) -> Array:
        xp = namespace(x)
        blocks = xp.sum(x * k, axis=-1)[..., None, None]
        for a_2, b_1 in self.halves:
            shape = (*x.shape[:-2], x.shape[-2] // a_2.shape[-2], *a_2.shape[-2:])
            x_2, k_1 = _halves(xp.reshape(x, shape))[1], _halves(xp.reshape(k, shape))[0]
            blocks = _joined(blocks, (x_2 * a_2) @ xp.matrix_transpose(k_1 * b_1))
        return blocks[..., 0, :, :]

    def products_before(self, x: Array, k: Array) -> Array:
        """Γ⁻ is Γ between x one row up and the result one row down."""
        xp = namespace(x)
        return xp.roll(self.products(xp.roll(x, -1, axis=-2), k), 1, axis=-2)


def _halves(blocks: Array) -> tuple[Array, Array]:
    """The first and the second of every two blocks (..., 2n, m, d)."""
    return blocks[..., ::2, :, :], blocks[..., 1::2, :, :]


def _joined(blocks: Array, cross: Array) -> Array:
    """[[B_1, 0], [cross, B_2]] of every two blocks (..., 2n, m, m)."""
    first, second = _halves(blocks)
    upper = concat([first, namespace(cross).zeros_like(first)], -1)
    return concat([upper, concat([cross, second], -1)], -2)
