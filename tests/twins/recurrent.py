"""Additive memories with a read order, a stabiliser or no matrix state, token by token."""

TWINS = {}
