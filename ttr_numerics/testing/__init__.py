"""Verdicts in a test suite: `assert_layer` for a function, `assert_output` for stored numbers.

Both fail with the verdict as their message. The pytest plugin collects what they found: `pytest --ttr-report FILE`.
"""

from ttr_numerics.testing.assertions import assert_layer, assert_output

__all__ = ["assert_layer", "assert_output"]
