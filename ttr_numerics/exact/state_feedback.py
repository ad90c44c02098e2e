"""Linear systems with one feedback a step: S_t = D_t S_{t-1} + b_t'(a_t S_{t-1}) + k_t'v_t, by superposition."""

from ttr_numerics.arrays import Array, eye, namespace, solve_triangular
from ttr_numerics.axes import Output, check_sequence, initial_matrix, per_channel
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.weights import Ageing

__all__ = ["state_feedback_prefixes"]


def state_feedback_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    a: Array,
    b: Array,
    log_decay: Array | None = None,
    initial_state: Array | None = None,
) -> Output:
    """o_t = q_t S_t, S_t = Γ_0 S_0 + Σ_{i≤t} diag(γ_i^(t)) (b_i u_i' + k_i v_i'), u_t = a_t S_{t-1}.

    The rows u that are fed back solve a discrete Volterra equation of the second kind, one triangular system:

        (I - tril(A Γ⁻ B', -1)) U = A Γ⁻ S_0 + tril(A Γ⁻ K', -1) V,   Γ⁻ of row t the ages at t - 1.

    a, b (..., T, d_k): a reads the undecayed state, b writes. Always unique; judged by `backward.solve_ratio` of that
    system. Reference: Brunner, Volterra Integral Equations (2017), for the continuous equation.
    """
    check_sequence(q, k, v)
    a, b = per_channel("a", a, q), per_channel("b", b, q)
    check_solvable(q=q, k=k, v=v, a=a, b=b, log_decay=log_decay, initial_state=initial_state)
    xp, ageing, S0 = namespace(q), Ageing(log_decay, q), initial_matrix(initial_state, q, v)
    kernel = eye(q, q.shape[-2]) - ageing.products_before(a, b)
    u = solve_triangular(kernel, ageing.start_before(a) @ S0 + ageing.products_before(a, k) @ v)
    o = (ageing.start * q) @ S0 + ageing.products(q, b) @ u + ageing.products(q, k) @ v
    written = xp.matrix_transpose(ageing.last(b)) @ u + xp.matrix_transpose(ageing.last(k)) @ v
    return Output(o, ageing.carried(S0) + written)
