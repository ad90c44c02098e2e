"""Public delta rules."""

from analysis.peers.peer import GIVEN, Peer
from ttr_numerics.convention import Convention, Gate, Layout, fla

__all__ = ["PEERS"]

OPENGDN = Convention(layout=Layout.TIME_FIRST, gate=Gate.LINEAR)

PEERS = (
    Peer(
        "gated_delta_rule",
        "transformers",
        "transformers.models.qwen3_next.modeling_qwen3_next:torch_recurrent_gated_delta_rule",
        lambda f, a: f(a["q"], a["k"], a["v"], a["log_decay"], a["beta"])[0],
    ),
    Peer(
        "gated_delta_rule",
        "transformers",
        "transformers.models.qwen3_next.modeling_qwen3_next:torch_chunk_gated_delta_rule",
        lambda f, a: f(a["q"], a["k"], a["v"], a["log_decay"], a["beta"])[0],
    ),
    Peer(
        "gated_delta_rule",
        "fla-core",
        "fla.ops.gated_delta_rule.naive:naive_recurrent_gated_delta_rule",
        lambda f, a: f(a["q"], a["k"], a["v"], a["beta"], a["log_decay"])[0],
    ),
    Peer(
        "delta_rule",
        "fla-core",
        "fla.ops.delta_rule.naive:delta_rule_recurrence",
        lambda f, a: f(a["q"], a["k"], a["v"], a["beta"])[0],
        convention=Convention(scale=fla.scale),
    ),
    Peer(
        "gated_delta_rule",
        "opengdn",
        "opengdn.reference:gated_delta",
        lambda f, a: f(a["q"], a["k"], a["v"], a["log_decay"], a["beta"])[0],
        convention=OPENGDN,
        computes=GIVEN,
    ),
)
