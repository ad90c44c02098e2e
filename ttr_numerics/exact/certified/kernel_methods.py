"""Kernel ridge regression and kernel smoothers in ball arithmetic. Kernels are those of `exact.kernels`."""

from collections.abc import Callable

from ttr_numerics.arrays import Array, concat, eye, namespace, zeros
from ttr_numerics.arrays.balls import solved
from ttr_numerics.arrays.enclosure import RELATIVE, Enclosure, refined
from ttr_numerics.axes import check_sequence, per_token
from ttr_numerics.exact.certified.inputs import exactly
from ttr_numerics.exact.inputs import check_rows, check_solvable
from ttr_numerics.exact.kernels import Gaussian
from ttr_numerics.exact.smoother import LogKernel

__all__ = ["certified_kernel_ridge_prefixes", "certified_kernel_smoother", "certified_kernel_smoother_prefixes"]

_GAUSSIAN = Gaussian()


def certified_kernel_ridge_prefixes(
    q: Array, k: Array, v: Array, *, kernel: Callable[[Array, Array], Array], ridge: float, relative: float = RELATIVE
) -> Enclosure:
    """Balls around o_t = κ(q_t, K_t)(κ(K_t, K_t) + λI)⁻¹ V_t (..., T, d_v): a system of its own at every position."""
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v)

    def answer() -> Array:
        Q, K, V, κ, λ = (exactly(x) for x in (q, k, v, kernel, ridge))
        xp, rows, gram, across = namespace(K), [], κ(K, K) + λ * eye(K, K.shape[-2]), κ(K, Q)
        for n in range(1, K.shape[-2] + 1):
            solution = solved(gram[..., :n, :n], across[..., :n, n - 1 : n])
            rows.append(xp.matrix_transpose(solution) @ V[..., :n, :])
        return concat(rows, -2) if rows else V

    return refined(answer, relative)


def certified_kernel_smoother(
    q: Array,
    K: Array,
    V: Array,
    *,
    kernel: LogKernel = _GAUSSIAN,
    log_weights: Array | None = None,
    relative: float = RELATIVE,
) -> Enclosure:
    """Balls around Σ_i w_i κ(q, k_i) v_i / Σ_i w_i κ(q, k_i) (..., n, d_v), every query on all rows of K and V."""
    check_solvable(q=q, K=K, V=V, log_weights=log_weights)
    check_rows(K, V)
    return refined(lambda: _mean(_log_kernel(q, K, kernel, log_weights), exactly(V)), relative)


def certified_kernel_smoother_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    kernel: LogKernel = _GAUSSIAN,
    log_weights: Array | None = None,
    log_decay: Array | None = None,
    relative: float = RELATIVE,
) -> Enclosure:
    """Balls around o_t = Σ_{i≤t} ω_ti v_i / Σ_{i≤t} ω_ti (..., T, d_v), ω_ti = w_i γ_ti κ(q_t, k_i).

    The answers of `kernel_smoother_prefixes`. Raises `EnclosureError` where a row has no weight.
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, log_weights=log_weights, log_decay=log_decay)
    for name, x in (("log_weights", log_weights), ("log_decay", log_decay)):
        if x is not None:
            per_token(name, x, q)

    def answer() -> Array:
        logs, V = _log_kernel(q, k, kernel, log_weights), exactly(v)
        gates = namespace(V).zeros_like(V[..., 0]) if log_decay is None else exactly(log_decay)
        rows, age = [], gates[..., None, :0]
        for t in range(V.shape[-2]):
            age = concat(
                [age + gates[..., t, None, None], zeros(gates, (*gates.shape[:-1], 1, 1))], -1
            )  # its own gate spares a token
            rows.append(_mean(logs[..., t : t + 1, : t + 1] + age, V[..., : t + 1, :]))
        return concat(rows, -2) if rows else V

    return refined(answer, relative)


def _log_kernel(q: Array, K: Array, kernel: LogKernel, log_weights: Array | None) -> Array:
    """log w_i κ(q_t, k_i) (..., n, m)."""
    logs = exactly(kernel).log(exactly(q), exactly(K))
    return logs if log_weights is None else logs + exactly(log_weights)[..., None, :]


def _mean(logs: Array, V: Array) -> Array:
    """The mean of the rows of V with weights exp(logs): balls neither overflow nor underflow."""
    xp = namespace(logs)
    weights = xp.exp(logs)
    return (weights @ V) / xp.sum(weights, axis=-1, keepdims=True)
