"""Kernel ridge and local polynomial attention, token by token."""

TWINS = {}
