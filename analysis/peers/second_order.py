"""Public implementations of the layers in `pairs.second_order`."""

from analysis.peers.peer import Peer

__all__ = ["PEERS"]

PEERS: tuple[Peer, ...] = ()
