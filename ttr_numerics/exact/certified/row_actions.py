"""Online recurrences in ball arithmetic, token by token with the whole matrix of each step."""

from ttr_numerics.arrays import Array, eye, namespace
from ttr_numerics.arrays.enclosure import RELATIVE, Enclosure, refined
from ttr_numerics.axes import Momentum, check_sequence, initial_matrix, per_token
from ttr_numerics.exact.certified.inputs import exactly
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.recurrence import sequential

__all__ = ["certified_correlation_prefixes", "certified_heavy_ball_prefixes", "certified_kaczmarz_prefixes"]


def certified_correlation_prefixes(
    q: Array, k: Array, v: Array, *, log_decay: Array | None = None, relative: float = RELATIVE
) -> Enclosure:
    """Balls around o_t = q_t S_t (..., T, d_v), S_t = diag(γ_t) S_{t-1} + k_t'v_t, S_0 = 0, γ = exp(log_decay).

    The answers of `correlation_prefixes`; log_decay (..., T) or (..., T, d_k).
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, log_decay=log_decay)

    def step(S: Array, q: Array, k: Array, v: Array, log_decay: Array) -> tuple[Array, Array]:
        S = _decay(log_decay) * S + namespace(k).matrix_transpose(k) @ v
        return S, q @ S

    def answer() -> Array:
        Q, K, V = (exactly(x) for x in (q, k, v))
        return sequential(step, initial_matrix(None, Q, V), Q, K, V, _gate(log_decay, Q)).o

    return refined(answer, relative)


def certified_kaczmarz_prefixes(
    q: Array, k: Array, v: Array, *, beta: Array, log_decay: Array | None = None, relative: float = RELATIVE
) -> Enclosure:
    """Balls around o_t = q_t S_t (..., T, d_v), S_t = (I - β_t k_t'k_t) diag(γ_t) S_{t-1} + β_t k_t'v_t, S_0 = 0.

    The answers of `kaczmarz_prefixes`, which delta rules are; log_decay (..., T) or (..., T, d_k).
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, beta=beta, log_decay=log_decay)

    def step(S: Array, q: Array, k: Array, v: Array, log_decay: Array, beta: Array) -> tuple[Array, Array]:
        column = namespace(k).matrix_transpose(beta * k)
        S = (eye(k, k.shape[-1]) - column @ k) @ (_decay(log_decay) * S) + column @ v
        return S, q @ S

    def answer() -> Array:
        Q, K, V, β = (exactly(x) for x in (q, k, v, beta))
        gates = _gate(log_decay, Q), per_token("beta", β, Q)
        return sequential(step, initial_matrix(None, Q, V), Q, K, V, *gates).o

    return refined(answer, relative)


def certified_heavy_ball_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    beta: Array,
    log_momentum: Array,
    log_decay: Array | None = None,
    relative: float = RELATIVE,
) -> Enclosure:
    """Balls around o_t = q_t S_t (..., T, d_v), S_t = γ_t S_{t-1} + U_t, S_0 = U_0 = 0, with the velocity

        U_t = μ_t U_{t-1} + β_t k_t'(v_t - k_t S_{t-1}),   μ = exp(log_momentum).

    The answers of `heavy_ball_prefixes`; all gates (..., T).
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, beta=beta, log_decay=log_decay, log_momentum=log_momentum)

    def step(state: Momentum, q: Array, k: Array, v: Array, *gates: Array) -> tuple[Momentum, Array]:
        (S, U), (log_decay, log_momentum, beta) = state, gates
        U = _decay(log_momentum) * U + namespace(k).matrix_transpose(beta * k) @ (v - k @ S)
        S = _decay(log_decay) * S + U
        return Momentum(S, U), q @ S

    def answer() -> Array:
        Q, K, V, β = (exactly(x) for x in (q, k, v, beta))
        first = Momentum(*(initial_matrix(None, Q, V) for _ in range(2)))
        gates = _gate(log_decay, Q), _gate(log_momentum, Q), per_token("beta", β, Q)
        return sequential(step, first, Q, K, V, *gates).o

    return refined(answer, relative)


def _gate(log_decay: Array | None, Q: Array) -> Array:
    """The logarithms of a gate (..., T, 1 or d_k), 0 where there is none."""
    x = namespace(Q).zeros_like(Q[..., 0]) if log_decay is None else exactly(log_decay)
    return per_token("log_decay", x, Q, channels=True)


def _decay(log_decay: Array) -> Array:
    """The factors (..., 1 or d_k, 1) of the rows of a state, from one token's logarithms (..., 1, 1 or d_k)."""
    xp = namespace(log_decay)
    return xp.matrix_transpose(xp.exp(log_decay))
