"""One sweep of nonlinear Kaczmarz steps, forwards through the Gram matrix; and its image under a link."""

from collections.abc import Callable
from typing import Any

from ttr_numerics.arrays import Array, concat, namespace, zeros
from ttr_numerics.axes import Output, check_sequence, initial_matrix, per_token
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.weights import Ageing

__all__ = ["Softmax", "mirror_descent_prefixes", "nonlinear_kaczmarz_prefixes"]


def nonlinear_kaczmarz_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    beta: Array,
    loss: Any,
    log_decay: Array | None = None,
    batch: int = 1,
    initial_state: Array | None = None,
) -> Output:
    """o_t = q_t S_t, S_t = Σ_{i≤t} diag(γ_i^(t)) k_i' α_i, where α solves forwards, row by row,

        α_t = β_t ψ_t(k_t S_{r(t)}, v_t),   k_t S_r = Σ_{i≤r} (k_t·diag(γ_i^(r)) k_i) α_i + what is left of S_0.

    ψ is the `influence` of `loss` (one of `exact.losses`), r(t) the last token before t's mini-batch of `batch`: the
    gradient is taken at S_r, not decayed further. Unique for every β. log_decay (..., T) or (..., T, d_k).
    Reference: Hackbusch, Iterative Solution of Large Sparse Systems, section 5.6, for the linear sweep.
    """
    ageing, S0, step = _prepared(q, k, v, beta, log_decay, initial_state)
    alpha: list[Array] = []
    for t in range(k.shape[-2]):
        r, row = t // batch * batch, slice(t, t + 1)
        z = _left(ageing, k[..., row, :], r) @ S0
        if r:
            keys = ageing.gamma[..., r - 1, :r, :] * k[..., :r, :]
            z = z + (k[..., row, :] @ namespace(k).matrix_transpose(keys)) @ concat(alpha[:r], -2)
        alpha.append(step[..., row, :] * loss.rows(row).influence(z, v[..., row, :]))
    if not alpha:
        return Output(v, S0)
    alpha_all = concat(alpha, -2)
    o = ageing.products(q, k) @ alpha_all + (ageing.start * q) @ S0
    return Output(o, namespace(k).matrix_transpose(ageing.last(k)) @ alpha_all + ageing.carried(S0))


def mirror_descent_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    beta: Array,
    loss: Any,
    link: Callable[[Array], Array],
    log_decay: Array | None = None,
    initial_state: Array | None = None,
) -> Output:
    """o_t = q_t g(A_t), A_t = Σ_{i≤t} diag(γ_i^(t)) k_i' α_i + what is left of A_0, α_t = β_t ψ_t(k_t g(A_{t-1}), v_t).

    Every A_t anew, as one product of aged keys with the α so far; g is `link`. Arguments as above.
    Reference: Nemirovski and Yudin, Problem Complexity and Method Efficiency in Optimization, 1983.
    """
    ageing, A0, step = _prepared(q, k, v, beta, log_decay, initial_state)
    alpha: list[Array] = []
    outputs, A = [], A0
    for t in range(k.shape[-2]):
        row = slice(t, t + 1)
        z = k[..., row, :] @ link(A)
        alpha.append(step[..., row, :] * loss.rows(row).influence(z, v[..., row, :]))
        keys = ageing.gamma[..., t, : t + 1, :] * k[..., : t + 1, :]
        left = namespace(k).matrix_transpose(ageing.start[..., row, :]) * A0
        A = namespace(k).matrix_transpose(keys) @ concat(alpha, -2) + left
        outputs.append(q[..., row, :] @ link(A))
    return Output(concat(outputs, -2) if outputs else v, A)


class Softmax:
    """g(A)_ij = 1/Σ_l exp(a_lj - a_ij): columns of A to distributions over key channels."""

    def __call__(self, A: Array) -> Array:
        """g(A) (..., d_k, d_v)."""
        xp = namespace(A)
        return 1 / xp.sum(xp.exp(A[..., None, :, :] - A[..., :, None, :]), axis=-2)


def _prepared(
    q: Array, k: Array, v: Array, beta: Array, log_decay: Array | None, initial_state: Array | None
) -> tuple[Ageing, Array, Array]:
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, beta=beta, log_decay=log_decay, initial_state=initial_state)
    return Ageing(log_decay, q), initial_matrix(initial_state, q, v), per_token("beta", beta, q)


def _left(ageing: Ageing, k: Array, r: int) -> Array:
    """The row k against what is left of S_0 after r tokens."""
    return ageing.start[..., r - 1 : r, :] * k if r else k + zeros(k, k.shape)
