"""Public implementations of the layers in `pairs.additive`."""

from analysis.peers.peer import Peer

__all__ = ["PEERS"]

PEERS: tuple[Peer, ...] = ()
