"""A Kaczmarz sweep whose written rows are preconditioned by a bounded diagonal of the Gram matrix K'K."""

import math

from ttr_numerics.arrays import Array, namespace
from ttr_numerics.axes import Output, Preconditioned, check_sequence, initial_array, per_token
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.kaczmarz import mismatched_kaczmarz_prefixes
from ttr_numerics.exact.weights import Ageing

__all__ = ["preconditioned_kaczmarz_prefixes"]


def preconditioned_kaczmarz_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    log_decay: Array,
    beta: Array,
    curvature_log_decay: Array,
    curvature_beta: Array,
    base: float = 1.5,
    centre: float = -0.2,
    eps: float = 1e-6,
    initial_state: Preconditioned | None = None,
) -> Output:
    """`mismatched_kaczmarz_prefixes` that reads β_t k_t on the decayed state and writes k_t∘base^{-r/(1+|r|)}, where

        r = log(A_t + eps) - centre,   A_t = Σ_{i≤t} γ_i^(t) η_i k_i∘k_i (the diagonal of K'ΓK), from A_0 aged.

    η = curvature_beta and the γ of curvature_log_decay (..., T). Unique. Reference: Preconditioned DeltaNet,
    arXiv 2604.21100; the exact preconditioner (K'ΓK)⁻¹ would be `recursive_least_squares`.
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, beta=beta, curvature_beta=curvature_beta, curvature_log_decay=curvature_log_decay)
    xp, ageing = namespace(k), Ageing(curvature_log_decay, q)
    S0, A0 = (None, None) if initial_state is None else initial_state
    A0 = initial_array(A0, (*q.shape[:-2], q.shape[-1]), q, "initial_state.A")[..., None, :]
    A = ageing.gamma[..., 0] @ (per_token("curvature_beta", curvature_beta, q) * k**2) + ageing.start * A0
    r = xp.log(A + eps) - centre
    written = k / xp.exp(math.log(base) * r / (1 + xp.abs(r)))
    step, decay = per_token("beta", beta, q), xp.exp(per_token("log_decay", log_decay, q, channels=True))
    o, S = mismatched_kaczmarz_prefixes(
        q, written, step * v, erase=step * decay * k, log_decay=log_decay, initial_state=S0
    )
    return Output(o, Preconditioned(S, A[..., -1, :] if A.shape[-2] else A0[..., 0, :]))
