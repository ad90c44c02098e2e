"""Public implementations of the layers in `pairs.nonlinear`."""

from analysis.peers.peer import Peer

__all__ = ["PEERS"]

PEERS: tuple[Peer, ...] = ()
