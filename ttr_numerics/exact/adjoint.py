"""Closed-form gradients of the prefix solvers: two solves at every position, then the adjoint of ageing moments.

With A_t = H_t + Λ, S_t = A_t⁻¹ G_t and o_t = q_t S_t, let g_t be the gradient of o_t. Then

    u_t = A_t⁻¹ q_t,   z_t = S_t g_t:     dq_t = z_t,   dG_t = u_t'g_t,   dA_t = -u_t'z_t,   dΛ = -Σ_t u_t ∘ z_t,

and `exact.moment_adjoint` carries dG_t and dA_t to keys, values, weights, gates and initial moments. Nothing of the
forward solve is kept: u and z are solved anew (`exact.prefix_solutions`), whatever form computed o. A gradient with
respect to a symmetric matrix is the symmetric one, so that dL = ⟨dH, δH⟩ for symmetric δH.
Reference: Giles, An extended collection of matrix derivative results, 2008, for the adjoint of one linear solve.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

from ttr_numerics.arrays import Adjoint, Array, concat, namespace, with_adjoint, zeros
from ttr_numerics.axes import Moments, Output, initial_matrix
from ttr_numerics.exact.moment_adjoint import moment_adjoint, moments_before
from ttr_numerics.exact.prefix_solutions import initial_moments

__all__ = ["Gradients", "differentiable", "ridge_adjoint", "shaped", "symmetric", "through_moments", "transposed"]

Gradients = tuple[Array | None, ...]
Solver = TypeVar("Solver", bound=Callable[..., Output])


def differentiable(adjoint: Adjoint, state: Callable[..., Any]) -> Callable[[Solver], Solver]:
    """Decorate a solver f(q, k, v, *, ridge, log_decay, weights, initial_state) with gradients by `adjoint`.

    In torch they are gradients of (q, k, v, ridge, log_decay, weights[, two parts of the state]) from those of o and of
    both parts of the last state, which `state` makes of two arrays. First derivatives only; the tape keeps the inputs.
    """

    def decorate(solve: Solver) -> Solver:
        @wraps(solve)
        def solver(
            q: Array,
            k: Array,
            v: Array,
            *,
            ridge: Any = None,
            log_decay: Array | None = None,
            weights: Array | None = None,
            initial_state: Any = None,
        ) -> Output:
            def forward(q: Array, k: Array, v: Array, ridge: Any, log_decay: Any, weights: Any, *start: Array) -> Any:
                first = type(initial_state)(*start) if start else None
                o, last = solve(q, k, v, ridge=ridge, log_decay=log_decay, weights=weights, initial_state=first)
                return o, *last

            start = () if initial_state is None else initial_state
            o, *last = with_adjoint(forward, adjoint, q, k, v, ridge, log_decay, weights, *start)
            return Output(o, state(*last))

        return cast(Solver, solver)

    return decorate


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
        through = through_moments(k, v, log_decay, weights, initial_moments(state, q, v), u, z, upstream, needed[4])
        gradients[1:3], gradients[4:] = through[:2], through[2 : len(arrays) - 2]
    return tuple(shaped(x, array, n) for x, array, n in zip(gradients, arrays, needed, strict=True))


def through_moments(
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
    return dk, dv, dgate, dw, symmetric(first[..., d_v:]), first[..., :d_v]


def transposed(x: Array) -> Array:
    """x'."""
    return namespace(x).matrix_transpose(x)


def symmetric(x: Array) -> Array:
    """(x + x')/2."""
    return (x + transposed(x)) / 2


def shaped(gradient: Array | None, array: Any, needed: bool) -> Array | None:
    """`gradient` in the shape and dtype of `array`, summed where that was broadcast; None where it is not `needed`."""
    if gradient is None or not needed:
        return None
    for _ in range(gradient.ndim - array.ndim):
        gradient = namespace(gradient).sum(gradient, axis=0)
    for axis, n in enumerate(array.shape):
        if n < gradient.shape[axis]:
            gradient = namespace(gradient).sum(gradient, axis=axis, keepdims=True)
    return gradient if gradient.dtype == array.dtype else namespace(gradient).astype(gradient, array.dtype)
