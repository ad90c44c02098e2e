"""Kernel ridge and local polynomial attention, and the regressions that they are."""

from ttr_numerics.pairs.pairing import Pairing

__all__ = ["TABLE"]

TABLE: tuple[Pairing, ...] = ()
