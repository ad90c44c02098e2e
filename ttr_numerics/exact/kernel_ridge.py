"""Kernel ridge regression at every position, with one Cholesky factorisation for all of them."""

from collections.abc import Callable

from ttr_numerics.arrays import (
    Array,
    LinAlgError,
    cholesky,
    concat,
    eye,
    forward_substitution,
    name_slices,
    namespace,
)
from ttr_numerics.axes import Cache, Output, check_sequence, extended
from ttr_numerics.exact.blocks import spans
from ttr_numerics.exact.inputs import check_solvable

__all__ = ["kernel_ridge_prefixes"]

BLOCK = 128  # order of the diagonal blocks factored at a time


def kernel_ridge_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    kernel: Callable[[Array, Array], Array],
    ridge: float,
    initial_state: Cache | None = None,
) -> Output:
    """o_t = κ(q_t, K_t) (κ(K_t, K_t) + λI)⁻¹ V_t, the value at q_t of argmin_f ½Σ_{i≤t}‖v_i - f(k_i)‖² + ½λ‖f‖²_κ.

    With κ(K, K) + λI = L L' the leading block of L is the factor of every prefix, hence
    O = tril((L⁻¹ κ(K, Q))') (L⁻¹ V). Rows of L, and columns of L⁻¹ κ(K, Q) down to their own position, come block by
    block from one forward substitution: 2T³/3 flops a batch entry in matrix products, T² numbers of memory.
    Unique for λ > 0, or distinct keys and a strictly positive definite κ; refuses what Cholesky cannot factor, naming
    slices. Judged by `backward.solve_ratio(κ(K, K) + λI, α, V)`. Reference: Saunders et al., ICML 1998.
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v)
    state = extended(initial_state, k, v)
    before, solution, outputs = state.k.shape[-2] - k.shape[-2], _Solution(kernel, ridge), []
    for piece in spans(state.k.shape[-2], BLOCK):
        queries = q[..., max(piece.start - before, 0) : max(piece.stop - before, 0), :]
        outputs.append(solution.extended_by(state.k[..., piece, :], state.v[..., piece, :], queries))
    return Output(concat(outputs, -2) if outputs else v, state)


class _Solution:
    """What every prefix shares: L as rows of blocks (left of the diagonal block, the diagonal block), and Z = L⁻¹V."""

    def __init__(self, kernel: Callable[[Array, Array], Array], ridge: float) -> None:
        self.kernel, self.ridge = kernel, ridge
        self.rows: list[tuple[Array | None, Array]] = []
        self.K: Array = None
        self.Z: Array = None

    def extended_by(self, K: Array, V: Array, Q: Array) -> Array:
        """Take in the rows K, V; the answers at Q, which stand at the last of these rows."""
        xp, n, m = namespace(K), K.shape[-2], Q.shape[-2]
        gram = self.kernel(K, K) + self.ridge * eye(K, n)
        own, left, across = concat([gram, self.kernel(K, Q), V], -1), None, None
        if self.rows:
            earlier = self._substituted(concat([self.kernel(self.K, K), self.kernel(self.K, Q)], -1))
            left, across = (xp.matrix_transpose(x) for x in (earlier[..., :n], earlier[..., n:]))
            own = own - left @ concat([earlier, self.Z], -1)
        corner = _corner(own[..., :n], gram, BLOCK * len(self.rows) + n)
        new = forward_substitution(corner, own[..., n:])
        o = xp.tril(xp.matrix_transpose(new[..., :m]), k=n - m) @ new[..., m:]
        o = o if across is None else o + across @ self.Z
        self.rows.append((left, corner))
        self.K, self.Z = (y if x is None else concat([x, y], -2) for x, y in ((self.K, K), (self.Z, new[..., m:])))
        return o

    def _substituted(self, C: Array) -> Array:
        """L⁻¹C."""
        pieces: list[Array] = []
        for (left, corner), piece in zip(self.rows, spans(C.shape[-2], BLOCK), strict=True):
            rest = C[..., piece, :]
            if left is not None:
                rest = rest - left @ concat(pieces, -2)
            pieces.append(forward_substitution(corner, rest))
        return concat(pieces, -2)


def _corner(schur: Array, gram: Array, rows: int) -> Array:
    """The factor of a diagonal block less what earlier rows explain: `gram` itself if there are none.

    Refuses pivots that have lost every digit of their diagonal entry of `gram`; `rows` are those behind each.
    """
    factor = cholesky(schur, "kernel matrix + ridge")
    if gram.dtype == object:
        return factor
    xp, one = namespace(gram), eye(gram, gram.shape[-1])
    pivots, diagonal = xp.sum(factor * factor * one, axis=-1), xp.sum(gram * one, axis=-1)
    bad = xp.any(pivots <= rows * float(xp.finfo(gram.dtype).eps) * diagonal, axis=-1)
    if bool(xp.any(bad)):
        raise LinAlgError(
            f"kernel matrix + ridge: expected positive definite, got a pivot at rounding level{name_slices(bad)}; "
            "give a larger ridge"
        )
    return factor
