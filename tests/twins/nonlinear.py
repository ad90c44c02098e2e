"""Online learners whose update is not linear in the state, or is taken over mini-batches and windows, token by token."""

TWINS = {}
