"""Kernel ridge and local polynomial attention, derived."""

__all__: list[str] = []
