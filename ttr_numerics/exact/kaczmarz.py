"""One relaxed Kaczmarz sweep, as the successive over-relaxation (SOR) sweep on the Gram matrix that it is."""

from ttr_numerics.arrays import Array, eye, namespace, solve_triangular
from ttr_numerics.axes import Output, check_sequence, initial_matrix, per_token
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.weights import Ageing

__all__ = ["kaczmarz_prefixes"]


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
    check_solvable(q=q, k=k, v=v, beta=beta, initial_state=initial_state)
    xp, ageing = namespace(q), Ageing(log_decay, q)
    S0, step = initial_matrix(initial_state, q, v), per_token("beta", beta, q)
    earlier = xp.tril(ageing.products(k, k), k=-1)
    alpha = solve_triangular(eye(q, k.shape[-2]) + step * earlier, step * (v - (ageing.start * k) @ S0))
    o = ageing.products(q, k) @ alpha + (ageing.start * q) @ S0
    return Output(o, xp.matrix_transpose(ageing.last(k)) @ alpha + ageing.carried(S0))
