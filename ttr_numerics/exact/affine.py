"""Scalar linear recurrences x_t = a_t x_{t-1} + b_t, many at once, by recursive doubling."""

from ttr_numerics.arrays import Array, concat, namespace
from ttr_numerics.axes import Output, check_sequence, initial_matrix, per_channel
from ttr_numerics.exact.inputs import check_solvable

__all__ = ["affine_prefixes", "diagonal_kaczmarz_prefixes"]


def affine_prefixes(a: Array, b: Array, first: Array) -> Array:
    """x_t (T, ...) of x_t = a_t x_{t-1} + b_t from x_0 = `first` (...); a and b (T, ...).

    The affine maps of 2, 4, 8, ... tokens are composed from those of half as many: log₂ T sweeps over the sequence
    and no loop over time. Always unique. Reference: Kogge and Stone (1973); Blelloch (1990).
    """
    b = concat([b[:1, ...] + a[:1, ...] * first[None, ...], b[1:, ...]], 0) if a.shape[0] else b
    reach = 1
    while reach < a.shape[0]:
        b = concat([b[:reach, ...], a[reach:, ...] * b[:-reach, ...] + b[reach:, ...]], 0)
        a = concat([a[:reach, ...], a[reach:, ...] * a[:-reach, ...]], 0)
        reach *= 2
    return b


def diagonal_kaczmarz_prefixes(
    q: Array, k: Array, v: Array, *, beta: Array, initial_state: Array | None = None
) -> Output:
    """o_t = q_t S_t, every entry S_cj a sweep of its own over the one-dimensional regression of v_tj on k_tc:

        S_cj ← S_cj + ε_tj k_tc (v_tj - k_tc S_cj),   ε_tj = β_tj/(1 + β_tj‖k_t‖²),

    by `affine_prefixes`, each a Kaczmarz sweep relaxed by ε_tj k_tc² < 1. beta (..., T, d_v) at least 0.
    Reference: Liu et al. (Longhorn), arXiv 2407.14207.
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, beta=per_channel("beta", beta, v), initial_state=initial_state)
    xp, S0 = namespace(q), initial_matrix(initial_state, q, v)
    step = beta / (1 + beta * xp.vecdot(k, k)[..., None])
    key = k[..., None]
    kept, gained = (xp.moveaxis(x, -3, 0) for x in (1 - step[..., None, :] * key**2, key * (step * v)[..., None, :]))
    S = affine_prefixes(kept, gained, S0)
    o = xp.sum(q[..., None] * xp.moveaxis(S, 0, -3), axis=-2)
    return Output(o, S[-1, ...] if S.shape[0] else S0)
