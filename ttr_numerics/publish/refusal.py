"""Why nothing can be done, in one sentence to the user, who can set it right."""

__all__ = ["Refusal"]


class Refusal(ValueError):  # noqa: N818 (not a fault of ours)
    """A bad name, folder, or file of rows; exit status 2."""
