"""Closed-form gradients where moments and regulariser age as a whole: what each kind of state says and is told.

`exact.root_adjoint` carries sums G, Y, W from the last (R, F) to the first. In their coordinates, with S = R⁻¹F,

    (S, P):  G = R⁻ᵀdS,  Y = R⁻ᵀ dP R⁻¹;                     dS_0 = R'G,  dP_0 = ½R'(Y + Y')R;
    (R, F):  G = dF,     Y = -½(Φ + Φ' + F dF' + dF F');      dF_0 = G,    dR_0 = -(Y R⁻ᵀ + W), upper triangle;
    (H, G):  G = R dG,   Y = -(R dH R' + ½(F G' + G F'));     dG_0 = R⁻¹G, dH_0 = -½R⁻¹(Y + Y' + G F' + F G')R⁻ᵀ,

and W = (G F' + Y') R⁻ᵀ. Φ is the upper triangle of dR R' - F dF' with its diagonal halved; dP, dH are symmetric.
A regulariser has the diagonal of dH_0, less that of dH where the last H is given without it. All in float64.
Reference: Murray, Differentiation of the Cholesky decomposition, arXiv 1602.07527, for Φ.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ttr_numerics.arrays import Array, eye, namespace, solve_triangular, zeros
from ttr_numerics.axes import Moments, initial_matrix, row_ridge
from ttr_numerics.exact.adjoint import Gradients, shaped, symmetric
from ttr_numerics.exact.recursion import Recursion, SquareRoot, first_root, initial_root, root_of, wide
from ttr_numerics.exact.root_adjoint import Later, divided, root_adjoint, transposed

__all__ = ["moments_adjoint", "recursion_adjoint", "square_root_adjoint"]


def recursion_adjoint(arrays: Sequence[Any], needed: Sequence[bool], upstream: Sequence[Array | None]) -> Gradients:
    """Gradients of `arrays` = (q, k, v, ridge, log_decay, weights[, S_0, P_0]) from those of (o, S_T, P_T)."""
    q, _, v, ridge, *_ = arrays
    start = root_of(Recursion(*arrays[6:])) if arrays[6:] else initial_root(ridge, None, q, v)

    def end(R: Array, F: Array, dS: Array, dP: Array) -> tuple[Array, Array]:
        RT = transposed(R)
        return solve_triangular(RT, dS), solve_triangular(RT, transposed(solve_triangular(RT, symmetric(dP))))

    tokens, later = _through_tokens(arrays, upstream, start, end, (v, q))
    RT = transposed(start.R)
    state = (RT @ later.G, symmetric(RT @ symmetric(later.Y) @ start.R)) if arrays[6:] else ()
    return _in_place(tokens, _moments_gradient(start, later), state, arrays, needed)


def square_root_adjoint(arrays: Sequence[Any], needed: Sequence[bool], upstream: Sequence[Array | None]) -> Gradients:
    """Gradients of `arrays` = (q, k, v, ridge, log_decay, weights[, R_0, F_0]) from those of (o, R_T, F_T)."""
    q, _, v, ridge, *_ = arrays
    start = initial_root(ridge, SquareRoot(*arrays[6:]) if arrays[6:] else None, q, v)

    def end(R: Array, F: Array, dR: Array, dF: Array) -> tuple[Array, Array]:
        product = dR @ transposed(R) - F @ transposed(dF)
        upper = namespace(R).triu(product) - product * eye(product, product.shape[-1]) / 2
        return dF, -symmetric(upper + F @ transposed(dF))

    tokens, later = _through_tokens(arrays, upstream, start, end, (q, v))
    dR = -(divided(later.Y, start.R) + later.W)
    state = (namespace(dR).triu(dR), later.G) if arrays[6:] else ()
    return _in_place(tokens, _moments_gradient(start, later), state, arrays, needed)


def moments_adjoint(arrays: Sequence[Any], needed: Sequence[bool], upstream: Sequence[Array | None]) -> Gradients:
    """Gradients of `arrays` = (q, k, v, ridge, None, weights[, H_0, G_0]) from those of (o, H_T, G_T)."""
    q, _, v, ridge, *_ = arrays
    before = Moments(*arrays[6:]) if arrays[6:] else None
    start = first_root(wide(row_ridge(ridge, q)), before, q, v)

    def end(R: Array, F: Array, dH: Array, dG: Array) -> tuple[Array, Array]:
        G = R @ dG
        return G, -symmetric(R @ dH @ transposed(R) + F @ transposed(G))

    tokens, later = _through_tokens(arrays, upstream, start, end, (q, v))
    dA = _moments_gradient(start, later)
    state = (dA, solve_triangular(transposed(start.R), later.G, transpose=True)) if before is not None else ()
    held = 0 * dA if upstream[1] is None else wide(upstream[1])  # the last H is without Λ
    return _in_place(tokens, dA - held, state, arrays, needed)


def _through_tokens(
    arrays: Sequence[Any],
    upstream: Sequence[Array | None],
    start: SquareRoot,
    end: Callable[..., tuple[Array, Array]],
    columns: tuple[Array, Array],
) -> tuple[Gradients, Later]:
    """dq, dk, dv, None, d log_decay, dw and what they say of `start`; the two parts of the state have `columns`."""
    q, k, v = (wide(x) for x in arrays[:3])
    log_decay, weights = (None if x is None else wide(x) for x in arrays[4:6])
    g, *state = (None if x is None else wide(x) for x in upstream)
    parts = [initial_matrix(x, q, wide(y)) for x, y in zip(state, columns, strict=True)]

    def last(root: SquareRoot) -> Later:
        G, Y = end(*root, *parts)
        return Later(G, Y, divided(G @ transposed(root.F) + transposed(Y), root.R))

    g = zeros(v, tuple(v.shape)) if g is None else g
    tokens, later = root_adjoint(q, k, v, g, log_decay, weights, start, last)
    return (*tokens[:3], None, *tokens[3:]), later


def _moments_gradient(start: SquareRoot, later: Later) -> Array:
    """dH_0."""
    whole = symmetric(later.Y) + symmetric(later.G @ transposed(start.F))
    half = solve_triangular(transposed(start.R), whole, transpose=True)
    return -symmetric(solve_triangular(transposed(start.R), transposed(half), transpose=True))


def _in_place(
    tokens: Gradients, dA: Array, state: Gradients, arrays: Sequence[Any], needed: Sequence[bool]
) -> Gradients:
    """All gradients in the order and the shapes of `arrays`; the regulariser's is the diagonal of dA."""
    dridge = namespace(dA).sum(dA * eye(dA, dA.shape[-1]), axis=-1)
    found = (*tokens[:3], dridge, *tokens[4:], *state)
    return tuple(shaped(x, array, n) for x, array, n in zip(found, arrays, needed, strict=True))
