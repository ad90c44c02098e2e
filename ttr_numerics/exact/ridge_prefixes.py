"""Ridge regression with a fixed regulariser at every position: the choice between four forms of one answer."""

from collections.abc import Callable
from typing import Any

from ttr_numerics.arrays import Array, namespace, quiet, to_numpy, unit_roundoff, untracked
from ttr_numerics.axes import Moments, Output, check_sequence, per_token, row_ridge
from ttr_numerics.exact.chebyshev import NATS, ridge_prefixes_by_chebyshev
from ttr_numerics.exact.growth import pieces
from ttr_numerics.exact.innovation import CHUNK, ridge_prefixes_by_innovation
from ttr_numerics.exact.moments import ridge_prefixes_by_moments
from ttr_numerics.exact.square_root import ridge_prefixes_by_square_root

__all__ = ["choose_ridge_prefixes", "keeps_half_of_the_digits", "ridge_prefixes"]

SHORT = 8  # tokens: below this length of its chunks the Chebyshev form costs more than a Cholesky factor a position


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

    Unique where H_t + Λ > 0, H_t = Σ w_i γ_i^(t) k_i k_i'; else `LinAlgError`. ridge a number or (..., d_k);
    log_decay, weights (..., T); state `Moments(H, G)` without Λ. Takes the form that `choose_ridge_prefixes` names.
    Judged at each t by `backward.solve_ratio(H_t + Λ, S_t, G_t)`; by square roots the error follows √cond(H_t + Λ).
    Reference: von Oswald et al., arXiv 2506.05233, equation 4.
    """
    check_sequence(q, k, v)
    if weights is not None:
        per_token("weights", weights, q)
    if log_decay is not None:
        per_token("log_decay", log_decay, q)
    form = choose_ridge_prefixes(k, ridge, log_decay, weights, initial_state)
    return form(q, k, v, ridge=ridge, log_decay=log_decay, weights=weights, initial_state=initial_state)


def choose_ridge_prefixes(
    k: Array,
    ridge: Any,
    log_decay: Array | None = None,
    weights: Array | None = None,
    initial_state: Moments | None = None,
) -> Callable[..., Output]:
    """The form that `ridge_prefixes` takes.

    While κu ≤ √u, κ = 1 + max_c tr H_c / min Λ over chunks c of tokens, working with (H + Λ)⁻¹ keeps about half of all
    digits (errors at the edge are a few √u, `reports/conditioning.md`): by innovation, or with forgetting by Chebyshev
    steps on innovations as long as the decay leaves chunks of 8 tokens. Above, without forgetting and with ridge > 0,
    by square root. What is left is solved by moments: strong forgetting, a ridge of 0, and forgetting with little
    ridge, for which there is no square root: a Λ that stays while data are forgotten adds d_k rows at every token.

    >>> import numpy as np
    >>> k = np.eye(4)
    >>> choose_ridge_prefixes(k, 0.01).__name__, choose_ridge_prefixes(k, 1e-12).__name__
    ('ridge_prefixes_by_innovation', 'ridge_prefixes_by_square_root')
    >>> choose_ridge_prefixes(k, 0.01, np.full(4, -0.1)).__name__
    'ridge_prefixes_by_chebyshev'
    >>> choose_ridge_prefixes(k, 0.01, np.full(4, -9.0)).__name__
    'ridge_prefixes_by_moments'
    """
    if k.dtype == object or 0 in k.shape:
        return ridge_prefixes_by_moments
    smallest = float(namespace(k).min(row_ridge(untracked(ridge), k)))
    if not smallest > 0:
        return ridge_prefixes_by_moments
    safe = keeps_half_of_the_digits(k, weights, 1 / smallest, None if initial_state is None else initial_state.H)
    if log_decay is None:
        return ridge_prefixes_by_innovation if safe else ridge_prefixes_by_square_root
    T = k.shape[-2]
    chunks = sum(1 for _ in pieces(T, CHUNK, log_decay[..., None], NATS))
    return ridge_prefixes_by_chebyshev if safe and chunks * min(SHORT, T) <= T else ridge_prefixes_by_moments


def keeps_half_of_the_digits(k: Array, weights: Array | None, inverse: float, before: Array | None = None) -> bool:
    """κu ≤ √u for κ = 1 + `inverse` · max_c tr H_c, H_c = Σ w_i k_i k_i' over a chunk of CHUNK tokens, or `before`.

    `inverse` is the norm of Λ⁻¹. Chunks decide, not the whole sequence: P - Z'Z loses what one chunk adds to 1/P, and
    errors of earlier chunks contract.
    """
    k, weights, before = (untracked(x) for x in (k, weights, before))
    xp, u = namespace(k), unit_roundoff(k)
    with quiet():  # NaN is refused by the form, not here
        squares = xp.vecdot(k, k) if weights is None else xp.vecdot(k, k) * weights
        whole = k.shape[-2] - k.shape[-2] % CHUNK
        chunks = xp.reshape(squares[..., :whole], (*squares.shape[:-1], whole // CHUNK, CHUNK))
        traces = [xp.sum(chunks, axis=-1), xp.sum(squares[..., whole:], axis=-1)]
        if before is not None:
            traces.append(xp.linalg.trace(before))
        largest = max(float(to_numpy(xp.max(trace))) for trace in traces if 0 not in trace.shape)
    return (1 + largest * inverse) * u <= u**0.5
