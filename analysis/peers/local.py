"""Public implementations of the layers in `pairs.local`."""

from analysis.peers.peer import Peer

__all__ = ["PEERS"]

PEERS = (
    Peer(
        "parallax",
        "fla-core",
        "fla.ops.parallax.naive:naive_parallax",
        lambda f, a: f(a["q"], a["probe"], a["k"], a["v"]),
        axes={"d_k": 8},
    ),
)
