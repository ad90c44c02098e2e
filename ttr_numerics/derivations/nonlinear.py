"""Online learners, not linear in the state or over mini-batches, derived."""

__all__: list[str] = []
