"""Titans' memory: heavy-ball gradient descent with a leak, one step a token on a squared loss without ½.

U_t = exp(log_momentum_t) U_{t-1} - θ_t ∇‖v_t - k_t M_{t-1}‖²;   M_t = exp(log_decay_t) M_{t-1} + U_t
"""

from ttr_numerics.arrays import Array
from ttr_numerics.axes import Momentum, Output, check_sequence, per_token
from ttr_numerics.layers.momentum import momentum_delta_rule

__all__ = ["titans"]


def titans(
    q: Array,
    k: Array,
    v: Array,
    *,
    theta: Array,
    log_momentum: Array,
    log_decay: Array,
    initial_state: Momentum | None = None,
) -> Output:
    """U_t = e^{log_momentum_t} U_{t-1} + 2θ_t k_t' (v_t - k_t M_{t-1}), M_t = e^{log_decay_t} M_{t-1} + U_t.

    The momentum delta rule at beta = 2θ; theta, log_momentum, log_decay (..., T), natural logarithms, at most 0:
    log_decay = ln(1 - α_t). The gradient is taken at the *undecayed* M_{t-1}, so a gate of -inf forgets the memory
    after its error was taken: it is no border between sequences. The state is `Momentum(M, U)`.
    Reference: the linear memory of Behrouz et al. (Titans), arXiv 2501.00663, equations 13 and 14.
    """
    check_sequence(q, k, v)
    per_token("theta", theta, q)
    return momentum_delta_rule(
        q, k, v, beta=2 * theta, log_momentum=log_momentum, log_decay=log_decay, initial_state=initial_state
    )
