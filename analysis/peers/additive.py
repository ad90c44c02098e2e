"""Public additive memories."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from analysis.peers.peer import DOUBLE, GIVEN, Difference, Peer
from ttr_numerics import features, gates, layers
from ttr_numerics.arrays import namespace
from ttr_numerics.axes import Output, Sums
from ttr_numerics.convention import Convention, inverse_root, mamba

__all__ = ["PEERS"]

HEADS_FIRST = Convention(scale=inverse_root)
CHUNK = 16
FINAL = {"output_final_state": True}


def _channels(a: dict[str, Any]) -> dict[str, Any]:
    """The same gate in every channel, where a function wants one a channel."""
    return {**a, "log_decay": np.repeat(a["log_decay"][..., None], a["q"].shape[-1], axis=-1)}


def _retnet(a: dict[str, Any]) -> dict[str, Any]:
    return {**a, "log_decay": gates.constant(gates.retnet(4), a["q"])}


def _minimax(a: dict[str, Any]) -> dict[str, Any]:
    return {**a, "log_decay": gates.constant(gates.minimax(4, 1, 4), a["q"])}


def _small_keys(a: dict[str, Any]) -> dict[str, Any]:
    """Keys of size 1e-7: the layer does not depend on their scale."""
    return {**a, "k": 1e-7 * a["k"]}


def _normalised(f: Any, a: Any) -> Output:
    o, (S, z) = f(a["q"], a["k"], a["v"], normalize=True, **FINAL)
    return Output(o, Sums(S, z[:, 0]))


def _guarded(epsilon: float, q: Any, k: Any, v: Any) -> Output:
    """o_t = q_t Σk_i'v_i / (q_t'Σk_i + epsilon)."""
    xp = namespace(q)
    o, S = layers.linear_attention(q, k, xp.concat([v, xp.ones_like(v[..., :1])], axis=-1))
    return Output(o[..., :-1] / (o[..., -1:] + epsilon), Sums(S[..., :-1], S[..., -1]))


def _kernel(phi: Any) -> tuple[Any, Any]:
    """The layer on features, and with FLA's 1e-6 added to its denominators."""
    return (
        lambda q, k, v: layers.normalized_linear_attention(phi(q), phi(k), v),
        lambda q, k, v: _guarded(1e-6, phi(q), phi(k), v),
    )


def _mamba2(f: Any, a: Any) -> Output:
    """Their chunks of 16, states (d_v, d_k)."""
    o, S = f(a["v"], a["dt"], a["A"], a["k"], a["q"], chunk_size=CHUNK, return_final_states=True)
    return Output(o, S.mT)


def _lightning(module: Any, a: Any) -> Output:
    """Its forward pass on a stand-in that hands q, k, v through its projections and keeps the state."""
    kept: list[torch.Tensor] = []
    B, H, T, d = a["q"].shape
    cache = SimpleNamespace(get_linear_cache=lambda _: None, set_linear_cache=lambda _, state: kept.append(state))
    stand_in = SimpleNamespace(
        layer_idx=1,
        head_dim=d,
        num_attention_heads=H,
        block_size=CHUNK,
        act_fn=lambda x: x,
        qkv_proj=lambda x: torch.cat([a[n].transpose(1, 2) for n in "qkv"], dim=-1).reshape(B, T, -1),
        norm=lambda x: x,
        output_gate=lambda x: torch.full_like(x, torch.inf),
        out_proj=lambda x: x,
        slope_rate=-a["log_decay"][0, :, :1, None],
    )
    decays = module.decay_factors(stand_in, stand_in.slope_rate)
    for name, decay in zip(("query_decay", "key_decay", "diagonal_decay"), decays, strict=True):
        setattr(stand_in, name, decay)
    o = module.forward(stand_in, a["v"].transpose(1, 2).reshape(B, T, -1), None, None, cache)[0]
    return Output(o.reshape(B, T, H, d).transpose(1, 2), kept[0])


