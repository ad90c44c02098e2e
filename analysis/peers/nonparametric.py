"""Public attention."""

from analysis.peers.peer import GIVEN, Peer
from ttr_numerics.convention import torch_sdpa

__all__ = ["PEERS"]

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
)
