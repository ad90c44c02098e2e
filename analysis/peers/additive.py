"""Public additive memories."""

from typing import Any

import numpy as np

from analysis.peers.peer import Difference, Peer
from ttr_numerics.arrays import namespace
from ttr_numerics.axes import Output
from ttr_numerics.convention import Convention, inverse_root
from ttr_numerics.layers import linear_attention

__all__ = ["PEERS"]

HEADS_FIRST = Convention(scale=inverse_root)


def _channels(a: dict[str, Any]) -> dict[str, Any]:
    """The same gate in every channel, where a function wants one a channel."""
    return {**a, "log_decay": np.repeat(a["log_decay"][..., None], a["q"].shape[-1], axis=-1)}


def _constant(a: dict[str, Any]) -> dict[str, Any]:
    """One gate a head, as RetNet fixes it: 1 - 2^(-5-h)."""
    heads = np.log1p(-(2.0 ** (-5.0 - np.arange(a["q"].shape[-3]))))
    return {**a, "log_decay": heads[:, None] + 0 * a["log_decay"]}


def _small_keys(a: dict[str, Any]) -> dict[str, Any]:
    """Keys of size 1e-7: the layer does not depend on their scale."""
    return {**a, "k": 1e-7 * a["k"]}


def _guarded(q: Any, k: Any, v: Any) -> Output:
    """o_t = q_t Σk_i'v_i / (q_t'Σk_i + 1e-10), unscaled q: the denominator that FLA divides by."""
    xp = namespace(q)
    one = xp.ones_like(v[..., :1])
    both = linear_attention(q, k, xp.concat([v, one], axis=-1)).o
    return Output(both[..., :-1] / (both[..., -1:] + 1e-10), None)


PEERS = (
    Peer(
        "linear_attention",
        "fla-core",
        "fla.ops.linear_attn.naive:naive_recurrent_linear_attn",
        lambda f, a: f(a["q"], a["k"], a["v"], normalize=False)[0],
    ),
    Peer(
        "normalized_linear_attention",
        "fla-core",
        "fla.ops.linear_attn.naive:naive_recurrent_linear_attn",
        lambda f, a: f(a["q"], a["k"], a["v"], normalize=True)[0],
    ),
    Peer(
        "normalized_linear_attention",
        "fla-core",
        "fla.ops.linear_attn.naive:naive_recurrent_linear_attn",
        lambda f, a: f(a["q"], a["k"], a["v"], normalize=True)[0],
        change=_small_keys,
        differs=Difference("adds 1e-10 to the denominator: on keys of size 1e-7 the output is smaller", _guarded),
    ),
    Peer(
        "gated_linear_attention",
        "fla-core",
        "fla.ops.simple_gla.naive:naive_recurrent_simple_gla",
        lambda f, a: f(a["q"], a["k"], a["v"], a["log_decay"])[0],
    ),
    Peer(
        "gated_linear_attention",
        "fla-core",
        "fla.ops.gla.naive:naive_recurrent_gla",
        lambda f, a: f(a["q"], a["k"], a["v"], a["log_decay"])[0],
        change=_channels,
    ),
    Peer(
        "gated_linear_attention",
        "fla-core",
        "fla.ops.retention.naive:naive_retention",
        lambda f, a: f(a["q"], a["k"], a["v"]),
        convention=HEADS_FIRST,
        change=_constant,
    ),
)
