"""Public attention."""

from types import SimpleNamespace
from typing import Any

import torch

from analysis.peers.peer import GIVEN, Peer
from ttr_numerics.convention import torch_sdpa

__all__ = ["PEERS"]


def _band(T: int, window: int) -> Any:
    """Which of T keys each of T queries sees: the last `window`, its own included."""
    age = torch.arange(T)[:, None] - torch.arange(T)
    return (age >= 0) & (age < window)


def _with_sinks(function: Any, a: Any) -> Any:
    """gpt-oss keeps the logits of its heads on the module, takes a mask to add, and returns (B, T, H, D)."""
    q, (_, heads, T, d) = a["q"], a["q"].shape
    sinks = torch.full((heads,), a["sink"], dtype=q.dtype)
    module = SimpleNamespace(sinks=sinks, num_key_value_groups=1, training=False)
    mask = torch.where(_band(T, T), 0.0, -torch.inf).to(q.dtype)
    return function(module, q, a["k"], a["v"], mask, scaling=d**-0.5)[0].transpose(1, 2)


PEERS = (
    Peer(
        "softmax_attention",
        "torch",
        "torch.nn.functional:scaled_dot_product_attention",
        lambda f, a: f(a["q"], a["k"], a["v"], is_causal=True),
        convention=torch_sdpa,
        computes=GIVEN,
    ),
    Peer(
        "bidirectional_softmax_attention",
        "torch",
        "torch.nn.functional:scaled_dot_product_attention",
        lambda f, a: f(a["q"], a["k"], a["v"]),
        convention=torch_sdpa,
        computes=GIVEN,
    ),
    Peer(
        "sliding_window_attention",
        "torch",
        "torch.nn.functional:scaled_dot_product_attention",
        lambda f, a: f(a["q"], a["k"], a["v"], attn_mask=_band(a["q"].shape[2], a["window"])),
        convention=torch_sdpa,
        computes=GIVEN,
    ),
    Peer(
        "sink_attention",
        "transformers",
        "transformers.models.gpt_oss.modeling_gpt_oss:eager_attention_forward",
        _with_sinks,
        convention=torch_sdpa,
        computes=GIVEN,
    ),
    Peer(
        "forgetting_attention",
        "fla-core",
        "fla.ops.forgetting_attn.naive:naive_forgetting_attn",
        lambda f, a: f(a["q"], a["k"], a["v"], a["log_decay"]),
    ),
)
