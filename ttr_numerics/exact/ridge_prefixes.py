"""Ridge regression with a fixed regulariser at every position, from its objective."""

from typing import Any

from ttr_numerics.arrays import Array, concat, diagonal_matrix, namespace, solve_posdef
from ttr_numerics.axes import Moments, Output, check_sequence, initial_matrix, row_ridge
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.weights import Ageing

__all__ = ["ridge_prefixes"]

BLOCK = 64  # positions solved together: memory BLOCK d_k² a batch entry


def ridge_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge: Any,
    log_decay: Array | None = None,
    weights: Array | None = None,
    initial_state: Moments | None = None,
) -> Output:
    """o_t = q_t S_t, S_t = argmin ½Σ_{i≤t} w_i γ_i^(t)‖v_i - k_i S‖² + ½ tr(S'ΛS), the same Λ at every t.

    S_t = (H_t + Λ)⁻¹ G_t with H_t = Σ w_i γ_i^(t) k_i k_i', G_t = Σ w_i γ_i^(t) k_i v_i', summed for each t from the
    weights themselves; one Cholesky a position. Unique where H_t + Λ > 0, else `LinAlgError` naming (..., t). The
    error follows cond(K)²: `ridge` is the better-conditioned solver for one position. log_decay, weights (..., T);
    state `Moments(H, G)` without Λ. Judged at each t by `backward.solve_ratio(H_t + Λ, S_t, G_t)`.
    Reference: von Oswald et al., arXiv 2506.05233, equation 4.
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, weights=weights)
    xp, ageing = namespace(q), Ageing(log_decay, q)
    gamma = ageing.gamma[..., 0] if weights is None else ageing.gamma[..., 0] * weights[..., None, :]
    # What each token adds to the moments [H, G], as one row of d_k (d_k + d_v) numbers.
    pairs = _rows(k[..., :, None] * concat([k, v], -1)[..., None, :])
    if initial_state is not None:
        before = concat([initial_state.H, initial_state.G], -1)
        pairs = concat([_rows(before)[..., None, :], pairs], -2)
        gamma = concat([ageing.start, gamma], -1)
    regulariser, outputs, d_k = diagonal_matrix(row_ridge(ridge, q))[..., None, :, :], [], k.shape[-1]
    moments = initial_state or Moments(initial_matrix(None, q, q), initial_matrix(None, q, v))
    for t in range(0, q.shape[-2], BLOCK):
        end = min(t + BLOCK, q.shape[-2])
        block = gamma[..., t:end, :] @ pairs
        joint = xp.reshape(block, (*block.shape[:-1], d_k, d_k + v.shape[-1]))
        H, G = joint[..., :d_k], joint[..., d_k:]
        u = solve_posdef(H + regulariser, q[..., t:end, :, None], "H + ridge")
        outputs.append((xp.matrix_transpose(u) @ G)[..., 0, :])
        moments = Moments(H[..., -1, :, :], G[..., -1, :, :])
    return Output(concat(outputs, -2) if outputs else v, moments)


def _rows(x: Array) -> Array:
    """The last two axes as one, row-major."""
    return namespace(x).reshape(x, (*x.shape[:-2], x.shape[-2] * x.shape[-1]))
