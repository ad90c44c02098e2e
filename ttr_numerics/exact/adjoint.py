"""Closed-form gradients of the prefix solvers: two solves at every position, then the adjoint of ageing moments.

With A_t = H_t + Λ, S_t = A_t⁻¹ G_t and o_t = q_t S_t, let g_t be the gradient of o_t. Then

    u_t = A_t⁻¹ q_t,   z_t = S_t g_t:     dq_t = z_t,   dG_t = u_t'g_t,   dA_t = -u_t'z_t,   dΛ = -Σ_t u_t ∘ z_t,

and `exact.moment_adjoint` carries dG_t and dA_t to keys, values, weights, gates and initial moments. Nothing of the
forward solve is kept: u and z are solved anew (`exact.prefix_solutions`), whatever form computed o. A gradient with
respect to a symmetric matrix is the symmetric one, so that dL = ⟨dH, δH⟩ for symmetric δH.
Reference: Giles, An extended collection of matrix derivative results, 2008, for the adjoint of one linear solve.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ttr_numerics.arrays import (
    Adjoint,
    Array,
    concat,
    diagonal_matrix,
    eye,
    namespace,
    solve_posdef,
    with_adjoint,
    zeros,
)
from ttr_numerics.axes import Moments, Output, initial_matrix, row_ridge
from ttr_numerics.exact.moment_adjoint import moment_adjoint, moments_before
from ttr_numerics.exact.prefix_solutions import initial_moments

__all__ = ["differentiable", "recursion_adjoint", "ridge_adjoint"]

Gradients = tuple[Array | None, ...]


def differentiable(
    solve: Callable[..., Output],
    adjoint: Adjoint,
    state: Callable[..., Any],
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge: Any,
    log_decay: Array | None,
    weights: Array | None,
    initial_state: Any,
) -> Output:
    """`solve(q, k, v, ridge=, log_decay=, weights=, initial_state=)`, whose gradients in torch are those of `adjoint`.

    `state` makes its state, `Moments` or `Recursion`, from two arrays.
    """

    def forward(q: Array, k: Array, v: Array, ridge: Any, log_decay: Any, weights: Any, *start: Array) -> Any:
        initial = state(*start) if start else None
        o, last = solve(q, k, v, ridge=ridge, log_decay=log_decay, weights=weights, initial_state=initial)
        return o, *last

    start = () if initial_state is None else initial_state
    o, *last = with_adjoint(forward, adjoint, q, k, v, ridge, log_decay, weights, *start)
    return Output(o, state(*last))


def ridge_adjoint(
    solutions: Callable[..., tuple[Array, Array]],
    arrays: Sequence[Any],
    needed: Sequence[bool],
    upstream: Sequence[Array | None],
) -> Gradients:
    """Gradients of `arrays` = (q, k, v, ridge, log_decay, weights[, H_0, G_0]) from those of (o, H_T, G_T).

    None where an array is None or not `needed`, or upstream is zero. `solutions` as in `exact.prefix_solutions`.
    """
    q, k, v, ridge, log_decay, weights, *moments = arrays
    g, state = upstream[0], Moments(*moments) if moments else None
    u, z = namespace(q).zeros_like(q), namespace(q).zeros_like(q)
    if g is not None:
        given = {"ridge": ridge, "log_decay": log_decay, "weights": weights, "initial_state": state}
        u, z = solutions(q, k, v, g, **given)
    gradients = [
        z if needed[0] else None,
        None,
        None,
        -namespace(q).sum(u * z, axis=-2) if needed[3] else None,
        *(None for _ in arrays[4:]),
    ]
    if any((*needed[1:3], *needed[4:])):
        through = _through_moments(k, v, log_decay, weights, initial_moments(state, q, v), u, z, upstream, needed[4])
        gradients[1:3], gradients[4:] = through[:2], through[2 : len(arrays) - 2]
    return tuple(_shaped(x, array, n) for x, array, n in zip(gradients, arrays, needed, strict=True))


def recursion_adjoint(
    solutions: Callable[..., tuple[Array, Array, Any]],
    arrays: Sequence[Any],
    needed: Sequence[bool],
    upstream: Sequence[Array | None],
) -> Gradients:
    """Gradients of `arrays` = (q, k, v, ridge, log_decay, weights[, S_0, P_0]) from those of (o, S_T, P_T).

    Recursive least squares has no fixed Λ: its A_t = P_t⁻¹ ages as a whole, from A_0 = Λ or P_0⁻¹ and G_0 = A_0 S_0. So

        dG_T += P dS,   dA_T -= P dS S' + P dP P (at T);   dS_0 = A_0 dG_0,   dP_0 = -A_0 (dA_0 + dG_0 S_0') A_0,

    and dΛ is the diagonal of dA_0. `solutions` gives u, z and the last (S, P).
    """
    q, k, v, ridge, log_decay, weights, *start = arrays
    g = zeros(v, tuple(v.shape)) if upstream[0] is None else upstream[0]
    given = {"ridge": ridge, "log_decay": log_decay, "weights": weights}
    u, z, (S, P) = solutions(q, k, v, g, **given, initial_state=start or None)
    dS, dP = (initial_matrix(x, q, y) for x, y in zip(upstream[1:], (v, q), strict=True))
    dG = P @ dS
    end = (g, -(dG @ _T(S)) - P @ dP @ P, dG)
    before = _start_moments(ridge, start, q, v)
    dk, dv, dgate, dweights, dA, dG = _through_moments(k, v, log_decay, weights, before, u, z, end, needed[4])
    diagonal = namespace(q).sum(dA * eye(q, q.shape[-1]), axis=-1)
    gradients = [z, dk, dv, diagonal, dgate, dweights]
    if start:
        gradients += [before.H @ dG, -(before.H @ _symmetric(dA + dG @ _T(start[0])) @ before.H)]
    return tuple(_shaped(x, array, n) for x, array, n in zip(gradients, arrays, needed, strict=True))


def _start_moments(ridge: Any, start: Sequence[Array], q: Array, v: Array) -> Moments:
    """A_0 and G_0 of the recursion."""
    if not start:
        return Moments(diagonal_matrix(row_ridge(ridge, q)) + initial_matrix(None, q, q), initial_matrix(None, q, v))
    A = solve_posdef(start[1], eye(q, q.shape[-1]) + initial_matrix(None, q, q), "initial_state.P")
    return Moments(A, A @ start[0])


def _through_moments(
    k: Array,
    v: Array,
    log_decay: Array | None,
    weights: Array | None,
    start: Moments,
    u: Array,
    z: Array,
    upstream: Sequence[Array | None],
    forgetting: bool,
) -> Gradients:
    """dk, dv, d log_decay (None unless `forgetting`), dw, dH_0 and dG_0, by `exact.moment_adjoint` on [G | H]."""
    xp, d_v = namespace(k), v.shape[-1]
    g, dH, dG = (zeros(v, tuple(v.shape)) if upstream[0] is None else upstream[0]), *upstream[1:]
    weight = xp.ones_like(k[..., 0]) if weights is None else weights
    gate = xp.zeros_like(k[..., 0]) if log_decay is None else log_decay
    end = concat([initial_matrix(dG, k, v), initial_matrix(dH, k, k)], -1)
    before = moments_before(k, v, weight, gate, concat([start.G, start.H], -1)) if forgetting else None
    dk, dv, dw, dgate, first = moment_adjoint(k, v, weight, gate, u, z, g, end, before)
    return dk, dv, dgate, dw, _symmetric(first[..., d_v:]), first[..., :d_v]


def _T(x: Array) -> Array:
    return namespace(x).matrix_transpose(x)


def _symmetric(x: Array) -> Array:
    return (x + _T(x)) / 2


def _shaped(gradient: Array | None, array: Any, needed: bool) -> Array | None:
    """`gradient`, summed over the axes along which `array` was broadcast; None where it is not `needed`."""
    if gradient is None or not needed:
        return None
    for _ in range(gradient.ndim - array.ndim):
        gradient = namespace(gradient).sum(gradient, axis=0)
    for axis, n in enumerate(array.shape):
        if n < gradient.shape[axis]:
            gradient = namespace(gradient).sum(gradient, axis=axis, keepdims=True)
    return gradient
