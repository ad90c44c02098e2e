"""Local polynomial regression: a weighted polynomial fit around every query, read at the query.

With z_i = k_i - q, monomials φ(z) of order 1 to p, and ω_i = w_i κ(q, k_i),

    (c, C) = argmin ½Σ_i ω_i‖v_i - c - φ(z_i) C‖² + ½λ‖C‖²;   o = c = Σ_i s_i v_i,   Σ_i s_i = 1.

The intercept comes last in A = [√ω φ(z), √ω; √λ I, 0] = Q R, so no triangular system is solved: with e the last column
of Q, s_i = √ω_i e_i / Σ_j √ω_j e_j. In words: e is what the monomials leave of the weighted constant.
"""

from collections.abc import Iterator
from math import comb, inf, isfinite, log

from ttr_numerics.arrays import Array, LinAlgError, concat, eye, name_slices, namespace, quiet, row_maximum, zeros
from ttr_numerics.axes import Output
from ttr_numerics.exact.blocks import Block, query_blocks
from ttr_numerics.exact.inputs import check_rows, check_solvable
from ttr_numerics.exact.kernels import Gaussian
from ttr_numerics.exact.smoother import LogKernel, WeightedCache, row_logs, weighted_cache

__all__ = ["local_polynomial", "local_polynomial_prefixes"]

_GAUSSIAN = Gaussian()


def local_polynomial_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    degree: int,
    ridge: float = 0.0,
    kernel: LogKernel = _GAUSSIAN,
    log_weights: Array | None = None,
    initial_state: WeightedCache | None = None,
) -> Output:
    """o_t = c_t, (c_t, C_t) = argmin ½Σ_{i≤t} w_i κ(q_t, k_i)‖v_i - c - φ(k_i - q_t) C‖² + ½λ‖C‖², c unpenalised.

    degree 0 is `kernel_smoother_prefixes`, 1 the local linear fit; degree p has C(d_k + p, p) unknowns: each product of
    up to p channels counts once. Weights are not normalised: `ridge` λ is in units of w κ, so that where all weights of
    a row are small beside it the fit is the local constant. A row is solved with its weights and λ in units of its
    largest weight, in logs, and the monomials of order j in units of r^j, r the largest ω^(1/2p)|z_a| of the row, or of
    √λ where that is more: weights that all underflow are weights, and no monomial leaves the range. λ → ∞ gives the
    smoother, a flat kernel the global polynomial.

    Solved by QR of the rows: the error follows cond(A), not its square. With unit columns, as QR sees them, that is 11
    at degree 5, 1e3 at 10 and 1e4 at 12 for 64 normal keys of one channel, λ = 0; queries beyond their keys, few keys
    and large bandwidths are worse. Raises LinAlgError naming positions where a column of A is, to rounding, a
    combination of those before it; with λ = 0 that is every t with fewer distinct keys of weight than unknowns, and a λ
    whose root is lost beside a row's largest √ω is 0 there. About 2 T² f² flops for f unknowns; memory of a few
    queries' rows, (T + f) f numbers each.
    Reference: Fan and Gijbels, Local Polynomial Modelling, section 3.1; arXiv 2501.12352, section 3.4.
    """
    cache = weighted_cache(q, k, v, log_weights, initial_state)
    return Output(_fits(q, cache, kernel, degree, ridge, cache.k.shape[-2] - q.shape[-2] + 1), cache)


def local_polynomial(
    q: Array,
    K: Array,
    V: Array,
    *,
    degree: int,
    ridge: float = 0.0,
    kernel: LogKernel = _GAUSSIAN,
    log_weights: Array | None = None,
) -> Array:
    """The same fit for every query (..., n, d_k) from all T rows of K and V: (..., n, d_v)."""
    weights = namespace(K).zeros_like(K[..., 0]) if log_weights is None else log_weights
    check_solvable(q=q, K=K, V=V, log_weights=weights)
    check_rows(K, V)
    return _fits(q, WeightedCache(K, V, weights), kernel, degree, ridge, K.shape[-2])


