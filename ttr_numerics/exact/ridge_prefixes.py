"""Ridge regression with a fixed regulariser at every position."""

from collections.abc import Callable
from typing import Any

from ttr_numerics.arrays import Array, concat, diagonal_matrix, namespace, quiet, solve_posdef, unit_roundoff
from ttr_numerics.axes import Moments, Output, check_sequence, initial_matrix, per_token, row_ridge
from ttr_numerics.exact.innovation import innovation_prefixes
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.weights import Ageing

__all__ = ["choose_ridge_prefixes", "ridge_prefixes", "ridge_prefixes_by_innovation", "ridge_prefixes_by_moments"]

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

    Unique where H_t + Λ > 0, H_t = Σ w_i γ_i^(t) k_i k_i'; else `LinAlgError`. The error follows κ = cond(H_t + Λ):
    `ridge` is the better-conditioned solver for one position. ridge a number or (..., d_k); log_decay, weights
    (..., T); state `Moments(H, G)` without Λ. Takes the form that `choose_ridge_prefixes` names.
    Judged at each t by `backward.solve_ratio(H_t + Λ, S_t, G_t)`.
    Reference: von Oswald et al., arXiv 2506.05233, equation 4.
    """
    check_sequence(q, k, v)
    if weights is not None:
        per_token("weights", weights, q)
    form = choose_ridge_prefixes(k, ridge, log_decay, weights, initial_state)
    return form(q, k, v, ridge=ridge, log_decay=log_decay, weights=weights, initial_state=initial_state)


def choose_ridge_prefixes(
    k: Array,
    ridge: Any,
    log_decay: Array | None = None,
    weights: Array | None = None,
    initial_state: Moments | None = None,
) -> Callable[..., Output]:
    """The form that `ridge_prefixes` takes: by innovation without forgetting while κu/50 ≤ √u/10, else by moments.

    κ = 1 + ‖H_T‖_F / min Λ bounds every condition number on the way; κu/50 is the innovation form's measured error
    (see `exact.innovation`), so that it keeps more than half of all digits. Forgetting changes the ridge relative to
    the memory at every token, so no factorisation is shared: by moments.

    >>> import numpy as np
    >>> k = np.eye(4)
    >>> choose_ridge_prefixes(k, 0.01).__name__, choose_ridge_prefixes(k, 1e-12).__name__
    ('ridge_prefixes_by_innovation', 'ridge_prefixes_by_moments')
    """
    if log_decay is not None or k.dtype == object:
        return ridge_prefixes_by_moments
    xp, u, smallest = namespace(k), unit_roundoff(k), float(namespace(k).min(row_ridge(ridge, k)))
    if not smallest > 0 or 0 in k.shape:
        return ridge_prefixes_by_moments
    KT = xp.matrix_transpose(k) if weights is None else xp.matrix_transpose(k) * weights[..., None, :]
    with quiet():  # NaN is refused by the form, not here
        H = KT @ k if initial_state is None else KT @ k + initial_state.H
        largest = float(xp.max(xp.sqrt(xp.sum(xp.sum(H * H, axis=-1), axis=-1))))
    kappa = 1 + largest / smallest
    return ridge_prefixes_by_innovation if kappa * u / 50 <= u**0.5 / 10 else ridge_prefixes_by_moments


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
    """`ridge_prefixes` without forgetting, chunk by chunk (`exact.innovation`), at a small multiple of the layer."""
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, weights=weights)
    if log_decay is not None:
        raise ValueError("log_decay: expected None (innovations share one regulariser), got an array")
    before = _moments(initial_state, q, v)
    start = before.H + diagonal_matrix(row_ridge(ridge, q))
    P = solve_posdef(start, diagonal_matrix(namespace(q).ones_like(q[..., 0, :])), "H + ridge")
    root = None if weights is None else namespace(q).sqrt(per_token("weights", weights, q))
    o, _ = innovation_prefixes(q, k, v, root, P @ before.G, P)
    return Output(o, _last_moments(k, v, weights, initial_state))


def ridge_prefixes_by_moments(
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge: Any,
    log_decay: Array | None = None,
    weights: Array | None = None,
    initial_state: Moments | None = None,
) -> Output:
    """`ridge_prefixes` from the objective: H_t and G_t summed from the weights of each t, one Cholesky a position."""
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, weights=weights)
    xp, ageing, moments = namespace(q), Ageing(log_decay, q), _moments(initial_state, q, v)
    gamma = ageing.gamma[..., 0] if weights is None else ageing.gamma[..., 0] * weights[..., None, :]
    gamma = concat([ageing.start, gamma], -1)
    # What is known before, and what each token adds, to the moments [H, G]: rows of d_k (d_k + d_v) numbers.
    pairs = _rows(k[..., :, None] * concat([k, v], -1)[..., None, :])
    pairs = concat([_rows(concat(list(moments), -1))[..., None, :], pairs], -2)
    regulariser, outputs, d_k = diagonal_matrix(row_ridge(ridge, q))[..., None, :, :], [], k.shape[-1]
    for t in range(0, q.shape[-2], BLOCK):
        end = min(t + BLOCK, q.shape[-2])
        block = gamma[..., t:end, :] @ pairs
        joint = xp.reshape(block, (*block.shape[:-1], d_k, d_k + v.shape[-1]))
        H, G = joint[..., :d_k], joint[..., d_k:]
        u = solve_posdef(H + regulariser, q[..., t:end, :, None], "H + ridge")
        outputs.append((xp.matrix_transpose(u) @ G)[..., 0, :])
        moments = Moments(H[..., -1, :, :], G[..., -1, :, :])
    return Output(concat(outputs, -2) if outputs else v, moments)


def _moments(initial: Moments | None, k: Array, v: Array) -> Moments:
    """The moments before the first token, zero by default."""
    if initial is None:
        return Moments(initial_matrix(None, k, k), initial_matrix(None, k, v))
    return Moments(
        initial_matrix(initial.H, k, k, "initial_state.H"), initial_matrix(initial.G, k, v, "initial_state.G")
    )


def _last_moments(k: Array, v: Array, weights: Array | None, initial: Moments | None) -> Moments:
    """H_T and G_T without forgetting."""
    before, KT = _moments(initial, k, v), namespace(k).matrix_transpose(k)
    KT = KT if weights is None else KT * weights[..., None, :]
    return Moments(before.H + KT @ k, before.G + KT @ v)


def _rows(x: Array) -> Array:
    """The last two axes as one, row-major."""
    return namespace(x).reshape(x, (*x.shape[:-2], x.shape[-2] * x.shape[-1]))
