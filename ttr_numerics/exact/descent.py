"""Gradient descent on squared losses, whatever its velocity, leak, window and mini-batch, as one triangular system."""

from typing import NamedTuple

from ttr_numerics.arrays import Array, concat, eye, namespace, solve_triangular, zeros
from ttr_numerics.axes import Output, check_sequence, initial_matrix, per_token
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.weights import prefix_weights

__all__ = ["Motion", "descent_prefixes"]


class Motion(NamedTuple):
    """The memory `S` and its velocity `U`, each (..., d_k, d_v)."""

    S: Array
    U: Array


def descent_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    inner: Array | None = None,
    outer: Array | None = None,
    log_momentum: Array | None = None,
    log_decay: Array | None = None,
    weights: Array | None = None,
    window: int = 1,
    batch: int = 1,
    initial_state: Motion | None = None,
) -> Output:
    """o_t = q_t S_t, U_t = μ_t U_{t-1} + a_t Σ_i w_i k_i' e_ti, S_t = γ_t S_{t-1} + b_t U_t, e_ti = v_i - k_i S_{r(t)},

    i over the last `window` tokens, r(t) the last token before t's mini-batch of `batch`; μ, γ = exp of log_momentum
    (default -inf), log_decay (default 0); a = `inner`, b = `outer`, w = `weights` (default 1), all (..., T). With
    C = Γ diag(b) M diag(a), Γ and M the lower triangular matrices of products of γ and of μ, the errors solve

        e_ti + Σ_{s≤r(t)} C_{r(t) s} Σ_j w_j (k_i·k_j) e_sj = v_i - k_i (what is left of S_0 and U_0 at r(t)),

    one unit lower triangular system of order T·window; unique always. Judged by `backward.solve_ratio` of it.
    Reference: Hackbusch, Iterative Solution of Large Sparse Systems, sections 3.3 and 5.6.
    """
    check_sequence(q, k, v)
    gates = {"log_momentum": log_momentum, "log_decay": log_decay}
    check_solvable(q=q, k=k, v=v, inner=inner, outer=outer, weights=weights, **gates)
    path = _Path(q, inner, outer, log_momentum, log_decay)
    S0, U0 = (initial_matrix(x, q, v) for x in initial_state or (None, None))
    keys, values = _windows(k, window), _windows(v, window)
    w = _windows(_or(1, weights, q, "weights"), window)
    reads = [t // batch * batch for t in range(q.shape[-2])]
    C, s, u = (_rows_before(x, reads) for x in (path.C, path.S0, path.U0))
    s = s + _untouched(q, reads)
    below = _repeated(C, window) * (keys @ namespace(k).matrix_transpose(keys))
    known = values - _spread(s, window) * (keys @ S0) - _spread(u, window) * (keys @ U0)
    below = below * namespace(w).matrix_transpose(w)
    error = w * solve_triangular(eye(q, below.shape[-1]) + below, known)
    pairs = namespace(q).reshape(_repeated(path.C, window), (*q.shape[:-1], window, below.shape[-1]))[..., 0, :]
    o = (pairs * (q @ namespace(k).matrix_transpose(keys))) @ error + path.S0 * (q @ S0) + path.U0 * (q @ U0)
    return Output(o, path.end(keys, error, S0, U0, window))


class _Path:
    """How a push at s, S_0 and U_0 arrive in S_t: C (..., T, T), and columns S0, U0 (..., T, 1)."""

    def __init__(
        self, q: Array, inner: Array | None, outer: Array | None, momentum: Array | None, decay: Array | None
    ) -> None:
        xp = namespace(q)
        a, b = _or(1, inner, q, "inner"), _or(1, outer, q, "outer")
        gates = _or(-xp.inf, momentum, q, "log_momentum"), _or(0, decay, q, "log_decay")
        self.velocity = prefix_weights(gates[0][..., 0]) * xp.matrix_transpose(a)
        moves = prefix_weights(gates[1][..., 0]) * xp.matrix_transpose(b)
        self.C, self.S0 = moves @ self.velocity, xp.exp(xp.cumulative_sum(gates[1], axis=-2))
        self.still = xp.exp(xp.cumulative_sum(gates[0], axis=-2))
        self.U0 = moves @ self.still

    def end(self, keys: Array, error: Array, S0: Array, U0: Array, window: int) -> Motion:
        """S and U after the last token."""
        if not self.C.shape[-2]:
            return Motion(S0, U0)
        xp = namespace(keys)
        S, U = (
            xp.matrix_transpose(_spread(xp.matrix_transpose(x[..., -1:, :]), window) * keys) @ error
            for x in (self.C, self.velocity)
        )
        left = (x[..., -1:, :] for x in (self.S0, self.U0, self.still))
        own, pushed, still = left
        return Motion(S + own * S0 + pushed * U0, U + still * U0)


def _or(default: float, x: Array | None, q: Array, name: str) -> Array:
    """x (..., T, 1), or the default where it is None."""
    return namespace(q).full_like(q[..., :1], default) if x is None else per_token(name, x, q)


def _windows(x: Array, window: int) -> Array:
    """Rows x_{t-d}, d = 0..window-1 for each t, zero before the first token: (..., T window, d)."""
    T, shape = x.shape[-2], x.shape
    shifted = [
        concat([zeros(x, (*shape[:-2], min(d, T), shape[-1])), x[..., : max(T - d, 0), :]], -2) for d in range(window)
    ]
    return namespace(x).reshape(namespace(x).stack(shifted, axis=-2), (*shape[:-2], T * window, shape[-1]))


def _spread(column: Array, window: int) -> Array:
    """Each row of (..., T, 1) `window` times."""
    xp = namespace(column)
    return xp.reshape(xp.stack([column] * window, axis=-2), (*column.shape[:-2], column.shape[-2] * window, 1))


def _repeated(C: Array, window: int) -> Array:
    """Each entry of (..., T, T) as a block of order `window`."""
    xp, T = namespace(C), C.shape[-1]
    rows = xp.stack([xp.stack([C] * window, axis=-2)] * window, axis=-1)
    return xp.reshape(rows, (*C.shape[:-2], T * window, T * window))


def _rows_before(x: Array, reads: list[int]) -> Array:
    """Rows r - 1 of x (..., T, n) for r in `reads`, zero for r = 0."""
    none = zeros(x, (*x.shape[:-2], 1, x.shape[-1]))
    return concat([x[..., r - 1 : r, :] if r else none for r in reads], -2) if reads else x


def _untouched(q: Array, reads: list[int]) -> Array:
    """1 where a token reads S_0 itself."""
    one = namespace(q).ones_like(q[..., :1, :1])
    return concat([one if r == 0 else 0 * one for r in reads], -2) if reads else q[..., :1]
