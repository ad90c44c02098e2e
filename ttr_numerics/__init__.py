"""Sequence layers as regressors fitted at test time, each beside the exact solver it is or approximates."""

__version__ = "0.1.0"
