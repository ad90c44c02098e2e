"""Inputs to study: captured keys of real models, and random keys with prescribed properties."""

from ttr_numerics.tasks.captured import Captured, captured, minilm, smollm2
from ttr_numerics.tasks.rational import SolvedProblem, rational_least_squares, solved_problem
from ttr_numerics.tasks.stored import SHIPPED, content_of, stored
from ttr_numerics.tasks.synthetic import coloured_unit_keys, conditioned_keys, isotropic_unit_keys

__all__ = [
    "SHIPPED",
    "Captured",
    "SolvedProblem",
    "captured",
    "coloured_unit_keys",
    "conditioned_keys",
    "content_of",
    "isotropic_unit_keys",
    "minilm",
    "rational_least_squares",
    "smollm2",
    "solved_problem",
    "stored",
]
