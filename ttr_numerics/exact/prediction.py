"""Correlation memories that predict: what tokens before t say at q_t, and the newest pair by a weight of its own."""

from ttr_numerics.arrays import Array, namespace
from ttr_numerics.axes import Output, check_sequence, initial_matrix, per_head
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.weights import Ageing

__all__ = ["predictive_correlation_prefixes"]


def predictive_correlation_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    log_decay: Array | None = None,
    bonus: Array | None = None,
    initial_state: Array | None = None,
) -> Output:
    """o_t = Σ_{i<t} (q_t γ_i^(t-1) k_i') v_i + ((q_t ∘ u) k_t') v_t: one gradient step from S = 0 on

        ½Σ_{i<t} γ_i^(t-1)‖v_i - k_i S‖² + ½u‖v_t - k_t S‖²   (u = bonus a number; a vector u is no sample weight).

    Evaluated as (tril(QΓK', -1) + diag(Q∘u K')) V without a recurrence; always unique. log_decay (..., T) or
    (..., T, d_k), of which token t's own counts only for later queries; bonus (..., d_k), default 0. The state is
    K'Γ_T V of all tokens. Without bonus every output is a prediction, made before its token was seen: Dawid,
    Statistical theory, the prequential approach, J. R. Stat. Soc. A 147 (1984) 278.
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, log_decay=log_decay, bonus=bonus, initial_state=initial_state)
    xp, ageing = namespace(q), Ageing(log_decay, q)
    S0 = initial_matrix(initial_state, q, v)
    own = xp.zeros_like(q) if bonus is None else per_head("bonus", bonus, q) * q
    o = ageing.products_before(q, k) @ v + ageing.start_before(q) @ S0 + xp.sum(own * k, axis=-1, keepdims=True) * v
    return Output(o, xp.matrix_transpose(ageing.last(k)) @ v + ageing.carried(S0))
