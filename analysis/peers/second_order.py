"""Public implementations of the layers in `pairs.second_order`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from analysis.peers.by_token import by_prefix
from analysis.peers.peer import DOUBLE, Difference, Peer
from ttr_numerics.arrays import Array, diagonal_matrix, namespace
from ttr_numerics.axes import Moments, Output, row_ridge
from ttr_numerics.convention import Convention, fla
from ttr_numerics.layers.mesa import gate_and_weight, initial_moments, remember
from ttr_numerics.recurrence import sequential

__all__ = ["PEERS", "decoding", "with_absolute_epsilon"]

EPSILON, STEPS, CHUNK = 1e-5, 30, 16
UNSCALED = replace(fla, scale=Convention().scale)
SQUARE = {"T": 32, "d_k": 16, "d_v": 16}  # their states are square
NAIVE = "fla.ops.mesa_net.naive"


def with_absolute_epsilon(q: Array, k: Array, v: Array, *, ridge: Any, log_decay: Array) -> Output:
    """`mesa_cg` with EPSILON added to the denominators of both quotients."""
    return _iterated(lambda q, diagonal: namespace(q).zeros_like(q), q, k, v, ridge, log_decay)


def decoding(q: Array, k: Array, v: Array, *, ridge: Any, log_decay: Array) -> Output:
    """The same from q/(diag H_t + ridge)."""
    return _iterated(lambda q, diagonal: q / diagonal, q, k, v, ridge, log_decay)


def _iterated(start: Callable[..., Array], q: Array, k: Array, v: Array, ridge: Any, log_decay: Array) -> Output:
    xp, regulariser = namespace(q), diagonal_matrix(row_ridge(ridge, q))

    def step(state: Moments, q: Array, k: Array, v: Array, log_decay: Array, beta: Array) -> tuple[Moments, Array]:
        H, G = remember(state, k, v, log_decay, beta)
        A = H + regulariser
        x = start(q, xp.linalg.diagonal(A)[..., None, :])
        p = r = q - x @ A
        size = _square(r, r)
        for _ in range(STEPS):
            Ap = p @ A
            length = size / (_square(p, Ap) + EPSILON)
            x, r = x + length * p, r - length * Ap
            before, size = size, _square(r, r)
            p = r + size / (before + EPSILON) * p
        return Moments(H, G), x @ G

    return sequential(step, initial_moments(None, q, v), q, k, v, *gate_and_weight(q, log_decay, None))


def _square(x: Array, y: Array) -> Array:
    return namespace(x).sum(x * y, axis=-1, keepdims=True)


def _named(a: Mapping[str, Any]) -> dict[str, Any]:
    """Their arguments: g, one ridge vector a head, weights 1 where none are given."""
    heads, d_k = a["q"].shape[2:]
    g = a.get("log_decay", torch.zeros_like(a["q"][..., 0]))
    ridge = torch.full((heads, d_k), a["ridge"], dtype=torch.float32)
    return {"q": a["q"], "k": a["k"], "v": a["v"], "g": g, "lamb": ridge, "beta": torch.ones_like(g)}


def _exact(function: Any, a: Mapping[str, Any]) -> Output:
    o, *moments = function(**_named(a))
    return Output(o, Moments(*moments))


def _in_chunks(function: Any, a: Mapping[str, Any]) -> Output:
    o, *moments = function(**_named(a), chunk_size=CHUNK, max_CG_iteration=STEPS)
    return Output(o, Moments(*moments))


def _decoded(function: Any, a: Mapping[str, Any]) -> Output:
    given, rows = _named(a), []
    ridge = given.pop("lamb")
    batch, _, heads, d = a["q"].shape
    H = torch.zeros(batch, heads, d, d)
    G = torch.zeros_like(H)
    for t in range(a["q"].shape[1]):
        o, H, G = function(**{n: x[:, t] for n, x in given.items()}, lamb=ridge, prev_h_kk=H, prev_h_kv=G)
        rows.append(o)
    return Output(torch.stack(rows, dim=1), Moments(H, G))


def _prefix_by_prefix(cls: Any, a: Mapping[str, Any]) -> Output:
    """By singular values, a fit a token."""

    def one(q: Any, k: Any, v: Any) -> Any:
        return cls(alpha=a["ridge"], fit_intercept=False, solver="svd").fit(k, v).predict(q)

    return Output(by_prefix(one, a), None)


ARRAYS: dict[str, Any] = {"convention": Convention(), "computes": DOUBLE, "asarray": np.asarray}
PEERS: tuple[Peer, ...] = (
    Peer("mesa", "fla-core", f"{NAIVE}:naive_mesa_net_exact", _exact, convention=UNSCALED, axes=SQUARE),
    Peer(
        "mesa_cg",
        "fla-core",
        f"{NAIVE}:naive_mesa_net_CG",
        _in_chunks,
        convention=UNSCALED,
        axes=SQUARE,
        differs=Difference("adds 1e-5 to the denominators of both CG quotients", with_absolute_epsilon),
    ),
    Peer(
        "mesa_cg",
        "fla-core",
        f"{NAIVE}:naive_mesa_net_decoding_one_step",
        _decoded,
        convention=UNSCALED,
        axes=SQUARE,
        differs=Difference("starts at q/(diag H + ridge), and adds 1e-5 to both CG denominators", decoding),
    ),
    Peer("mesa", "scikit-learn", "sklearn.linear_model:Ridge", _prefix_by_prefix, axes={"T": 32}, **ARRAYS),
)