def _fits(q: Array, data: WeightedCache, kernel: LogKernel, degree: int, ridge: float, ahead: int) -> Array:
    """The intercept at every query, row t of which sees the first t + ahead rows of the data."""
    if not (isinstance(degree, int) and degree >= 0):
        raise ValueError(f"degree: expected a whole number, at least 0, got {degree}")
    if not (isfinite(ridge) and ridge >= 0):
        raise ValueError(f"ridge: expected a finite number, at least 0, got {ridge}")
    log_ridge = log(ridge) if ridge > 0 else -inf
    keys, unknowns, outputs = data.k.shape[-2], comb(q.shape[-1] + degree, degree), []
    for block in query_blocks(q, keys, ahead, (keys + unknowns) * unknowns):
        logs = row_logs(q, data, kernel, block)
        z = data.k[..., None, block.keys, :] - q[..., block.rows, None, :]
        with quiet():  # keys too large to square are refused, not warned of
            shares = _shares(logs, z, degree, log_ridge, block)
        outputs.append(shares @ data.v[..., block.keys, :])
    return concat(outputs, -2) if outputs else data.v[..., :0, :]


def _shares(logs: Array, z: Array, degree: int, log_ridge: float, block: Block) -> Array:
    """s (..., rows, keys) from log ω (..., rows, keys) and z (..., rows, keys, d_k)."""
    xp, n = namespace(logs), logs.shape[-1]
    largest = row_maximum(logs)
    logs = logs - largest
    columns, penalty = _in_units(logs, z, degree, (log_ridge - largest) / 2)
    root, f = xp.exp(logs / 2), columns.shape[-1]
    below = concat([penalty[..., None] * eye(logs, f), zeros(logs, (*penalty.shape, 1))], -1)
    Q, R = xp.linalg.qr(concat([concat([columns, root[..., None]], -1), below], -2))
    _refuse_dependent(R, n + f, block)
    left = root * Q[..., :n, -1]
    return left / xp.sum(left, axis=-1, keepdims=True)


def _in_units(logs: Array, z: Array, degree: int, log_root_ridge: Array) -> tuple[Array, Array]:
    """√ω φ(z) (..., rows, keys, f - 1) and the diagonal √λ below it (..., rows, f - 1), every column in a unit.

    With y = ω^(1/2p) z / r of largest entry 1 a column of order j is ω^(1/2 - j/2p) Π y in units of r^j: no factor
    passes 1. Where √λ is larger than that unit, it is the unit.
    """
    if degree == 0:
        return z[..., :0], z[..., 0, :0]
    xp = namespace(logs)
    y = xp.exp(logs / (2 * degree))[..., None] * z
    r = xp.maximum(xp.max(y, axis=(-2, -1), keepdims=True), -xp.min(y, axis=(-2, -1), keepdims=True))
    r = xp.where(r > 0, r, xp.ones_like(r))
    columns, penalty = [], []
    for order, products in enumerate(_monomials(y / r, degree), start=1):
        excess = log_root_ridge - order * xp.log(r)[..., 0]
        above = xp.where(excess > 0, excess, xp.zeros_like(excess))
        weight = xp.exp(logs * (0.5 - order / (2 * degree)) - above) if order < degree else xp.exp(-above)
        columns.append(weight[..., None] * products)
        penalty.append(xp.exp(excess - above) * xp.ones_like(products[..., 0, :]))
    return concat(columns, -1), concat(penalty, -1)


def _monomials(z: Array, degree: int) -> Iterator[Array]:
    """All products of 1, 2, ..., `degree` entries of z (..., d), each once."""
    yield z
    leading = [z[..., a : a + 1] for a in range(z.shape[-1])]
    order = leading  # order[a]: products whose first channel is a; later channels do not come before it
    for _ in range(degree - 1):
        order = [first * concat(order[a:], -1) for a, first in enumerate(leading)]
        yield concat(order, -1)


def _refuse_dependent(R: Array, rows: int, block: Block) -> None:
    """Raise LinAlgError where a diagonal entry of R is at the rounding level of its column."""
    xp = namespace(R)
    level = rows * float(xp.finfo(R.dtype).eps)
    pivots, columns = xp.abs(xp.sum(R * eye(R, R.shape[-1]), axis=-1)), xp.sqrt(xp.sum(R * R, axis=-2))
    bad = ~xp.all(pivots > level * columns, axis=-1)  # NaN fails this comparison too
    if bool(xp.any(bad)):
        earlier = xp.zeros_like(bad[..., :1])
        positions = concat([*(earlier for _ in range(block.rows.start)), bad], -1)
        raise LinAlgError(
            f"weighted monomials: expected independent columns, got a pivot at rounding level{name_slices(positions)}; "
            "give a ridge, a larger bandwidth or a lower degree"
        )
