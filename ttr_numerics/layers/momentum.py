"""The delta rule with heavy-ball momentum: the state moves by a velocity that remembers earlier steps."""

from ttr_numerics.arrays import Array, as_residual, as_state, namespace
from ttr_numerics.axes import Momentum, Output, check_sequence, initial_matrix, initial_parts, per_token
from ttr_numerics.recurrence import sequential

__all__ = ["initial_momentum", "momentum_delta_rule"]


def momentum_delta_rule(
    q: Array,
    k: Array,
    v: Array,
    *,
    beta: Array,
    log_momentum: Array,
    log_decay: Array | None = None,
    initial_state: Momentum | None = None,
) -> Output:
    """U_t = μ_t U_{t-1} + k_t' β_t (v_t - k_t S_{t-1}), S_t = exp(log_decay_t) S_{t-1} + U_t, o_t = q_t S_t.

    μ = exp log_momentum; beta, log_momentum, log_decay (..., T), logarithms at most 0; log_decay None is no leak. The
    error is taken on the *undecayed* S_{t-1}, as in Titans; momentum -inf is the delta rule. The state is
    `Momentum(S, U)`.
    Reference: Polyak (1964); Behrouz et al. (Titans), arXiv 2501.00663.
    """
    check_sequence(q, k, v)
    leak = namespace(q).zeros_like(q[..., 0]) if log_decay is None else log_decay
    gates = (per_token(n, x, q) for n, x in (("beta", beta), ("log_momentum", log_momentum), ("log_decay", leak)))
    return sequential(_accelerate, initial_momentum(initial_state, q, v), q, k, v, *gates)


def initial_momentum(state: Momentum | None, q: Array, v: Array) -> Momentum:
    """The state to begin with: `state` after a check, at rest at zero if None."""
    S, U = (None, None) if state is None else initial_parts(state, Momentum)
    return Momentum(initial_matrix(S, q, v, "initial_state.S"), initial_matrix(U, q, v, "initial_state.U"))


def _accelerate(
    state: Momentum, q: Array, k: Array, v: Array, beta: Array, log_momentum: Array, log_decay: Array
) -> tuple[Momentum, Array]:
    xp, (S, U) = namespace(k), state
    U = xp.exp(log_momentum) * U + xp.matrix_transpose(k) @ (beta * as_residual(v - k @ S))
    S = xp.exp(log_decay) * S + U
    return Momentum(S, U), q @ as_state(S)
