"""Verdicts: is an output right, to the accuracy that its arithmetic and its conditioning allow?"""

from ttr_numerics.verdict.certificate import Certificate, Proof, certify
from ttr_numerics.verdict.judge import check, check_arrays, check_problem, judged, problems
from ttr_numerics.verdict.verdict import EXIT_STATUS, Verdict, Word

__all__ = [
    "EXIT_STATUS",
    "Certificate",
    "Proof",
    "Verdict",
    "Word",
    "certify",
    "check",
    "check_arrays",
    "check_problem",
    "judged",
    "problems",
]
