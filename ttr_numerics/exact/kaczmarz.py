"""Row actions, one equation after the other, as the triangular systems on products of rows that they are.

A relaxed Kaczmarz sweep is the successive over-relaxation (SOR) sweep on the Gram matrix KK'.
"""

from ttr_numerics.arrays import Array, eye, namespace, solve_triangular
from ttr_numerics.axes import Output, check_sequence, initial_matrix, per_channel, per_token
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.weights import Ageing

__all__ = ["kaczmarz_prefixes", "mismatched_kaczmarz_prefixes"]


def kaczmarz_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    beta: Array,
    log_decay: Array | None = None,
    initial_state: Array | None = None,
) -> Output:
    """o_t = q_t S_t, S_t = Σ_{i≤t} diag(γ_i^(t)) k_i α_i', where α solves one triangular system:

        (I + diag(β) tril(K Γ K', -1)) α = diag(β) (V - K Γ S_0).

    With β_t = 1/‖k_t‖² and no decay S_t is the orthogonal projection of S_{t-1} onto {S : k_t S = v_t}: Kaczmarz,
    equally one Gauss-Seidel sweep on KK'α = V from zero. The system is unit lower triangular, so the solution is
    unique for every β; judged by `backward.solve_ratio` of that system. beta (..., T); log_decay (..., T) or
    (..., T, d_k), applied before the residual.
    Reference: Hackbusch, Iterative Solution of Large Sparse Systems, section 5.6; Yang et al., arXiv 2406.06484.
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, beta=beta, log_decay=log_decay, initial_state=initial_state)
    ageing = Ageing(log_decay, q)
    S0, step = initial_matrix(initial_state, q, v), per_token("beta", beta, q)
    alpha = _solution(step * ageing.products(k, k), step * (v - (ageing.start * k) @ S0))
    return _written(q, k, alpha, ageing, S0)


def mismatched_kaczmarz_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    erase: Array,
    log_decay: Array | None = None,
    initial_state: Array | None = None,
) -> Output:
    """o_t = q_t S_t, S_t = diag(exp log_decay_t) S_{t-1} + k_t'(v_t - e_t S_{t-1}) = Σ_{i≤t} diag(γ_i^(t)) k_i w_i':

        (I + tril(E Γ⁻ K', -1)) W = V - E Γ⁻ S_0,   Γ⁻ of row t the ages at t - 1.

    The row e_t (..., T, d_k) that is read is not the row k_t that is written: Kaczmarz with a mismatched adjoint, for
    e_t k_t' = 1 without decay the oblique projection onto {S : e_t S = v_t} along k_t. e_t reads the undecayed state;
    e_t exp(log_decay_t) reads the decayed one. Always unique; judged by `backward.solve_ratio` of that system.
    Reference: Lorenz, Rose and Schöpfer, BIT Numerical Mathematics (2018), doi 10.1007/s10543-018-0717-x.
    """
    check_sequence(q, k, v)
    per_channel("erase", erase, q)
    check_solvable(q=q, k=k, v=v, erase=erase, log_decay=log_decay, initial_state=initial_state)
    ageing, S0 = Ageing(log_decay, q), initial_matrix(initial_state, q, v)
    return _written(q, k, _solution(ageing.products_before(erase, k), v - ageing.start_before(erase) @ S0), ageing, S0)


def _solution(products: Array, right: Array) -> Array:
    """W with (I + tril(products, -1)) W = right."""
    earlier = namespace(products).tril(products, k=-1)
    return solve_triangular(eye(right, right.shape[-2]) + earlier, right)


def _written(q: Array, k: Array, w: Array, ageing: Ageing, S0: Array) -> Output:
    """Outputs and last state of S_t = Γ_0 S_0 + Σ_{i≤t} diag(γ_i^(t)) k_i w_i'."""
    o = ageing.products(q, k) @ w + (ageing.start * q) @ S0
    return Output(o, namespace(k).matrix_transpose(ageing.last(k)) @ w + ageing.carried(S0))
