"""Analyses that take long, as studies: on all cores, and a run that was stopped goes on where it was."""

from ttr_numerics.publish import JOURNALS, measured_rows

__all__ = ["JOURNALS", "measured_rows"]
