"""Public implementations of the layers in `pairs.local`."""

from analysis.peers.peer import Peer

__all__ = ["PEERS"]

PEERS: tuple[Peer, ...] = ()
