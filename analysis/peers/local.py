"""Public implementations of the layers in `pairs.local`."""

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.peers.by_token import by_head, by_prefix
from analysis.peers.peer import DOUBLE, Peer
from ttr_numerics import layers
from ttr_numerics.arrays import concat, eye, namespace, solve_posdef
from ttr_numerics.axes import Cache, Output
from ttr_numerics.convention import Convention
from ttr_numerics.exact import kernels

__all__ = ["PEERS"]

ARRAYS: dict[str, Any] = {"convention": Convention(), "computes": DOUBLE, "asarray": np.asarray}
SEEN = 6  # tokens: without a ridge a local linear fit needs more keys than channels
RIDGE = "sklearn.linear_model:Ridge"


def _kernel_ridge(how: str, ours: Any, **theirs: Any) -> Peer:
    """Kernel ridge regression with a kernel of ours and the same of theirs, a fit a token."""

    def call(cls: Any, a: Mapping[str, Any]) -> Output:
        return Output(by_prefix(lambda q, k, v: cls(alpha=a["ridge"], **theirs).fit(k, v).predict(q), a), None)

    def layer(q: Any, k: Any, v: Any, ridge: float) -> Output:
        return layers.kernel_ridge_attention(q, k, v, ridge=ridge, kernel=ours)

    path = "sklearn.kernel_ridge:KernelRidge"
    return Peer("kernel_ridge_attention", "scikit-learn", path, call, axes={"T": 32}, ours=layer, how=how, **ARRAYS)


def _whole(cls: Any, a: Mapping[str, Any]) -> Output:
    """By singular values, one fit a head."""

    def one(q: Any, k: Any, v: Any) -> tuple[Any]:
        return (cls(alpha=a["ridge"], fit_intercept=False, solver="svd").fit(k, v).predict(q),)

    return Output(by_head(one, a["q"], a["k"], a["v"])[0], None)


def _local(cls: Any, a: Mapping[str, Any]) -> Output:
    """Weights exp(q·k) of monomials of k - q, read at 0: the intercept."""
    expansion = importlib.import_module("sklearn.preprocessing").PolynomialFeatures
    monomials_of = expansion(a.get("degree", 1), include_bias=False).fit_transform

    def one(q: Any, k: Any, v: Any) -> Any:
        fit = cls(alpha=a["ridge"], solver="svd").fit(monomials_of(k - q), v, sample_weight=np.exp(k @ q[0]))
        return fit.intercept_[None]

    return Output(by_prefix(one, a), None)


def _after_the_first(q: Any, k: Any, v: Any, ridge: float) -> Output:
    """The layer with its first tokens as the state it begins with; 0 in place of their outputs."""
    seen = Cache(k[..., :SEEN, :], v[..., :SEEN, :])
    later = (x[..., SEEN:, :] for x in (q, k, v))
    o, state = layers.local_linear_attention(*later, ridge=ridge, initial_state=seen)
    return Output(concat([0 * seen.v, o], -2), state)


def _by_pseudo_inverse(q: Any, k: Any, v: Any, ridge: float) -> Output:
    """The same fit by the pseudo-inverse of the moments M of [1, k - q], weights exp(-‖k - q‖²/2); 0 before it has one.

    Singular values know M to a rounding of its norm, as (M + tr M) - tr M does.
    """
    xp, rows = namespace(q), [0 * v[..., :SEEN, :]]
    for t in range(SEEN, q.shape[-2]):
        away = k[..., : t + 1, :] - q[..., t : t + 1, :]
        weights = xp.exp(-xp.sum(away * away, axis=-1, keepdims=True) / 2)
        A = concat([xp.ones_like(weights), away], -1)
        weighted = xp.matrix_transpose(weights * A)
        size = xp.sum(xp.sum(weights * A * A, axis=-1, keepdims=True), axis=-2, keepdims=True)
        M = (weighted @ A + size) - size
        rows.append((solve_posdef(M, eye(q, A.shape[-1]), "moments") @ (weighted @ v[..., : t + 1, :]))[..., :1, :])
    return Output(concat(rows, -2), None)


def _kernel_regression(cls: Any, a: Mapping[str, Any]) -> Output:
    """Local linear, bandwidth 1, on keys of norm one; it has one output."""

    def one(q: Any, k: Any, v: Any) -> Any:
        kind = {"var_type": "c" * k.shape[1], "reg_type": "ll", "bw": np.ones(k.shape[1]), "rng": 0}
        return np.array([[cls(y, k, **kind).fit(q)[0][0] for y in v.T]])

    return Output(by_prefix(one, a, first=SEEN + 1), None)


PEERS = (
    _kernel_ridge("exponential kernel", kernels.Exponential(), kernel=lambda x, y: np.exp(x @ y)),
    _kernel_ridge("Gaussian kernel", kernels.Gaussian(0.8), kernel="rbf", gamma=1 / (2 * 0.8**2)),
    _kernel_ridge("linear kernel", kernels.Linear(), kernel="linear"),
    Peer("intention", "scikit-learn", RIDGE, _whole, **ARRAYS),
    Peer("local_linear_attention", "scikit-learn", RIDGE, _local, axes={"T": 32, "d_k": 4}, **ARRAYS),
    Peer(
        "local_linear_attention",
        "statsmodels",
        "statsmodels.nonparametric.kernel_regression:KernelReg",
        _kernel_regression,
        axes={"T": 16, "d_k": 2, "d_v": 2},
        change=lambda a: a | {"ridge": 0.0},
        ours=_after_the_first,
        forms=(_by_pseudo_inverse,),
        **ARRAYS,
    ),
    Peer("local_polynomial_attention", "scikit-learn", RIDGE, _local, axes={"T": 32, "d_k": 3}, **ARRAYS),
    Peer(
        "parallax",
        "fla-core",
        "fla.ops.parallax.naive:naive_parallax",
        lambda f, a: Output(f(a["q"], a["probe"], a["k"], a["v"]), None),
        axes={"d_k": 8},
    ),
)
