"""Adaptive filters of public packages: one head and output each, token by token, in float64."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from analysis.peers.by_token import by_head
from analysis.peers.peer import DOUBLE, Peer
from ttr_numerics.axes import Output, Recursion
from ttr_numerics.convention import Convention

__all__ = ["PEERS"]

Arrays = dict[str, Any]
ARRAYS: dict[str, Any] = {"convention": Convention(), "computes": DOUBLE, "asarray": np.asarray}


def _constant(name: str) -> Callable[[Arrays], Arrays]:
    """One step size for all tokens: the filter's own."""
    return lambda a: a | {name: np.full_like(a[name], 0.5)}


def _filtered(made: Callable[[Any, int, float], Any], name: str) -> Callable[..., Output]:
    """An adaptive filter with `made(class, d_k, step)`: one head and output each."""

    def call(cls: Any, a: Mapping[str, Any]) -> Output:
        def head(q: Any, k: Any, v: Any, step: Any) -> tuple[Any, Any]:
            filters, rows = [made(cls, k.shape[1], step[0]) for _ in v.T], []
            for query, key, values in zip(q, k, v, strict=True):
                for each, value in zip(filters, values, strict=True):
                    each.adapt(value, key)
                rows.append([each.predict(query) for each in filters])
            return np.array(rows), np.stack([each.w for each in filters], axis=-1)

        return Output(*by_head(head, *(a[n] for n in ("q", "k", "v", name))))

    return call


def _entry_by_entry(cls: Any, a: Mapping[str, Any]) -> Output:
    """A filter of one weight for every entry of the state; keys of norm one give each a constant step β/(1 + β)."""

    def head(q: Any, k: Any, v: Any, beta: Any) -> tuple[Any, Any]:
        filters = [[cls(1, mu=b / (1 + b), w="zeros") for b in beta[0]] for _ in k.T]
        states = []
        for key, values in zip(k, v, strict=True):
            for row, x in zip(filters, key, strict=True):
                for each, value in zip(row, values, strict=True):
                    each.adapt(value, np.array([x]))
            states.append([[each.w[0] for each in row] for row in filters])
        return np.einsum("ti,tij->tj", q, np.array(states)), np.array(states[-1])

    return Output(*by_head(head, *(a[n] for n in ("q", "k", "v", "beta"))))


def _filter(layer: str, cls: str, name: str, made: Callable[[Any, int, float], Any]) -> Peer:
    """A filter of padasip as a peer."""
    return Peer(
        layer,
        "padasip",
        f"padasip.filters:{cls}",
        _filtered(made, name),
        change=_constant(name),
        **ARRAYS,
    )


def _forgetting(a: dict[str, Any]) -> dict[str, Any]:
    """One gate for all tokens: the filter's own."""
    return a | {"log_decay": np.full(a["q"].shape[:-1], np.log(0.97))}


def _recursive(cls: Any, a: Mapping[str, Any]) -> Output:
    """A filter an output; each keeps the same inverse."""

    def head(q: Any, k: Any, v: Any, log_decay: Any) -> tuple[Any, Any, Any]:
        filters = [cls(k.shape[1], mu=np.exp(log_decay[0]), eps=a["ridge"], w="zeros") for _ in v.T]
        rows = []
        for query, key, values in zip(q, k, v, strict=True):
            for each, value in zip(filters, values, strict=True):
                each.adapt(value, key)
            rows.append([each.predict(query) for each in filters])
        return np.array(rows), np.stack([each.w for each in filters], axis=-1), filters[0].R

    o, *state = by_head(head, *(a[n] for n in ("q", "k", "v", "log_decay")))
    return Output(o, Recursion(*state))


def _kalman(cls: Any, a: Mapping[str, Any]) -> Output:
    """From the prior covariance I/ridge; it has one output."""
    d = a["k"].shape[-1]
    prior = {"initialization": "known", "initial_state": np.zeros(d), "initial_state_cov": np.eye(d) / a["ridge"]}

    def head(q: Any, k: Any, v: Any) -> tuple[Any, Any, Any]:
        fits = [cls(y, k, **prior).filter() for y in v.T]
        S = np.stack([fit.recursive_coefficients.filtered.T for fit in fits], axis=-1)
        return np.sum(q[..., None] * S, axis=-2), S[-1], fits[0].filtered_state_cov[..., -1] / fits[0].scale

    o, *state = by_head(head, a["q"], a["k"], a["v"])
    return Output(o, Recursion(*state))


PEERS = (
    _filter("delta_rule", "FilterLMS", "beta", lambda cls, n, beta: cls(n, mu=beta, w="zeros")),
    _filter("kaczmarz_delta_rule", "FilterNLMS", "step", lambda cls, n, step: cls(n, mu=step, eps=0.0, w="zeros")),
    _filter("longhorn", "FilterNLMS", "beta", lambda cls, n, beta: cls(n, mu=1.0, eps=1 / beta, w="zeros")),
    Peer(
        "longhorn_diagonal",
        "padasip",
        "padasip.filters:FilterLMS",
        _entry_by_entry,
        axes={"T": 24, "d_k": 4, "d_v": 3},
        change=lambda a: a | {"beta": a["beta"][..., :1, :] + 0 * a["beta"]},
        **ARRAYS,
    ),
    Peer("original_mesa", "padasip", "padasip.filters:FilterRLS", _recursive, change=_forgetting, **ARRAYS),
    Peer(
        "original_mesa",
        "statsmodels",
        "statsmodels.regression.recursive_ls:RecursiveLS",
        _kalman,
        axes={"T": 32, "d_k": 8, "d_v": 2},
        **ARRAYS,
    ),
)
