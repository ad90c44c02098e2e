"""The proximal point method on one association after the other, every step solved as the ridge regression it is."""

from ttr_numerics.arrays import Array, eye, namespace, solve_posdef
from ttr_numerics.axes import Output, check_sequence, initial_matrix, per_token
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.recurrence import sequential

__all__ = ["proximal_prefixes"]


def proximal_prefixes(q: Array, k: Array, v: Array, *, beta: Array, initial_state: Array | None = None) -> Output:
    """o_t = q_t S_t, S_t = argmin ½‖S - S_{t-1}‖² + ½β_t‖v_t - k_t S‖².

    Each step solves (I + β_t k_t'k_t) S_t = S_{t-1} + β_t k_t'v_t. beta (..., T) at least 0; each step strictly
    convex, so unique. Cholesky of order d_k a token: for answers, not for speed. Each step is judged by
    `backward.solve_ratio` of its system, of condition 1 + β_t‖k_t‖².
    Reference: Rockafellar (1976), proximal point algorithm; Parikh and Boyd, Proximal Algorithms (2014).
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, beta=beta, initial_state=initial_state)
    one = eye(q, q.shape[-1])

    def step(S: Array, q: Array, k: Array, v: Array, beta: Array) -> tuple[Array, Array]:
        write = namespace(k).matrix_transpose(beta * k)
        S = solve_posdef(one + write @ k, S + write @ v, "I + beta k'k")
        return S, q @ S

    return sequential(step, initial_matrix(initial_state, q, v), q, k, v, per_token("beta", beta, q))
