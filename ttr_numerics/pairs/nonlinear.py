"""Online learners, not linear in the state or over mini-batches, and the regressions that they are."""

from ttr_numerics.pairs.pairing import Pairing

__all__ = ["TABLE"]

TABLE: tuple[Pairing, ...] = ()
