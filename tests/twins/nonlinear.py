"""Online learners, not linear in the state or over mini-batches, token by token."""

TWINS = {}
