"""How many tokens are treated at once where the caller does not say."""

__all__ = ["CHUNK"]

CHUNK = 32
