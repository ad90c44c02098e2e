"""Kernel ridge regression at every position, with one Cholesky factorisation for all of them."""

from collections.abc import Callable

from ttr_numerics.arrays import Array, cholesky, eye, namespace, solve_triangular
from ttr_numerics.axes import Cache, Output, check_sequence, extended
from ttr_numerics.exact.inputs import check_solvable

__all__ = ["kernel_ridge_prefixes"]


def kernel_ridge_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    kernel: Callable[[Array, Array], Array],
    ridge: float,
    initial_state: Cache | None = None,
) -> Output:
    """o_t = κ(q_t, K_t) (κ(K_t, K_t) + λI)⁻¹ V_t, the value at q_t of argmin_f ½Σ_{i≤t}‖v_i - f(k_i)‖² + ½λ‖f‖²_κ.

    With κ(K, K) + λI = L L' the leading block of L is the factor of every prefix, hence
    O = tril((L⁻¹ κ(K, Q))') (L⁻¹ V). Unique for λ > 0, or distinct keys and a strictly positive definite κ; refuses
    what Cholesky cannot factor, naming slices. T³/3 flops a batch entry. Judged by
    `backward.solve_ratio(κ(K, K) + λI, α, V)`. Reference: Saunders et al., ICML 1998.
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v)
    xp = namespace(q, k, v)
    keys, values = extended(initial_state, k, v)
    before = keys.shape[-2] - k.shape[-2]
    factor = cholesky(kernel(keys, keys) + ridge * eye(q, keys.shape[-2]), "kernel matrix + ridge")
    queries = solve_triangular(factor, kernel(keys, q))
    seen = xp.tril(xp.matrix_transpose(queries), k=before)
    return Output(seen @ solve_triangular(factor, values), Cache(keys, values))
