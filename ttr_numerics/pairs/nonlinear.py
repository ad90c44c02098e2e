"""Online learners whose update is not linear in the state, or is taken over mini-batches and windows, and the regressions that they are."""

from ttr_numerics.pairs.pairing import Pairing

__all__ = ["TABLE"]

TABLE: tuple[Pairing, ...] = ()
