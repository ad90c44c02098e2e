"""Public delta rules."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from analysis.peers.peer import GIVEN, HALF, Difference, Peer
from ttr_numerics import layers
from ttr_numerics.arrays import namespace
from ttr_numerics.axes import Momentum, Output, Preconditioned
from ttr_numerics.convention import Convention, Gate, Layout, fla

__all__ = ["PEERS"]

OPENGDN = Convention(layout=Layout.TIME_FIRST, gate=Gate.LINEAR)
HEADS_FIRST = Convention(scale=fla.scale)
FINAL = {"output_final_state": True}

Arrays = dict[str, Any]


def _channels(a: Arrays) -> Arrays:
    """A gate per key channel."""
    return a | {"log_decay": a["log_decay"][..., None] * np.linspace(0.5, 1.5, a["q"].shape[-1])}


def _no_gate(a: Arrays) -> Arrays:
    return a | {"log_decay": np.zeros_like(a["q"])}


def _normalised(a: Arrays) -> Arrays:
    """Queries of the length that the function, which normalises them, will give them."""
    return a | {"q": a["q"] / np.linalg.norm(a["q"], axis=-1, keepdims=True) * a["q"].shape[-1] ** -0.5}


def _in_order(x: torch.Tensor, width: tuple[int, ...]) -> torch.Tensor:
    """(B, T, H, n, ...) as (B, T n, H, ...)."""
    return x.transpose(2, 3).reshape(x.shape[0], -1, x.shape[2], *width)


def _delta_product(f: Callable[..., Any], a: Mapping[str, Any]) -> Output:
    n, rows = a["k"].shape[-2], (_in_order(a[name], a[name].shape[-1:]) for name in "kv")
    scale = a["q"].shape[-1] ** -0.5
    return Output(*f(a["q"], *rows, a["log_decay"], _in_order(a["beta"], ()), scale, num_householder=n, **FINAL))


def _momentum(f: Callable[..., Any], a: Mapping[str, Any]) -> Output:
    gates = {"log_alpha": 0 * a["beta"], "log_mu": a["log_momentum"], "beta": 1 + 0 * a["beta"], "eta": a["beta"]}
    o, (S, step) = f(q=a["q"], k=a["k"], v=a["v"], p=a["k"], **gates, **FINAL)
    return Output(o, Momentum(S, -step))


def _preconditioned(f: Callable[..., Any], a: Mapping[str, Any]) -> Output:
    gates = {"g": a["log_decay"], "beta": a["beta"]}
    gates |= {"g_atk": a["curvature_log_decay"], "beta_atk": a["curvature_beta"]}
    o, *state = f(q=a["q"], k=a["k"], v=a["v"], **gates, **FINAL)
    return Output(o, Preconditioned(*state))


def _values_first(f: Callable[..., Any], a: Mapping[str, Any]) -> Output:
    """Its state is (d_v, d_k)."""
    o, S = f(a["q"], a["k"], a["v"], a["log_decay"], a["beta"])
    return Output(o, S.mT)


def _rwkv7(f: Callable[..., Any], a: Mapping[str, Any]) -> Output:
    start = a["v"].new_zeros(a["q"].shape[0], a["q"].shape[2], a["q"].shape[-1], a["v"].shape[-1])
    return Output(*f(a["q"], a["log_decay"], a["k"], a["v"], a["a"], a["b"], start))


def _error_after_the_decay(q: Any, k: Any, v: Any, *, p: Any, log_decay: Any, beta: Any) -> Output:
    """Comba whose error is taken on the decayed state."""
    decay = namespace(q).exp(log_decay)[..., None]
    return layers.comba(q, k, v, p=decay * p, log_decay=log_decay, beta=beta)


PEERS = (
    Peer(
        "gated_delta_rule",
        "transformers",
        "transformers.models.qwen3_next.modeling_qwen3_next:torch_recurrent_gated_delta_rule",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], a["log_decay"], a["beta"], **FINAL)),
    ),
    Peer(
        "gated_delta_rule",
        "transformers",
        "transformers.models.qwen3_next.modeling_qwen3_next:torch_chunk_gated_delta_rule",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], a["log_decay"], a["beta"], **FINAL)),
    ),
    Peer(
        "gated_delta_rule",
        "fla-core",
        "fla.ops.gated_delta_rule.naive:naive_recurrent_gated_delta_rule",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], a["beta"], a["log_decay"], **FINAL)),
    ),
    Peer(
        "delta_rule",
        "fla-core",
        "fla.ops.delta_rule.naive:delta_rule_recurrence",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], a["beta"], **FINAL)),
        convention=Convention(scale=fla.scale),
    ),
    Peer(
        "delta_rule",
        "fla-core",
        "fla.ops.delta_rule.naive:delta_rule_chunkwise",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], a["beta"])),
        convention=Convention(scale=fla.scale),
    ),
    Peer(
        "gated_delta_rule",
        "opengdn",
        "opengdn.reference:gated_delta",
        _values_first,
        convention=OPENGDN,
        computes=HALF,
    ),
    Peer(
        "gated_delta_rule",
        "opengdn",
        "opengdn.chunkwise:gated_delta_chunkwise",
        _values_first,
        convention=OPENGDN,
        computes=GIVEN,
    ),
    Peer(
        "gated_delta_rule",
        "fla-core",
        "fla.ops.gated_delta_rule.naive:naive_chunk_gated_delta_rule",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], a["log_decay"], a["beta"], **FINAL)),
    ),
    Peer(
        "gated_delta_rule",
        "fla-core",
        "fla.ops.kda.naive:naive_recurrent_kda",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], a["log_decay"], a["beta"], **FINAL)),
        change=_channels,
    ),
    Peer(
        "gated_delta_rule",
        "fla-core",
        "fla.ops.kda.naive:naive_chunk_kda",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], a["log_decay"], a["beta"], **FINAL)),
        change=_channels,
    ),
    Peer(
        "gated_delta_rule",
        "transformers",
        "transformers.models.kimi_linear.modeling_kimi_linear:recurrent_kimi_delta_attention",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], a["log_decay"], a["beta"], None, True)),
        change=_channels,
    ),
    Peer(
        "gated_delta_rule",
        "transformers",
        "transformers.models.kimi_linear.modeling_kimi_linear:chunk_kimi_delta_attention",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], a["log_decay"], a["beta"], **FINAL)),
        change=_channels,
    ),
    Peer(
        "erase_write_delta_rule",
        "fla-core",
        "fla.ops.gdn2.naive:naive_recurrent_gdn2",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], a["log_decay"], a["erase"], a["write"], **FINAL)),
        change=_channels,
    ),
    Peer(
        "erase_write_delta_rule",
        "fla-core",
        "fla.ops.gdn2.naive:naive_chunk_gdn2",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], a["log_decay"], a["erase"], a["write"], **FINAL)),
        change=_channels,
    ),
    Peer(
        "comba",
        "fla-core",
        "fla.ops.comba.naive:naive_chunk_comba",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], a["p"], a["log_decay"], a["beta"], **FINAL)),
    ),
    Peer(
        "comba",
        "fla-core",
        "fla.ops.comba.naive:naive_recurrent_comba",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], a["p"], a["beta"], a["log_decay"], **FINAL)),
        differs=Difference(
            "takes the error on the decayed state, where the package's own chunked reference takes the undecayed one",
            _error_after_the_decay,
        ),
    ),
    Peer(
        "gated_delta_product",
        "fla-core",
        "fla.ops.gated_delta_product.naive:naive_recurrent_gated_delta_product",
        _delta_product,
    ),
    Peer(
        "momentum_delta_rule",
        "fla-core",
        "fla.ops.momentum_delta_rule.naive:recurrent_momentum_delta_rule_ref",
        _momentum,
    ),
    Peer(
        "preconditioned_delta_rule",
        "fla-core",
        "fla.ops.precond_gated_delta_rule.naive:naive_recurrent_precond_gated_delta_rule",
        _preconditioned,
        change=_normalised,
    ),
    Peer(
        "preconditioned_delta_rule",
        "fla-core",
        "fla.ops.precond_kda.naive:naive_recurrent_precond_kda",
        _preconditioned,
        change=_channels,
    ),
    Peer(
        "generalized_delta_rule",
        "fla-core",
        "fla.ops.generalized_delta_rule.dplr.naive:dplr_recurrence",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], a["a"], a["b"], a["log_decay"], **FINAL)),
        convention=HEADS_FIRST,
        change=_channels,
    ),
    Peer(
        "generalized_delta_rule",
        "fla-core",
        "fla.ops.generalized_delta_rule.dplr.naive:dplr_chunkwise",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], a["a"], a["b"], a["log_decay"], **FINAL)),
        convention=HEADS_FIRST,
        change=_channels,
    ),
    Peer(
        "generalized_delta_rule",
        "fla-core",
        "fla.ops.generalized_delta_rule.iplr.naive:iplr_recurrence",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], a["a"], a["b"], **FINAL)),
        convention=HEADS_FIRST,
        change=_no_gate,
    ),
    Peer(
        "generalized_delta_rule",
        "fla-core",
        "fla.ops.generalized_delta_rule.iplr.naive:iplr_chunkwise",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], a["a"], a["b"], **FINAL)),
        convention=HEADS_FIRST,
        change=_no_gate,
    ),
    Peer(
        "generalized_delta_rule",
        "rwkv7-hf",
        "rwkv7_hf.ops_rwkv7:rwkv7_recurrent",
        _rwkv7,
        convention=OPENGDN,
        computes=GIVEN,
        change=_channels,
    ),
)
