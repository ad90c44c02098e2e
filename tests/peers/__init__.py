"""Public implementations as oracles.

A peer is one entry in `analysis/peers/<family>.py` (see `Peer` there: layer, package, module:function, how it is
called, its convention and arithmetic, its last state, and, where it is another operator, the variant that it is). The
generic tests in `test_peers.py` then hold it to rounding in its own arithmetic, and the report's table shows it.
"""
