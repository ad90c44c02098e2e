"""Selective scans: channels of one head are fed as one batch entry, A = -1, Δ the gate, the input divided by Δ."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch

from analysis.ecosystem.implementation import Implementation
from analysis.peers.peer import Peer
from ttr_numerics.axes import Output
from ttr_numerics.convention import Convention, mamba

__all__ = ["IMPLEMENTATIONS"]

MAMBA = replace(mamba, names=())
ONE = replace(MAMBA, layout=Convention().layout)  # (B, H, T, d)
GLA = "gated_linear_attention"
WORDS = "h = exp(Δ A) h + Δ B x, no gate of 1: Δ would be 0"


def _by_channel(a: dict[str, Any]) -> tuple[Any, ...]:
    """x, Δ (N, d_v, T), A (d_v, d_k), B, C (N, T, d_k) of the N heads of a batch; the rate -1 goes into x and Δ."""
    rates = -a["A"].to(a["v"].dtype)[:, None]
    scaled = a | {"dt": a["dt"] * rates, "v": a["v"] / rates[..., None]}
    q, k, v, dt = (scaled[n].flatten(0, 1) for n in ("q", "k", "v", "dt"))
    rate = -torch.ones(v.shape[-1], k.shape[-1], dtype=v.dtype)
    return v.mT, dt[:, None, :].expand(v.mT.shape), rate, k, q


def _back(o: Any, a: Mapping[str, Any]) -> Any:
    return o.reshape(a["v"].shape)


def _scan(f: Any, a: Mapping[str, Any]) -> Output:
    x, dt, A, B, C = _by_channel(dict(a))
    o, h = f(x, dt, A, B.mT, C.mT, return_last_state=True)
    return Output(_back(o.mT, a), h)


def _steps(f: Any, a: Mapping[str, Any]) -> Output:
    """The update of one token, T times: a state kept and overwritten by the function."""
    x, dt, A, B, C = _by_channel(dict(a))
    state = torch.zeros(x.shape[0], *A.shape)
    rows = [f(state, x[..., t], dt[..., t], A, B[:, t], C[:, t]) for t in range(x.shape[-1])]
    return Output(_back(torch.stack(rows, dim=1), a), state)


def _steps_of_mamba2(f: Any, a: Mapping[str, Any]) -> Output:
    """Likewise, heads beside channels."""
    q, k, v, dt = (a[n] for n in ("q", "k", "v", "dt"))
    state = torch.zeros(v.shape[0], *v.shape[2:], k.shape[-1])
    A = (a["A"][:, None, None] + torch.zeros(state.shape[1:])).float()
    wide = dt[..., None] + 0 * v
    rows = [f(state, v[:, t], wide[:, t], A, k[:, t], q[:, t]) for t in range(v.shape[1])]
    return Output(torch.stack(rows, dim=1), state)


def _mambapy(name: str) -> Callable[..., Output]:
    """The block's scan on a stand-in for the block."""

    def call(cls: Any, a: Mapping[str, Any]) -> Output:
        x, dt, A, B, C = _by_channel(dict(a))
        block = SimpleNamespace(config=SimpleNamespace(d_inner=A.shape[0], d_state=A.shape[1]))
        o = getattr(cls, name)(block, x.mT, dt.mT, A, B, C, torch.zeros(A.shape[0], dtype=x.dtype))
        return Output(_back(o, a), None)

    return call


def _of(package: str, path: str, call: Callable[..., Output], how: str = "", convention: Any = ONE, **more: Any) -> Any:
    return Implementation(Peer(GLA, package, path, call, convention=convention, how=how), declares=WORDS, **more)


TRANSFORMERS = "transformers.models"
IMPLEMENTATIONS = (
    _of("transformers", f"{TRANSFORMERS}.mamba.modeling_mamba:mamba_selective_scan", _scan),
    _of("transformers", f"{TRANSFORMERS}.mamba.modeling_mamba:mamba_selective_state_update", _steps),
    _of("transformers", f"{TRANSFORMERS}.zamba.modeling_zamba:mamba_selective_scan", _scan),
    _of(
        "transformers",
        f"{TRANSFORMERS}.mamba2.modeling_mamba2:mamba2_selective_state_update",
        _steps_of_mamba2,
        "",
        MAMBA,
    ),
    _of(
        "mambapy",
        "mambapy.mamba:MambaBlock",
        _mambapy("selective_scan"),
        "selective_scan",
        dtypes=("float64", "float32"),
    ),
    _of(
        "mambapy",
        "mambapy.mamba:MambaBlock",
        _mambapy("selective_scan_seq"),
        "selective_scan_seq",
        dtypes=("float64", "float32"),
    ),
)
