"""Least squares through a layer norm: not convex, and without a closed form."""

from ttr_numerics.arrays import Array, local_minimum, namespace
from ttr_numerics.exact.inputs import check_rows, check_solvable
from ttr_numerics.exact.least_norm import least_norm
from ttr_numerics.exact.losses import LayerNormSquares

__all__ = ["layer_norm_least_squares"]


def layer_norm_least_squares(
    K: Array, V: Array, *, gain: Array, shift: Array, epsilon: float, steps: int = 10000
) -> Array:
    """S (..., d_k, d_v), a local minimum of ½Σ‖v_i - LN(k_i S)‖², by `steps` L-BFGS steps from least squares of V on K.

    LN(z) = gain (z - z̄)/√(var z + ε) + shift; gain, shift (..., d_v). Not convex and, as LN hardly depends on the size
    of z, flat along S: what is found is below the start and not unique. Judged by its gradient -K'ψ, ψ the `influence`
    of `losses.LayerNormSquares`. Reference: Liu and Nocedal, Math. Program. 45 (1989) 503.
    """
    check_solvable(K=K, V=V, gain=gain, shift=shift)
    check_rows(K, V)
    xp, shape = namespace(K), (*K.shape[:-2], K.shape[-1], V.shape[-1])
    rows = [xp.broadcast_to(x[..., None, :], (*V.shape[:-2], 1, V.shape[-1])) for x in (gain, shift)]

    def objective(flat: Array, index: tuple[int, ...]) -> tuple[Array, Array]:
        keys, values, gains, shifts = (x[(*index, ...)] for x in (K, V, *rows))
        loss, z = LayerNormSquares(gains, shifts, epsilon), keys @ xp.reshape(flat, shape[-2:])
        slope = -xp.matrix_transpose(keys) @ loss.influence(z, values)
        return xp.sum((values - loss.predicted(z)) ** 2) / 2, xp.reshape(slope, (-1,))

    start = xp.reshape(least_norm(K, V).S, (*shape[:-2], shape[-2] * shape[-1]))
    return xp.reshape(local_minimum(objective, start, steps), shape)
