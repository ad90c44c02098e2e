"""Verdicts: is an output right, to the accuracy that its arithmetic and its conditioning allow?"""

from ttr_numerics.verdict.judge import check, check_arrays, check_problem, judged
from ttr_numerics.verdict.verdict import EXIT_STATUS, Verdict, Word

__all__ = ["EXIT_STATUS", "Verdict", "Word", "check", "check_arrays", "check_problem", "judged"]