GLA = "gated_linear_attention"
SIMPLE = "fla.ops.simple_gla.naive"
TAYLOR, TAYLOR_GUARDED = _kernel(features.taylor)
QUADRATIC, QUADRATIC_GUARDED = _kernel(features.quadratic)
EPSILON = "adds 1e-6 to the denominator"
NARROW = {"d_k": 4}  # features are many

PEERS = (
    Peer(
        "linear_attention",
        "fla-core",
        "fla.ops.linear_attn.naive:naive_recurrent_linear_attn",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], normalize=False, **FINAL)),
    ),
    Peer(
        "linear_attention",
        "fla-core",
        "fla.ops.linear_attn.naive:naive_chunk_linear_attn",
        lambda f, a: Output(f(a["q"], a["k"], a["v"], normalize=False), None),
        computes=GIVEN,
    ),
    Peer(
        "normalized_linear_attention",
        "fla-core",
        "fla.ops.linear_attn.naive:naive_recurrent_linear_attn",
        _normalised,
    ),
    Peer(
        "normalized_linear_attention",
        "fla-core",
        "fla.ops.linear_attn.naive:naive_recurrent_linear_attn",
        _normalised,
        change=_small_keys,
        how="small keys",
        differs=Difference(
            "adds 1e-10 to the denominator: on keys of size 1e-7 the output is smaller",
            lambda q, k, v: _guarded(1e-10, q, k, v),
        ),
    ),
    Peer(
        "normalized_linear_attention",
        "fla-core",
        "fla.ops.based.naive:naive_parallel_based",
        lambda f, a: Output(f(a["q"], a["k"], a["v"], scale=1.0), None),
        convention=Convention(),
        computes=DOUBLE,  # in float32 the constant is below rounding
        axes=NARROW,
        ours=TAYLOR,
        differs=Difference(f"on features [1, x, x⊗x/√2], {EPSILON}", TAYLOR_GUARDED),
    ),
    Peer(
        "normalized_linear_attention",
        "fla-core",
        "fla.ops.rebased.naive:naive_parallel_rebased",
        lambda f, a: Output(f(a["q"], a["k"], a["v"], scale=1.0), None),
        convention=Convention(),
        computes=DOUBLE,  # in float32 the constant is below rounding
        axes=NARROW,
        ours=QUADRATIC,
        differs=Difference(f"on features x⊗x, {EPSILON}", QUADRATIC_GUARDED),
    ),
    Peer(
        GLA,
        "fla-core",
        f"{SIMPLE}:naive_recurrent_simple_gla",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], a["log_decay"])),
    ),
    Peer(
        GLA,
        "fla-core",
        f"{SIMPLE}:naive_chunk_simple_gla",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], a["log_decay"], chunk_size=CHUNK, **FINAL)),
    ),
    Peer(
        GLA,
        "fla-core",
        f"{SIMPLE}:naive_parallel_simple_gla",
        lambda f, a: Output(f(a["q"], a["k"], a["v"], a["log_decay"])[0], None),
    ),
    Peer(
        GLA,
        "fla-core",
        "fla.ops.gla.naive:naive_recurrent_gla",
        lambda f, a: Output(*f(a["q"], a["k"], a["v"], a["log_decay"], **FINAL)),
        change=_channels,
    ),
    Peer(
        GLA,
        "fla-core",
        "fla.ops.retention.naive:naive_retention",
        lambda f, a: Output(f(a["q"], a["k"], a["v"]), None),
        convention=HEADS_FIRST,
        change=_retnet,
    ),
    Peer(GLA, "transformers", "transformers.models.mamba2.modeling_mamba2:mamba2_chunk_scan", _mamba2, mamba),
    Peer(
        GLA,
        "transformers",
        "transformers.models.minimax.modeling_minimax:MiniMaxLightningAttention",
        _lightning,
        convention=Convention(),
        computes=GIVEN,
        axes={"d_v": 16},
        change=_minimax,
    ),
)
