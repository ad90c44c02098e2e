"""The cross-correlation memory K'Γ_t V: least squares with K'Γ_t K replaced by the identity."""

from ttr_numerics.arrays import Array, namespace
from ttr_numerics.axes import Output, check_sequence, initial_matrix
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.weights import Ageing

__all__ = ["correlation_prefixes"]


def correlation_prefixes(
    q: Array, k: Array, v: Array, *, log_decay: Array | None = None, initial_state: Array | None = None
) -> Output:
    """o_t = q_t S_t with S_t = -∇ ½Σ_{i≤t} γ_i^(t)‖v_i - k_i S‖² at S = 0, which is K'Γ_t V.

    One full-batch gradient step of size 1 from zero; the weighted least-squares solution where K'Γ_t K = I.
    Evaluated as (QK' ∘ Γ) V without a recurrence; always unique. log_decay (..., T) or (..., T, d_k) (then Γ ages
    key channels, which is not a sample weight). Reference: arXiv 2501.12352, section 3.1.
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, log_decay=log_decay, initial_state=initial_state)
    xp, ageing = namespace(q), Ageing(log_decay, q)
    S0 = initial_matrix(initial_state, q, v)
    o = ageing.products(q, k) @ v + (ageing.start * q) @ S0
    return Output(o, xp.matrix_transpose(ageing.last(k)) @ v + ageing.carried(S0))
