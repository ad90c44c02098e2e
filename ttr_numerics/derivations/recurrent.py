"""Additive memories with a read order, a stabiliser or no matrix state, derived."""

__all__: list[str] = []
