"""Gradients by the layer's own arrays as gradients by the foreign ones: J' g, J the Jacobian of `Convention.ours`.

The steps of `Convention.ours` in reverse order, each transposed. What a convention repeats (grouped heads, a rate for
all tokens) is summed.
"""

from collections.abc import Mapping
from math import log
from typing import Any

from ttr_numerics.arguments import Domain
from ttr_numerics.arrays import Array, namespace
from ttr_numerics.convention import Convention, Gate, L2Norm, Layout, StateLayout
from ttr_numerics.pairs import Pairing

__all__ = ["pulled_back"]

Arrays = Mapping[str, Any]


def pulled_back(convention: Convention, row: Pairing, foreign: Arrays, gradients: Arrays) -> dict[str, Array]:
    """∂L/∂x by foreign name, from ∂L/∂x by our name; `foreign` are the arrays of the call, of the same library."""
    ours = {foreign_name: name for foreign_name, name in convention.names}
    given = {ours.get(n, n): x for n, x in foreign.items()}
    g = dict(gradients)
    g |= _scaled(convention, given, g)
    if "initial_state" in g and convention.state is StateLayout.VALUES_FIRST and g["initial_state"].ndim >= 2:
        g["initial_state"] = namespace(g["initial_state"]).matrix_transpose(g["initial_state"])
    timed = _timed(convention, row) & set(given)
    given |= {n: _swapped(convention, given[n], given["q"].ndim - 3) for n in timed}
    if convention.normalise is not None:
        g |= {n: _unnormalised(convention.normalise, given[n], g[n]) for n in ("q", "k")}
    gates = {x.name for x in row.arguments if x.domain is Domain.LOG_GATE} & set(g)
    if convention.gate is Gate.LOG2:
        g |= {n: log(2.0) * g[n] for n in gates}
    if convention.gate is Gate.LINEAR:
        g |= {n: g[n] / given[n] for n in gates}
    g = {n: _ungrouped(x, given.get(n, x)) for n, x in g.items()}
    g |= _undiscretised(convention, given, g)
    g = {n: g[n] for n in given if n in g}
    g |= {n: _swapped(convention, g[n], given["q"].ndim - 3) for n in timed & set(g)}
    theirs = {name: foreign_name for foreign_name, name in convention.names}
    return {theirs.get(n, n): x for n, x in g.items()}


def _timed(convention: Convention, row: Pairing) -> set[str]:
    steps = {convention.discretisation.step} if convention.discretisation else set()
    return {"q", "k", "v"} | {x.name for x in row.arguments if "T" in x.shapes[0]} | steps


def _swapped(convention: Convention, x: Array, at: int) -> Array:
    """Heads and time exchanged where the layouts differ: a swap undoes itself."""
    return namespace(x).moveaxis(x, at, at + 1) if convention.layout is Layout.TIME_FIRST else x


def _scaled(convention: Convention, given: Arrays, g: Arrays) -> dict[str, Array]:
    scale, factor = convention.scale, convention.gradient_factor
    scale = scale(given["q"].shape[-1]) if callable(scale) else scale
    factor = factor(given["v"].shape[-1]) if callable(factor) else factor
    changed = {"q": scale * g["q"]} if scale != 1.0 else {}
    return changed | ({"beta": factor * g["beta"]} if factor != 1.0 and "beta" in g else {})


def _unnormalised(norm: L2Norm, x: Array, g: Array) -> Array:
    """(g - y (y·g)) / r for y = x/r, r = √(‖x‖² + eps)."""
    xp = namespace(x)
    r = xp.sqrt(xp.sum(x * x, axis=-1, keepdims=True) + norm.eps)
    y = x / r
    return (g - y * xp.sum(y * g, axis=-1, keepdims=True)) / r


def _ungrouped(g: Array, x: Array) -> Array:
    """The sum over the heads that one foreign head served."""
    if g.ndim != x.ndim or g.ndim < 3 or tuple(g.shape) == tuple(x.shape):
        return g
    axis = next(i for i, (n, m) in enumerate(zip(g.shape, x.shape, strict=True)) if n != m)
    xp, shape = namespace(g), (*x.shape[: axis + 1], g.shape[axis] // x.shape[axis], *x.shape[axis + 1 :])
    return xp.sum(xp.reshape(g, shape), axis=axis + 1)


def _undiscretised(convention: Convention, given: Arrays, g: Arrays) -> dict[str, Array]:
    """From v = Δ x and log_decay = Δ A: Δ̄ = Σ_d v̄ x + A ḡ, Ā = Σ Δ ḡ, x̄ = Δ v̄."""
    parts = convention.discretisation
    if parts is None:
        return {}
    xp, step, rate, gate = namespace(g["v"]), given[parts.step], given[parts.rate], g["log_decay"]
    tokens = xp.sum(step * gate, axis=-1)  # (..., H)
    return {
        parts.step: xp.sum(g["v"] * given["v"], axis=-1) + rate[:, None] * gate,
        parts.rate: xp.sum(xp.reshape(tokens, (-1, tokens.shape[-1])), axis=0),
        "v": step[..., None] * g["v"],
    }
