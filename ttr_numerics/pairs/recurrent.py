"""Additive memories with a read order, a stabiliser or no matrix state, and the regressions that they are."""

from ttr_numerics.pairs.pairing import Pairing

__all__ = ["TABLE"]

TABLE: tuple[Pairing, ...] = ()
